"""Powers of a state matrix applied to vectors, and parallel prefix sums: what the responses and views rest on."""

from collections.abc import Callable, Sequence
from functools import reduce
from math import isqrt

import torch
from torch import Tensor

from statespace.discretization._arguments import values_can_be_read


class Powers:
    """Powers of a square matrix, or of a stack of them: each square of a square is formed once, whoever asks for it.

    Args:
        A: ``(..., n, n)``.
    """

    def __init__(self, A: Tensor) -> None:
        self._squares = [A]

    def square(self, k: int) -> Tensor:
        """Return ``A`` squared `k` times, ``A^(2^k)``."""
        while len(self._squares) <= k:
            self._squares.append(self._squares[-1] @ self._squares[-1])
        return self._squares[k]

    def __call__(self, count: int) -> Tensor:
        """Return ``A^count``."""
        factors = [self.square(k) for k in range(count.bit_length()) if count >> k & 1]
        if not factors:
            A = self._squares[0]
            return torch.eye(A.shape[-1], dtype=A.dtype, device=A.device).expand(A.shape)
        return reduce(torch.matmul, factors)


def _doubled(rows: Tensor, batch: Sequence[int], length: int, power: Callable[[int], Tensor]) -> Tensor:
    """Return ``R, R A, R A² ...``, ``(..., length, m, n)``, for rows R; `power` gives A squared so many times.

    The rows of all powers stand below one another, so that each product has one matrix, not many copies of it.
    """
    columns = rows.shape[-2]
    rows = rows.expand(*batch, *rows.shape[-2:])[..., : length * columns, :]
    for k in range((length - 1).bit_length()):
        rows = torch.cat([rows, rows[..., : length * columns - rows.shape[-2], :] @ power(k)], -2)
    found: Tensor = rows.unflatten(-2, (length, columns))
    return found


def orbit(A: Powers, X: Tensor, length: int, start: int = 0) -> Tensor:
    """Return ``X, A X, A² X, ...`` by doubling: as many matrix products as `length` has binary digits.

    Rounding grows to ``|A^i| |A^j|``, as it does step by step; beside it, the powers of a wildly non-normal and
    unstable matrix may cancel to nothing.

    Args:
        A: powers of ``(..., n, n)``.
        X: ``(..., n, m)``.
        length: how many.
        start: in place of A, take ``A^(2^start)``.
    Returns:
        ``(..., length, n, m)``.
    """
    batch = torch.broadcast_shapes(A.square(0).shape[:-2], X.shape[:-2])
    return _doubled(X.mT, batch, length, lambda k: A.square(start + k).mT).mT


def rows_orbit(C: Tensor, A: Powers, length: int, start: int = 0) -> Tensor:
    """Return ``C, C A, C A², ...``, ``(..., length, p, n)``; see `orbit`.

    Args:
        C: ``(..., p, n)``.
        A: powers of ``(..., n, n)``.
        length: how many.
        start: in place of A, take ``A^(2^start)``.
    Returns:
        ``(..., length, p, n)``.
    """
    batch = torch.broadcast_shapes(A.square(0).shape[:-2], C.shape[:-2])
    return _doubled(C, batch, length, lambda k: A.square(start + k))


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
