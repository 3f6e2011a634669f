"""One forecasting job from a table to a folder: fit, forecast, hold out and measure, draw, save.

The folder holds ``forecast.csv`` (or ``.parquet``), ``metrics.json``, a picture for each chosen series, ``model/``, and
``report.html`` if it is asked for. It appears whole or not at all. A backtest (see `forecasting.backtest`) is written
in the same way, with ``cross_validation.csv`` for the forecast and the model.
"""

import json
import os
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
from statespace.forecasting.calendar import IRREGULAR, Freq
from statespace.forecasting.cross_validation import CUTOFF
from statespace.forecasting.estimator import Forecaster
from statespace.forecasting.fitting import read_series
from statespace.forecasting.options import expect_apart
from statespace.forecasting.reader import Reader
from statespace.forecasting.scores import only_levels, summary, with_levels
from statespace.training import Stages

# What an earlier job may have left in the folder and this one may not replace by the same name.
STALE = ("forecast.*", "cross_validation.*", "metrics.json", "report.html", "*.png")


@dataclass(frozen=True)
class Report:
    """What a forecasting job found.

    Attributes:
        forecaster: fitted on all rows; after a backtest alone, not fitted.
        history: all rows on a regular grid.
        forecast: the steps after the last row; ``None`` after a backtest alone.
        backtest: forecast of held-out steps by models that have not seen them, as `Forecaster.cross_validation` gives
            it; ``None`` without one.
        metrics: ``h``, ``season_length`` and others; and those of the backtest, beside seasonal naive; ready for JSON.
        levels: levels of the intervals.
        kept: of the fits on the way; to be cleared once the report is written.
    """

    forecaster: Forecaster
    history: pd.DataFrame
    forecast: pd.DataFrame | None
    backtest: pd.DataFrame | None
    metrics: dict[str, Any]
    levels: Sequence[float]
    kept: Sequence[Stages] = ()


def run(
    frame: pd.DataFrame,
    make: Callable[[], Forecaster],
    freq: Freq | None,
    levels: Sequence[float],
    holdout: bool = True,
    checkpoint: Path | str | None = None,
    static_df: pd.DataFrame | None = None,
    futr_df: pd.DataFrame | None = None,
) -> Report:
    """Fit on all rows and forecast; then hold out the last `h` steps, fit without them, and measure.

    Args:
        frame: long data frame.
        make: gives a new, unfitted forecaster.
        freq: distance between two stamps, or ``None`` to infer it.
        levels: levels of the intervals, in percent.
        holdout: whether to measure.
        checkpoint: a folder of its own that the first fit is kept in, as `Forecaster.fit` keeps it; the second is in
            the one beside it whose name goes on with ``-held-out``. Who has written the report takes them away.
        static_df: a row for each series, where the forecaster has such covariates.
        futr_df: covariates of the steps to forecast, or without a grid their stamps; those of the held-out steps are
            taken from `frame`.
    Returns:
        Forecast, backtest and metrics.
    Raises:
        InputError: the table cannot be used.
    """
    fc = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # said once, by fit
        series = read_series("Forecaster.fit", fc, frame, freq)
    if fc.columns.futr or futr_df is not None:  # what it lacks is said before the training
        Reader(fc.columns, series.freq).lead("forecast", series, futr_df, fc.h)
    kept = [fc._fit("Forecaster.fit", frame, freq, static_df, checkpoint=checkpoint)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Forecaster.predict: nothing was observed")  # said once, by fit
        forecast = fc.predict(level=levels, futr_df=futr_df)
    history = series.frame(fc.columns)
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
        return Report(fc, history, forecast, None, found | {"holdout": None, "reason": reason}, levels, kept)
    train = history.drop(test.index)
    other = make()
    try:
        expect_apart("forecast", fc.columns, fc.name, CUTOFF, with_target=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            beside = None if checkpoint is None else Path(f"{os.fspath(checkpoint).rstrip(os.sep)}-held-out")
            kept.append(other._fit("Forecaster.fit", train, fc.freq, static_df, checkpoint=beside))
        if other.outcome is not None and other.outcome.interrupted:
            reason = "the measurement was interrupted"
        else:
            known = train[train[fc.columns.id].isin(test[fc.columns.id])]
            came = test if fc.columns.futr or fc.freq == IRREGULAR else None  # without a grid, the stamps are asked for
            backtest = other.predict(known, level=with_levels(levels), futr_df=came, static_df=static_df)
    except InputError as error:
        reason = str(error)
    if reason is not None:
        return Report(fc, history, forecast, None, found | {"holdout": None, "reason": reason}, levels, kept)
    last = train.groupby(fc.columns.id, sort=False)[fc.columns.time].last()
    backtest.insert(2, CUTOFF, backtest[fc.columns.id].map(last))
    backtest[fc.columns.target] = test[fc.columns.target].to_numpy()
    found["holdout"] = {"steps": fc.h, "series": int(test[fc.columns.id].nunique())}
    found |= summary(backtest, history, fc.name, fc.columns, fc.season, levels)
    return Report(fc, history, forecast, only_levels(backtest, fc.name, levels), found, levels, kept)


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


def write(
    report: Report, folder: Path | str, suffix: str, plotted: Sequence[Any], title: str | None = None
) -> list[str]:
    """Write a report to a folder, whole or not at all.

    Args:
        report: what `run` or `backtest.run` returned.
        folder: where to; other files that are there stay.
        suffix: ``"csv"`` or ``"parquet"``.
        plotted: names of the series to draw; empty for none.
        title: of the page ``report.html``; ``None`` for no such page.
    Returns:
        The names of the files and of the folder that were written.
    Raises:
        InputError: the folder cannot be written, matplotlib is missing and something is to be drawn, or plotly is
            missing and a page is asked for.
    """
    where = "backtest" if report.forecast is None else "forecast"
    pictures = _file_names(plotted)
    written = ["metrics.json", *pictures]
    with replace_folder_atomically(where, folder, STALE) as fresh:
        text = json.dumps(report.metrics, indent=1, default=_as_plain) + "\n"
        (fresh / "metrics.json").write_text(text, encoding="utf-8")
        if report.forecast is not None:
            write_frame(report.forecast, fresh / f"forecast.{suffix}")
            report.forecaster.save(fresh / "model")
            written = [f"forecast.{suffix}", *written, "model/"]
        elif report.backtest is not None:
            write_frame(report.backtest, fresh / f"cross_validation.{suffix}")
            written = [f"cross_validation.{suffix}", *written]
        if plotted:
            from statespace.forecasting.figures import draw

            for name, picture in zip(plotted, pictures, strict=True):
                draw(report, name, fresh / picture)
        if title is not None:
            from statespace.forecasting.page import page

            (fresh / "report.html").write_text(page(report, title), encoding="utf-8")
            written.append("report.html")
    return written


def _as_plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else str(value)
