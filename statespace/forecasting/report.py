"""One forecasting job from a table to a folder: fit, forecast, hold out and measure, draw, save.

The folder holds ``forecast.csv`` (or ``.parquet``), ``metrics.json``, a picture for each chosen series, and ``model/``.
It appears whole or not at all.
"""

import json
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from statespace.datasets import write_frame
from statespace.errors import InputError
from statespace.files import replace_folder_atomically
from statespace.forecasting.calendar import Freq
from statespace.forecasting.estimator import Forecaster
from statespace.forecasting.evaluation import coverage, mean_metrics, metrics, seasonal_naive
from statespace.forecasting.panel import panel

# What an earlier job may have left in the folder and this one may not replace by the same name.
STALE = ("forecast.csv", "forecast.parquet", "metrics.json", "*.png")


@dataclass(frozen=True)
class Report:
    """What a forecasting job found.

    Attributes:
        forecaster: fitted on all rows.
        history: all rows on a regular grid.
        forecast: the steps after the last row.
        backtest: forecast of the held-out steps by a second model that has not seen them; ``None`` without one.
        metrics: of the backtest, beside seasonal naive; ready for JSON.
        levels: levels of the intervals.
    """

    forecaster: Forecaster
    history: pd.DataFrame
    forecast: pd.DataFrame
    backtest: pd.DataFrame | None
    metrics: dict[str, Any]
    levels: Sequence[float]


def _compare(
    fc: Forecaster, train: pd.DataFrame, test: pd.DataFrame, backtest: pd.DataFrame, levels: Sequence[float]
) -> dict[str, Any]:
    """Measure a backtest, series by series and on average."""
    key, target, season = fc.columns.id, fc.columns.target, fc.season
    past = {name: part[target].to_numpy() for name, part in train.groupby(key, sort=False)}
    own, naive = {}, {}
    for name, part in test.groupby(key, sort=False):
        actual, history = part[target].to_numpy(), past[name]
        guess = backtest.loc[backtest[key] == name, fc.name].to_numpy()[: len(actual)]
        own[str(name)] = metrics(actual, guess, history, season)
        naive[str(name)] = metrics(actual, seasonal_naive(history, len(actual), season), history, season)
    return {
        "models": {fc.name: mean_metrics(list(own.values())), "SeasonalNaive": mean_metrics(list(naive.values()))},
        "coverage": coverage(test[target].to_numpy(), backtest, fc.name, levels),
        "series": {name: {fc.name: own[name], "SeasonalNaive": naive[name]} for name in own},
    }


def run(
    frame: pd.DataFrame,
    make: Callable[[], Forecaster],
    freq: Freq | None,
    levels: Sequence[float],
    holdout: bool = True,
) -> Report:
    """Fit on all rows and forecast; then hold out the last `h` steps, fit without them, and measure.

    Args:
        frame: long data frame.
        make: gives a new, unfitted forecaster.
        freq: distance between two stamps, or ``None`` to infer it.
        levels: levels of the intervals, in percent.
        holdout: whether to measure.
    Returns:
        Forecast, backtest and metrics.
    Raises:
        InputError: the table cannot be used.
    """
    fc = make().fit(frame, freq)
    forecast = fc.predict(level=levels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # said once, by fit
        history = panel("forecast", frame, fc.columns, fc.freq).frame(fc.columns)
    found: dict[str, Any] = {"h": fc.h, "freq": fc.freq, "season_length": fc.season, "rows": len(frame)}
    reason = None
    # Without its last h steps a series must still have one step of history and h targets.
    long_enough = history.groupby(fc.columns.id, sort=False)[fc.columns.target].transform("size") > 2 * fc.h
    test = history[long_enough].groupby(fc.columns.id, sort=False).tail(fc.h)
    if not holdout:
        reason = "not asked for"
    elif fc.outcome is not None and fc.outcome.interrupted:
        reason = "training was interrupted"
    elif test[fc.columns.target].notna().sum() == 0:
        reason = f"no series has more than {2 * fc.h} steps with something observed in the last {fc.h}"
    if reason is not None:
        return Report(fc, history, forecast, None, found | {"holdout": None, "reason": reason}, levels)
    train = history.drop(test.index)
    other = make()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            other.fit(train, fc.freq)
        if other.outcome is not None and other.outcome.interrupted:
            reason = "the measurement was interrupted"
    except InputError as error:
        reason = str(error)
    if reason is not None:
        return Report(fc, history, forecast, None, found | {"holdout": None, "reason": reason}, levels)
    backtest = other.predict(level=levels)
    backtest = backtest[backtest[fc.columns.id].isin(test[fc.columns.id])].reset_index(drop=True)
    found["holdout"] = {"steps": fc.h, "series": int(test[fc.columns.id].nunique())}
    found |= _compare(fc, train, test, backtest, levels)
    return Report(fc, history, forecast, backtest, found, levels)


def _file_names(names: Sequence[Any]) -> list[str]:
    """Turn the names of series into different file names that every system takes."""
    taken: set[str] = set()
    found = []
    for name in names:
        plain = re.sub(r"[^\w.-]+", "_", str(name)).strip("._")[:80] or "series"
        unique, count = plain, 2
        while unique.lower() in taken:
            unique, count = f"{plain}-{count}", count + 1
        taken.add(unique.lower())
        found.append(f"{unique}.png")
    return found


def write(report: Report, folder: Path | str, suffix: str, plotted: Sequence[Any]) -> list[str]:
    """Write a report to a folder, whole or not at all.

    Args:
        report: what `run` returned.
        folder: where to; other files that are there stay.
        suffix: ``"csv"`` or ``"parquet"``.
        plotted: names of the series to draw; empty for none.
    Returns:
        The names of the files and of the folder that were written.
    Raises:
        InputError: the folder cannot be written, or matplotlib is missing and something is to be drawn.
    """
    pictures = _file_names(plotted)
    with replace_folder_atomically("forecast", folder, STALE) as fresh:
        write_frame(report.forecast, fresh / f"forecast.{suffix}")
        text = json.dumps(report.metrics, indent=1, default=_as_plain) + "\n"
        (fresh / "metrics.json").write_text(text, encoding="utf-8")
        report.forecaster.save(fresh / "model")
        if plotted:
            from statespace.forecasting.figures import draw

            for name, picture in zip(plotted, pictures, strict=True):
                draw(report, name, fresh / picture)
    return [f"forecast.{suffix}", "metrics.json", *pictures, "model/"]


def _as_plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else str(value)
