"""Location and scale of each series, by name: what is subtracted from its values, and what they are divided by.

    standard    mean                 standard deviation
    robust      median               interquartile range / 1.349, which is the standard deviation of normal values
    minmax      smallest value       largest less smallest
    none        0                    1

Values come in units of the largest of their series, so that no sum or square overflows or vanishes.
"""

from collections.abc import Callable

import numpy as np

Scaler = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

_NORMAL_RANGE = 1.3489795003921634  # from the lower to the upper quartile of a standard normal distribution
_LEAST_SHARE = 1e-6  # of the standard deviation: outliers stay numbers in 32 bits


def _standard(values: np.ndarray, series: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    location = np.bincount(series, values, len(count)) / np.maximum(count, 1)
    centred = values - location[series]
    return location, np.sqrt(np.bincount(series, centred**2, len(count)) / np.maximum(count, 1))


def _robust(values: np.ndarray, series: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ordered = np.append(values[np.lexsort((values, series))], 0.0)  # something to read where a series is empty
    starts = count.cumsum() - count

    def quantile(q: float) -> np.ndarray:
        place = q * np.maximum(count - 1, 0)
        whole = place.astype(np.int64)
        low = ordered[starts + whole]
        high = ordered[np.minimum(starts + whole + 1, starts + np.maximum(count - 1, 0))]
        return np.asarray(np.where(count > 0, low + (place - whole) * (high - low), 0.0))

    spread = (quantile(0.75) - quantile(0.25)) / _NORMAL_RANGE
    deviation = _standard(values, series, count)[1]
    # More than half of the values are the same: the quartiles tell nothing.
    return quantile(0.5), np.where(spread > 0, np.maximum(spread, _LEAST_SHARE * deviation), deviation)


def _minmax(values: np.ndarray, series: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.full(len(count), np.inf), np.full(len(count), -np.inf)
    np.minimum.at(low, series, values)
    np.maximum.at(high, series, values)
    low, high = np.where(count > 0, low, 0.0), np.where(count > 0, high, 0.0)
    return low, high - low


SCALERS: dict[str, Scaler | None] = {"standard": _standard, "robust": _robust, "minmax": _minmax, "none": None}
"""Each way to find location and scale: of values, the number of the series of each, and how many each series has."""
