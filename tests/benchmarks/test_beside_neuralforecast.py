"""M4 Hourly beside neuralforecast: its tables, and errors as utilsforecast finds them."""

import importlib
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from utilsforecast.evaluation import evaluate
from utilsforecast.losses import mase, smape

HISTORY, H = 96, 48


@pytest.fixture
def forecasting(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark's functions, on two series of unequal length in the place of M4 Hourly."""
    rng = np.random.default_rng(0)
    (tmp_path / "m4").mkdir()
    for part, length in (("train", HISTORY), ("test", H)):
        table = pd.DataFrame(rng.uniform(1, 9, (2, length)), columns=[f"V{step + 2}" for step in range(length)])
        if part == "train":
            table.loc[1, table.columns[-20:]] = np.nan
        table.insert(0, "V1", ["H1", "H2"])
        table.to_csv(tmp_path / "m4" / f"Hourly-{part}.csv.gz", index=False)
    monkeypatch.syspath_prepend(repository / "benchmarks")
    module = importlib.import_module("forecasting")
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    return module


def test_errors_are_those_of_utilsforecast(forecasting: ModuleType) -> None:
    train, test = forecasting.m4_tables(414)
    assert train.groupby("unique_id").size().tolist() == [HISTORY, HISTORY - 20]
    assert test.groupby("unique_id").size().tolist() == [H, H]
    pred = test.assign(mine=test["y"] + np.random.default_rng(1).standard_normal(len(test)))
    found = forecasting.m4_errors(pred, "mine", train, test)
    theirs = evaluate(pred, [smape, partial(mase, seasonality=24)], ["mine"], train_df=train)
    means = theirs.groupby("metric")["mine"].mean()
    assert found["smape"] == pytest.approx(200 * means["smape"])  # theirs goes from 0 to 1
    assert found["mase"] == pytest.approx(means["mase"])
