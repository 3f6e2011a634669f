"""Intervals between trained quantiles against the normal distribution of SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from statespace.errors import InputError
from statespace.forecasting.levels import check_levels, columns
from statespace.models import QUANTILES


@pytest.mark.parametrize("level", [1, 5, 12.5, 20, 33.3, 50, 68.27, 80, 90, 95, 98, 99])
def test_quantiles_of_a_normal_distribution_are_met_between_the_trained_ones(level: float) -> None:
    location, scale = np.array([[0.0], [7.0], [-1e6]]), np.array([[1.0], [0.01], [1e3]])
    found = columns(location + scale * norm.ppf(QUANTILES), [level], "S4D")
    for end, q in (("lo", 0.5 - level / 200), ("hi", 0.5 + level / 200)):
        # eight roundings, relative to the larger of location and scale
        np.testing.assert_allclose(found[f"S4D-{end}-{level}"], (location + scale * norm.ppf(q))[:, 0], rtol=1e-13)
    np.testing.assert_allclose(found["S4D"], location[:, 0], rtol=1e-13, atol=1e-15)


def test_a_trained_quantile_is_taken_as_it_is() -> None:
    quantiles = np.sort(np.random.default_rng(0).normal(size=(5, len(QUANTILES))))
    found = columns(quantiles, [20, 40, 60, 80, 90, 95, 99], "m")
    for level in (20, 40, 60, 80, 90, 95, 99):
        for end, q in (("lo", 0.5 - level / 200), ("hi", 0.5 + level / 200)):
            place = int(np.argmin(np.abs(np.array(QUANTILES) - q)))
            np.testing.assert_allclose(found[f"m-{end}-{level}"], quantiles[:, place], rtol=1e-12, atol=1e-12)


@given(
    arrays(np.float64, (3, len(QUANTILES)), elements=st.floats(-1e300, 1e300)),
    st.lists(st.floats(1, 99), min_size=1, max_size=5),
)
def test_no_interval_crosses_the_median_or_a_wider_one(raw: np.ndarray, asked: list[float]) -> None:
    levels = check_levels("test", asked)
    found = columns(np.sort(raw, -1), levels, "m")
    inner_low = inner_high = found["m"]
    slack = 1e-12 * np.abs(raw).max(-1)  # two levels closer than rounding may swap
    for level in levels:
        low, high = found[f"m-lo-{level}"], found[f"m-hi-{level}"]
        assert (low <= inner_low + slack).all()
        assert (high >= inner_high - slack).all()
        assert (low <= found["m"]).all()
        assert (high >= found["m"]).all()
        inner_low, inner_high = low, high


def test_equal_quantiles_give_equal_ends() -> None:
    for constant in (0.1, 1e300, -3.7):
        found = columns(np.full((2, len(QUANTILES)), constant), [13, 80, 95], "m")
        assert all((values == constant).all() for values in found.values())


@pytest.mark.parametrize("level", [0, 100, -5, 99.5, float("nan"), float("inf"), "80", "abc", True, None, [80], {80}])
def test_an_unknown_level_says_what_a_level_is(level: object) -> None:
    with pytest.raises(InputError, match=r"test: level .* is not known: .* in percent, from 1 to 99, such as 80 or 95"):
        check_levels("test", [level])  # type: ignore[list-item]  # on purpose


def test_levels_are_ordered_and_named_once() -> None:
    assert check_levels("test", [95, 80, 95.0]) == [80, 95]
    assert check_levels("test", 80) == check_levels("test", (80,)) == check_levels("test", np.array([80])) == [80]
    assert check_levels("test", None) == check_levels("test", []) == []
    assert list(columns(np.zeros((1, len(QUANTILES))), check_levels("test", [80.0, 95, 97.5]), "S4D")) == [
        *("S4D", "S4D-lo-80", "S4D-hi-80", "S4D-lo-95", "S4D-hi-95", "S4D-lo-97.5", "S4D-hi-97.5")
    ]


@pytest.mark.parametrize("level", [20, 40, 60, 80, 90, 95, 99])
def test_trained_counts_are_ends_of_bands_to_the_last_digit(level: int) -> None:
    quantiles = np.sort(np.random.default_rng(0).integers(0, 40, size=(500, len(QUANTILES)))).astype(float)
    found = columns(quantiles, [level], "m", [0.1])
    for column, q in ((f"m-lo-{level}", 0.5 - level / 200), (f"m-hi-{level}", 0.5 + level / 200), ("m_ql0.1", 0.1)):
        place = int(np.argmin(np.abs(np.array(QUANTILES) - q)))
        np.testing.assert_array_equal(found[column], quantiles[:, place])
