"""Diagonal systems with many inputs and outputs: one complex state that all channels write to and read from.

    h_t = a_t h_{t-1} + w_t B u_t,   y_t = Re C h_t + D u_t,        a and w elementwise, B and C matrices,

is what S5 and the LRU come to once they are discretised. Only the state is scanned; `B` and `C` are one real matrix
product each, on real and imaginary parts side by side.

Source: Smith, Warrington, Linderman 2023 (S5, arXiv:2208.04933), section 3; Orvieto et al. 2023 (LRU,
arXiv:2303.06349), section 3.
"""

import torch
from torch import Tensor

from statespace.kernels.linear_scan import linear_scan
from statespace.layers._convolution import exp
from statespace.layers.base import beyond


def elapsed(dt: Tensor | None, dt_scale: float) -> Tensor | float:
    """Return the time since the sample before, in units of that in training: one number, or one for each sample."""
    return dt_scale if dt is None else dt_scale * dt.double()


def _enter(u: Tensor, B: Tensor) -> Tensor:
    """Return ``B u`` for `u` ``(..., d)`` and `B` ``(n, d, 2)`` as complex ``(..., n)``."""
    product = (u @ B.transpose(0, 1).flatten(1)).to(u.dtype)  # autocast rounds it to what no complex type is made of
    return torch.view_as_complex(product.unflatten(-1, (-1, 2)))


def _leave(h: Tensor, C: Tensor) -> Tensor:
    """Return ``Re C h`` for `h` ``(..., n)`` and `C` ``(d, n, 2)`` as ``(..., d)``."""
    return torch.view_as_real(h).flatten(-2) @ torch.stack([C[..., 0], -C[..., 1]], -1).flatten(1).mT


def scan(
    u: Tensor,
    log_a: Tensor,
    w: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    state: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Run the system over whole sequences.

    Args:
        u: input, ``(b, l, d)``.
        log_a: logarithms of the poles, ``(n,)``, or ``(b, l, n)`` where they differ from sample to sample; complex128.
        w: weights of the input, of the same shape; complex128.
        B: input matrix, ``(n, d, 2)``, real and imaginary parts.
        C: output matrix, ``(d, n, 2)``.
        D: feed-through, ``(d,)``.
        state: state before the first sample, ``(b, n)``, complex, or ``None`` for zeros.
        lengths: samples that count in each sequence, ``(b,)``, or ``None`` for all.
    Returns:
        ``y (b, l, d)``, zero beyond `lengths`, and the state after the last sample that counts, ``(b, n)``.
    """
    narrow = u.dtype.to_complex()
    B, C, D = (part.to(u.dtype) for part in (B, C, D))
    if state is not None:
        state = state.to(narrow)
    if u.shape[1] == 0:
        return u, u.new_zeros(u.shape[0], len(B), dtype=narrow) if state is None else state
    padding = beyond(lengths, u.shape[1])
    if padding is not None:
        u = u.masked_fill(padding[..., None], 0)
    h = linear_scan(exp(log_a).to(narrow), w.to(narrow) * _enter(u, B), state, lengths=lengths)
    y = _leave(h, C) + D * u
    return (y if padding is None else y.masked_fill(padding[..., None], 0)), h[:, -1]


def step(u: Tensor, log_a: Tensor, w: Tensor, B: Tensor, C: Tensor, D: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Take one sample ``(b, d)``; as `scan`, with `log_a` and `w` ``(n,)`` or ``(b, n)``."""
    narrow = u.dtype.to_complex()
    B, C, D = (part.to(u.dtype) for part in (B, C, D))
    h = exp(log_a).to(narrow) * state.to(narrow) + w.to(narrow) * _enter(u, B)
    return _leave(h, C) + D * u, h
