"""``statespace backtest`` from outside: what it writes, what it says, and what it refuses."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

Run = Callable[..., tuple[int, str, str]]
QUICK = ("--h", "3", "--max-steps", "2", "--input-size", "12")


pytestmark = pytest.mark.usefixtures("one_thread")


def frame(steps: int = 48, name: str = "a") -> pd.DataFrame:
    time = np.arange(steps)
    stamps = pd.date_range("2000-01-01", periods=steps, freq="MS")
    return pd.DataFrame({"unique_id": name, "ds": stamps, "y": 10 + 0.1 * time + np.sin(2 * np.pi * time / 12)})


@pytest.fixture
def run(command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Write a table and run the command on it, in a folder of its own; return its code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(table: pd.DataFrame, *arguments: str) -> tuple[int, str, str]:
        table.to_csv("data.csv", index=False)
        return command("backtest", "data.csv", *QUICK, *arguments)

    return call


def test_the_job_writes_table_metrics_and_pictures(run: Run) -> None:
    table = pd.concat([frame(), frame(36, "b/c")])
    code, out, err = run(table, "--n-windows", "3", "--step-size", "2", "--refit", "2", "--out", "out")
    assert code == 0
    assert sorted(os.listdir("out")) == ["a.png", "b_c.png", "cross_validation.csv", "metrics.json"]
    found = pd.read_csv("out/cross_validation.csv", parse_dates=["ds", "cutoff"])
    ends = [f"S4D-{end}-{level}" for level in (80, 95) for end in ("lo", "hi")]
    assert list(found) == ["unique_id", "ds", "cutoff", "S4D", *ends, "y"]
    assert found.groupby(["unique_id", "cutoff"]).size().tolist() == [3] * 6
    came = found[["unique_id", "ds"]].merge(table, how="left")
    np.testing.assert_allclose(found["y"], came["y"], rtol=1e-12)
    metrics = json.loads(Path("out/metrics.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert metrics["holdout"] == {"steps": 3, "series": 2, "windows": 3, "step_size": 2, "refit": 2}
    assert len(metrics["windows"]) == 3
    assert set(metrics["series"]) == {"a", "b/c"}
    assert set(metrics["models"]) == {"S4D", "SeasonalNaive"}
    assert "3 windows of 3 steps of 2 series held out" in out
    assert "written to out: cross_validation.csv, metrics.json, a.png, b_c.png" in out
    assert err.count("100%") >= 2  # a bar for each fit


def test_a_report_is_written_where_it_is_asked_for_and_goes_where_it_is_not(run: Run) -> None:
    pytest.importorskip("plotly", reason="plotly is not installed")
    assert run(frame(), "--report", "--plot", "--refit", "--quiet") == (0, "", "")
    assert sorted(os.listdir("backtest")) == ["cross_validation.csv", "metrics.json", "report.html"]
    assert "<h1>Backtest of data.csv</h1>" in Path("backtest/report.html").read_text(encoding="utf-8")
    assert run(frame(), "--plot", "--format", "parquet", "--quiet")[0] == 0
    assert sorted(os.listdir("backtest")) == ["cross_validation.parquet", "metrics.json"]


@pytest.mark.parametrize(
    ("steps", "arguments", "message"),
    [
        (14, (), "backtest: 16 steps are needed, 4 to fit the first model on and 12 for n_windows=4 of h=3"),
        (48, ("--n-windows", "0"), "backtest: n_windows is 0, but a whole number from 1 on is expected"),
        (48, ("--step-size", "-1"), "backtest: step_size is -1"),
        (48, ("--refit", "0"), "backtest: refit is 0"),
        (48, ("--plot", "x"), "backtest: there is no series 'x' to plot: the series are a."),
        (48, ("--level", "100"), "backtest: level 100 is not known"),
        (48, ("--n-windows", "x"), "statespace backtest: argument --n-windows: 'x' is no whole number"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(run: Run, steps: int, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = run(frame(steps), *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert os.listdir() == ["data.csv"]
