"""The convolution view of a diagonal time-invariant system, with the state carried in and out.

A convolution starts from the zero state and forgets where it ended. What is missing is linear in both:

    y_t += Re sum_n c_n a_n^(t+1) h_n        the echo of the state h before the first sample,
    h'   = a^L h + sum_t a^(L-1-t) b u_t     the state after the last of L samples.

Source: Gu et al. 2022 (S4, arXiv:2111.00396), section 2.4 for the convolution; the two corrections are the
variation-of-constants formula in discrete time.
"""

from math import log2

import torch
from torch import Tensor

from statespace.kernels.fftconv import fftconv
from statespace.kernels.vandermonde import vandermonde

SHORTEST_CHUNK = 64


def exp(z: Tensor) -> Tensor:
    """Return the exponential of a complex tensor in polar form: ``torch.exp`` takes five times as long on a CPU."""
    return torch.polar(torch.exp(z.real), z.imag)


def _powers(log_a: Tensor, count: int) -> Tensor:
    """Return ``a^0 ... a^(count-1)`` for `log_a` ``(d, n)`` as ``(d, count, n)``.

    The table doubles: only ``a^(2^j)`` need an exponential, and its argument is exact, so an entry is the product of
    at most ``log2(count)`` numbers, each rounded once.
    """
    doublings = 2 ** torch.arange((count - 1).bit_length(), device=log_a.device)
    table = torch.ones_like(log_a)[:, None]
    for factor in exp(doublings[:, None, None, None] * log_a[:, None]).unbind():
        table = torch.cat([table, table * factor], dim=1)
    return table[:, :count]


def _final_state(u: Tensor, log_a: Tensor, b: Tensor) -> Tensor:
    """Return ``sum_t a^(L-1-t) b u_t`` for `u` ``(b, l, d)`` as ``(b, d, n)``, in two levels of powers.

    A step of the first level is a row of a table of powers, one of the second a state for each sequence; a chunk of
    four times the root of the length weighs one against the other.
    """
    batch, length, channels = u.shape
    chunk = min(length, max(SHORTEST_CHUNK, 4 << round(log2(length) / 2)))
    chunks = -(-length // chunk)
    u = torch.nn.functional.pad(u, (0, 0, chunks * chunk - length, 0))  # zeros in front change nothing
    fine = (_powers(log_a, chunk) * b[:, None]).flip(1)
    rows = u.reshape(batch * chunks, chunk, channels).permute(2, 0, 1)  # (d, b chunks, chunk)
    ends = torch.view_as_complex((rows @ torch.view_as_real(fine).flatten(2)).unflatten(2, (-1, 2)))
    ends = ends.view(channels, batch, chunks, b.shape[-1])
    if chunks == 1:
        return ends[:, :, 0].transpose(0, 1)
    coarse = _powers(chunk * log_a, chunks).flip(1)
    return (ends * coarse[:, None]).sum(2).transpose(0, 1)


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
    if length == 0:
        return u, b.new_zeros(batch, *b.shape) if state is None else state
    elapsed: Tensor | int = length
    counts = None
    if lengths is not None:
        elapsed = lengths[:, None, None]
        counts = (torch.arange(length, device=u.device) < lengths[:, None])[..., None]
        u = torch.where(counts, u, 0)  # a transform would carry padding, NaN included, to every output
    y = fftconv(u, vandermonde(log_a, c * b, length), D=D)
    if state is not None:
        # The kernel's powers start at 0, the echo's at 1: one a goes into the weights.
        echo = vandermonde(log_a.expand(batch, -1, -1), c * exp(log_a) * state, length)
        y = y + echo.transpose(1, 2)
    if counts is not None:
        y = torch.where(counts, y, 0)
    with torch.autocast(u.device.type, enabled=False):  # a state in half precision would lose the past
        final = _final_state(u if lengths is None else _align_right(u, lengths), log_a, b)
    if state is not None:
        # In float64: rounding the product of a long time and a phase would turn the state.
        final = final + exp(elapsed * log_a.to(torch.complex128)).to(log_a.dtype) * state
    return y, final
