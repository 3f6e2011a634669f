"""A model that was trained at one rate forecasts at another: the same times, the same values."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from statespace import Forecaster
from statespace.errors import InputError

Small = Callable[..., Forecaster]
H = 8


def slow(freq: str, end: str = "2024-01-12 00:00", name: Any = "a") -> pd.DataFrame:
    """A day and half a day's wave, far below half of every rate used here."""
    stamps = pd.date_range("2024-01-01", end, freq=freq)
    hours = (stamps - stamps[0]) / pd.Timedelta(hours=1)
    y = 10 + 2 * np.sin(2 * np.pi * hours / 24) + 0.5 * np.cos(2 * np.pi * hours / 12)
    return pd.DataFrame({"unique_id": name, "ds": stamps, "y": y})


@pytest.fixture(scope="module", params=["s4d", "s5"])
def hourly(request: pytest.FixtureRequest) -> Forecaster:
    options: dict[str, Any] = {"d_model": 8, "n_layers": 1, "d_state": 8, "verbose": False, "max_steps": 60}
    return Forecaster(H, 48, layer=request.param, **options, season_length=24).fit(slow("h"))


@pytest.mark.parametrize(("freq", "scale"), [("30min", 0.5), ("15min", 0.25), ("2h", 2.0), ("45min", 0.75)])
def test_another_rate_is_forecast_as_well(freq: str, scale: float, hourly: Forecaster) -> None:
    known = slow(freq)
    found = hourly.predict(df=known, dt_scale=scale, level=[80])
    steps = int(H / scale)
    assert len(found) == steps
    assert found["ds"].tolist() == pd.date_range(known["ds"].iloc[-1], periods=steps + 1, freq=freq)[1:].tolist()
    truth = slow(freq, "2024-01-13 00:00").merge(found[["ds"]])["y"]
    off = float(np.abs(found[hourly.name] - truth).mean())
    at_home = hourly.predict(df=slow("h"))
    error = float(np.abs(at_home[hourly.name] - slow("h", "2024-01-13 00:00").merge(at_home[["ds"]])["y"]).mean())
    assert off < error + 0.1  # of waves whose swing is 4
    if scale > 1:
        return  # a season is one at half the rate, too
    wrong = hourly.predict(df=known.assign(ds=pd.date_range("2024-01-01", periods=len(known), freq="h")), h=steps)
    assert off < np.abs(wrong[hourly.name] - truth).mean() / 2  # as if the stamps were hours


def test_what_is_numpy_or_one_is_no_matter(hourly: Forecaster) -> None:
    half, want = slow("30min"), hourly.predict(df=slow("30min"), dt_scale=0.5)
    pd.testing.assert_frame_equal(hourly.predict(df=half, dt_scale=np.float32(0.5)), want, check_exact=True)
    same = hourly.predict(df=slow("h"))
    pd.testing.assert_frame_equal(hourly.predict(df=slow("h"), dt_scale=1), same, check_exact=True)
    longer = hourly.predict(df=half, dt_scale=0.5, h=20)
    pd.testing.assert_frame_equal(longer.head(16), want, rtol=1e-5)
    assert np.isfinite(longer[hourly.name]).all()


@pytest.mark.parametrize("scale", [0, -1, "x", True, np.nan, np.inf, None])
def test_a_rate_that_is_none(scale: Any, hourly: Forecaster) -> None:
    with pytest.raises(InputError, match=r"predict: dt_scale is .*, but a positive number is expected"):
        hourly.predict(df=slow("h"), dt_scale=scale)


def test_a_rate_that_cannot_be(hourly: Forecaster, small: Small, table: Callable[..., pd.DataFrame]) -> None:
    with pytest.raises(InputError, match=r"dt_scale is 0.5, but df is missing: pass the history at that rate"):
        hourly.predict(dt_scale=0.5)
    with pytest.raises(InputError, match="does not lie on a grid of freq '2h'"):
        hourly.predict(df=slow("h"), dt_scale=2)
    for scale in (1e-15, 1e9):
        with pytest.raises(InputError, match=r"dt_scale is .*, but 'h' times that is no distance between stamps"):
            hourly.predict(df=slow("h"), dt_scale=scale)
    with pytest.raises(InputError, match="the step of freq 'MS' varies with the calendar"):
        small(3).fit(table()).predict(df=table(), dt_scale=0.5)
    numbers = table().assign(ds=np.arange(48))
    with pytest.raises(InputError, match="but 1 times that is no whole number of steps"):
        small(3).fit(numbers).predict(df=numbers, dt_scale=0.5)
    with pytest.raises(InputError, match="dt_scale"):
        small(3, layer="lstm").fit(slow("h")).predict(df=slow("30min"), dt_scale=0.5)
