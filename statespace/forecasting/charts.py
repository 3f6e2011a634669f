"""Charts to zoom into and to point at, drawn by plotly in a browser: one series of a report, and its calibration."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from statespace.forecasting.figures import BACKTEST, FORECAST, HISTORY, parts

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from statespace.forecasting.report import Report

_LAYOUT = {
    "template": "plotly_white",
    "margin": {"l": 60, "r": 20, "t": 20, "b": 50},
    "legend": {"orientation": "h", "y": -0.15},
}


def _rgba(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def _x(stamps: pd.Series) -> np.ndarray:
    """Return stamps as the clock on the wall shows them; a browser knows UTC and its own zone only."""
    index = pd.Index(stamps.tolist())
    return np.asarray(index.tz_localize(None) if isinstance(index, pd.DatetimeIndex) and index.tz else index)


def _add_bands(
    figure: "Figure", rows: pd.DataFrame, report: "Report", colour: str, label: str, in_legend: bool
) -> None:
    fc = report.forecaster
    x = _x(rows[fc.columns.time])
    for level in sorted(report.levels, reverse=True):
        group = f"{label}, {level} %"
        for end, fill in (("lo", None), ("hi", "tonexty")):
            figure.add_scatter(
                x=x,
                y=rows[f"{fc.name}-{end}-{level}"].to_numpy(),
                mode="lines",
                line={"width": 0, "color": colour},
                fill=fill,
                fillcolor=_rgba(colour, 0.18),
                name=group if fill else f"{group} from",
                legendgroup=group,
                showlegend=in_legend and fill is not None,
            )
    figure.add_scatter(
        x=x,
        y=rows[fc.name].to_numpy(),
        mode="lines+markers" if len(rows) == 1 else "lines",
        line={"color": colour, "width": 2},
        name=f"{label}, median",
        legendgroup=label,
        showlegend=in_legend,
    )


def series(report: "Report", name: Any) -> "Figure":
    """Draw one series: its history, what was held out and how it was forecast, and what comes next, with bands.

    Args:
        report: what `report.run` or `backtest.run` returned.
        name: of the series.
    Returns:
        A figure of plotly; no name of a series or column stands in it.
    """
    from plotly.graph_objects import Figure

    columns = report.forecaster.columns
    shown, windows, forecast = parts(report, name)
    figure = Figure()
    for number, window in enumerate(windows):
        _add_bands(figure, window, report, BACKTEST, "held out", number == 0)
    if forecast is not None:
        _add_bands(figure, forecast, report, FORECAST, "forecast", True)
    figure.add_scatter(
        x=_x(shown[columns.time]),
        y=shown[columns.target].to_numpy(),
        mode="lines+markers",
        line={"color": HISTORY, "width": 1.2},
        marker={"size": 3},  # a value between two gaps has no line
        name="observed",
    )
    return figure.update_layout(**_LAYOUT, height=380, hovermode="x unified")


def calibration(report: "Report") -> "Figure":
    """Draw which share of the held-out values lay inside the band of each level; on the diagonal, as many as said.

    Args:
        report: with a backtest.
    Returns:
        A figure of plotly.
    """
    from plotly.graph_objects import Figure

    shares = report.metrics["calibration"]
    figure = Figure()
    figure.add_scatter(
        x=[0, 100], y=[0, 100], mode="lines", line={"color": "#8d99ae", "dash": "dash"}, name="as many as said"
    )
    figure.add_scatter(
        x=[float(level) for level in shares],
        y=list(shares.values()),
        mode="lines+markers",
        line={"color": FORECAST},
        name=report.forecaster.name,
        hovertemplate="%{y:.1f} % lie in the %{x} % band",
    )
    axis = {"range": [0, 102], "dtick": 20}
    return figure.update_layout(
        **_LAYOUT,
        height=440,
        width=520,
        xaxis=axis | {"title": {"text": "level of the band, %"}},
        yaxis=axis | {"title": {"text": "held-out values inside, %"}},
    )
