"""Units for the states of a system in which the entries of its matrices are of a size: diagonal scaling by powers of 2.

The same system in other units is ``T⁻¹ A T`` with a diagonal T, exactly, if the entries of T are powers of 2. What is
computed by way of a norm, a matrix exponential above all, loses the digits by which the norm exceeds the eigenvalues:
all of them for a filter of order 6 at 1 kHz in controller form, with entries from 1 to 1e22. In balanced units the norm
is near the eigenvalues.
"""

from math import log

import torch
from torch import Tensor

SWEEPS = 200  # most settle after ten
WORTH = 64.0  # the factor by which other units must bring the norm down to be taken; as in kernels/native/dense_expm.h


def balance(M: Tensor, states: int) -> Tensor:
    """Return units of the states in which each row is about as large as its column.

    ``M[i, j] -> M[i, j] t[j] / t[i]``, and rows and columns beyond the states stay in their units: for a system, `M` is
    ``[[A, B], [C, 0]]``, or any part of it. A state whose row or column is 0 beside the diagonal stays as it is.

    Args:
        M: ``(..., k, k)``, real or complex.
        states: how many of the k rows and columns belong to states; they come first.
    Returns:
        Units `t`, ``(..., states)``, real, powers of 2; no gradient flows through them.
    Source:
        Osborne, Journal of the ACM 7(4), 1960, 338-345, with the sum of magnitudes as norm. All states are scaled at
        once here, each by half of what it lacks, so that many take little longer than one.
    """
    sizes = M.detach().abs()
    sizes = torch.where(torch.eye(sizes.shape[-1], dtype=torch.bool, device=M.device), 0, sizes).double()
    logs = sizes.log()
    exponents = sizes.new_zeros(sizes.shape[:-1])  # of all rows; those that are no states stay at 0
    for _ in range(SWEEPS):
        moved = logs + log(2) * (exponents[..., None, :] - exponents[..., :, None])
        row, column = moved[..., :states, :].logsumexp(-1), moved[..., :, :states].logsumexp(-2)
        lacking = (row - column) / log(2)
        lacking = torch.where(torch.isfinite(lacking) & (lacking.abs() >= 1), lacking, 0)
        if not bool((lacking != 0).any()):
            break
        exponents[..., :states] += lacking / 4
    return torch.exp2(exponents[..., :states].round()).to(M.dtype.to_real())


def change_units(A: Tensor, units: Tensor) -> Tensor:
    """Return ``T⁻¹ A T``.

    Args:
        A: ``(..., n, n)``.
        units: the diagonal of T, ``(..., n)``.
    Returns:
        ``(..., n, n)``.
    """
    return A * units[..., None, :] / units[..., :, None]


def better_units(A: Tensor) -> tuple[Tensor | None, Tensor]:
    """Return units in which a matrix is smaller by far, and the matrix in them.

    Args:
        A: ``(..., n, n)``.
    Returns:
        Units ``(..., n)``, or None where all matrices are well as they are; and the matrices ``(..., n, n)``.
    """
    norms = A.detach().abs().sum(-2).amax(-1)
    large = torch.isfinite(norms) & (norms > WORTH)
    if not bool(large.any()):
        return None, A
    units = balance(A, A.shape[-1])
    smaller = change_units(A.detach(), units).abs().sum(-2).amax(-1)
    units = torch.where((large & (smaller * WORTH <= norms))[..., None], units, 1.0)
    return units, change_units(A, units)
