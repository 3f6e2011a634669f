"""Balancing: states counted in units that make the rows and columns of a state matrix alike in size.

A filter of 1 kHz in companion form has entries from 1 to 1e26, and whatever goes by the norm of `A`, such as the
squarings of a matrix exponential, is led astray by them. A change of units by powers of two, ``A' = T⁻¹ A T``, is
exact in floating point, and so is the way back.

Entries between states that lead to one another but not back (a triangular matrix) can be made as small as one likes by
a change of units, which helps nobody; so only entries that lie on a cycle count.

Source: Osborne, Journal of the ACM 7(4), 1960, 338-345; Parlett and Reinsch, Numerische Mathematik 13(4), 1969,
293-304. All states are scaled at once here, each by half of what it lacks, so that a batch takes as long as one.
"""

import torch
from torch import Tensor

from statespace.discretization._arguments import values_can_be_read

SWEEPS = 200
WORTH = 8.0  # by how much the norm must shrink


def _cycles(size: Tensor) -> Tensor:
    """Return which entries lie on a cycle of states, ``(..., n, n)``."""
    n = size.shape[-1]
    reach = (size > 0).to(size.dtype)
    length = 1
    while length < n:
        reach = ((reach + reach @ reach) > 0).to(size.dtype)
        length *= 2
    return (reach * reach.mT) > 0


def units(A: Tensor, step: Tensor | float = 1.0) -> Tensor | None:
    """Return the units of the states in which `A` is balanced, as powers of two.

    Args:
        A: state matrix, ``(..., n, n)``.
        step: what `A` is multiplied by; matrices whose norm stays below 16 then are left as they are.
    Returns:
        ``(..., n)``, positive; None where nothing is to be gained, or the values of `A` are not at hand.
    """
    A = A.detach()
    if not values_can_be_read(A) or A.shape[-1] < 2:
        return None
    try:
        largest = float(A.abs().amax()) * float(torch.as_tensor(step).detach().max()) * A.shape[-1]
    except (RuntimeError, TypeError, ValueError):  # vmap and fake tensors steer no Python; a bad step is told later
        return None
    if not 16 < largest < float("inf"):
        return None
    size = A.abs().double()
    size = size * (1 - torch.eye(A.shape[-1], dtype=size.dtype))
    size = torch.where(_cycles(size), size, 0)
    exponents = size.new_zeros(*size.shape[:-1])
    before = size.sum(-2).amax(-1)
    for _ in range(SWEEPS):
        scaled = size * torch.exp2(exponents[..., None, :] - exponents[..., :, None])
        rows, columns = scaled.sum(-1), scaled.sum(-2)
        lacking = torch.where((rows > 0) & (columns > 0), torch.log2(rows / columns), 0)
        if float(lacking.abs().amax()) < 1:
            break
        exponents = exponents + lacking / 4
    exponents = torch.round(exponents)
    after = (size * torch.exp2(exponents[..., None, :] - exponents[..., :, None])).sum(-2).amax(-1)
    exponents = torch.where((before > WORTH * after)[..., None], exponents, 0)
    if not bool((exponents != 0).any()):
        return None
    return torch.exp2(exponents).to(A.dtype.to_real())


def to_units(A: Tensor, B: Tensor, C: Tensor, unit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``T⁻¹ A T, T⁻¹ B, C T`` with ``T = diag(unit)``; ``1 / unit`` leads back.

    Args:
        A: state matrix, ``(..., n, n)``.
        B: input matrix, ``(..., n, m)``.
        C: output matrix, ``(..., p, n)``.
        unit: powers of two, ``(..., n)``.
    Returns:
        The same system, its states counted in other units.
    """
    row, column = unit[..., None, :], unit[..., :, None]
    return A * row / column, B / column, C * row
