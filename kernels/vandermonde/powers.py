"""Tables of complex powers, as real numbers that a real matrix product can take.

``exp(s * log_a)`` for equally spaced s. Two things decide whether this is right and fast:

- The phase ``s * Im(log_a)`` is formed in float64 and reduced modulo 2 pi there, by the cosine and sine of float64.
  In float32 a phase of 1e5 rad is known to 8e-3 rad only.
- Moduli below the square root of the smallest normal number (1e-19 in float32, 1e-154 in float64) count as 0. The
  product of two table entries is then never subnormal. Arithmetic with subnormal numbers is a hundred times slower on
  a CPU, and kernels of decaying modes are full of them.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import threshold

from statespace.kernels.vandermonde.reference import DEAD


def power_table(log_a: Tensor, count: int, stride: int, scale: Tensor | None = None, rows: int = 2) -> Tensor:
    """Tabulate ``scale * exp(s * log_a)`` for s = 0, stride, ..., (count - 1) * stride.

    Args:
        log_a: exponents per step, ``(d, n)`` complex.
        count: number of entries per mode.
        stride: distance of neighbouring entries, in steps.
        scale: factor of each mode, ``(d, n)`` complex; None stands for 1.
        rows: 2, or 4 to append room for a second pair of rows, which is left for the caller to fill.
    Returns:
        ``(d, n, rows, count)`` real, of the precision of `log_a`: the real parts, then the imaginary parts.
    """
    real = log_a.real.dtype
    floor = math.log(torch.finfo(real).tiny) / 2
    step = torch.arange(count, device=log_a.device, dtype=torch.float64) * stride
    exponent = log_a.real.double().clamp(min=DEAD)[..., None] * step  # (d, n, s)
    modulus = threshold(exponent, floor, -math.inf).exp_()
    phase = log_a.imag.double()[..., None] * step
    if scale is not None:
        wide = scale.to(torch.complex128)
        modulus *= wide.abs()[..., None]
        phase += wide.angle()[..., None]
    table = torch.empty(*log_a.shape, rows, count, device=log_a.device, dtype=real)
    torch.mul(modulus, phase.cos(), out=table[..., 0, :])
    torch.mul(modulus, phase.sin_(), out=table[..., 1, :])
    return table
