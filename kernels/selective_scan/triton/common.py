"""What the kernels of the selective scan have in common: which part of the work is theirs, and one step's coefficients.

A *sequence* of `length` rows, or of those between two of `bounds`, is cut into `pieces` of `steps` rows. A program has
one piece, a *tile* of BD channels that share B and C, and a *block* of BN states. Tiles vary fastest, so that
neighbours read the same rows of B and C.
"""

import triton
import triton.language as tl

from statespace.kernels.gpu.triton import LN2, phi1, phi1_slope, sigmoid, softplus

EULER_B = tl.constexpr(0)
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
def weight(delta, a, A2, METHOD: tl.constexpr):
    """What ``B u`` is multiplied by: the step, or ``(a - 1) / A`` for zoh, ``(BN, BD)``."""
    if METHOD == ZOH:
        x = A2 * (delta * LN2)
        delta *= phi1(x, a, 1 / x)
    return delta


@triton.jit
def weight_slope(delta, a, A2):
    """The derivative of zoh's `weight` by A, ``(BN, BD)``."""
    x = A2 * (delta * LN2)
    return delta * delta * phi1_slope(x, a, phi1(x, a, 1 / x), 1 / x)


@triton.jit
def vector(x, row, group, groups, n, N: tl.constexpr):
    """B or C of one row and group, ``(BN, 1)``; zero for states beyond N."""
    return tl.load(x + (row * groups + group) * N + n, n < N, other=0)[:, None]
