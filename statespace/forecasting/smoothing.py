"""Exponential smoothing fitted to series: what a forecaster starts from.

Σ e² of the errors of one step is a function of the few numbers in K and A, see `statespace.forecasting.innovations`.
What covariates add to y, in a straight line, is least squares of the same errors, where they are known beforehand. The
models with and without slope and season are averaged with the weights of Akaike, so that no series hangs on the choice
of one.

Source: Hyndman, Koehler, Ord, Snyder, Forecasting with Exponential Smoothing, Springer 2008, chapters 5 and 9; the
weights are those of Burnham and Anderson, Model Selection and Multimodel Inference, 2nd ed., section 2.9.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

import numpy as np
import torch

from statespace.forecasting.innovations import MOST_KEPT, Kind, Smoothing
from statespace.models.instance_norm import REVERSIBLE, normalise

_MOST_SERIES = 32  # that parameters are fitted to: more would tell little
_TOLD = 0.5  # of what all series tell, by those that are long enough for a model, for the others to be left out
_MOST_STEPS = 512  # of each of them
_CERTAIN = 1e-10  # of the variance of a series: errors below are rounding
LEAST_OWN = 1e-6  # of a covariate, in squares, that is to be told apart from level and season
_WORTH = 4.0  # of -2 log-likelihood, for one covariate more: the best of several is there by chance as well
_MOST_COVARIATES = 40
_FAST = 3.0  # 0.95 of an error stays in the level: between this and a small share a few values may see no way
_WALK = Smoothing(np.eye(1), np.ones(1), np.ones(1))  # the last value goes on
_LEAST_WEIGHT = 1e-3  # of a model: less is not worth its matrix


class Group(NamedTuple):
    """Series of one length, side by side.

    Attributes:
        numbers: which series they are, ``(series,)``.
        y: values, ``(length, series)``.
        beside: covariates that are known beforehand, ``(length, series, m)``.
        floor: squared errors that are nothing but rounding, ``(series,)``.
    """

    numbers: np.ndarray
    y: np.ndarray
    beside: np.ndarray
    floor: np.ndarray

    def errors(self, model: Smoothing) -> tuple[np.ndarray, np.ndarray]:
        """Return the errors of one step, ``(length, series)``, and what covariates make of them, with an axis more."""
        both = np.concatenate([self.y[..., None], self.beside], 2)
        found = model.errors(both.reshape(len(both), -1))[0].reshape(both.shape)
        return found[..., 0], found[..., 1:]

    def penalty(self, kind: Kind, series: int, covariates: int) -> float:
        """Return how much fitted numbers are worth (AICc); what is fitted to all series counts as a share of each."""
        numbers = kind.numbers(series, covariates)
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


def fitted(model: Smoothing, groups: Sequence[Group]) -> _Fitted:
    """Fit where each series begins, and what covariates add to all of them."""
    each = [group.errors(model) for group in groups]
    squares = [np.square(error).sum(0) + group.floor for (error, _), group in zip(each, groups, strict=True)]
    effect = np.zeros(groups[0].beside.shape[2])
    if len(effect):
        # Series count by how well they are known without covariates. What level and season say as well is left to them.
        G, M = np.zeros((len(effect), len(effect))), np.zeros(len(effect))
        for (error, seen), group, square in zip(each, groups, squares, strict=True):
            G += np.einsum("tsi,tsj,s->ij", seen, seen, 1 / square)
            G += LEAST_OWN * np.diag(np.einsum("tsi,s->i", np.square(group.beside), 1 / square))
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


def _variance(
    group: Group, square: np.ndarray, effect: np.ndarray, numbers: int, length: int, scaler: str
) -> np.ndarray:
    """Return the variance of one step in units of the scale of the last window of each series, ``(series,)``.

    A window has this scale without what covariates add to it.
    """
    bare = group.y - group.beside @ effect
    window = torch.as_tensor(bare[-length:].T)
    scale = normalise(window, torch.ones_like(window), "standard" if scaler == REVERSIBLE else scaler).scale
    return np.asarray(square / max(1, len(group.y) - numbers) / scale[:, 0].numpy() ** 2)


def _kinds(season: int) -> list[Kind]:
    kept = MOST_KEPT ** (1 / season)
    return [Kind(slope, steps, kept) for steps in sorted({1, season}) for slope in (False, True)]


def some(values: np.ndarray, lengths: np.ndarray, season: int, covariates: int) -> np.ndarray:
    """Return the numbers of the series that parameters are fitted to.

    Models can be weighed against each other by what they leave of the same series alone, and a few short ones would
    allow none but the smallest. So those are left out that are too short for the largest model that most of what is
    known is long enough for; a value tells the more, the more there are beside it.

    Args:
        values: series one behind the other, ``(total,)``; NaN in gaps.
        lengths: steps of each series.
        season: steps in a season, 1 where there is none.
        covariates: how many of them may be fitted as well.
    """
    count = np.bincount(np.arange(len(lengths)).repeat(lengths), np.isfinite(values), len(lengths))
    chosen: np.ndarray = np.arange(len(lengths))
    for kind in reversed(_kinds(season)):
        enough = np.flatnonzero(count > 2 * kind.numbers(len(lengths), covariates))
        if np.square(count[enough]).sum() > _TOLD * np.square(count).sum():
            chosen = enough
            break
    return np.asarray(chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), _MOST_SERIES)).round().astype(int)])


def groups_of(values: np.ndarray, lengths: np.ndarray, beside: np.ndarray, chosen: np.ndarray) -> list[Group]:
    """Return chosen series without gaps, cut to a few different lengths; constant ones are left out."""
    ends = lengths.cumsum()
    found: dict[int, list[tuple[int, np.ndarray, np.ndarray]]] = {}
    for number in chosen:
        here = slice(ends[number] - lengths[number], ends[number])
        seen = np.flatnonzero(np.isfinite(values[here]))
        if len(seen) < 2:
            continue
        count = min(_MOST_STEPS, seen[-1] + 1 - seen[0])
        if len(chosen) > 1:  # a length of half an octave, so that series go together
            count = int(2 ** (np.floor(2 * np.log2(count)) / 2))
        places = np.arange(seen[-1] + 1 - count, seen[-1] + 1)
        # Gaps are filled alike in values and in covariates, so that what is left without these is filled so too.
        y, *covariates = (np.interp(places, seen, part[seen]) for part in (values[here], *beside[here].T))
        if np.ptp(y) > 0:
            columns = np.stack(covariates, 1) if covariates else np.zeros((count, 0))
            found.setdefault(count, []).append((number, y - y.mean(), columns))
    groups = []
    for group in found.values():
        numbers, *parts = zip(*group, strict=True)
        y, columns = (np.stack(part, 1) for part in parts)
        groups.append(Group(np.array(numbers), y, columns, _CERTAIN * np.square(y).sum(0)))
    return groups


class Start(NamedTuple):
    """What a linear path and its spread start from.

    Attributes:
        weight: from the window to the horizon, ``(h, input_size)``.
        spread: standard deviation of each step in units of the scale of a window, ``(h + input_size,)``: further than
            the horizon, for windows that end in a gap.
        effect: what each covariate that is known beforehand adds to a value, ``(1, m)``; zeros where they are not worth
            the numbers. Behind the row for all series there may be one for each.
        models: the models with their weights.
    """

    weight: np.ndarray
    spread: np.ndarray
    effect: np.ndarray
    models: tuple[tuple[float, Smoothing], ...]

    @property
    def best(self) -> Smoothing:
        """The model with the largest weight."""
        return max(self.models, key=lambda pair: pair[0])[1]


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
        The start, at least that of a random walk; None where the series are constant or the window is too short.
    """
    covariates = np.zeros((len(values), 0)) if beside is None else beside
    chosen = some(values, lengths, season, covariates.shape[1])
    groups = groups_of(values, lengths, covariates, chosen)
    options = season, min(input_size, int(np.median(lengths[chosen]))), input_size, h, scaler
    found = _averaged(_with(groups, []), *options)
    if found is None:
        return None
    criterion, start = found
    worth = _worth(start.best, groups) if covariates.shape[1] else []
    effect = np.zeros((1, covariates.shape[1]))
    if worth and (found := _averaged(_with(groups, worth), *options)) is not None and found[0] < criterion:
        start = found[1]
        effect[:, worth] = start.effect
    return start._replace(effect=effect)


def _with(groups: Sequence[Group], covariates: Sequence[int]) -> list[Group]:
    """Return groups with some of their covariates."""
    return [group._replace(beside=group.beside[..., list(covariates)]) for group in groups]


def _weighted(parts: Sequence[np.ndarray], squares: Sequence[np.ndarray]) -> np.ndarray:
    """Return parts of groups, ``(length, series, ...)`` each, one below the other; all series count alike."""
    each = [
        part / np.sqrt(square).reshape(-1, *[1] * (part.ndim - 2)) for part, square in zip(parts, squares, strict=True)
    ]
    return np.concatenate([part.reshape(-1, *part.shape[2:]) for part in each])


def _worth(model: Smoothing, groups: Sequence[Group]) -> list[int]:
    """Return which covariates are worth their numbers, taken one by one, each time the one that leaves least errors."""
    errors, made = zip(*(group.errors(model) for group in groups), strict=True)
    squares = [np.square(error).sum(0) + group.floor for error, group in zip(errors, groups, strict=True)]
    error, seen = _weighted(errors, squares), _weighted(made, squares)
    size = np.square(_weighted([group.beside for group in groups], squares)).sum(0)
    there = np.square(seen).sum(0) > LEAST_OWN * size  # and not what level and season say as well
    rows, chosen = len(error), list[int]()
    while there.any() and len(chosen) < min(_MOST_COVARIATES, rows // 4):
        norm = np.sqrt(np.square(seen).sum(0))
        gain = np.where(there, seen.T @ error / np.where(norm > 0, norm, 1), 0.0)
        best = int(np.abs(gain).argmax())
        left = np.square(error).sum()
        if rows * np.log(max(left - gain[best] ** 2, 1e-300) / left) > -_WORTH:
            break
        direction = seen[:, best] / norm[best]
        error = error - gain[best] * direction
        seen = seen - np.outer(direction, direction @ seen)
        there &= np.square(seen).sum(0) > LEAST_OWN * norm**2
        chosen.append(best)
    return sorted(chosen)


def _averaged(
    groups: Sequence[Group], season: int, length: int, input_size: int, h: int, scaler: str
) -> tuple[float, Start] | None:
    """Return the criterion of the best model, and the average of all; None where there is none."""
    if not groups:
        return None
    count, covariates = sum(group.y.shape[1] for group in groups), groups[0].beside.shape[2]
    minimize = import_module("scipy.optimize").minimize  # it takes a while to load
    found: list[tuple[float, Smoothing]] = []
    fewest = min(len(group.y) for group in groups)
    for kind in _kinds(season):
        few = kind.season == 1 and fewest <= 2 * kind.numbers(count, covariates)
        if few and kind.slope:
            kind = kind._replace(steady=True)  # too few values to learn how a slope changes
        penalty = sum(group.penalty(kind, count, covariates) for group in groups)
        if not np.isfinite(penalty) or length < kind.states + 2:
            continue

        def deviance(free: Sequence[float], kind: Kind = kind) -> float:
            return fitted(kind.model(free), groups).deviance

        best = minimize(
            deviance,
            min(kind.start, [_FAST, *kind.start[1:]], key=deviance) if few else kind.start,
            method="Nelder-Mead",
            options={"maxfev": 60 + 60 * len(kind.start), "xatol": 0.02, "fatol": 0.02},
        )
        found.append((float(best.fun) + penalty, kind.model(best.x)))
    if not found and (covariates or fewest > length):
        return None
    if not found:  # too few values to tell what else
        found.append((0.0, _WALK))
    least = min(criterion for criterion, _ in found)
    weight = np.exp([(least - criterion) / 2 for criterion, _ in found])
    models = [
        (float(w), model) for w, (_, model) in zip(weight, found, strict=True) if w > _LEAST_WEIGHT * weight.sum()
    ]
    total = sum(w for w, _ in models)
    matrix, variance, effect = np.zeros((h, input_size)), np.zeros(h + input_size), np.zeros(covariates)
    known = np.concatenate([np.full(group.y.shape[1], len(group.y)) for group in groups])  # values tell alike of it
    for w, model in models:
        of_model, numbers = fitted(model, groups), len(model.C) + 2 + covariates
        of_one = [
            _variance(group, square, of_model.effect, numbers, length, scaler)
            for group, square in zip(groups, of_model.squares, strict=True)
        ]
        matrix[:, input_size - length :] += w / total * model.forecast(length, h)
        variance += w / total * np.average(np.concatenate(of_one), weights=known) * model.growth(h + input_size)
        effect += w / total * of_model.effect
    return least, Start(matrix, np.sqrt(variance), effect[None], tuple((w / total, model) for w, model in models))
