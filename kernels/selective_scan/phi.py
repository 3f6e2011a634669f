"""What an input that is held over a step leaves behind, relative to ``delta B u``, and how that changes with the step.

    phi(z) = (exp(z) - 1) / z,    phi'(z) = (exp(z) - phi(z)) / z,    z = delta A

Both lose digits as they stand where z is small. With one term of the series more than needed, phi' is good to the last
digit but two on either side of |z| = 1/2.
"""

import math

import torch
from torch import Tensor

_SERIES_BELOW = 0.5
# The first term left out, 0.5^j (j + 1) / (j + 2)!, is below half of the last digit.
_TERMS = {torch.float32: 9, torch.float64: 15}


def phi(z: Tensor) -> Tensor:
    """``(exp(z) - 1) / z``, real or complex; 1 near 0."""
    if z.is_complex():
        grown = torch.expm1(z.real)
        turned = -2 * torch.sin(z.imag / 2) ** 2  # cos - 1
        top = torch.complex(grown * torch.cos(z.imag) + turned, (grown + 1) * torch.sin(z.imag))
    else:
        top = torch.expm1(z)
    none = z.abs() < torch.finfo(z.real.dtype).tiny  # complex numbers have no quotient there
    return torch.where(none, 1, top / torch.where(none, 1, z))


def slope(z: Tensor, exponential: Tensor, value: Tensor) -> Tensor:
    """``phi'(z)``, given exp(z) and phi(z)."""
    small = z.abs() < _SERIES_BELOW
    near, far = torch.where(small, z, 0), torch.where(small, 1, z)
    terms = _TERMS[z.real.dtype]
    series = torch.zeros_like(z)
    for j in range(terms - 1, -1, -1):
        series = torch.add((j + 1) / math.factorial(j + 2), series.mul_(near))
    return torch.where(small, series, (exponential - value) / far)
