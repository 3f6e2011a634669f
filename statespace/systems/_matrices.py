"""Powers of a state matrix applied to vectors, and parallel prefix sums: what the responses and views rest on."""

from math import isqrt

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


def states_varying(A: Tensor, x: Tensor, start: Tensor) -> Tensor:
    """Return the states ``h[k] = A[k] h[k-1] + x[k]``, in three passes over blocks of the square root of the length.

    First all blocks at once find where they take a state, and where they end from zero; then the states at their
    boundaries follow one another; then all blocks at once go through their steps. So a length l costs some 3 √l
    operations on √l states, and each product of matrices is formed once.

    Args:
        A: ``(..., l, n, n)``, one for each step.
        x: ``(..., l, n)``.
        start: ``h[-1]``, ``(..., n)``.
    Returns:
        ``(..., l + 1, n)``, `start` first.
    """
    length, n = x.shape[-2:]
    if not length:
        return start[..., None, :]
    T = isqrt(length - 1) + 1
    blocks = -(-length // T)
    beyond = blocks * T - length
    still = torch.eye(n, dtype=A.dtype, device=A.device).expand(*A.shape[:-3], beyond, n, n)
    steps = torch.cat([A, still], -3).reshape(*A.shape[:-3], blocks, T, n, n).unbind(-3)
    driven = (
        torch.cat([x, x.new_zeros(*x.shape[:-2], beyond, n)], -2).reshape(*x.shape[:-2], blocks, T, n, 1).unbind(-3)
    )

    through, end = steps[0], driven[0]
    for step, drive in zip(steps[1:], driven[1:], strict=True):
        through, end = step @ through, step @ end + drive
    state, boundaries = start[..., None], []
    for of_block, from_zero in zip(through.unbind(-3), end.unbind(-3), strict=True):
        boundaries.append(state)
        state = of_block @ state + from_zero
    state, found = torch.stack(boundaries, -3), []
    for step, drive in zip(steps, driven, strict=True):
        state = step @ state + drive
        found.append(state[..., 0])
    states = torch.stack(found, -2).flatten(-3, -2)[..., :length, :]
    return torch.cat([start.expand(*states.shape[:-2], n)[..., None, :], states], -2)
