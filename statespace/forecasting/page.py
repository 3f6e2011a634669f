"""A forecast or a backtest as one page of HTML with charts to zoom into, which needs no other file and no network.

The worst and the best series are those with the highest and the lowest

    MASE of the model / MASE of the seasonal naive forecast,

so that a series which nobody can forecast is not the worst for that alone.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from statespace.errors import InputError
from statespace.forecasting import charts
from statespace.forecasting.scores import NAIVE
from statespace.page import number, section, table, whole_page

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from statespace.forecasting.report import Report

_DRAWN = 3  # of the worst series, and as many of the best
_LISTED = 50  # series in the table
# No button sends a chart to anybody: newer plotly has one that uploads it.
_CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["sendChartToCloud"],
    "plotlyServerURL": "",
}


def expect_plotly(where: str) -> None:
    """Check that plotly is there, which draws the charts of the page.

    Args:
        where: the function or option, for the message.
    Raises:
        InputError: it is not installed.
    """
    if find_spec("plotly") is None:
        raise InputError(f'{where}: plotly is missing, so no page can be made: pip install "statespace[report]".')


class _Charts:
    """Turns figures into HTML, each with a name of its own, the same every time."""

    def __init__(self) -> None:
        self._count = 0

    def html(self, figure: "Figure") -> str:
        self._count += 1
        text = figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=f"chart-{self._count}",
            config=_CONFIG,
        )
        return f'<div class="chart">{text}</div>'


def _ranked(report: "Report") -> pd.DataFrame:
    """Return the series with their MASE beside that of seasonal naive, the worst first, undefined ones last."""
    own = report.forecaster.name
    rows = [(key, models[own]["mase"], models[NAIVE]["mase"]) for key, models in report.metrics["series"].items()]
    found = pd.DataFrame(rows, columns=["series", f"MASE {own}", f"MASE {NAIVE}"])
    found = found.astype(dict.fromkeys(found.columns[1:], float))
    with np.errstate(divide="ignore", invalid="ignore"):
        found["ratio"] = (found.iloc[:, 1] / found.iloc[:, 2]).replace(np.inf, np.nan)
    return found.sort_values("ratio", ascending=False, kind="stable", ignore_index=True)


def _models(models: dict[str, dict[str, float | None]]) -> pd.DataFrame:
    found = pd.DataFrame.from_dict(models, orient="index", dtype=float)
    return found.rename(columns=str.upper).rename_axis("mean").reset_index()


def _windows(report: "Report") -> pd.DataFrame:
    """Return a row for each window: its cutoff, or the first and the last of them, MASE and coverage."""
    rows: list[dict[str, Any]] = []
    for window in report.metrics["windows"]:
        row: dict[str, Any] = {"cutoff": " … ".join(dict.fromkeys(window["cutoffs"])), "series": window["series"]}
        for model, kinds in window["models"].items():
            row[f"MASE {model}"] = np.nan if kinds["mase"] is None else kinds["mase"]
        row |= {f"in the {level} % band, %": share for level, share in window["coverage"].items()}
        rows.append(row)
    return pd.DataFrame(rows)


def _measured(report: "Report", draw: _Charts) -> list[str]:
    """Return the sections on what was held out."""
    ranked, metrics = _ranked(report), report.metrics
    names = {str(name): name for name in report.history[report.forecaster.columns.id].unique()}
    content = [section("How good it is, beside seasonal naive", table(_models(metrics["models"])))]
    if len(metrics["windows"]) > 1:
        content.append(section("Window by window", table(_windows(report))))
    if metrics["calibration"]:
        content.append(section("How honest the bands are", draw.html(charts.calibration(report))))
    groups = {"Series, the worst first": ranked}
    if len(ranked) > 2 * _DRAWN:
        told = ranked[ranked["ratio"].notna()]
        groups = {"The worst series": told.head(_DRAWN), "The best series": told[_DRAWN:].tail(_DRAWN).iloc[::-1]}
    for heading, group in groups.items():
        drawn = [
            section(
                f"{key}: MASE {number(own)}, seasonal naive {number(naive)}",
                draw.html(charts.series(report, names[key])),
                depth=3,
            )
            for key, own, naive in zip(group["series"], group.iloc[:, 1], group.iloc[:, 2], strict=True)
        ]
        content.append(section(heading, *drawn))
    title = "Series by series" if len(ranked) <= _LISTED else f"The {_LISTED} worst of {len(ranked)} series"
    content.append(section(title, table(ranked.head(_LISTED))))
    return content


def page(report: "Report", title: str) -> str:
    """Return the page.

    Args:
        report: what `report.run` or `backtest.run` returned.
        title: its heading.
    Returns:
        HTML.
    Raises:
        InputError: plotly is missing.
    """
    expect_plotly("backtest" if report.forecast is None else "forecast")
    from plotly.offline import get_plotlyjs

    metrics, draw = report.metrics, _Charts()
    facts = {
        "model": report.forecaster.name,
        "steps ahead": metrics["h"],
        "freq": metrics["freq"],
        "steps in a season": metrics["season_length"],
        "rows": metrics["rows"],
    }
    if metrics["holdout"] is None:
        facts["not measured"] = metrics["reason"]
    else:
        words = {False: "once, before the first window", True: "for each window"}
        for name, value in metrics["holdout"].items():
            facts[f"held out, {name.replace('_', ' ')}"] = words.get(value, value) if name == "refit" else value
    content = [table(pd.DataFrame(list(facts.items()), columns=["", "value"]))]
    if report.backtest is not None:
        content += _measured(report, draw)
    else:
        for name in report.history[report.forecaster.columns.id].unique()[: 2 * _DRAWN]:
            content.append(section(str(name), draw.html(charts.series(report, name))))
    return whole_page(title, *content, head=f"<script>{get_plotlyjs()}</script>")
