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
        once here, each by half of what it lacks, so that many take as long as one.
    """
    sizes = M.detach().abs()
    sizes = torch.where(torch.eye(sizes.shape[-1], dtype=torch.bool, device=M.device), 0, sizes).double()
    logs = sizes.log() / log(2)
    exponents = sizes.new_zeros(sizes.shape[:-1])  # of all rows; those that are no states stay at 0
    for _ in range(SWEEPS):
        moved = log(2) * (logs + exponents[..., None, :] - exponents[..., :, None])
        row, column = moved[..., :states, :].logsumexp(-1), moved[..., :, :states].logsumexp(-2)
        lacking = (row - column) / log(2)
        lacking = torch.where(torch.isfinite(lacking) & (lacking.abs() >= 1), lacking, 0)
        if not bool((lacking != 0).any()):
            break
        exponents[..., :states] += lacking / 4
    return torch.exp2(exponents[..., :states].round()).to(M.dtype.to_real())
