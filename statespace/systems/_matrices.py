"""Powers of a state matrix applied to vectors, and parallel prefix sums: what the responses and views rest on."""

import torch
from torch import Tensor

from statespace.discretization._arguments import values_can_be_read


def orbit(A: Tensor, X: Tensor, length: int) -> Tensor:
    """Return ``X, A X, A² X, ...`` by doubling: as many matrix products as `length` has binary digits.

    Rounding grows to ``|A^i| |A^j|``, as it does step by step; beside it, the powers of a wildly non-normal and
    unstable matrix may cancel to nothing.

    Args:
        A: ``(..., n, n)``.
        X: ``(..., n, m)``.
        length: how many.
    Returns:
        ``(..., length, n, m)``.
    """
    batch = torch.broadcast_shapes(A.shape[:-2], X.shape[:-2])
    found = X.expand(*batch, *X.shape[-2:])[..., None, :, :][..., :length, :, :]
    power = A
    while found.shape[-3] < length:
        missing = length - found.shape[-3]
        found = torch.cat([found, power[..., None, :, :] @ found[..., :missing, :, :]], -3)
        if found.shape[-3] < length:
            power = power @ power
    return found


def rows_orbit(C: Tensor, A: Tensor, length: int) -> Tensor:
    """Return ``C, C A, C A², ...``, ``(..., length, p, n)``; see `orbit`.

    Args:
        C: ``(..., p, n)``.
        A: ``(..., n, n)``.
        length: how many.
    Returns:
        ``(..., length, p, n)``.
    """
    return orbit(A.mT, C.mT, length).mT


def prefix(A: Tensor, x: Tensor) -> Tensor:
    """Return all ``x[k] + A x[k-1] + A² x[k-2] + ...`` by doubling (Hillis and Steele).

    Args:
        A: ``(..., n, n)``.
        x: ``(..., l, n)``.
    Returns:
        ``(..., l, n)``.
    Source:
        Hillis and Steele, Communications of the ACM 29(12), 1986, 1170-1183.
    """
    length, shift, power = x.shape[-2], 1, A.mT
    negligible = torch.finfo(x.dtype).tiny ** 0.75  # denormal numbers would slow the machine down, for nothing
    while shift < length:
        if values_can_be_read(power.detach()) and bool(power.detach().abs().max() < negligible):
            break
        x = torch.cat([x[..., :shift, :], x[..., shift:, :] + x[..., :-shift, :] @ power], -2)
        shift *= 2
        if shift < length:
            power = power @ power
    return x


def prefix_varying(A: Tensor, x: Tensor) -> Tensor:
    """Return the states ``h[k] = A[k] h[k-1] + x[k]`` from ``h[-1] = 0``, by doubling.

    Args:
        A: ``(..., l, n, n)``, one for each step.
        x: ``(..., l, n)``.
    Returns:
        ``(..., l, n)``.
    """
    length, shift = x.shape[-2], 1
    while shift < length:
        moved = (A[..., shift:, :, :] @ x[..., :-shift, :, None])[..., 0]
        x = torch.cat([x[..., :shift, :], x[..., shift:, :] + moved], -2)
        shift *= 2
        if shift < length:
            A = torch.cat([A[..., : shift // 2, :, :], A[..., shift // 2 :, :, :] @ A[..., : -(shift // 2), :, :]], -3)
    return x
