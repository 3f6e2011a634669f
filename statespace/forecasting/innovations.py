"""Exponential smoothing, which is a state space model, in innovations form: its errors, its forecast, its spread.

    y_t = C x_t + e_t,    x_t+1 = A x_t + K e_t        one noise e drives both

x holds a level, a damped slope, and the season to come, as far as the model has them; K says how much of each error of
one step stays in them. With M = A - K C the errors follow from the values and from where the state began,

    e_t = y_t - Σ_j C M^(j-1) K y_t-j - C M^t x_0,

a convolution and a line in x_0. So x_0 is least squares, and the forecast of n steps, C A^(n-1) x_t, one matrix times
the window.

Source: Hyndman, Koehler, Ord, Snyder, Forecasting with Exponential Smoothing, Springer 2008, chapters 2 and 6.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_LEAST_KEPT = 0.8  # of a slope, that goes on for another step
MOST_KEPT = 0.98  # of it, for another season: nearer to 1 it runs away over long horizons


class Smoothing(NamedTuple):
    """A model in innovations form.

    Attributes:
        A: how the state goes on, ``(n, n)``.
        K: what an error adds to it, ``(n,)``.
        C: what is seen of it, ``(n,)``.
    """

    A: np.ndarray
    K: np.ndarray
    C: np.ndarray

    def rows(self, length: int) -> np.ndarray:
        """Return ``C M^t``, t = 0 … length - 1, by doubling, ``(length, n)``: what is seen of x_0 in the errors."""
        return _powers(self.C, self.A - np.outer(self.K, self.C), length)

    def errors(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the errors of one step, and where the states begin that make them least.

        Args:
            y: series side by side, ``(length, series)``.
        Returns:
            ``(length, series)`` and ``(n, series)``.
        """
        seen = self.rows(len(y))
        from_zero = _whitened(seen[:-1] @ self.K, y)
        start = _least_squares(seen) @ from_zero
        return from_zero - seen @ start, start

    def forecast(self, length: int, steps: int) -> np.ndarray:
        """Return the matrix from a window to the steps after it, ``(steps, length)``."""
        M = self.A - np.outer(self.K, self.C)
        seen = self.rows(length)
        start = _least_squares(seen) @ _whitened(seen[:-1] @ self.K, np.eye(length))
        kept = _powers(self.K, M.T, length)[::-1].T  # M^(length - 1 - t) K
        found: np.ndarray = _powers(self.C, self.A, steps) @ (np.linalg.matrix_power(M, length) @ start + kept)
        return found

    def growth(self, steps: int) -> np.ndarray:
        """Return the variance of each step ahead in units of that of one step, ``(steps,)``."""
        carried = _powers(self.C, self.A, steps)[:-1] @ self.K
        return 1 + np.concatenate([[0.0], np.square(carried).cumsum()])


def _powers(row: np.ndarray, M: np.ndarray, length: int) -> np.ndarray:
    """Return ``row M^t``, t = 0 … length - 1, ``(length, n)``, in as many products as length has binary digits."""
    found = row[None]
    while len(found) < length:
        found, M = np.concatenate([found, found @ M]), M @ M
    return found[:length]


def _whitened(kernel: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Take from each value what a filter with this kernel says of it from those before, ``(length, series)``."""
    found, before = y.copy(), len(y) - 1
    size = 1 << (2 * before).bit_length()
    spectrum = np.fft.rfft(y[:-1], size, axis=0) * np.fft.rfft(kernel, size)[:, None]
    found[1:] -= np.fft.irfft(spectrum, size, axis=0)[:before]
    return found


def _least_squares(seen: np.ndarray) -> np.ndarray:
    """Return the pseudoinverse, ``(n, length)``; a level and a season share a constant, which is split evenly."""
    square = seen.T @ seen
    square[np.diag_indices_from(square)] += 1e-9 * np.trace(square) / len(square)
    return np.linalg.solve(square, seen.T)


class Kind(NamedTuple):
    """Which parts a model has.

    Attributes:
        slope: whether there is a damped slope.
        season: steps in a season, 1 for none.
        kept: the largest share of a slope that goes on for another step.
        steady: whether this share of the slope that the series begins with goes on, and nothing is learnt of it.
    """

    slope: bool
    season: int
    kept: float = MOST_KEPT
    steady: bool = False

    @property
    def states(self) -> int:
        """Order of the model."""
        return 1 + self.slope + (self.season if self.season > 1 else 0)

    @property
    def start(self) -> list[float]:
        """Where the search begins, in numbers without bounds."""
        return [-1.0] + [-2.0, 1.5] * (self.slope and not self.steady) + [-2.0] * (self.season > 1)

    def numbers(self, series: int, covariates: int) -> float:
        """Return how many numbers are fitted to each series, its variance with them; what all share counts by share."""
        return self.states - (self.season > 1) + 1 + (len(self.start) + covariates) / series

    def model(self, free: Sequence[float]) -> Smoothing:
        """Return the model of numbers without bounds: level, slope and season each learn less than all of an error."""
        share = 1 / (1 + np.exp(-np.clip(free, -30, 30)))
        n = self.states
        A, K, C = np.zeros((n, n)), np.zeros(n), np.zeros(n)
        A[0, 0], K[0], C[0] = 1.0, share[0], 1.0
        if self.slope:
            learnt, going = (0.0, 1.0) if self.steady else share[1:3]
            damping = _LEAST_KEPT + (self.kept - _LEAST_KEPT) * going
            A[:2, 1], K[1], C[1] = damping, share[0] * learnt, damping
        if self.season > 1:
            first = 1 + self.slope
            A[first:, first:] = np.roll(np.eye(self.season), 1, axis=1)
            K[-1], C[first] = (1 - share[0]) * share[-1], 1.0
        return Smoothing(A, K, C)
