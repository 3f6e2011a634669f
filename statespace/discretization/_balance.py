"""Units of the states in which a method that goes by the norm of `A` is not led astray.

A filter of 1 kHz in companion form has entries from 1 to 1e26, and a matrix exponential is squared as often as they
ask for, until no digit is left. Counted in units that are powers of two the same system has a norm near its poles, and
the change of units costs nothing, neither there nor back.
"""

import torch
from torch import Tensor

from statespace.discretization._arguments import values_can_be_read
from statespace.kernels.balancing import balance

LARGE = 16.0  # below, no method is in trouble
WORTH = 8.0  # by how much the norm must shrink


def units(A: Tensor, step: Tensor | float = 1.0) -> Tensor | None:
    """Return the units of the states in which `A` is balanced, as powers of two.

    Args:
        A: state matrix, ``(..., n, n)``.
        step: what `A` is multiplied by; matrices whose norm stays below 16 then are left as they are.
    Returns:
        ``(..., n)``, positive; None where nothing is to be gained, or the values of `A` are not at hand.
    """
    A, n = A.detach(), A.shape[-1]
    if not values_can_be_read(A) or n < 2:
        return None
    try:
        largest = n * float(A.abs().amax()) * float(torch.as_tensor(step).detach().max())
    except (RuntimeError, TypeError, ValueError):  # vmap and fake tensors steer no Python; a bad step is told later
        return None
    if not LARGE < largest < float("inf"):
        return None
    found = balance(A, n)
    before, after = (
        torch.linalg.matrix_norm(matrix, 1) for matrix in (A, A * found[..., None, :] / found[..., :, None])
    )
    found = torch.where((before > WORTH * after)[..., None], found, 1.0)
    return found if bool((found != 1).any()) else None


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
