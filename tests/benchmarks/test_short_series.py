"""Short series beside statsforecast: errors as utilsforecast finds them, and ratios."""

import importlib
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from utilsforecast.losses import mase

H, SEASON = 8, 4


class Naive:
    """As statsforecast has it: the last season goes on."""

    def __init__(self, season_length: int) -> None:
        self.season = season_length

    def forecast(self, y: np.ndarray, h: int) -> dict[str, np.ndarray]:
        return {"mean": np.resize(y[-self.season :], h)}


@pytest.fixture
def short_series(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(repository / "benchmarks")
    return importlib.import_module("short_series")


def test_errors_are_those_of_utilsforecast(short_series: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.random.default_rng(0).normal(size=60).cumsum()
    ends = {level: (np.full(H, -np.inf), np.full(H, np.inf)) for level in (80, 95)}
    monkeypatch.setattr(short_series, "ours", lambda y, _, h: (np.full(h, y[-1]), ends))
    row = short_series.judged(short_series.Series("walk", SEASON, y), 1, {"seasonal naive": Naive})
    before, after = y[: -2 * H], y[-2 * H : -H]
    table = pd.DataFrame({"unique_id": "a", "ds": np.arange(H), "y": after, "last": before[-1]})
    table["naive"] = np.resize(before[-SEASON:], H)
    known = pd.DataFrame({"unique_id": "a", "ds": np.arange(len(before)), "y": before})
    theirs = partial(mase, seasonality=SEASON)(table, ["last", "naive"], train_df=known)
    assert row["Forecaster"] == pytest.approx(theirs["last"].item())
    assert row["seasonal naive"] == pytest.approx(theirs["naive"].item())
    assert (row["steps"], row["in 80 %"]) == (len(before), 1.0)


def test_ratios_are_geometric_means(short_series: ModuleType) -> None:
    rows = pd.DataFrame({"season": [1, 1, 12], "seasonal naive": [1.0, 2.0, 4.0], "mine": [2.0, 1.0, 1.0]})
    rows = rows.assign(seconds=1.0, **{"in 80 %": 0.8, "in 95 %": 1.0})
    found = short_series.summed(rows, ["mine"])
    assert [row["mine"] for row in found] == [1.0, 0.25, round(0.25 ** (1 / 3), 3)]
    assert [row["forecasts"] for row in found] == [2, 1, 3]
