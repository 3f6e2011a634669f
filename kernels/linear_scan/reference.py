"""The linear scan step by step: the truth that the other backends are held against.

    h[t] = a[t] h[t-1] + b[t]

Glossary: ``b`` batch, ``l`` length, ``d`` channels, ``s`` packed sequences.
"""

import torch
from torch import Tensor

from statespace.kernels.sequences import clamped, entered


def linear_scan(
    a: Tensor,
    b: Tensor,
    initial_state: Tensor | None = None,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
) -> Tensor:
    """Scan one step at a time, in the precision of the arguments; autograd goes through the loop.

    Args:
        a: ``(b, l, d)``, where a 1 in place of b or l shares it.
        b: ``(b, l, d)``.
        initial_state: ``(b, d)``, or ``(s, d)`` where sequences are packed.
        lengths: ``(b,)``; beyond them the state is held.
        cu_seqlens: ``(s + 1,)``, where packed sequences begin and end.
    Returns:
        all states, ``(b, l, d)``.
    """
    batch, length, channels = b.shape
    if lengths is not None:
        # Before the loop: the gradient of a product with NaN would be NaN, even where the product is not taken.
        held = (torch.arange(length, device=b.device) >= lengths[:, None])[..., None]
        a, b = torch.where(held, 1, a), torch.where(held, 0, b)
    cu_seqlens = None if cu_seqlens is None else clamped(cu_seqlens, length)
    sequences = batch if cu_seqlens is None else cu_seqlens.shape[0] - 1
    starts = b.new_zeros(sequences, channels) if initial_state is None else initial_state
    h = starts if cu_seqlens is None else b.new_zeros(batch, channels)
    decays = a.unbind(1) if a.shape[1] == length else a.unbind(1) * length
    states = []
    for t, (decay, x) in enumerate(zip(decays, b.unbind(1), strict=True)):
        if cu_seqlens is not None:
            h = entered(t, h, starts, cu_seqlens)
        h = decay * h + x
        states.append(h)
    return torch.stack(states, 1) if states else b.clone()
