"""What the kernels of the scan of Mamba-2 have in common: the rows of a chunk, its decays, and its tables.

A *chunk* is up to T rows of one sequence; one that no row belongs to is passed over by masks. States are tables
``(chunk, h, p, n)``. Numbers are those of TYPE, float32 or float64, whatever the rows are in.
"""

import triton
import triton.language as tl

from statespace.kernels.gpu.triton import LOG2E, sigmoid


@triton.jit
def chunk_of(chunk, sequence_of, bounds, length, T: tl.constexpr):
    """Rows of a chunk, ``(T,)``, and which of them there are."""
    if bounds is None:
        chunks = tl.cdiv(length, T)
        first = (chunk // chunks).to(tl.int64) * length
        last = first + length
        start = first + chunk % chunks * T
    else:
        sequence = tl.load(sequence_of + chunk)
        first = tl.load(bounds + sequence)
        last = tl.load(bounds + sequence + 1)
        start = first + (chunk - (first // T + sequence)) * T
    rows = start + tl.arange(0, T)
    return rows, rows < last


@triton.jit
def decays(dt, A, at, inside, head):
    """Steps of a chunk, ``(T,)``; the sums of dt A up to each and over all, in powers of two and float64.

    A difference of two sums that were rounded to float32 would be off by the rounding of the larger one.
    """
    step = tl.load(dt + at, inside, other=0)
    exponent = step.to(tl.float64) * (tl.load(A + head).to(tl.float64) * LOG2E)
    return step, tl.cumsum(exponent, 0), tl.sum(exponent, 0)


@triton.jit
def between(sums, TYPE: tl.constexpr, T: tl.constexpr):
    """Decays from step r to step t >= r, ``(t, r)``, 0 for t < r, where the exponential may be infinite."""
    high = sums.to(TYPE)
    low = (sums - high.to(tl.float64)).to(TYPE)
    t = tl.arange(0, T)
    exponent = (high[:, None] - high[None, :]) + (low[:, None] - low[None, :])
    return tl.where(t[:, None] >= t[None, :], tl.exp2(exponent), 0)


@triton.jit
def tile_of(x, at, columns, width, inside, TYPE: tl.constexpr):
    """Rows that begin `at` and their columns, ``(T, columns)``; zero where there are none."""
    return tl.load(x + at[:, None] + columns[None, :], inside[:, None] & (columns < width)[None, :], other=0).to(TYPE)


@triton.jit
def state_of(states, at, p, P, n, N):
    """A tile ``(p, n)`` of a table of states, in which that of a head begins `at`."""
    return tl.load(states + at + p[:, None] * N + n[None, :], (p < P)[:, None] & (n < N)[None, :], other=0)


@triton.jit
def opened(gate):
    """``silu(z)``."""
    return gate * sigmoid(gate)
