"""What ``forecast`` and ``backtest`` are told beside the values: as in Python, or refused in a sentence."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from statespace import Forecaster

Run = Callable[..., tuple[int, str, str]]
SMALL: dict[str, Any] = {"max_steps": 4, "input_size": 12, "d_model": 8, "n_layers": 1}
QUICK = tuple(text for name, value in SMALL.items() for text in (f"--{name.replace('_', '-')}", str(value)))
TOLD: dict[str, Any] = {
    "futr_exog_list": ["price"],
    "hist_exog_list": ["visits"],
    "stat_exog_list": ["region", "area"],
    "calendar": ["month"],
    "weight_col": "counts",
}
COVARIATES = (
    *("--futr-exog", "price", "--hist-exog", "visits", "--stat-exog", "region", "area", "--static", "static.csv"),
    *("--calendar", "month", "--weight-col", "counts"),
)
AHEAD = (*COVARIATES, "--future", "future.csv")


pytestmark = pytest.mark.usefixtures("one_thread")


def tables() -> dict[str, pd.DataFrame]:
    """Two series, whose names begin with zeros, four steps of their future, and a static table."""
    rng, parts = np.random.default_rng(0), []
    for name in ("007", "008"):
        price, visits = rng.normal(size=52), rng.normal(size=52)
        y = 20 + 2 * price + np.append(0, visits[:-1]) + np.sin(np.arange(52) / 2)
        stamps = pd.date_range("2020-01-01", periods=52, freq="MS").astype("str")
        parts.append(
            pd.DataFrame({"unique_id": name, "ds": stamps, "y": y, "price": price, "visits": visits, "counts": 1.0})
        )
    whole = pd.concat(parts)
    later = whole["ds"] >= "2024-01-01"
    static = pd.DataFrame({"unique_id": ["008", "007"], "region": ["north", "south"], "area": [3.0, 4.0]})
    return {"data": whole[~later], "future": whole.loc[later, ["unique_id", "ds", "price"]], "static": static}


@pytest.fixture
def run(command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Write the tables, some of them changed, and run a command beside them; return its code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(job: str, *arguments: str, **changed: pd.DataFrame) -> tuple[int, str, str]:
        for name, table in (tables() | changed).items():
            table.to_csv(f"{name}.csv", index=False)
        return command(job, "data.csv", "--h", "4", *QUICK, "--plot", "--quiet", *arguments)

    return call


def test_a_forecast_with_covariates_is_that_of_python(run: Run) -> None:
    assert run("forecast", *AHEAD) == (0, "", "")
    known = tables()
    fc = Forecaster(4, **SMALL, **TOLD, verbose=False).fit(known["data"], static_df=known["static"])
    want = fc.predict(futr_df=known["future"], level=[80, 95])
    found = pd.read_csv("forecast/forecast.csv", dtype={"unique_id": str}, parse_dates=["ds"])
    pd.testing.assert_frame_equal(found, want, check_dtype=False, rtol=1e-9)
    metrics = json.loads(Path("forecast/metrics.json").read_text())
    assert metrics["holdout"] == {"steps": 4, "series": 2}  # whose covariates stand in the table
    again = Forecaster.load("forecast/model")
    assert {name: getattr(again, name) for name in TOLD} == TOLD


def test_a_backtest_with_covariates_is_that_of_python(run: Run) -> None:
    assert run("backtest", "--n-windows", "2", *COVARIATES) == (0, "", "")
    known = tables()
    fc = Forecaster(4, **SMALL, **TOLD, verbose=False)
    want = fc.cross_validation(known["data"], n_windows=2, static_df=known["static"], level=[80, 95])
    found = pd.read_csv("backtest/cross_validation.csv", dtype={"unique_id": str}, parse_dates=["ds", "cutoff"])
    pd.testing.assert_frame_equal(found, want, check_dtype=False, rtol=1e-9)


def test_options_of_the_model_reach_it(run: Run) -> None:
    options = {
        "learning_rate": 1e-3,
        "batch_size": 8,
        "val_size": 6,
        "accelerator": "cpu",
        "distribution": "student-t",
        "point": "mean",
        "scaler_type": "robust",
        "local_scaler_type": "minmax",
        "alias": "mine",
    }
    given = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    assert run("forecast", "--no-holdout", *given) == (0, "", "")
    assert list(pd.read_csv("forecast/forecast.csv"))[2] == "mine"
    again = Forecaster.load("forecast/model")
    assert {name: getattr(again, name) for name in options} == options


def test_holidays_are_covariates(run: Run) -> None:
    pytest.importorskip("holidays", reason="the package holidays is not installed")
    data = tables()["data"].assign(ds=pd.date_range("2024-03-01", periods=48).astype("str").tolist() * 2)
    assert run("forecast", "--no-holdout", "--holidays", "DE-BY", "US", data=data) == (0, "", "")
    assert Forecaster.load("forecast/model").holidays == ["DE-BY", "US"]


def test_the_stamps_of_the_future_are_asked_for_where_there_is_no_grid(run: Run) -> None:
    known = tables()
    hours = np.cumsum(np.random.default_rng(1).uniform(0.2, 2, 52))
    stamps = (pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, unit="h").round("s")).astype("str")
    data = known["data"].assign(ds=stamps[:48].tolist() * 2)
    future = known["future"].assign(ds=stamps[48:].tolist() * 2)
    assert run("forecast", "--freq", "irregular", "--future", "future.csv", data=data, future=future) == (0, "", "")
    assert pd.read_csv("forecast/forecast.csv")["ds"].tolist() == stamps[48:].tolist() * 2


WRONG: dict[str, tuple[tuple[str, ...], dict[str, pd.DataFrame], str]] = {
    "no static table": (COVARIATES[:7], {}, "forecast: --stat-exog asks for region, area, but --static is missing"),
    "static table for nothing": (("--static", "static.csv"), {}, "forecast: --static is given, but nothing of it is"),
    "no future": (COVARIATES, {}, "forecast: --futr-exog asks for price, but --future is missing: .* 4 steps"),
    "future for nothing": (("--future", "future.csv"), {}, "futr_df is given, but futr_exog_list is empty"),
    "no such file": (("--stat-exog", "area", "--static", "no.csv"), {}, "read_frame: there is no file 'no.csv'"),
    "column missing": (("--hist-exog", "rain"), {}, r"no column 'rain' \(hist_exog_list\)"),
    "no weights": (("--weight-col", "rain"), {}, r"no column 'rain' \(weight_col\)"),
    "column missing in the future": (
        AHEAD,
        {"future": tables()["future"].drop(columns="price")},
        "futr_df must have one column 'price', but its columns are unique_id, ds",
    ),
    "hole in the future": (
        AHEAD,
        {"future": tables()["future"].iloc[:-1]},
        "no row for series '008' at 2024-04-01",
    ),
    "gap in the future": (
        AHEAD,
        {"future": tables()["future"].replace(tables()["future"]["price"].iloc[2], np.nan)},
        "no number in column 'price' for series '007' at 2024-03-01",
    ),
    "series without static row": (AHEAD, {"static": tables()["static"].head(1)}, "no row for series '007'"),
    "static column missing": (
        ("--stat-exog", "area", "size", "--static", "static.csv"),
        {},
        "static_df must have one column 'size'",
    ),
    "two parts to play": (
        ("--hist-exog", "price", "--futr-exog", "price", "--future", "future.csv"),
        {},
        "column 'price' is named by hist_exog_list and by futr_exog_list",
    ),
    "twice": (("--hist-exog", "y"), {}, "column 'y' is named by target_col and by hist_exog_list"),
    "calendar": (("--calendar", "moon"), {}, "a calendar feature is 'moon', which is not known"),
    "distribution": (("--distribution", "cauchy"), {}, "distribution is 'cauchy', which is not known"),
    "point": (("--point", "mode"), {}, "point is 'mode'"),
    "scaler": (("--scaler-type", "x"), {}, "scaler_type is 'x'"),
    "learning rate": (("--learning-rate", "0"), {}, "argument --learning-rate: '0' is no positive number"),
    "channels": (("--d-model", "0"), {}, "d_model is 0"),
    "no column": (("--futr-exog",), {}, "argument --futr-exog: expected at least one argument"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_used_is_one_sentence_before_the_training(
    case: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, changed, message = WRONG[case]
    monkeypatch.setattr("statespace.forecasting.fitting.train", lambda *_: pytest.fail("training has begun"))
    code, out, err = run("forecast", *options, **changed)
    assert (code, out) == (2, "")
    assert pd.Series([err]).str.contains(message).all(), err
    assert err.count("\n") == 1
    assert sorted(os.listdir()) == ["data.csv", "future.csv", "static.csv"]


def test_a_backtest_takes_the_future_from_the_table(run: Run) -> None:
    code, _, err = run("backtest", "--future", "future.csv")
    assert code == 2
    assert "unrecognized arguments: --future" in err
    code, _, err = run("backtest", "--stat-exog", "area")
    assert code == 2
    assert err.startswith("backtest: --stat-exog asks for area, but --static is missing")
