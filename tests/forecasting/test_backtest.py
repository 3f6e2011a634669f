"""A backtest as a job: its metrics against utilsforecast and worked by hand, its pictures, and its page."""

import json
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from statespace import Forecaster
from statespace.errors import InputError
from statespace.forecasting import figures, page
from statespace.forecasting.backtest import run
from statespace.forecasting.report import Report, write
from statespace.forecasting.report import run as forecast
from statespace.forecasting.scores import CALIBRATED, summary

Small = Callable[..., Forecaster]
Table = Callable[..., pd.DataFrame]
ODD = ["<script>alert(1)</script>", "A & B", "日本", "$x^{$", "quoted \" and '", "</script>", "plain", "--x"]


@pytest.fixture(scope="module")
def found(panel_frame: pd.DataFrame, small: Small) -> Report:
    return run(panel_frame, small, "MS", [80, 95], n_windows=3, step_size=2)


def test_metrics_are_means_over_windows_of_each_series(found: Report, panel_frame: pd.DataFrame) -> None:
    assert found.backtest is not None
    assert found.metrics["holdout"] == {"steps": 4, "series": 3, "windows": 3, "step_size": 2, "refit": False}
    errors: dict[str, list[tuple[float, float]]] = {}
    for (name, cutoff), own in found.backtest.groupby(["unique_id", "cutoff"]):
        rows = panel_frame[panel_frame["unique_id"] == name]
        past = rows.loc[rows["ds"] <= cutoff, "y"].to_numpy()
        scale = np.abs(past[12:] - past[:-12]).mean() if len(past) > 12 else np.abs(np.diff(past)).mean()
        naive = np.array([past[len(past) - 12 + step] if len(past) >= 12 - step else past[-1] for step in range(4)])
        y = own["y"].to_numpy()
        errors.setdefault(str(name), []).append(
            (np.abs(own["S4D"] - y).mean() / scale, np.abs(naive - y).mean() / scale)
        )
    for name, each in errors.items():
        got = found.metrics["series"][name]
        want = np.mean(each, axis=0)
        assert (got["S4D"]["mase"], got["SeasonalNaive"]["mase"]) == pytest.approx(tuple(want), rel=1e-9)
    flat = np.mean([each for group in errors.values() for each in group], axis=0)
    assert found.metrics["models"]["S4D"]["mase"] == pytest.approx(flat[0], rel=1e-9)
    for window in range(3):
        got = found.metrics["windows"][window]["models"]["S4D"]["mase"]
        assert got == pytest.approx(np.mean([group[window][0] for group in errors.values()]), rel=1e-9)
    assert found.metrics["windows"][0]["cutoffs"] == ["2000-04-01", "2003-04-01"]


def test_coverage_and_calibration_agree_with_utilsforecast(small: Small, panel_frame: pd.DataFrame) -> None:
    losses = pytest.importorskip("utilsforecast.losses", reason="utilsforecast is not installed")
    evaluate = pytest.importorskip("utilsforecast.evaluation").evaluate
    table = small().cross_validation(panel_frame, 2, level=CALIBRATED)
    got = summary(table, panel_frame, "S4D", small().columns, 12, [80])
    kinds = [losses.mae, losses.rmse, losses.smape, losses.coverage]
    theirs = evaluate(table, kinds, models=["S4D"], level=list(CALIBRATED))
    mean = theirs.groupby("metric")["S4D"].mean()
    assert got["models"]["S4D"]["mae"] == pytest.approx(mean["mae"], rel=1e-9)
    shares = {name: 100 * value for name, value in mean.items() if str(name).startswith("coverage")}
    assert {f"coverage_level{level}": share for level, share in got["calibration"].items()} == pytest.approx(shares)
    assert got["coverage"] == {"80": got["calibration"]["80"]}


def test_windows_are_numbered_from_the_end(small: Small, table: Table) -> None:
    df = pd.concat([table(), table(9, name="short")])
    with pytest.warns(UserWarning, match="1 series"):
        found = run(df, small, "MS", [80], n_windows=3)
    assert [window["series"] for window in found.metrics["windows"]] == [1, 2, 2]


def test_only_the_levels_that_were_asked_for_are_kept(found: Report) -> None:
    assert found.backtest is not None
    assert [name for name in found.backtest if "-lo-" in name] == ["S4D-lo-80", "S4D-lo-95"]
    assert set(found.metrics["calibration"]) == {str(level) for level in CALIBRATED}
    assert set(found.metrics["coverage"]) == {"80", "95"}


def test_the_picture_shows_every_window(found: Report) -> None:
    axes = Figure().subplots()
    figures.plot(found, "a", axes)
    assert axes.get_title() == "a: S4D, 3 windows of 4 steps"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["observed", "held out, 95 %", "held out, 80 %", "held out, median"]
    assert len(axes.lines) == 1 + 3


class Reader(HTMLParser):
    """Collects the tags, the links to elsewhere, and the text of headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.headings: list[str] = []
        self._heading = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        self._heading = tag in ("h1", "h2", "h3")
        if self._heading:
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        self._heading = self._heading and tag not in ("h1", "h2", "h3")

    def handle_data(self, data: str) -> None:
        if self._heading:
            self.headings[-1] += data


def charts(text: str) -> list[list[dict[str, object]]]:
    """Return the traces of each chart, as plotly will read them."""
    found = []
    for start in re.finditer(r'Plotly\.newPlot\(\s*"chart-\d+",\s*', text):
        traces, _ = json.JSONDecoder().raw_decode(text, start.end())
        found.append(traces)
    return found


def test_the_page_needs_nothing_else_and_takes_every_name(small: Small, table: Table) -> None:
    pytest.importorskip("plotly", reason="plotly is not installed")
    df = pd.concat([table(40 + 2 * place, name=name) for place, name in enumerate(ODD)])
    df = df.rename(columns={"ds": "<b>day</b>"})
    report = run(df, lambda: small(time_col="<b>day</b>"), "MS", [80], n_windows=2)
    text = page.page(report, 'Backtest of "<i>"')
    read = Reader(text)
    assert read.headings[0] == 'Backtest of "<i>"'
    drawn = [heading.rsplit(": MASE", 1)[0] for heading in read.headings if ": MASE" in heading]
    assert len(drawn) == 6
    assert set(drawn) <= set(ODD)
    assert not read.links
    assert text.count("plotly.js v") == 1
    assert read.tags.count("script") == 1 + len(charts(text))
    assert not re.search(r"<script[^>]+src=", text)
    assert text.count('"modeBarButtonsToRemove": ["sendChartToCloud"]') == len(charts(text))
    assert text == page.page(report, 'Backtest of "<i>"')


def test_the_charts_hold_what_was_found(found: Report) -> None:
    pytest.importorskip("plotly", reason="plotly is not installed")
    from statespace.forecasting.charts import calibration, series

    assert found.backtest is not None
    names = [trace.name for trace in series(found, "b").data]
    window = ["held out, 95 % from", "held out, 95 %", "held out, 80 % from", "held out, 80 %", "held out, median"]
    assert names == [*window * 3, "observed"]
    own = found.backtest[found.backtest["unique_id"] == "b"]
    np.testing.assert_array_equal(series(found, "b").data[4].y, own["S4D"].iloc[:4])
    np.testing.assert_array_equal(calibration(found).data[1].y, list(found.metrics["calibration"].values()))


@pytest.mark.parametrize("kind", ["whole numbers", "a time zone", "gaps", "constant", "not measured"])
@pytest.mark.filterwarnings("ignore:.*nothing was observed")
def test_a_forecast_has_its_page_too(kind: str, small: Small, table: Table, tmp_path: Path) -> None:
    pytest.importorskip("plotly", reason="plotly is not installed")
    frame = {
        "whole numbers": table().assign(ds=range(48)),
        "a time zone": table(freq="h", start=pd.Timestamp("2024-03-30", tz="Europe/Berlin")),
        "gaps": table().assign(y=table().y.where(table().index % 3 > 0)),
        "constant": table(y=5.0),
        "not measured": table(8),
    }[kind]
    report = forecast(frame, small, None, [80])
    written = write(report, tmp_path / "out", "csv", [], "Forecast")
    assert sorted(os.listdir(tmp_path / "out")) == sorted(name.rstrip("/") for name in written)
    text = (tmp_path / "out" / "report.html").read_text()
    names = [trace["name"] for trace in charts(text)[-1]]
    assert names[-3:] == ["forecast, 80 %", "forecast, median", "observed"]
    assert ("held out, median" in names) == (kind != "not measured")
    if kind == "a time zone":
        assert "2024-03-31T23:00:00" in text  # the clock on the wall of the last row


def test_without_plotly_the_extra_is_named(found: Report, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(page, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r'backtest: plotly is missing, .*: pip install "statespace\[report\]"'):
        write(found, tmp_path / "out", "csv", [], "Backtest")
    assert os.listdir(tmp_path) == []
