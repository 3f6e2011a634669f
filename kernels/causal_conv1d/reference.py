"""The short causal convolution as it is defined, one sequence after the other: the truth for the other backends.

    y[t] = act(bias + sum_j weight[j] x[t - (k - 1) + j]),   where x[-(k - 1)], ..., x[-1] are the initial state

Glossary: ``b`` batch, ``l`` length, ``d`` channels, ``k`` width of the filter.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from statespace.kernels.sequences import slices_of


def _one(x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor, silu: bool) -> tuple[Tensor, Tensor]:
    """One sequence ``(l, d)`` that comes after the inputs ``(k - 1, d)``."""
    length, width = x.shape[0], weight.shape[1]
    past = torch.cat([state, x])  # (k - 1 + l, d)
    y = torch.zeros_like(x, dtype=weight.dtype)
    for j in range(width):
        y = y + weight[:, j] * past[j : j + length]
    if bias is not None:
        y = y + bias
    return (F.silu(y) if silu else y).to(x.dtype), past[length:].clone()


def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    initial_state: Tensor | None = None,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    silu: bool = False,
) -> tuple[Tensor, Tensor]:
    """Convolve sequence by sequence, in the precision of `weight`; autograd goes through the sums.

    Args and returns are those of `statespace.kernels.causal_conv1d.causal_conv1d`, which checks them.
    """
    batch, length, channels = x.shape
    if cu_seqlens is not None:
        sequences = [x[0, time] for time in slices_of(cu_seqlens, length)]
    else:
        ends = [length] * batch if lengths is None else lengths.tolist()
        sequences = [row[:end] for row, end in zip(x, ends, strict=True)]
    if initial_state is None:
        initial_state = x.new_zeros(len(sequences), weight.shape[1] - 1, channels)
    results = [_one(row, weight, bias, state, silu) for row, state in zip(sequences, initial_state, strict=True)]
    if not results:
        return x.clone(), initial_state.clone()
    final_state = torch.stack([state for _, state in results])
    if cu_seqlens is not None:
        return torch.cat([y for y, _ in results])[None], final_state
    return torch.stack([F.pad(y, (0, 0, 0, length - len(y))) for y, _ in results]), final_state
