"""How much of a trend goes on, against series for which it is known."""

import numpy as np
import pytest

from statespace.datasets import load
from statespace.forecasting.drift import persistence, typical_change


def _beta(series: np.ndarray, season: int = 12, input_size: int = 36) -> float:
    return persistence(series, np.array([len(series)]), season, input_size)


def test_a_straight_line_goes_on_in_full() -> None:
    assert _beta(np.arange(240.0)) == pytest.approx(1.0, abs=1e-12)


def test_an_alternating_level_does_not_go_on() -> None:
    assert _beta(np.repeat(np.tile([0.0, 1.0], 12), 12)) == 0.0


def test_a_geometric_approach_goes_on_by_its_ratio() -> None:
    # Levels 1 - r^j change by (1 - r) r^j: with one change in the window, the next is r times the last.
    ratio = 0.6
    levels = 1 - ratio ** np.arange(12)
    assert _beta(np.repeat(levels, 12), input_size=24) == pytest.approx(ratio, rel=1e-9)


@pytest.mark.parametrize(("size", "count"), [(12, 120), (36, 30)])
def test_too_little_to_tell_is_no_drift(size: int, count: int) -> None:
    assert _beta(np.arange(float(count)), input_size=size) == 0.0


def test_gaps_do_not_pass_for_changes_of_level() -> None:
    line = np.arange(240.0)
    line[50:53] = np.nan
    assert _beta(line) == pytest.approx(1.0, abs=1e-12)


def test_real_series_trend_or_return() -> None:
    assert _beta(np.log(load("airline")["y"].to_numpy())) > 0.5
    assert _beta(load("sunspots")["y"].to_numpy(), 11, 44) == 0.0


def test_the_typical_change_is_the_scale_of_mase() -> None:
    rng = np.random.default_rng(0)
    noisy, calm = rng.standard_normal(200), 0.5 * rng.standard_normal(120)
    noisy[[3, 50, 51]] = np.nan
    found = typical_change(np.concatenate([noisy, calm]), np.array([200, 120]), 12)
    # The mean absolute error of the seasonal naive forecast of one step, where both values are there.
    want = [np.nanmean(np.abs(series[12:] - series[:-12])) for series in (noisy, calm)]
    np.testing.assert_allclose(found, want, rtol=1e-12)


def test_a_series_that_repeats_itself_does_not_count_for_all_others() -> None:
    series = [np.arange(48.0), np.tile(np.arange(12.0), 4), np.full(48, np.nan), np.arange(5.0)]
    found = typical_change(np.concatenate(series), np.array([48, 48, 48, 5]), 12)
    np.testing.assert_allclose(found, [12.0, 1.2, 12.0, 12.0])
    np.testing.assert_array_equal(typical_change(np.ones(24), np.array([24]), 12), [1.0])
