"""What covariates add to each of several series, against series of which it is known, and who knows them again."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from statespace import Forecaster
from statespace.forecasting.effects import effects
from statespace.forecasting.smoothing import smoothed

COUNT, LENGTH = 12, 120


def drawn(slopes: np.ndarray, noise: float = 0.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    beside = rng.normal(size=(COUNT * LENGTH, 2))
    y = beside[:, 0] * np.repeat(slopes, LENGTH) + noise * rng.normal(size=COUNT * LENGTH)
    return y, np.full(COUNT, LENGTH), beside


def found(y: np.ndarray, lengths: np.ndarray, beside: np.ndarray) -> np.ndarray:
    start = smoothed(y, lengths, 1, 24, 6, beside=beside)
    assert start is not None
    return effects(start, y, lengths, beside)


def test_series_that_differ_get_what_each_says() -> None:
    slopes = np.linspace(-2, 3, COUNT)
    each = found(*drawn(slopes))
    assert each.shape == (1 + COUNT, 2)
    np.testing.assert_allclose(each[0, 0], slopes.mean(), atol=0.2)
    np.testing.assert_allclose(each[1:, 0], slopes, atol=0.25)
    np.testing.assert_array_equal(each[1:, 1], np.full(COUNT, each[0, 1]))  # of which nobody is of another mind


@pytest.mark.parametrize("seed", range(5))
def test_series_of_one_mind_get_what_all_say(seed: int) -> None:
    each = found(*drawn(np.full(COUNT, 0.8), seed=seed))
    assert each.shape == (1, 2)
    np.testing.assert_allclose(each[0], [0.8, 0.0], atol=0.1)


def test_a_short_series_is_drawn_to_all() -> None:
    """Nearer to the others than what it says by itself."""
    slopes = np.where(np.arange(COUNT) % 2, 1.4, 0.6)
    slopes[-1] = 3.0
    y, lengths, beside = drawn(slopes, noise=1.0)
    short = 16
    keep = np.r_[: (COUNT - 1) * LENGTH, len(y) - short : len(y)]
    lengths[-1] = short
    of_all, *_, of_short = found(y[keep], lengths, beside[keep])[:, 0]
    alone = np.linalg.lstsq(beside[-short:], y[-short:], rcond=None)[0][0]
    assert of_all < of_short < alone


def test_of_one_series_or_none_that_tells_there_is_one_effect() -> None:
    y, _, beside = drawn(np.ones(COUNT))
    assert found(y[:LENGTH], np.array([LENGTH]), beside[:LENGTH]).shape == (1, 2)
    constant = np.zeros_like(beside)
    np.testing.assert_array_equal(found(y, np.full(COUNT, LENGTH), constant), np.zeros((1, 2)))


@pytest.fixture
def frame() -> pd.DataFrame:
    y, _, beside = drawn(np.linspace(-2, 3, COUNT))
    return pd.DataFrame(
        {
            "unique_id": np.repeat([f"s{i:02d}" for i in range(COUNT)], LENGTH),
            "ds": np.tile(np.arange(LENGTH), COUNT),
            "y": 10 + y,
            "price": beside[:, 0],
        }
    )


def test_a_forecaster_follows_each_series_and_knows_it_again(frame: pd.DataFrame, tmp_path: Path) -> None:
    past, future = frame[frame["ds"] < LENGTH - 6], frame[frame["ds"] >= LENGTH - 6]
    fc = Forecaster(
        6, input_size=12, max_steps=2, d_model=4, d_state=4, n_layers=1, futr_exog_list=["price"], verbose=False
    ).fit(past)
    told = future.drop(columns="y")
    pred = fc.predict(futr_df=told)["S4D"].to_numpy()
    error = np.abs(pred - future["y"].to_numpy()).mean()
    assert error < 0.6  # of the noise alone it is 0.4, of one slope for all 1.3
    fc.save(tmp_path / "model")
    again = Forecaster.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(futr_df=told)["S4D"], pred)
    some = ["s03", "s11"]
    fewer = fc.predict(past[past["unique_id"].isin(some)], futr_df=told[told["unique_id"].isin(some)])
    np.testing.assert_allclose(fewer["S4D"], pred[future["unique_id"].isin(some)], rtol=1e-5)
    # A row that comes by itself moves the forecast as the table of all rows does, but for the scale of the window.
    first = future[future["ds"] == LENGTH - 6]
    rest = told[told["ds"] > LENGTH - 6]
    moved = fc.update(first).predict(h=5, futr_df=rest)["S4D"]
    whole = again.predict(pd.concat([past, first]).sort_values(["unique_id", "ds"]), h=5, futr_df=rest)["S4D"]
    np.testing.assert_allclose(moved, whole, atol=0.15)


SMALL = {"h": 6, "input_size": 12, "max_steps": 2, "d_model": 4, "d_state": 4, "n_layers": 1, "verbose": False}


def one(slope: float, weight: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    price = rng.normal(size=96)
    y = 10 + slope * price + 0.3 * rng.normal(size=96)
    odd = np.arange(96) % 7 == 0
    return pd.DataFrame(
        {"unique_id": "a", "ds": np.arange(96), "y": y + 80 * odd, "price": price, "w": np.where(odd, weight, 1.0)}
    )


def effect_of(fc: Forecaster) -> float:
    """In units of y."""
    fitted = fc._ready("test")
    return float(fitted.network.effect[0, 0]) * fitted.scaling.scale[0] / fitted.reader.scale[0]


def test_what_does_not_count_as_a_target_says_nothing_of_covariates() -> None:
    fc = Forecaster(**SMALL, futr_exog_list=["price"], weight_col="w").fit(one(5.0, weight=0.0))
    assert effect_of(fc) == pytest.approx(5.0, abs=0.3)


def test_a_warm_start_follows_what_covariates_add_now() -> None:
    fc = Forecaster(**SMALL, futr_exog_list=["price"])
    frame = one(5.0)
    frame["y"] -= 80 * (np.arange(96) % 7 == 0)
    assert effect_of(fc.fit(frame)) == pytest.approx(5.0, abs=0.3)
    other = frame.assign(y=frame["y"] - 10 * frame["price"])
    assert effect_of(fc.fit(other, warm_start=True)) == pytest.approx(-5.0, abs=0.3)
    # Rows that tell nothing leave it as it was.
    few = other.head(10).assign(y=np.random.default_rng(1).normal(size=10))
    assert effect_of(fc.fit(few, warm_start=True)) != 0
