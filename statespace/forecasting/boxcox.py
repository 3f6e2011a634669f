"""The power transform of Box and Cox, from the logarithm to nothing, with one exponent for a table of positive values.

    f(y) = (y^λ - 1) / λ,   f(y) = log y for λ = 0;      λ from 0 to 1

λ is what makes the series look most like normal values, each around a mean and with a variance of its own: with g the
geometric mean of a series and v(λ) the variance of ((y / g)^λ - 1) / λ over its n values, λ maximises

    Σ over series of  -n / 2 log v(λ)

Exponents below 0 are left out: their image ends at -1/λ, and a forecast that went there would be infinite. Above 1 no
swing that grows with its level is tamed. The image ends at -1/λ for λ > 0 too, but below, where y is 0: what lies
beyond is taken for 0.

Source: Box and Cox, J. Royal Stat. Society B 26(2), 1964, 211-252, equations (1), (8) and (9).
"""

from importlib import import_module

import numpy as np

_LARGEST = np.finfo(np.float64).max


def forward(y: np.ndarray, power: float) -> np.ndarray:
    """Transform positive values.

    Args:
        y: positive values, NaN in gaps.
        power: λ, from 0 to 1.
    Returns:
        f(y), of the shape of `y`.
    """
    return np.asarray(np.expm1(power * np.log(y)) / power if power > 0 else np.log(y))


def inverse(z: np.ndarray, power: float) -> np.ndarray:
    """Undo `forward`: exactly where it comes from, 0 below its image, and the largest number above all others.

    Args:
        z: transformed values.
        power: λ, from 0 to 1.
    Returns:
        y from 0 on, of the shape of `z`.
    """
    with np.errstate(divide="ignore", over="ignore"):
        logarithm = np.log1p(np.maximum(power * z, -1.0)) / power if power > 0 else z
    return np.exp(np.minimum(logarithm, np.log(_LARGEST)))


def log_likelihood(power: float, logarithms: np.ndarray, series: np.ndarray, count: np.ndarray) -> float:
    """Return the profile log-likelihood of λ over all series, but for a constant.

    Args:
        power: λ.
        logarithms: log(y / g) of each value, g the geometric mean of its series, ``(values,)``.
        series: number of the series of each value, ``(values,)``; none of them is constant.
        count: values of each series, ``(series,)``.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        z = np.expm1(power * logarithms) / power if power > 0 else logarithms
        mean = np.bincount(series, z, len(count)) / np.maximum(count, 1)
        variance = np.bincount(series, (z - mean[series]) ** 2, len(count)) / np.maximum(count, 1)
    variance = np.nan_to_num(variance, nan=_LARGEST, posinf=_LARGEST)
    return float(-(count[count > 0] / 2 * np.log(variance[count > 0])).sum())


def best_power(values: np.ndarray, lengths: np.ndarray) -> float:
    """Return the λ from 0 to 1 that serves a table best.

    Args:
        values: positive values of all series one behind the other, NaN in gaps.
        lengths: steps of each series.
    Returns:
        λ, to 1e-4; 1 where all series are constant.
    """
    seen = np.isfinite(values)
    series = np.repeat(np.arange(len(lengths)), lengths)[seen]
    count = np.bincount(series, minlength=len(lengths))
    logarithms = np.log(values[seen])
    logarithms -= (np.bincount(series, logarithms, len(lengths)) / np.maximum(count, 1))[series]
    told = (np.bincount(series, logarithms**2, len(lengths)) > 1e-24 * count)[series]  # constant series tell nothing
    logarithms, series = logarithms[told], series[told]
    count = np.bincount(series, minlength=len(lengths))
    if not count.any():
        return 1.0

    def loss(power: float) -> float:
        return -log_likelihood(power, logarithms, series, count)

    minimize = import_module("scipy.optimize").minimize_scalar
    inside = minimize(loss, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-5}).x
    return min((0.0, float(inside), 1.0), key=loss)
