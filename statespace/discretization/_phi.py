"""The functions ``phi1`` and ``phi2``, which the exact discretization of a diagonal system rests on.

``phi1(z) = (exp(z) - 1) / z`` serves the zero-order hold, ``phi2(z) = (phi1(z) - 1) / z`` the first-order hold.

As written it cancels near 0 and is 0/0 there. The value is mended by ``expm1`` and the hole at 0 filled with 1; but
the derivative of ``expm1(z) / z``, a difference of nearly equal quotients, still loses a factor ``1 / |z|``. So near
0 the identity ``phi1(z) = exp(z/2) sinh(z/2) / (z/2)`` takes over. The last quotient is an even entire function, of
which five terms are enough within ``|z| < 1/4``: the first one left out is below 3e-17. For ``phi2`` the power series
serves within the unit disc, where the first term left out is below 1e-18.

Source: Higham, Functions of Matrices, SIAM 2008, section 10.7.4 (the phi functions and their cancellation).
"""

from math import factorial

import torch
from torch import Tensor

NEAR_ZERO = 0.25
SINH_QUOTIENT = [1 / factorial(2 * k + 1) for k in range(5)]  # sinh(h) / h = 1 + w/3! + w²/5! + ... with w = h²
POWERS = [1 / factorial(k + 2) for k in range(18)]  # phi2(z) = 1/2! + z/3! + z²/4! + ...


def _near(z: Tensor) -> Tensor:
    half = 0.5 * z
    w = half * half
    series = SINH_QUOTIENT[-1] * w + SINH_QUOTIENT[-2]
    for coefficient in SINH_QUOTIENT[-3::-1]:
        series = series * w + coefficient
    return torch.exp(half) * series


def phi1(z: Tensor) -> Tensor:
    """Return ``(exp(z) - 1) / z``, and 1 at 0, elementwise.

    Values are accurate to 4 units in the last place (for complex `z` of the modulus) wherever ``exp(z)`` does not
    overflow; first derivatives to 32 of them, times ``|z|`` where that is above 1.

    Args:
        z: any shape, real or complex; no unit.
    Returns:
        ``phi1(z)``, same shape and type.
    """
    near = z.detach().abs() < NEAR_ZERO
    # Each branch sees a harmless argument where the other one is chosen, so that no gradient becomes 0 * inf.
    far = z.masked_fill(near, 1.0)
    return torch.where(near, _near(z.masked_fill(~near, 0.0)), torch.expm1(far) / far)


def phi2(z: Tensor) -> Tensor:
    """Return ``(phi1(z) - 1) / z``, and 1/2 at 0, elementwise.

    Args:
        z: any shape, real or complex; no unit.
    Returns:
        ``phi2(z)``, same shape and type, to 1e-15 relative wherever ``exp(z)`` does not overflow.
    """
    near = z.detach().abs() < 1
    inner = z.masked_fill(~near, 0.0)
    series = POWERS[-1] * inner + POWERS[-2]
    for coefficient in POWERS[-3::-1]:
        series = series * inner + coefficient
    far = z.masked_fill(near, 1.0)
    return torch.where(near, series, (torch.expm1(far) / far - 1) / far)
