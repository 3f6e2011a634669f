"""A backtest measured: each window of each series beside the seasonal naive forecast, and how honest the bands are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from statespace.forecasting.cross_validation import CUTOFF
from statespace.forecasting.evaluation import Metrics, coverage, mean_metrics, metrics, seasonal_naive
from statespace.forecasting.panel import Columns

NAIVE = "SeasonalNaive"
CALIBRATED = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99)
"""Levels, in percent, at which bands are held against what came, whatever levels were asked for."""


@dataclass(frozen=True)
class Block:
    """The forecast of one window of one series, measured.

    Attributes:
        series: its name.
        window: its number, from 0; that of the last window of each series is the same.
        cutoff: the last stamp that was known.
        models: metrics of the model and of the seasonal naive forecast, by name.
    """

    series: Any
    window: int
    cutoff: Any
    models: dict[str, Metrics]


def measure(table: pd.DataFrame, history: pd.DataFrame, name: str, columns: Columns, season: int) -> list[Block]:
    """Measure each window of each series.

    Args:
        table: what `Forecaster.cross_validation` returns.
        history: all steps of its series, on their grid.
        name: of the model's column.
        columns: names of the columns.
        season: steps in a season.
    Returns:
        The windows, series by series.
    """
    known = dict(iter(history.groupby(columns.id, sort=False)))
    count = table.groupby(columns.id, sort=False)[CUTOFF].nunique()
    found = []
    for key, part in table.groupby(columns.id, sort=False):
        first = int(count.max() - count[key])  # windows are counted from the end
        for window, (cutoff, rows) in enumerate(part.groupby(CUTOFF, sort=True), first):
            past = known[key].loc[known[key][columns.time] <= cutoff, columns.target].to_numpy()
            actual = rows[columns.target].to_numpy()
            guesses = {name: rows[name].to_numpy(), NAIVE: seasonal_naive(past, len(actual), season)}
            models = {model: metrics(actual, guess, past, season) for model, guess in guesses.items()}
            found.append(Block(key, window, cutoff, models))
    return found


def mean_models(blocks: Sequence[Block]) -> dict[str, Metrics]:
    """Average the metrics of each model over windows, each of the same weight."""
    return {model: mean_metrics([block.models[model] for block in blocks]) for model in blocks[0].models}


def summary(
    table: pd.DataFrame, history: pd.DataFrame, name: str, columns: Columns, season: int, levels: Sequence[float]
) -> dict[str, Any]:
    """Measure a backtest: on average, window by window and series by series.

    Args:
        table: what `Forecaster.cross_validation` returns, with bands at `levels` and at `CALIBRATED`.
        history: all steps of its series, on their grid.
        name: of the model's column.
        columns: names of the columns.
        season: steps in a season.
        levels: levels whose coverage is told.
    Returns:
        ``models`` (metrics by name of the model), ``coverage`` (percent, by level), ``calibration`` (the same at
        `CALIBRATED`), ``windows`` (a list of these) and ``series`` (metrics by name of the series and the model),
        ready for JSON.
    """
    blocks = measure(table, history, name, columns, season)
    numbers = {(block.series, block.cutoff): block.window for block in blocks}
    window = np.array([numbers[place] for place in zip(table[columns.id], table[CUTOFF], strict=True)])
    windows = []
    for number in np.unique(window):
        own, rows = [block for block in blocks if block.window == number], table[window == number]
        cutoffs = sorted({block.cutoff for block in own})
        windows.append(
            {
                "cutoffs": [str(cutoff).removesuffix(" 00:00:00") for cutoff in (cutoffs[0], cutoffs[-1])],
                "series": len(own),
                "models": mean_models(own),
                "coverage": coverage(rows[columns.target].to_numpy(), rows, name, levels),
            }
        )
    by_series: dict[str, list[Block]] = {}
    for block in blocks:
        by_series.setdefault(str(block.series), []).append(block)
    came = table[columns.target].to_numpy()
    return {
        "models": mean_models(blocks),
        "coverage": coverage(came, table, name, levels),
        "calibration": coverage(came, table, name, CALIBRATED),
        "windows": windows,
        "series": {key: mean_models(own) for key, own in by_series.items()},
    }


def with_levels(levels: Sequence[float]) -> list[float]:
    """Return the levels that a backtest has to be asked for so that `summary` can measure it."""
    return sorted({*levels, *CALIBRATED})


def only_levels(table: pd.DataFrame, name: str, levels: Sequence[float]) -> pd.DataFrame:
    """Leave out the bands at other levels than `levels`."""
    others = set(CALIBRATED) - set(levels)
    return table.drop(columns=[f"{name}-{end}-{level}" for level in others for end in ("lo", "hi")])
