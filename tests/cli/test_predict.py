"""``statespace predict`` from outside: the forecasts of Python, part by part, and one sentence where there is none."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from statespace import Forecaster
from statespace.cli.main import main

pytest.importorskip("pyarrow", reason="pyarrow is not installed")
Run = Callable[..., tuple[int, str, str]]
ASKED = {"h": 3, "level": [80], "quantiles": [0.3]}
OPTIONS = ("--h", "3", "--level", "80", "--quantiles", "0.3")


pytestmark = pytest.mark.usefixtures("one_thread")


def table() -> pd.DataFrame:
    time = np.arange(40)
    stamps = pd.date_range("2020-01-01", periods=40, freq="MS")
    return pd.concat(
        [
            pd.DataFrame({"unique_id": name, "ds": stamps, "y": level + np.sin(time / 2), "price": np.cos(time / 2)})
            for level, name in enumerate(("007", "008", "009"))
        ],
        ignore_index=True,
    )


@pytest.fixture(scope="module")
def fc() -> Forecaster:
    small = {"max_steps": 4, "d_model": 8, "n_layers": 1, "d_state": 8, "verbose": False}
    return Forecaster(4, 12, futr_exog_list=["price"], **small).fit(table())  # type: ignore[arg-type]


@pytest.fixture
def run(fc: Forecaster, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command beside a model, a table, its parts and a future; return its code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    fc.save("model")
    table().to_csv("data.csv", index=False)
    Path("parts").mkdir()
    for name, rows in table().groupby("unique_id"):
        rows.to_parquet(f"parts/{name}.parquet")
    future().to_csv("future.csv", index=False)

    def call(data: str, *arguments: str) -> tuple[int, str, str]:
        return command("predict", "model", data, *arguments)

    return call


def future() -> pd.DataFrame:
    stamps = pd.date_range("2023-05-01", periods=4, freq="MS")
    return pd.concat([pd.DataFrame({"unique_id": name, "ds": stamps, "price": 0.5}) for name in ("007", "008", "009")])


def test_a_table_and_its_parts_are_forecast_as_in_python(run: Run, fc: Forecaster) -> None:
    want = fc.predict(table(), futr_df=future(), **ASKED)  # type: ignore[arg-type]
    assert run("data.csv", *OPTIONS, "--future", "future.csv") == (0, "written to predict/: 9 rows in 1 file\n", "")
    found = pd.read_csv("predict/forecast.csv", dtype={"unique_id": str}, parse_dates=["ds"])
    pd.testing.assert_frame_equal(found, want, check_dtype=False, rtol=1e-6)
    assert run("parts", *OPTIONS, "--future", "future.csv", "--format", "parquet", "--quiet") == (0, "", "")
    assert sorted(os.listdir("predict")) == [f"part-0000{place}.parquet" for place in range(3)]
    each = [pd.read_parquet(f"predict/part-0000{place}.parquet") for place in range(3)]
    pd.testing.assert_frame_equal(pd.concat(each, ignore_index=True), want, check_dtype=False, rtol=1e-6)


def test_what_cannot_be_used_is_one_sentence_and_leaves_nothing(run: Run) -> None:
    def refused(message: str, data: str, *arguments: str) -> None:
        code, out, err = run(data, *arguments)
        assert (code, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1
        assert not Path("predict").exists()

    refused("futr_df is missing, but the model was fitted with futr_exog_list=['price']", "data.csv")
    refused("there is no file 'no.csv'", "no.csv")
    refused("level 100 is not known", "data.csv", "--level", "100")
    refused("quantile 2.0 is not known", "data.csv", "--quantiles", "2", "--future", "future.csv")
    refused("h is 0, but a whole number from 1 on", "data.csv", "--h", "0")
    refused("the following arguments are required: data", "--quiet")
    table().tail(3).to_parquet("parts/more.parquet")
    refused("series '009' goes on from one part of 'parts' into another", "parts", "--future", "future.csv")
    Path("model/model.json").unlink()
    refused("Forecaster.load", "data.csv")


def test_a_folder_of_parts_is_fitted_from_the_command_line(run: Run) -> None:
    options = ["--h", "4", "--max-steps", "4", "--input-size", "12", "--plot", "--no-holdout", "--quiet"]
    for data, out in (("parts", "a"), ("data.csv", "b")):
        assert main(["forecast", data, *options, "--out", out]) == 0
    found, want = (pd.read_csv(f"{out}/forecast.csv") for out in "ab")
    pd.testing.assert_frame_equal(found, want)
