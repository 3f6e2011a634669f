"""Tables of complex powers, as real numbers that a real matrix product can take.

``exp(s * log_a)`` for equally spaced s. Two things decide whether this is right and fast:

- The phase ``s * Im(log_a)`` is formed in float64 and reduced modulo 2 pi there, by the cosine and sine of float64.
  In float32 a phase of 1e5 rad is known to 8e-3 rad only. That is done for s = 1, 2, 4, ... strides; every other power
  is a product of these, each known to the digits of its own phase, and costs a multiplication instead of three
  transcendental functions.
- Moduli below the square root of the smallest normal number (1e-19 in float32, 1e-154 in float64) count as 0. The
  product of two table entries is then never subnormal. Arithmetic with subnormal numbers is a hundred times slower on
  a CPU, and kernels of decaying modes are full of them.
"""

import math

import torch
from torch import Tensor

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
    doublings = max(0, count - 1).bit_length()
    distance = stride * 2.0 ** torch.arange(doublings, device=log_a.device, dtype=torch.float64)
    decay = log_a.real.double().clamp(min=DEAD)
    factors = torch.polar((decay[..., None] * distance).exp_(), log_a.imag.double()[..., None] * distance)
    powers = torch.empty(*log_a.shape, count, device=log_a.device, dtype=torch.complex128)
    powers[..., 0] = torch.where(log_a.isnan(), math.nan, 1 if scale is None else scale)
    for i in range(doublings):
        known = 1 << i
        added = powers[..., known : 2 * known]
        torch.mul(powers[..., : added.shape[-1]], factors[..., i : i + 1], out=added)
    step = torch.arange(count, device=log_a.device, dtype=torch.float64) * stride
    powers.masked_fill_(decay[..., None] * step <= math.log(torch.finfo(real).tiny) / 2, 0)
    table = torch.empty(*log_a.shape, rows, count, device=log_a.device, dtype=real)
    table[..., 0, :] = powers.real
    table[..., 1, :] = powers.imag
    return table
