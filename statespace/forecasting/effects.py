"""What covariates add to each of several series: drawn to what they add to all of them.

    β_i = μ + w_i (b_i - μ),    w_i = τ² / (τ² + v_i),    μ = Σ b_i / (τ² + v_i) / Σ 1 / (τ² + v_i)

b_i is what the errors of series i say by least squares, with the variance v_i, and τ² is the variance between series,
from Σ v^-2 ((b - m)² - v) / Σ v^-2 around the mean m with weights 1 / v. So a series of its own mind is followed as far
as it is long enough to have one, and where series differ no more than chance lets them, all get what was fitted to all.

Source: DerSimonian and Laird, Controlled Clinical Trials 7(3), 1986, 177-188, for effects that differ between groups.
Where we deviate: each covariate is drawn by itself, and with weights that let uncertain series say less of τ².
"""

import numpy as np

from statespace.forecasting.smoothing import LEAST_OWN, Group, Start, groups_of

_AT_ONCE = 256  # series
_CHANCE = 2.0  # standard deviations by which series are to differ more than chance lets them


def effects(start: Start, values: np.ndarray, lengths: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """Return what covariates add to all series, and to each.

    Args:
        start: what was fitted to these series.
        values: scaled series one behind the other, ``(total,)``; NaN in gaps.
        lengths: steps of each series.
        beside: covariates that are known beforehand, ``(total, m)``, zero where they are missing.
    Returns:
        ``(1 + series, m)``, what they add to all in the first row; ``(1, m)`` where no series differs.
    """
    count, m = len(lengths), beside.shape[1]
    each, variance = np.zeros((count, m)), np.full((count, m), np.inf)
    for first in range(0, count if count > 1 else 0, _AT_ONCE):
        for group in groups_of(values, lengths, beside, np.arange(first, min(count, first + _AT_ONCE))):
            each[group.numbers], variance[group.numbers] = _alone(start, group)
    certain = 1 / variance
    told = np.maximum((certain > 0).sum(0), 1)
    off = np.square(each - _mean(each, certain))
    differ = (off * certain).sum(0) > told - 1 + _CHANCE * np.sqrt(2 * told)
    if not differ.any():
        return start.effect
    between = np.maximum(_mean(off - np.where(certain > 0, variance, 0.0), np.square(certain)), 0.0)
    centre = np.where(differ, _mean(each, 1 / (between + variance)), start.effect[0])
    share = np.where(differ, between / (between + variance), 0.0)
    return np.concatenate([centre[None], centre + share * (each - centre)])


def _mean(each: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the mean over series, ``(m,)``."""
    return np.asarray((each * weight).sum(0) / np.maximum(weight.sum(0), np.finfo(float).tiny))


def _alone(start: Start, group: Group) -> tuple[np.ndarray, np.ndarray]:
    """Return what the errors of each series say by themselves, and its variance, ``(series, m)`` each."""
    error, seen = group.errors(start.best)
    m = seen.shape[2]
    own = np.square(group.beside).sum(0)  # (series, m)
    G = np.einsum("tsi,tsj->sij", seen, seen) + LEAST_OWN * own[:, None] * np.eye(m)
    # Of what is not there, or is what level and season say as well, nothing is told.
    there = np.einsum("sii->si", G) > LEAST_OWN**2 + 2 * LEAST_OWN * own
    G += np.where(there, 0.0, 1.0)[:, None] * np.eye(m)
    found = np.linalg.solve(G, np.einsum("tsi,ts->si", seen, error)[..., None])[..., 0]
    spare = max(1, len(error) - len(start.best.C) - m)
    noise = (np.square(error - np.einsum("tsi,si->ts", seen, found)).sum(0) + group.floor) / spare
    variance = noise[:, None] * np.einsum("sii->si", np.linalg.inv(G))
    enough = len(error) > len(start.best.C) + 2 * m + 2
    return np.where(there, found, 0.0), np.where(there & enough, variance, np.inf)
