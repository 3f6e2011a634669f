"""Location and scale against NumPy, numbers at the ends of their range, and when the logarithm is taken."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statespace.errors import InputError
from statespace.forecasting.scaling import Scaling, wants_log

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def scaling(*series: list[float], log: bool = False) -> tuple[Scaling, np.ndarray, np.ndarray]:
    values, lengths = np.concatenate([np.asarray(one, float) for one in series]), np.array([len(one) for one in series])
    return Scaling.of("test", values, lengths, log, list("abcdef"[: len(series)])), values, lengths


@pytest.mark.parametrize("log", [False, True])
def test_location_and_scale_are_those_of_numpy(log: bool) -> None:
    rng = np.random.default_rng(0)
    series = [rng.uniform(1, 9, 30), rng.uniform(100, 900, 5), rng.uniform(0.1, 0.2, 80)]
    series[0][3:6] = np.nan
    found, values, lengths = scaling(*series, log=log)
    want = [np.log(one) if log else one for one in series]
    np.testing.assert_allclose(found.location, [np.nanmean(one) for one in want], rtol=1e-13)
    np.testing.assert_allclose(found.scale, [np.nanstd(one) for one in want], rtol=1e-13)
    z = found.forward(values, lengths)
    assert (np.isnan(z) == np.isnan(values)).all()
    back = np.concatenate([found.backward(np.stack([part] * 3))[i] for i, part in enumerate(np.split(z, [30, 35]))])
    np.testing.assert_allclose(back, values, rtol=1e-13)


@given(st.lists(st.lists(FINITE, min_size=1, max_size=12), min_size=1, max_size=4))
def test_no_finite_number_is_too_large_or_too_small(series: list[list[float]]) -> None:
    found, values, lengths = scaling(*series)
    assert np.isfinite(found.location).all()
    assert (found.scale >= 0).all()
    z = found.forward(values, lengths)
    assert np.isfinite(z).all()
    assert np.abs(z).max() <= 12  # of n values none is more than sqrt(n - 1) standard deviations away
    assert np.isfinite(found.backward(np.full((len(series), 3), 50.0))).all()


def test_a_constant_comes_back_exactly_whatever_the_network_says() -> None:
    for constant in (0.0, 0.1, -5.0, 1e300, 1e-300):
        found, values, lengths = scaling([constant] * 40)
        assert (found.forward(values, lengths) == 0).all()
        assert (found.backward(np.array([[-3.0, 0.0, 3.0]])) == constant).all()


def test_a_single_value_takes_its_spread_from_the_others() -> None:
    found, _, _ = scaling([1.0, 3.0], [7.0], [0.0, 4.0, np.nan])
    np.testing.assert_allclose(found.scale, [1.0, 1.5, 2.0], rtol=1e-13)


def test_the_logarithm_of_what_is_not_positive_names_the_series() -> None:
    with pytest.raises(
        InputError, match=r"series 'b' holds 0.0, but the logarithm needs positive values: use transform="
    ):
        scaling([1.0, 2.0], [1.0, np.nan, 0.0], log=True)


@pytest.mark.parametrize("unit", [1.0, 1e-200, 1e200])
@pytest.mark.parametrize("seed", range(5))
def test_swings_that_grow_with_the_level_ask_for_the_logarithm(seed: int, unit: float) -> None:
    # Bartlett: spread ∝ level^b; b = 1 for the first, 0 for the second
    rng, time = np.random.default_rng(seed), np.arange(144)
    season = np.sin(2 * np.pi * time / 12)
    multiplicative = unit * np.exp(0.012 * time + 0.2 * season + 0.02 * rng.standard_normal(144))
    additive = unit * (3 + 0.05 * time + 0.8 * season + 0.05 * rng.standard_normal(144))
    assert wants_log(multiplicative, np.array([144]), 12)
    assert not wants_log(additive, np.array([144]), 12)


def test_one_value_that_is_not_positive_rules_the_logarithm_out() -> None:
    values = np.exp(0.012 * np.arange(144) + 0.2 * np.sin(2 * np.pi * np.arange(144) / 12))
    assert wants_log(values, np.array([144]), 12)
    for other in (0.0, -1.0):
        assert not wants_log(np.append(values, [other, 1.0]), np.array([144, 2]), 12)
    gaps = np.where(np.arange(144) % 50 == 3, np.nan, values)
    assert wants_log(gaps, np.array([144]), 12)


def test_most_series_decide_and_those_that_tell_nothing_do_not_count() -> None:
    time = np.arange(144)
    season = np.sin(2 * np.pi * time / 12)
    growing, steady = np.exp(0.012 * time + 0.2 * season), 3 + 0.05 * time + 0.8 * season
    constant, silent, short = np.ones(144), np.full(144, np.nan), np.ones(144)[:5]
    many = [growing, constant, growing, steady, silent, short]
    assert wants_log(np.concatenate(many), np.array([len(one) for one in many]), 12)
    few = [growing, steady, steady, constant, silent]
    assert not wants_log(np.concatenate(few), np.array([len(one) for one in few]), 12)
    assert not wants_log(constant, np.array([144]), 12)
    assert not wants_log(silent, np.array([144]), 12)
