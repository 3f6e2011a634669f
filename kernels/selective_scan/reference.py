"""The selective scan step by step: the truth that the other backends are held against.

Glossary: ``b`` batch, ``l`` length, ``d`` channels, ``g`` groups of channels, ``n`` states of one channel; ``delta`` is
the step after bias and softplus.
"""

import torch
from torch import Tensor
from torch.nn.functional import silu

from statespace.kernels.sequences import clamped, entered, left
from statespace.kernels.softplus import softplus

SERIES_BELOW, SERIES_TERMS = 0.5, 15  # the first term left out is 0.5^15 / 16!, below the last digit of float64


def phi(z: Tensor) -> Tensor:
    """``(exp(z) - 1) / z``, by its series where the difference would cancel; real or complex."""
    small = z.abs() < SERIES_BELOW
    near, far = torch.where(small, z, 0), torch.where(small, 1, z)
    series = torch.ones_like(near)
    for j in range(SERIES_TERMS, 1, -1):
        series = 1 + near / j * series
    return torch.where(small, series, (torch.exp(far) - 1) / far)


def _spread(x: Tensor, channels: int) -> Tensor:
    """``(b, l, g, n)`` to ``(b, l, d, n)``: each channel takes its group's; ``(d, n)`` to ``(1, 1, d, n)``."""
    return x[None, None] if x.ndim == 2 else x.repeat_interleave(channels // max(1, x.shape[2]), 2)


def selective_scan(
    u: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    dt_softplus: bool,
    method: str,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    """Scan one step at a time; autograd goes through the loop.

    Args and returns are those that `interface.py` prepares: `u`, `dt`, `z`, `B` and `C` of one real precision (`B` and
    `C` complex where `A` is), `B` and `C` ``(b, l, g, n)`` or ``(d, n)``, everything else float32 or float64. `keep` is
    not used.
    """
    batch, length, channels = u.shape
    wide = torch.promote_types(u.dtype, torch.float32)
    x, delta = u.to(wide), dt.to(wide)
    if dt_bias is not None:
        delta = delta + dt_bias
    if dt_softplus:
        delta = softplus(delta)
    B, C = (_spread(tensor.to(A.dtype), channels) for tensor in (B, C))
    vectors = [tensor.expand(-1, length, -1, -1).unbind(1) for tensor in (B, C)]
    cu_seqlens = None if cu_seqlens is None else clamped(cu_seqlens, length)
    sequences = batch if cu_seqlens is None else cu_seqlens.shape[0] - 1
    starts = A.new_zeros(sequences, channels, A.shape[1]) if initial_state is None else initial_state
    h, final = starts[:batch], starts
    outputs = []
    for t, (b, c) in enumerate(zip(*vectors, strict=True)):
        if cu_seqlens is not None:
            h = entered(t, h, starts, cu_seqlens)
        step = delta[:, t, :, None]  # (b, d, 1)
        exponent = step * A
        drive = step * (phi(exponent) if method == "zoh" else 1) * b * x[:, t, :, None]
        h = torch.exp(exponent) * h + drive
        seen = h - drive / 2 if method == "exponential-trapezoidal" else h
        outputs.append((c * seen).sum(-1).real)
        final = h if cu_seqlens is None else left(t, h, final, cu_seqlens)
    y = torch.stack(outputs, 1) if outputs else x.clone()
    if D is not None:
        y = y + D * x
    if z is not None:
        y = y * silu(z.to(wide))
    # The final state is cloned so that it never shares memory with the initial one.
    return y.to(u.dtype), final.clone()
