"""Coverage on real held-out windows: the first 50 series of M4 Hourly, 48 hours each; skips where they are absent."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from statespace import Forecaster


def _long(path: Path, count: int) -> pd.DataFrame:
    wide = pd.read_csv(path, nrows=count)
    long = wide.melt(wide.columns[0], var_name="column", value_name="y").dropna()
    long["ds"] = long["column"].str.removeprefix("V").astype(int)
    return long.rename(columns={wide.columns[0]: "unique_id"}).sort_values(["unique_id", "ds"])[
        ["unique_id", "ds", "y"]
    ]


@pytest.mark.slow
def test_bands_cover_as_often_as_they_say(real_data: Path) -> None:
    if not (real_data / "m4").is_dir():
        pytest.skip(f"M4 is not in {real_data}")
    train, test = (_long(real_data / "m4" / f"Hourly-{part}.csv.gz", 50) for part in ("train", "test"))
    fc = Forecaster(48, 96, season_length=24, random_seed=0, verbose=False).fit(train, 1)
    pred = fc.predict(level=[80, 95])
    y = test["y"].to_numpy()  # both are sorted by series and hour
    inside = {
        level: 100 * np.mean((pred[f"S4D-lo-{level}"] <= y) & (y <= pred[f"S4D-hi-{level}"])) for level in (80, 95)
    }
    assert 70 <= inside[80] <= 90
    assert 88 <= inside[95] <= 99
    last_day = train.groupby("unique_id").tail(24).groupby("unique_id")["y"]
    naive = np.concatenate([np.resize(day.to_numpy(), 48) for _, day in last_day])
    smape = [
        np.mean(200 * np.abs(guess - y) / (np.abs(guess) + np.abs(y))) for guess in (pred["S4D"].to_numpy(), naive)
    ]
    assert smape[0] < smape[1]
