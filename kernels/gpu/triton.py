"""Elementary functions for the kernels of all operations, accurate for every argument and cheap on a GPU.

``exp2`` is one instruction there, ``exp`` five and ``log`` thirty, so everything is written in powers of two, and
``log1p`` as a series.
"""

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)
QUARTER = tl.constexpr(1.5707963267948966)  # of a turn, in rad


@triton.jit
def times(a_re, a_im, x_re, x_im, COMPLEX: tl.constexpr):
    """The product of two numbers; real ones have no second half."""
    re = a_re * x_re
    if COMPLEX:
        re -= a_im * x_im
        x_im = a_re * x_im + a_im * x_re
    return re, x_im


@triton.jit
def load(x, at, mask, COMPLEX: tl.constexpr):
    """Numbers of a table, complex ones as pairs of neighbours; the second half of a real one stands for nothing."""
    if COMPLEX:
        return tl.load(x + at * 2, mask, other=0), tl.load(x + at * 2 + 1, mask, other=0)
    re = tl.load(x + at, mask, other=0)
    return re, re


@triton.jit
def store(x, at, re, im, mask, COMPLEX: tl.constexpr):
    """Write what `load` reads."""
    if COMPLEX:
        tl.store(x + at * 2, re, mask)
        tl.store(x + at * 2 + 1, im, mask)
    else:
        tl.store(x + at, re, mask)


@triton.jit
def turn(turns, rest, by):
    """Cosine and sine of ``by (turns + rest)`` quarter turns, as many as they may be.

    The product is rounded once, after the whole quarters have been taken away, so that many turns keep their digits.
    """
    TERMS: tl.constexpr = 9 if by.dtype == tl.float64 else 5
    whole = tl.floor(turns * by + 0.5)
    x = (tl.fma(turns, by, -whole) + rest * by) * QUARTER  # at most an eighth of a turn
    w = x * x
    sine, cosine = w * 0 + 1, w * 0 + 1
    for k in tl.static_range(TERMS):  # 1 - w/(2 3) (1 - w/(4 5) (...)), and 1 - w/(1 2) (1 - w/(3 4) (...))
        sine = 1 - w * sine * (1 / ((2 * (TERMS - k)) * (2 * (TERMS - k) + 1)))
        cosine = 1 - w * cosine * (1 / ((2 * (TERMS - k) - 1) * (2 * (TERMS - k))))
    sine *= x
    quarter = whole.to(tl.int32) & 3
    odd = (quarter & 1) != 0
    re, im = tl.where(odd, sine, cosine), tl.where(odd, cosine, sine)
    return tl.where(((quarter + 1) & 2) != 0, -re, re), tl.where((quarter & 2) != 0, -im, im)


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
def complex_phi1(x_re, x_im, e_re, e_im):
    """`phi1` of a complex number, from its exponential."""
    TERMS: tl.constexpr = 15 if x_re.dtype == tl.float64 else 8
    re, im = x_re * 0 + 1, x_re * 0
    for k in tl.static_range(TERMS - 1):
        re, im = times(re, im, x_re, x_im, True)
        re, im = 1 + re * (1 / (TERMS - k)), im * (1 / (TERMS - k))
    size = x_re * x_re + x_im * x_im
    far_re, far_im = times(e_re - 1, e_im, x_re / size, -x_im / size, True)
    return tl.where(size < 0.25, re, far_re), tl.where(size < 0.25, im, far_im)


@triton.jit
def complex_phi1_slope(x_re, x_im, e_re, e_im, phi_re, phi_im):
    """The derivative of `complex_phi1`."""
    TERMS: tl.constexpr = 15 if x_re.dtype == tl.float64 else 8
    re, im = x_re * 0 + 1, x_re * 0
    for k in tl.static_range(TERMS - 1):
        re, im = times(re, im, x_re, x_im, True)
        re = 1 + re * ((TERMS - k) / (TERMS - k - 1) / (TERMS - k + 1))
        im *= (TERMS - k) / (TERMS - k - 1) / (TERMS - k + 1)
    size = x_re * x_re + x_im * x_im
    far_re, far_im = times(e_re - phi_re, e_im - phi_im, x_re / size, -x_im / size, True)
    return tl.where(size < 0.25, 0.5 * re, far_re), tl.where(size < 0.25, 0.5 * im, far_im)


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
