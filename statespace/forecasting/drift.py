"""How series change from season to season: how much, and how much of a change goes on.

`persistence` is 1 for a steady trend, 0 for a series that comes back:

    s_j+1 - s_j ≈ β (s_j - s_j-k) / k,    s_j the mean of season j,  k the changes that a window sees

fitted by least squares over all series, and kept between 0 and 1.
"""

import numpy as np


def persistence(values: np.ndarray, lengths: np.ndarray, season: int, input_size: int) -> float:
    """Fit β over the complete seasons of all series.

    Args:
        values: scaled series one behind the other, NaN in gaps.
        lengths: steps of each series.
        season: steps in a season.
        input_size: length of a window.
    Returns:
        β, from 0 to 1; 0 where no window holds two seasons or no series three.
    """
    changes = input_size // season - 1
    if changes < 1:
        return 0.0
    product = square = 0.0
    for series in np.split(values, lengths.cumsum()[:-1]):
        count = len(series) // season
        if count < 3:
            continue
        pieces = series[len(series) - count * season :].reshape(count, season)
        seen = ~np.isnan(pieces)
        # A season with gaps would take its own shape for a change of level.
        means = np.where(seen.all(1), np.where(seen, pieces, 0).mean(1), np.nan)
        span = min(changes, count - 2)
        before = (means[span:-1] - means[: -span - 1]) / span
        after = means[span + 1 :] - means[span:-1]
        known = ~np.isnan(before) & ~np.isnan(after)
        product += float((before[known] * after[known]).sum())
        square += float((before[known] ** 2).sum())
    return min(1.0, max(0.0, product / square)) if square > 0 else 0.0


_LEAST = 0.1  # of the typical change: a series that repeats itself exactly is not to count for all others


def typical_change(values: np.ndarray, lengths: np.ndarray, season: int) -> np.ndarray:
    """Return the mean absolute change of each series from season to season, the scale of MASE.

    Args:
        values: scaled series one behind the other, NaN in gaps.
        lengths: steps of each series.
        season: steps in a season.
    Returns:
        ``(series,)``, at least a tenth of the median over series, which also stands for those that do not tell; ones
        where none does.
    Source:
        Hyndman and Koehler, International Journal of Forecasting 22(4), 2006, 679-688, for the scale.
    """
    found = np.full(len(lengths), np.nan)
    for place, series in enumerate(np.split(values, lengths.cumsum()[:-1])):
        change = np.abs(series[season:] - series[:-season])
        if np.isfinite(change).any():
            found[place] = np.nanmean(change)
    told = found[found > 0]
    if not len(told):
        return np.ones(len(lengths))
    typical = float(np.median(told))
    return np.asarray(np.maximum(np.nan_to_num(found, nan=typical), _LEAST * typical))
