"""Elementary functions for the kernels of all operations, accurate for every argument and cheap on a GPU.

``exp2`` is one instruction there, ``exp`` five and ``log`` thirty, so everything is written in powers of two, and
``log1p`` as a series.
"""

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def log1p(v):
    """``log(1 + v)`` for v from 0 to 1, to the last digits also where v is tiny.

    ``log((1 + s) / (1 - s)) = 2 (s + s³/3 + s⁵/5 + ...)`` with ``s = v / (2 + v)``, at most 1/3.
    """
    TERMS: tl.constexpr = 17 if v.dtype == tl.float64 else 8
    s = v / (2 + v)
    w = s * s
    series = w * 0 + 1 / (2 * TERMS - 1)
    for k in tl.static_range(TERMS - 1):
        series = series * w + 1 / (2 * (TERMS - 1 - k) - 1)
    return 2 * s * series


@triton.jit
def sigmoid(x):
    """``1 / (1 + exp(-x))``, without overflow and without cancellation."""
    v = tl.exp2(tl.abs(x) * -LOG2E)
    return tl.where(x < 0, v, 1.0) / (1 + v)


@triton.jit
def softplus(x):
    """``log(1 + exp(x))``, without overflow and without cancellation."""
    return tl.maximum(x, 0) + log1p(tl.exp2(tl.abs(x) * -LOG2E))


@triton.jit
def phi1(x, exp_x, inverse_x):
    """``(exp(x) - 1) / x``, from `exp_x` and ``1 / x`` where they are good, and by its series near 0."""
    TERMS: tl.constexpr = 15 if x.dtype == tl.float64 else 8
    series = x * 0 + 1
    for k in tl.static_range(TERMS - 1):  # 1 + x/2 (1 + x/3 (1 + x/4 (...)))
        series = 1 + series * x * (1 / (TERMS - k))
    return tl.where(tl.abs(x) < 0.5, series, (exp_x - 1) * inverse_x)


@triton.jit
def phi1_slope(x, exp_x, phi1_x, inverse_x):
    """The derivative of `phi1`, ``(exp(x) - phi1(x)) / x``, and its series near 0."""
    TERMS: tl.constexpr = 15 if x.dtype == tl.float64 else 8
    # 1/2 + 2 x/3! + 3 x²/4! + ... = 1/2 (1 + 2/1 x/3 (1 + 3/2 x/4 (1 + ...)))
    series = x * 0 + 1
    for k in tl.static_range(TERMS - 1):
        series = 1 + series * x * ((TERMS - k) / (TERMS - k - 1) / (TERMS - k + 1))
    return tl.where(tl.abs(x) < 0.5, 0.5 * series, (exp_x - phi1_x) * inverse_x)


@triton.jit
def rows_of(sequence, piece, bounds, length, steps):
    """First row of a sequence, and of one of its pieces the first row and the one after the last, as int64."""
    if bounds is None:
        first = sequence.to(tl.int64) * length
        last = first + length
    else:
        first = tl.load(bounds + sequence)
        last = tl.maximum(tl.load(bounds + sequence + 1), first)
    start = tl.minimum(first + piece.to(tl.int64) * steps, last)
    return first, start, tl.minimum(start + steps, last)
