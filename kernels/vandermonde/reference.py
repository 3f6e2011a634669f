"""The Vandermonde product, materialised: the truth that every other backend is compared with.

One power per mode and step is formed, ``(..., n, length)`` complex128 numbers in all, so memory and time grow with
``n * length``. Everything is computed in float64, whatever came in, and rounded once, at the end.
"""

import torch
from torch import Tensor

# An exponent of -inf is a mode that dies within one step. Zero steps of it are still one: 0 * -inf must not be NaN.
DEAD = -1e9


def vandermonde(log_a: Tensor, c: Tensor, length: int) -> Tensor:
    """Sum the powers of every mode.

    ``K[d, l] = Re sum_n c[d, n] exp(l * log_a[d, n])``,  l = 0 ... length - 1

    Args:
        log_a: exponents per step, ``(d, n)`` complex, no unit.
        c: coefficients, ``(d, n)``, of `log_a`'s dtype.
        length: number of steps, at least 1.
    Returns:
        ``K (d, length)``, real, of the precision of `c`, differentiable by autograd.
    Source:
        Gu, Gupta, Goel, Re, "On the Parameterization and Initialization of Diagonal State Space Models", NeurIPS
        2022, equation 5.
    """
    step = torch.arange(length, device=log_a.device, dtype=torch.float64)
    wide = log_a.to(torch.complex128)
    modulus = (wide.real.clamp(min=DEAD)[..., None] * step).exp()  # (d, n, l)
    phase = wide.imag[..., None] * step
    powers = torch.complex(modulus * phase.cos(), modulus * phase.sin())
    kernel = (c.to(torch.complex128)[..., None] * powers).sum(-2).real
    return kernel.to(c.real.dtype)
