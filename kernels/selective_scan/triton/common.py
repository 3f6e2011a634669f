"""What the kernels of the selective scan have in common: which part of the work is theirs, and one step's coefficients.

A *sequence* of `length` rows, or of those between two of `bounds`, is cut into `pieces` of `steps` rows. A program has
one piece, a *tile* of BD channels that share B and C, and a *block* of BN states. Tiles vary fastest, so that
neighbours read the same rows of B and C.
"""

import triton
import triton.language as tl

from statespace.kernels.gpu.triton import (
    LN2,
    LOG2E,
    QUARTER,
    complex_phi1,
    complex_phi1_slope,
    load,
    phi1,
    phi1_slope,
    sigmoid,
    softplus,
    times,
    turn,
)

ZOH = tl.constexpr(1)
TRAPEZOIDAL = tl.constexpr(2)


@triton.jit
def channels_of(tile, channels, groups, BD: tl.constexpr):
    """A tile's group and its number within the group, its channels ``(BD,)``, and which of them there are."""
    width = channels // groups
    tiles = tl.cdiv(width, BD)
    within = (tile % tiles) * BD + tl.arange(0, BD)
    return tile // tiles, tile % tiles, (tile // tiles) * width + within, within < width


@triton.jit
def step_size(raw, inside, SOFTPLUS: tl.constexpr):
    """The step of dt with its bias; 0 beyond a piece, which leaves the state as it is."""
    if SOFTPLUS:
        raw = softplus(raw)
    return tl.where(inside, raw, 0)


@triton.jit
def step_slope(raw, SOFTPLUS: tl.constexpr):
    """The derivative of `step_size`."""
    return sigmoid(raw) if SOFTPLUS else 1.0


@triton.jit
def poles(A, table, known, size, COMPLEX: tl.constexpr):
    """A as real parts in powers of two, and where it is complex, imaginary parts in quarter turns, of two numbers."""
    rates = tl.load(A + table, known, other=0) * LOG2E
    if COMPLEX:
        turns = tl.load(A + size + table, known, other=0)
        return rates, turns, tl.load(A + 2 * size + table, known, other=0)
    return rates, rates, rates


@triton.jit
def decay(rates, turns, rest, delta, COMPLEX: tl.constexpr):
    """``exp(delta A)``, ``(BN, BD)``."""
    size = tl.exp2(rates * delta)
    if COMPLEX:
        cosine, sine = turn(turns, rest, delta)
        return size * cosine, size * sine
    return size, size


@triton.jit
def weight(delta, a_re, a_im, rates, turns, METHOD: tl.constexpr, COMPLEX: tl.constexpr):
    """What ``B u`` is multiplied by: the step, or ``(a - 1) / A`` for zoh, which is complex where A is."""
    if METHOD == ZOH:
        x = rates * (delta * LN2)
        if COMPLEX:
            re, im = complex_phi1(x, turns * (delta * QUARTER), a_re, a_im)
            return delta * re, delta * im
        delta *= phi1(x, a_re, 1 / x)
    return delta, delta


@triton.jit
def weight_slope(delta, a_re, a_im, rates, turns, COMPLEX: tl.constexpr):
    """The derivative of zoh's `weight` by A, ``(BN, BD)``."""
    x = rates * (delta * LN2)
    square = delta * delta
    if COMPLEX:
        y = turns * (delta * QUARTER)
        re, im = complex_phi1(x, y, a_re, a_im)
        re, im = complex_phi1_slope(x, y, a_re, a_im, re, im)
        return square * re, square * im
    slope = square * phi1_slope(x, a_re, phi1(x, a_re, 1 / x), 1 / x)
    return slope, slope


@triton.jit
def weighed(w_re, w_im, x, y_re, y_im, METHOD: tl.constexpr, COMPLEX: tl.constexpr):
    """``w x y`` for a real x; only zoh has a complex w."""
    if COMPLEX and METHOD == ZOH:
        return times(w_re * x, w_im * x, y_re, y_im, True)
    return y_re * (w_re * x), y_im * (w_re * x)


@triton.jit
def vector(x, row, group, groups, n, N: tl.constexpr, COMPLEX: tl.constexpr):
    """B or C of one row and group, ``(BN, 1)``; zero for states beyond N."""
    re, im = load(x, (row * groups + group) * N + n, n < N, COMPLEX)
    return re[:, None], im[:, None]
