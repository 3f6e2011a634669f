"""How good a forecast is: the usual metrics on held-out steps, beside the seasonal naive forecast.

    MASE = MAE / mean |y_t - y_{t-m}| over the history,    m the season

Source: Hyndman and Koehler, International Journal of Forecasting 22(4), 2006, 679-688.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torchmetrics.functional import (
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    symmetric_mean_absolute_percentage_error,
)

Metrics = dict[str, float | None]


def seasonal_naive(history: np.ndarray, h: int, season: int) -> np.ndarray:
    """Forecast each step by the last value that was observed a whole number of seasons before it.

    Args:
        history: values of one series, NaN in gaps, ``(steps,)``.
        h: number of steps.
        season: steps in a season; 1 repeats the last value.
    Returns:
        ``(h,)``; where no season holds a value, the last observed one, and NaN if there is none.
    """
    seen = history[~np.isnan(history)]
    forecast = np.full(h, seen[-1] if len(seen) else np.nan)
    for step in range(min(season, h)):
        same = history[len(history) - season + step :: -season] if len(history) >= season - step else history[:0]
        same = same[~np.isnan(same)]
        if len(same):
            forecast[step::season] = same[0]
    return forecast


def metrics(actual: np.ndarray, forecast: np.ndarray, history: np.ndarray, season: int) -> Metrics:
    """Compare a forecast of one series with what came.

    Args:
        actual: held-out values, NaN in gaps, ``(h,)``.
        forecast: their forecast, ``(h,)``.
        history: values before them, NaN in gaps, ``(steps,)``.
        season: steps in a season, for MASE.
    Returns:
        ``mae`` and ``rmse`` in the units of the data, ``mape`` and ``smape`` in percent (sMAPE up to 200), ``mase``
        without unit; ``None`` where a metric is not defined: MAPE where a value is 0, MASE of a constant history.
    """
    seen = ~np.isnan(actual) & ~np.isnan(forecast)
    if not seen.any():
        return dict.fromkeys(("mae", "rmse", "mape", "smape", "mase"))
    y, guess = torch.as_tensor(actual[seen]), torch.as_tensor(forecast[seen])
    mae = float(mean_absolute_error(guess, y))
    lag = season if len(history) > season else 1
    change = np.abs(history[lag:] - history[:-lag])
    scale = float(np.nanmean(change)) if (~np.isnan(change)).any() else 0.0
    found = {
        "mae": mae,
        "rmse": float(mean_squared_error(guess, y, squared=False)),
        "mape": 100 * float(mean_absolute_percentage_error(guess, y)) if bool((y != 0).all()) else None,
        "smape": 100 * float(symmetric_mean_absolute_percentage_error(guess, y)),
        "mase": mae / scale if scale > 0 else None,
    }
    return {name: value if value is not None and np.isfinite(value) else None for name, value in found.items()}


def coverage(actual: np.ndarray, forecast: pd.DataFrame, name: str, levels: Sequence[float]) -> dict[str, float]:
    """Return the share of held-out values inside each interval, in percent.

    Args:
        actual: held-out values, NaN in gaps, ``(rows,)``.
        forecast: rows with the columns ``name-lo-80``, ``name-hi-80`` …
        name: name of the model.
        levels: the levels.
    Returns:
        The percentage for each level, by its name, of the values that were observed and forecast; without any, none.
    """
    seen = ~np.isnan(actual) & forecast[name].notna().to_numpy()
    if not seen.any():
        return {}
    found = {}
    for level in levels:
        low, high = (forecast[f"{name}-{end}-{level}"].to_numpy()[seen] for end in ("lo", "hi"))
        found[str(level)] = 100 * float(((low <= actual[seen]) & (actual[seen] <= high)).mean())
    return found


def mean_metrics(each: Sequence[Metrics]) -> Metrics:
    """Average metrics over series, leaving out those where one is not defined."""
    found: Metrics = {}
    for name in each[0]:
        values = [value for one in each if (value := one[name]) is not None]
        found[name] = float(np.mean(values)) if values else None
    return found
