"""The report of a job: what is held out, what is measured on it, names of files, and what an interrupt leaves out."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from statespace import Forecaster
from statespace.errors import InputError
from statespace.forecasting import figures, report
from statespace.forecasting.report import _file_names, run, write
from statespace.training import Stages

Small = Callable[..., Forecaster]
Table = Callable[..., pd.DataFrame]


def test_the_tail_is_measured_by_a_model_that_has_not_seen_it(small: Small, table: Table) -> None:
    frame = pd.concat([table(), table(8, name="short")])  # too short to spare four steps
    found = run(frame, small, "MS", [80])
    assert found.backtest is not None
    assert found.metrics["holdout"] == {"steps": 4, "series": 1}
    assert found.backtest["ds"].tolist() == table().ds.tolist()[-4:]
    train = pd.concat([table(44), table(8, name="short")])
    want = small().fit(train, "MS").predict(level=[80])
    want = want[want["unique_id"] == "a"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.backtest[list(want)], want)
    assert found.backtest["cutoff"].tolist() == [table().ds[43]] * 4
    np.testing.assert_array_equal(found.backtest["y"], table().y[-4:])
    error = np.abs(found.backtest["S4D"] - table().y.to_numpy()[-4:]).mean()
    assert found.metrics["models"]["S4D"]["mae"] == pytest.approx(error, rel=1e-9)
    inside = want["S4D-lo-80"].le(table().y.to_numpy()[-4:]) & want["S4D-hi-80"].ge(table().y.to_numpy()[-4:])
    assert found.metrics["coverage"] == {"80": 100 * inside.mean()}
    pd.testing.assert_frame_equal(found.forecast, small().fit(frame, "MS").predict(level=[80]))


def test_rows_at_times_of_their_own_are_forecast_at_their_times(small: Small) -> None:
    rng = np.random.default_rng(1)
    stamps = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.cumsum(rng.integers(1, 900, 60)), unit="s")
    df = pd.DataFrame({"unique_id": ["a"] * 52 + ["b"] * 8, "ds": stamps, "y": rng.normal(size=60)})
    found = run(df, small, "irregular", [80])
    assert found.backtest is not None
    assert found.backtest["ds"].tolist() == stamps[48:52].tolist()
    np.testing.assert_array_equal(found.backtest["y"], df["y"][48:52])


def test_a_forecast_that_is_called_as_the_values_is_not_measured_on_itself(small: Small, table: Table) -> None:
    found = run(table(), lambda: small(alias="y"), "MS", [80])
    assert found.backtest is None
    assert found.metrics["reason"].startswith("forecast: target_col is 'y', which is also a column of the forecast")


@pytest.mark.filterwarnings("ignore:.*the forecast is NaN")
def test_why_nothing_was_measured_is_said(small: Small, table: Table) -> None:
    for frame, holdout, reason in (
        (table(), False, "not asked for"),
        (table(8), True, "no series has more than 8 steps"),
        (table(y=np.nan), True, "with something observed in the last 4"),
        (table().assign(y=table().y.where(table().index >= 43)), True, "no stretch of the series"),
    ):
        found = run(frame, small, "MS", [80], holdout)
        assert found.backtest is None
        assert found.metrics["holdout"] is None
        assert reason in found.metrics["reason"]


@pytest.mark.parametrize("which", [0, 1])
def test_a_model_that_was_interrupted_is_not_measured(which: int, small: Small, table: Table) -> None:
    made: list[Forecaster] = []

    def make() -> Forecaster:
        fc = small()
        fit, number = fc._fit, len(made)
        made.append(fc)

        def interrupted(*arguments: Any, **named: Any) -> Stages:
            kept = fit(*arguments, **named)
            assert fc.outcome is not None
            fc.outcome = fc.outcome._replace(interrupted=number == which)
            return kept

        fc._fit = interrupted  # type: ignore[method-assign, assignment]  # stands in for Ctrl-C
        return fc

    found = run(table(), make, "MS", [80])
    assert found.backtest is None
    assert "interrupted" in found.metrics["reason"]
    assert len(found.forecast) == 4


def test_names_of_series_become_names_of_files() -> None:
    names = ["a/b", "a b", "A_B", "..", "", "日本", "x" * 300, 7, "con.", "../../etc"]
    found = _file_names(names)
    assert len({name.lower() for name in found}) == len(names)
    for name in found:
        assert name.endswith(".png")
        assert len(name.encode()) < 255
        assert not set(name) & set('/\\:*?"<>| ')
        assert not name.startswith(".")


@pytest.mark.parametrize("kind", ["dates", "whole numbers", "a time zone", "huge", "gaps"])
def test_every_kind_of_series_can_be_drawn(kind: str, small: Small, table: Table, tmp_path: Path) -> None:
    frame = {
        "dates": table(name="$x^{$"),  # no mathematics is meant
        "whole numbers": table().assign(ds=range(48)),
        "a time zone": table(freq="h", start=pd.Timestamp("2024-03-30", tz="Europe/Berlin")),
        "huge": table(y=1e300 * np.sin(np.arange(48))),
        "gaps": table().assign(y=table().y.where(table().index % 3 > 0)),
    }[kind]
    found = run(frame, small, None, [80, 95])
    written = write(found, tmp_path / "out", "csv", list(found.history["unique_id"].unique()))
    assert sorted(os.listdir(tmp_path / "out")) == sorted(name.rstrip("/") for name in written)
    json.loads((tmp_path / "out" / "metrics.json").read_text(), parse_constant=lambda name: pytest.fail(name))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_numbers_too_large_to_draw_are_one_sentence(small: Small, table: Table, tmp_path: Path) -> None:
    found = run(table(y=1.7e308 * np.sin(np.arange(48))), small, None, [80])
    with pytest.raises(InputError, match="series 'a' cannot be drawn"):
        write(found, tmp_path / "out", "csv", ["a"])
    assert os.listdir(tmp_path) == []
    write(found, tmp_path / "out", "csv", [])


def test_the_picture_shows_history_forecast_and_bands(small: Small, table: Table) -> None:
    found = run(table(), small, "MS", [80, 95])
    axes = Figure().subplots()
    figures.plot(found, "a", axes)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["observed"] + [
        f"{part}, {what}" for part in ("held out", "forecast") for what in ("95 %", "80 %", "median")
    ]
    observed = next(line for line in axes.lines if line.get_label() == "observed")
    np.testing.assert_array_equal(observed.get_ydata(), table().y)
    median = next(line for line in axes.lines if line.get_label() == "forecast, median")
    np.testing.assert_array_equal(median.get_ydata(), found.forecast["S4D"])


def test_without_matplotlib_the_extra_is_named(
    small: Small, table: Table, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = run(table(), small, "MS", [80], holdout=False)
    monkeypatch.setattr(figures, "plotting_is_possible", lambda: False)
    with pytest.raises(InputError, match=r'pip install "statespace\[plot\]"'):
        figures.draw(found, "a", tmp_path / "a.png")


def test_metrics_hold_plain_numbers_only(small: Small, table: Table) -> None:
    found = run(table(name=np.int64(3)), small, "MS", [80])
    assert json.loads(json.dumps(found.metrics, allow_nan=False, default=report._as_plain)) == found.metrics
