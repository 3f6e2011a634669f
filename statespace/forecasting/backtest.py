"""One backtest from a table to a report: forecast the last windows of each series without having seen them, measure.

Nothing is forecast beyond the table, and no model is kept: that is the job of `forecasting.report`.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from statespace.forecasting.calendar import Freq
from statespace.forecasting.calendar import season_length as usual_season
from statespace.forecasting.cross_validation import CUTOFF, cross_validation
from statespace.forecasting.estimator import Forecaster
from statespace.forecasting.fitting import read_series
from statespace.forecasting.report import Report
from statespace.forecasting.scores import only_levels, summary, with_levels


def run(
    frame: pd.DataFrame,
    make: Callable[[], Forecaster],
    freq: Freq | None,
    levels: Sequence[float],
    n_windows: int = 1,
    step_size: int | None = None,
    refit: bool | int = False,
    static_df: pd.DataFrame | None = None,
) -> Report:
    """Backtest a forecaster on a table.

    Args:
        frame: long data frame.
        make: gives a new, unfitted forecaster.
        freq: distance between two stamps, or ``None`` to infer it.
        levels: levels of the intervals, in percent.
        n_windows: windows of each series, counted from its end.
        step_size: steps from one window to the next; by default the horizon.
        refit: whether to fit again for each window, or after how many windows.
        static_df: a row for each series, where the forecaster has such covariates.
    Returns:
        The forecasts with their metrics: on average, for each window and for each series, beside seasonal naive.
    Raises:
        InputError: the table cannot be used, or is too short for the windows.
        KeyboardInterrupt: a training was interrupted.
    """
    fc = make()
    table = cross_validation(
        "backtest", make, frame, n_windows, step_size, refit, freq, static_df=static_df, level=with_levels(levels)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # said once, by cross_validation
        series = read_series("backtest", fc, frame, freq)
    history = series.frame(fc.columns)
    season = fc.season_length or usual_season(series.freq)
    found: dict[str, Any] = {
        "h": fc.h,
        "freq": series.freq,
        "season_length": season,
        "rows": len(frame),
        "holdout": {
            "steps": fc.h,
            "series": int(table[fc.columns.id].nunique()),
            "windows": int(table.groupby(fc.columns.id, sort=False)[CUTOFF].nunique().max()),
            "step_size": step_size or fc.h,
            "refit": refit,
        },
    }
    found |= summary(table, history, fc.name, fc.columns, season, levels)
    return Report(fc, history, None, only_levels(table, fc.name, levels), found, levels)
