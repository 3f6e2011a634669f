"""The picture of a forecast: history, what was held out and how it was forecast, and what comes next with its bands."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from statespace.errors import InputError
from statespace.forecasting.cross_validation import CUTOFF
from statespace.plotting import plotting_is_possible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from statespace.forecasting.report import Report

HISTORY, FORECAST, BACKTEST = "#33415c", "#c8553d", "#2a9d8f"


def parts(report: "Report", series: Any) -> tuple[pd.DataFrame, list[pd.DataFrame], pd.DataFrame | None]:
    """Take one series out of a report.

    Args:
        report: what `report.run` or `backtest.run` returned.
        series: its name.
    Returns:
        As much of its history as is good to look at, the windows of the backtest, and the forecast if there is one.
    """
    key, time = report.forecaster.columns.id, report.forecaster.columns.time

    def own(table: pd.DataFrame) -> pd.DataFrame:
        rows: pd.DataFrame = table[table[key] == series]
        return rows

    windows = []
    if report.backtest is not None:
        windows = [window for _, window in own(report.backtest).groupby(CUTOFF, sort=True)]
    history = own(report.history)
    before = max(6 * report.metrics["h"], 4 * report.metrics["season_length"], 60)
    first = windows[0][time].iloc[0] if windows and report.forecast is None else history[time].iloc[-1]
    shown = history.iloc[max(int((history[time] < first).sum()) + 1 - before, 0) :]
    return shown, windows, None if report.forecast is None else own(report.forecast)


def _bands(
    axes: "Axes", rows: pd.DataFrame, time: str, name: str, levels: list[float], colour: str, label: str | None
) -> None:
    for level in sorted(levels, reverse=True):
        low, high = rows[f"{name}-lo-{level}"], rows[f"{name}-hi-{level}"]
        axes.fill_between(
            rows[time], low, high, color=colour, alpha=0.18, linewidth=0, label=label and f"{label}, {level} %"
        )
    axes.plot(rows[time], rows[name], color=colour, linewidth=1.6, label=label and f"{label}, median")


def plot(report: "Report", series: Any, axes: "Axes") -> None:
    """Draw one series of a report on axes of matplotlib.

    Args:
        report: what `report.run` or `backtest.run` returned.
        series: its name.
        axes: where to draw.
    """
    fc, levels = report.forecaster, list(report.levels)
    time, target = fc.columns.time, fc.columns.target
    shown, windows, forecast = parts(report, series)
    axes.plot(shown[time], shown[target], color=HISTORY, linewidth=1.2, label="observed")
    for number, window in enumerate(windows):
        _bands(axes, window, time, fc.name, levels, BACKTEST, None if number else "held out")
    if forecast is not None:
        _bands(axes, forecast, time, fc.name, levels, FORECAST, "forecast")
        what = f"next {len(forecast)} steps"
    else:
        what = f"{len(windows)} windows of {report.metrics['h']} steps"
    axes.set_title(f"{series}: {fc.name}, {what}", parse_math=False)
    axes.set_xlabel(time, parse_math=False)  # a name may hold dollar signs
    axes.set_ylabel(target, parse_math=False)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", fontsize=8, frameon=False)


def draw(report: "Report", series: Any, path: Path) -> None:
    """Draw one series of a report into a PNG file.

    Args:
        report: what `report.run` returned.
        series: its name.
        path: the file.
    Raises:
        InputError: matplotlib is missing, or cannot draw numbers of this size.
    """
    if not plotting_is_possible():
        raise InputError('forecast: matplotlib is missing, so nothing can be drawn: pip install "statespace[plot]".')
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(10, 4.2), layout="constrained")  # belongs to no window
    try:
        plot(report, series, canvas.subplots())
        canvas.savefig(path, dpi=130)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"forecast: series {series!r} cannot be drawn ({error}): scale its values, or ask for no picture of it."
        ) from error
