"""Exponential smoothing, which is a state space model: what a forecaster starts from.

    y_t = C x_t + e_t,    x_t+1 = A x_t + K e_t        one noise e drives both: the innovations form

x holds a level, a damped slope, and the season to come, as far as the model has them; K says how much of each error of
one step stays in them. With M = A - K C the errors follow from the values and from where the state began,

    e_t = y_t - Σ_j C M^(j-1) K y_t-j - C M^t x_0,

a convolution and a line in x_0. So x_0 is least squares, Σ e² a function of the few numbers in K and A, and the
forecast of n steps, C A^(n-1) x_t, one matrix times the window. What covariates add to y, in a straight line, is least
squares of the same errors, where they are known beforehand. The models with and without slope and season are
averaged with the weights of Akaike, so that no series hangs on the choice of one.

Source: Hyndman, Koehler, Ord, Snyder, Forecasting with Exponential Smoothing, Springer 2008, chapters 2, 5 and 6; the
weights are those of Burnham and Anderson, Model Selection and Multimodel Inference, 2nd ed., section 2.9.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.signal import fftconvolve
from scipy.special import expit

from statespace.models.instance_norm import REVERSIBLE, normalise

_MOST_SERIES = 32  # that parameters are fitted to: more would tell little
_MOST_STEPS = 512  # of each of them
_LEAST_KEPT = 0.8  # of a slope, that goes on for another step
_MOST_KEPT = 0.98  # of it, for another season: nearer to 1 it runs away over long horizons
_CERTAIN = 1e-10  # of the variance of a series: errors below are rounding
_LEAST_OWN = 1e-6  # of a covariate, in squares, that is to be told apart from level and season
_LEAST_WEIGHT = 1e-3  # of a model: less is not worth its matrix


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
    found = y.copy()
    found[1:] -= fftconvolve(y[:-1], kernel[:, None], axes=0)[: len(y) - 1]
    return found


def _least_squares(seen: np.ndarray) -> np.ndarray:
    """Return the pseudoinverse, ``(n, length)``; a level and a season share a constant, which is split evenly."""
    square = seen.T @ seen
    square[np.diag_indices_from(square)] += 1e-9 * np.trace(square) / len(square)
    return np.linalg.solve(square, seen.T)


class _Kind(NamedTuple):
    """Which parts a model has.

    Attributes:
        slope: whether there is a damped slope.
        season: steps in a season, 1 for none.
        kept: the largest share of a slope that goes on for another step.
    """

    slope: bool
    season: int
    kept: float = _MOST_KEPT

    @property
    def states(self) -> int:
        return 1 + self.slope + (self.season if self.season > 1 else 0)

    @property
    def start(self) -> list[float]:
        """Where the search begins, in numbers without bounds."""
        return [-1.0] + [-2.0, 1.5] * self.slope + [-2.0] * (self.season > 1)

    def model(self, free: Sequence[float]) -> Smoothing:
        """Return the model of numbers without bounds: level, slope and season each learn less than all of an error."""
        share = expit(np.asarray(free))
        n = self.states
        A, K, C = np.zeros((n, n)), np.zeros(n), np.zeros(n)
        A[0, 0], K[0], C[0] = 1.0, share[0], 1.0
        if self.slope:
            damping = _LEAST_KEPT + (self.kept - _LEAST_KEPT) * share[2]
            A[:2, 1], K[1], C[1] = damping, share[0] * share[1], damping
        if self.season > 1:
            first = 1 + self.slope
            A[first:, first:] = np.roll(np.eye(self.season), 1, axis=1)
            K[-1], C[first] = (1 - share[0]) * share[-1], 1.0
        return Smoothing(A, K, C)


class _Group(NamedTuple):
    """Series of one length, side by side.

    Attributes:
        y: values, ``(length, series)``.
        beside: covariates that are known beforehand, ``(length, series, m)``.
        floor: squared errors that are nothing but rounding, ``(series,)``.
    """

    y: np.ndarray
    beside: np.ndarray
    floor: np.ndarray

    def errors(self, model: Smoothing) -> tuple[np.ndarray, np.ndarray]:
        """Return the errors of one step, ``(length, series)``, and what covariates make of them, with an axis more."""
        both = np.concatenate([self.y[..., None], self.beside], 2)
        found = model.errors(both.reshape(len(both), -1))[0].reshape(both.shape)
        return found[..., 0], found[..., 1:]

    def penalty(self, kind: _Kind, series: int, covariates: int) -> float:
        """Return how much fitted numbers are worth (AICc); what is fitted to all series counts as a share of each."""
        numbers = kind.states - (kind.season > 1) + 1 + (len(kind.start) + covariates) / series
        spare = len(self.y) - numbers - 1
        return self.y.shape[1] * 2 * numbers * (1 + (numbers + 1) / spare) if spare > 0 else np.inf


class _Fitted(NamedTuple):
    """What a model leaves of series.

    Attributes:
        deviance: -2 log-likelihood, but for what is the same of all models, each series with a variance of its own.
        squares: sums of squared errors of each group, ``(series,)``.
        effect: what covariates add, ``(m,)``.
    """

    deviance: float
    squares: list[np.ndarray]
    effect: np.ndarray


def _fitted(model: Smoothing, groups: Sequence[_Group]) -> _Fitted:
    """Fit where each series begins, and what covariates add to all of them."""
    each = [group.errors(model) for group in groups]
    squares = [np.square(error).sum(0) + group.floor for (error, _), group in zip(each, groups, strict=True)]
    effect = np.zeros(groups[0].beside.shape[2])
    if len(effect):
        # Series count by how well they are known without covariates. What level and season say as well is left to them.
        G, M = np.zeros((len(effect), len(effect))), np.zeros(len(effect))
        for (error, seen), group, square in zip(each, groups, squares, strict=True):
            G += np.einsum("tsi,tsj,s->ij", seen, seen, 1 / square)
            G += _LEAST_OWN * np.diag(np.einsum("tsi,s->i", np.square(group.beside), 1 / square))
            M += np.einsum("tsi,ts,s->i", seen, error, 1 / square)
        told = np.diagonal(G) > 0
        effect[told] = np.linalg.solve(G[told][:, told], M[told])
        left = [error - seen @ effect for error, seen in each]
        squares = [np.square(error).sum(0) + group.floor for error, group in zip(left, groups, strict=True)]
    deviance = sum(
        float((len(group.y) * np.log(square / len(group.y))).sum())
        for square, group in zip(squares, groups, strict=True)
    )
    return _Fitted(deviance, squares, effect)


def _variance(group: _Group, square: np.ndarray, numbers: int, length: int, scaler: str) -> np.ndarray:
    """Return the variance of one step in units of the scale of the last window of each series, ``(series,)``."""
    window = torch.as_tensor(group.y[-length:].T)
    scale = normalise(window, torch.ones_like(window), "standard" if scaler == REVERSIBLE else scaler).scale
    return np.asarray(square / max(1, len(group.y) - numbers) / scale[:, 0].numpy() ** 2)


def _groups(values: np.ndarray, lengths: np.ndarray, beside: np.ndarray) -> list[_Group]:
    """Return some of the series without gaps, cut to a few different lengths."""
    ends = lengths.cumsum()
    chosen = np.unique(np.linspace(0, len(ends) - 1, min(len(ends), _MOST_SERIES)).round().astype(int))
    found: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    for number in chosen:
        here = slice(ends[number] - lengths[number], ends[number])
        seen = np.flatnonzero(np.isfinite(values[here]))
        if len(seen) < 2:
            continue
        count = min(_MOST_STEPS, seen[-1] + 1 - seen[0])
        if len(chosen) > 1:  # a length of half an octave, so that series go together
            count = int(2 ** (np.floor(2 * np.log2(count)) / 2))
        places = np.arange(seen[-1] + 1 - count, seen[-1] + 1)
        y = np.interp(places, seen, values[here][seen])
        if np.ptp(y) > 0:
            found.setdefault(count, []).append((y - y.mean(), beside[here][places]))
    sides = [(np.stack([y for y, _ in group], 1), np.stack([part for _, part in group], 1)) for group in found.values()]
    return [_Group(y, part, _CERTAIN * np.square(y).sum(0)) for y, part in sides]


class Start(NamedTuple):
    """What a linear path and its spread start from.

    Attributes:
        weight: from the window to the horizon, ``(h, input_size)``.
        spread: standard deviation of each step in units of the scale of a window, ``(h,)``.
        effect: what each covariate that is known beforehand adds to a value, ``(m,)``; zeros where they are not worth
            the numbers.
        models: the models with their weights.
    """

    weight: np.ndarray
    spread: np.ndarray
    effect: np.ndarray
    models: tuple[tuple[float, Smoothing], ...]


def smoothed(
    values: np.ndarray,
    lengths: np.ndarray,
    season: int,
    input_size: int,
    h: int,
    scaler: str = "standard",
    beside: np.ndarray | None = None,
) -> Start | None:
    """Fit exponential smoothing to series that share its parameters, and return its forecast as a matrix.

    Args:
        values: scaled series one behind the other, ``(total,)``; NaN in gaps.
        lengths: steps of each series.
        season: steps in a season, 1 where there is none.
        input_size: length of a window.
        h: horizon.
        scaler: how windows are normalised, see `statespace.models.instance_norm`.
        beside: covariates that are known beforehand, ``(total, m)``, zero where they are missing.
    Returns:
        The start; None where the series are too short or too constant to tell.
    """
    none = np.zeros((len(values), 0))
    tried = [none] if beside is None or not beside.shape[1] else [none, beside]
    found = [
        one for covariates in tried if (one := _averaged(values, lengths, season, input_size, h, scaler, covariates))
    ]
    if not found:
        return None
    _, best = min(found, key=lambda pair: pair[0])
    return best if len(best.effect) or beside is None else best._replace(effect=np.zeros(beside.shape[1]))


def _averaged(
    values: np.ndarray, lengths: np.ndarray, season: int, input_size: int, h: int, scaler: str, beside: np.ndarray
) -> tuple[float, Start] | None:
    """Return the criterion of the best model, and the average of all; None where there is none."""
    groups = _groups(values, lengths, beside)
    count = sum(group.y.shape[1] for group in groups)
    length = min(input_size, int(np.median(lengths)))
    kept = _MOST_KEPT ** (1 / season)
    found: list[tuple[float, Smoothing]] = []
    for kind in (_Kind(slope, steps, kept) for steps in sorted({1, season}) for slope in (False, True)):
        penalty = sum(group.penalty(kind, count, beside.shape[1]) for group in groups)
        if not groups or not np.isfinite(penalty) or length < kind.states + 2:
            continue
        best = minimize(
            lambda free, kind=kind: _fitted(kind.model(free), groups).deviance,
            kind.start,
            method="Nelder-Mead",
            options={"maxfev": 60 + 60 * len(kind.start), "xatol": 0.02, "fatol": 0.02},
        )
        found.append((float(best.fun) + penalty, kind.model(best.x)))
    if not found:
        return None
    least = min(criterion for criterion, _ in found)
    weight = np.exp([(least - criterion) / 2 for criterion, _ in found])
    models = [
        (float(w), model) for w, (_, model) in zip(weight, found, strict=True) if w > _LEAST_WEIGHT * weight.sum()
    ]
    total = sum(w for w, _ in models)
    matrix, variance, effect = np.zeros((h, input_size)), np.zeros(h), np.zeros(beside.shape[1])
    for w, model in models:
        fitted, numbers = _fitted(model, groups), len(model.C) + 2 + len(effect)
        of_one = [
            _variance(group, square, numbers, length, scaler)
            for group, square in zip(groups, fitted.squares, strict=True)
        ]
        matrix[:, input_size - length :] += w / total * model.forecast(length, h)
        variance += w / total * np.concatenate(of_one).mean() * model.growth(h)
        effect += w / total * fitted.effect
    return least, Start(matrix, np.sqrt(variance), effect, tuple((w / total, model) for w, model in models))
