"""Metrics and the seasonal naive forecast against their definitions, worked by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statespace.forecasting.evaluation import coverage, mean_metrics, metrics, seasonal_naive

NAN = math.nan


def slow_seasonal_naive(history: list[float], h: int, season: int) -> list[float]:
    """Walk back season by season from each step."""
    seen = [value for value in history if not math.isnan(value)]
    found = []
    for step in range(h):
        place = len(history) + step
        value = NAN
        while place >= 0 and math.isnan(value):
            place -= season
            if 0 <= place < len(history):
                value = history[place]
        found.append(value if not math.isnan(value) else seen[-1] if seen else NAN)
    return found


@given(
    st.lists(st.one_of(st.just(NAN), st.floats(-9, 9)), max_size=30),
    st.integers(1, 20),
    st.integers(1, 13),
)
def test_seasonal_naive_repeats_the_last_season_and_steps_over_gaps(history: list[float], h: int, season: int) -> None:
    np.testing.assert_array_equal(
        seasonal_naive(np.array(history, float), h, season), slow_seasonal_naive(history, h, season)
    )


def test_metrics_by_hand() -> None:
    actual, forecast = np.array([100.0, 200.0, NAN, 400.0]), np.array([110.0, 180.0, 5.0, 400.0])
    history = np.array([10.0, 20.0, 30.0, NAN, 60.0, 40.0])
    found = metrics(actual, forecast, history, 2)
    assert found["mae"] == pytest.approx((10 + 20 + 0) / 3, rel=1e-12)
    assert found["rmse"] == pytest.approx(math.sqrt((100 + 400 + 0) / 3), rel=1e-12)
    assert found["mape"] == pytest.approx(100 * (0.1 + 0.1 + 0) / 3, rel=1e-12)
    assert found["smape"] == pytest.approx(100 * (20 / 210 + 40 / 380 + 0) / 3, rel=1e-12)
    # lag 2: |30-10|, |NaN-20|, |60-30|, |40-NaN|
    assert found["mase"] == pytest.approx(10 / ((20 + 30) / 2), rel=1e-12)


def test_what_is_not_defined_is_none_and_never_nan() -> None:
    nothing = dict.fromkeys(("mae", "rmse", "mape", "smape", "mase"))
    assert metrics(np.array([NAN]), np.array([1.0]), np.array([1.0]), 1) == nothing
    assert metrics(np.array([1.0]), np.array([NAN]), np.array([1.0]), 1) == nothing
    zero = metrics(np.array([0.0, 1.0]), np.array([1.0, 1.0]), np.array([3.0, 3.0, 3.0]), 1)
    assert zero["mape"] is None
    assert zero["mase"] is None
    assert metrics(np.array([1.0]), np.array([2.0]), np.array([NAN]), 12)["mase"] is None
    huge = metrics(np.array([1e300]), np.array([-1e300]), np.array([0.0, 1.0]), 1)
    assert huge["rmse"] is None
    assert huge["mae"] == pytest.approx(2e300)


def test_a_history_shorter_than_a_season_takes_the_last_step_for_mase() -> None:
    found = metrics(np.array([5.0]), np.array([6.0]), np.array([1.0, 2.0, 4.0]), 12)
    assert found["mase"] == pytest.approx(1 / 1.5)


def test_coverage_counts_ends_as_inside_and_leaves_gaps_out() -> None:
    forecast = pd.DataFrame({"m": [0.0] * 5, "m-lo-80": [-1.0] * 5, "m-hi-80": [1.0] * 5})
    assert coverage(np.array([1.0, -1.0, 1.1, NAN, 0.0]), forecast, "m", [80]) == {"80": 75.0}
    forecast.loc[4] = NAN  # a series without a forecast
    assert coverage(np.array([1.0, -1.0, 1.1, NAN, 0.0]), forecast, "m", [80])["80"] == pytest.approx(200 / 3)
    assert coverage(np.full(5, NAN), forecast, "m", [80]) == {}


def test_the_mean_leaves_out_what_is_not_defined() -> None:
    assert mean_metrics([{"a": 1.0, "b": None}, {"a": 3.0, "b": None}]) == {"a": 2.0, "b": None}
    assert mean_metrics([{"a": 1.0}, {"a": None}]) == {"a": 1.0}
