"""The picture of a forecast: history, what was held out and how it was forecast, and what comes next with its bands."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from statespace.errors import InputError
from statespace.plotting import plotting_is_possible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from statespace.forecasting.report import Report

_HISTORY, _FORECAST, _BACKTEST = "#33415c", "#c8553d", "#2a9d8f"


def _bands(
    axes: "Axes", rows: pd.DataFrame, time: str, name: str, levels: list[float], colour: str, label: str
) -> None:
    for level in sorted(levels, reverse=True):
        low, high = rows[f"{name}-lo-{level}"], rows[f"{name}-hi-{level}"]
        axes.fill_between(rows[time], low, high, color=colour, alpha=0.18, linewidth=0, label=f"{label}, {level} %")
    axes.plot(rows[time], rows[name], color=colour, linewidth=1.6, label=f"{label}, median")


def plot(report: "Report", series: Any, axes: "Axes") -> None:
    """Draw one series of a report on axes of matplotlib.

    Args:
        report: what `report.run` returned.
        series: its name.
        axes: where to draw.
    """
    fc = report.forecaster
    key, time, target = fc.columns.id, fc.columns.time, fc.columns.target
    rows = {
        part: table[table[key] == series]
        for part, table in {
            "history": report.history,
            "forecast": report.forecast,
            "backtest": report.backtest if report.backtest is not None else report.forecast.iloc[:0],
        }.items()
    }
    shown = rows["history"].tail(max(6 * fc.h, 4 * fc.season, 60))
    axes.plot(shown[time], shown[target], color=_HISTORY, linewidth=1.2, label="observed")
    if len(rows["backtest"]):
        _bands(axes, rows["backtest"], time, fc.name, list(report.levels), _BACKTEST, "held out")
    _bands(axes, rows["forecast"], time, fc.name, list(report.levels), _FORECAST, "forecast")
    axes.set_title(f"{series}: {fc.name}, next {len(rows['forecast'])} steps", parse_math=False)
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
