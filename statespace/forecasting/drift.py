"""How much of a change from season to season goes on: 1 for a steady trend, 0 for a series that comes back.

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
