"""Series with few values get bands that hold what they say."""

import numpy as np
import pandas as pd
import pytest

from statespace import Forecaster

ROWS, AHEAD, SERIES = 120, 12, 40


def months(count: int, seed: int) -> np.ndarray:
    """Draw trend, season and noise, ``(count, ROWS + AHEAD)``."""
    time = np.arange(ROWS + AHEAD)
    season = 8 * np.sin(2 * np.pi * time / 12 + np.arange(count)[:, None])
    return 100 + 0.3 * time + season + np.random.default_rng(seed).normal(size=(count, len(time)))


def table(values: np.ndarray, name: str) -> pd.DataFrame:
    ids = np.repeat([f"{name}{place:02d}" for place in range(len(values))], values.shape[1])
    stamps = np.tile(pd.date_range("2010-01-01", periods=ROWS, freq="MS")[-values.shape[1] :], len(values))
    return pd.DataFrame({"unique_id": ids, "ds": stamps, "y": values.ravel()})


@pytest.fixture(scope="module")
def fitted() -> Forecaster:
    fc = Forecaster(AHEAD, max_steps=20, d_model=8, d_state=8, n_layers=1, random_seed=0, verbose=False)
    return fc.fit(table(months(6, 0)[:, :ROWS], "known"), freq="MS")


@pytest.mark.parametrize("rows", [2, 3, 6, 9, 12, 18, 24, 36])
def test_the_bands_of_new_series_hold_what_they_say(fitted: Forecaster, rows: int) -> None:
    """By a season and a trend that were not seen they are too wide at times, which is the safe side."""
    values = months(SERIES, 1)
    found = fitted.predict(table(values[:, ROWS - rows : ROWS], "new"), level=80)
    y = values[:, ROWS:].ravel()
    inside = found["S4D-lo-80"].le(y) & found["S4D-hi-80"].ge(y)
    assert inside.mean() > 0.68


def test_the_bands_of_short_series_in_training_hold_what_they_say() -> None:
    values = months(SERIES, 1)
    fc = Forecaster(AHEAD, max_steps=20, d_model=8, d_state=8, n_layers=1, random_seed=0, verbose=False)
    df = pd.concat([table(months(6, 0)[:, :ROWS], "known"), table(values[:, ROWS - 3 : ROWS], "new")])
    found = fc.fit(df, freq="MS").predict(level=80)
    found, y = found[found["unique_id"].str.startswith("new")], values[:, ROWS:].ravel()
    assert (found["S4D-lo-80"].le(y) & found["S4D-hi-80"].ge(y)).mean() > 0.68


def test_four_rows_go_on_at_the_last_one() -> None:
    df = pd.DataFrame({"unique_id": "shop", "ds": pd.date_range("2024-01-01", periods=4, freq="MS")})
    found = Forecaster(2, verbose=False).fit(df.assign(y=[10.01, 10.99, 12.06, 13.01]), freq="MS").predict(level=80)
    assert found["S4D"].ge(13.01 - 1e-4).all()
    assert (found["S4D-lo-80"].lt(13.01) & found["S4D-hi-80"].gt([14, 15])).all()
