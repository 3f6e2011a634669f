"""The convolution view of a diagonal time-invariant system, with the state carried in and out.

A convolution starts from the zero state and forgets where it ended. What is missing is linear in both:

    y_t += Re sum_n c_n a_n^(t+1) h_n        the echo of the state h before the first sample,
    h'   = a^L h + sum_t a^(L-1-t) b u_t     the state after the last of L samples.

Source: Gu et al. 2022 (S4, arXiv:2111.00396), section 2.4 for the convolution; the two corrections are the
variation-of-constants formula in discrete time.
"""

import torch
from torch import Tensor

from statespace.kernels.fftconv import fftconv
from statespace.kernels.vandermonde import vandermonde

CHUNK = 64  # samples whose contribution to the final state is one matrix product


def _final_state(u: Tensor, log_a: Tensor, b: Tensor) -> Tensor:
    """Return ``sum_t a^(L-1-t) b u_t`` for `u` ``(b, l, d)`` as ``(b, d, n)``, in two levels of powers."""
    batch, length, channels = u.shape
    chunks = -(-length // CHUNK)
    u = torch.nn.functional.pad(u, (0, 0, chunks * CHUNK - length, 0))  # zeros in front change nothing
    backwards = torch.arange(CHUNK - 1, -1, -1, device=u.device, dtype=log_a.real.dtype)
    fine = torch.exp(backwards[:, None] * log_a[:, None, :]) * b[:, None, :]  # (d, CHUNK, n)
    rows = u.view(batch * chunks, CHUNK, channels).permute(2, 0, 1)  # (d, b chunks, CHUNK)
    ends = torch.complex(rows @ fine.real, rows @ fine.imag).view(channels, batch, chunks, -1)
    later = torch.arange(chunks - 1, -1, -1, device=u.device, dtype=log_a.real.dtype)
    coarse = torch.exp(later[:, None] * (CHUNK * log_a)[:, None, :])  # (d, chunks, n)
    return torch.einsum("dbqn,dqn->bdn", ends, coarse)


def _align_right(u: Tensor, lengths: Tensor) -> Tensor:
    """Move the padding of ``(b, l, d)`` from the end to the front, as zeros."""
    length = u.shape[1]
    source = torch.arange(length, device=u.device) - (length - lengths)[:, None]  # (b, l)
    moved = u.gather(1, source.clamp(min=0)[..., None].expand_as(u))
    return torch.where((source >= 0)[..., None], moved, 0)


def convolve(
    u: Tensor,
    log_a: Tensor,
    b: Tensor,
    c: Tensor,
    D: Tensor,
    state: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Run ``h_t = a h_{t-1} + b u_t``, ``y_t = Re sum_n c h_t + D u_t`` by FFT convolution.

    Args:
        u: input, ``(b, l, d)``.
        log_a: logarithms of the poles, ``(d, n)``, complex.
        b: input weights, ``(d, n)``, complex.
        c: output weights, ``(d, n)``, complex.
        D: feed-through, ``(d,)``.
        state: state before the first sample, ``(b, d, n)``, complex, or ``None`` for zeros.
        lengths: samples that count in each sequence, ``(b,)``, or ``None`` for all.
    Returns:
        ``y (b, l, d)``, zero beyond `lengths`, and the state after the last sample that counts, ``(b, d, n)``.
    """
    batch, length, _ = u.shape
    y = fftconv(u, vandermonde(log_a, c * b, length), D=D)
    if state is not None:
        # The kernel's powers start at 0, the echo's at 1: one a goes into the weights.
        echo = vandermonde(log_a.expand(batch, -1, -1), c * torch.exp(log_a) * state, length)
        y = y + echo.transpose(1, 2)
    if lengths is None:
        final = _final_state(u, log_a, b)
        elapsed = torch.full((batch,), length, device=u.device)
    else:
        counts = torch.arange(length, device=u.device) < lengths[:, None]
        y = torch.where(counts[..., None], y, 0)
        final = _final_state(_align_right(u, lengths), log_a, b)
        elapsed = lengths
    if state is not None:
        final = final + torch.exp(elapsed[:, None, None] * log_a) * state
    return y, final
