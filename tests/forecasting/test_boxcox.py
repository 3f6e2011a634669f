"""The power transform and its exponent against SciPy, and what becomes of forecasts that leave its image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from statespace.forecasting.boxcox import best_power, forward, inverse
from statespace.forecasting.scaling import Scaling

POWERS = [0.0, 1e-9, 1e-3, 0.25, 0.5, 1.0]


def skewed(power: float, level: float, steps: int = 400, seed: int = 0) -> np.ndarray:
    """Positive values that are normal after the transform with this power."""
    z = np.random.default_rng(seed).normal(size=steps)
    return np.asarray(level * special.inv_boxcox(8 + z, power) / special.inv_boxcox(8.0, power))


@pytest.mark.parametrize("power", POWERS)
def test_the_transform_and_its_inverse_are_those_of_scipy(power: float) -> None:
    y = np.geomspace(1e-3, 1e6, 200)
    z = forward(y, power)
    # SciPy goes through y^λ, which loses digits where λ is small; both lose them where λ z is close to -1
    np.testing.assert_allclose(z, special.boxcox(y, power), rtol=1e-7 if power == 1e-9 else 1e-12, atol=1e-12)
    np.testing.assert_allclose(inverse(z, power), special.inv_boxcox(z, power), rtol=1e-9)
    np.testing.assert_allclose(inverse(z, power), y, rtol=1e-10)


@settings(deadline=None)
@given(st.floats(1e-5, 1e9), st.floats(1e-9, 1))
def test_what_is_transformed_comes_back(y: float, power: float) -> None:
    # λ z + 1 = y^λ: its rounding, relative to 1, is carried to y by the power 1 / λ
    rounding = 1e-14 * (1 + max(y**-power, 1) / max(power, 1e-2))
    z = forward(np.array(y), power)
    np.testing.assert_allclose(inverse(z, power), y, rtol=max(rounding, 1e-12))


@pytest.mark.parametrize("power", [0.0, 0.1, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("level", [1.0, 5e4])
def test_the_exponent_of_one_series_is_that_of_scipy(power: float, level: float) -> None:
    y = skewed(power, level)
    want = np.clip(stats.boxcox_normmax(y, method="mle"), 0, 1)
    assert best_power(y, np.array([len(y)])) == pytest.approx(want, abs=1e-3)


def test_the_exponent_of_a_table_is_where_scipys_likelihoods_add_up_to_the_most() -> None:
    series = [skewed(0.3, 10.0, 300), skewed(0.5, 4000.0, 90, seed=1), skewed(0.1, 0.2, 150, seed=2)]
    grid = np.linspace(0, 1, 2001)
    total = [sum(stats.boxcox_llf(power, one) for one in series) for power in grid]
    with_more = [series[0], np.full(50, 7.0), series[1], np.array([3.0]), series[2]]  # which tell nothing
    values, lengths = np.concatenate(with_more), np.array([len(one) for one in with_more])
    found = best_power(values, lengths)
    assert found == pytest.approx(grid[int(np.argmax(total))], abs=6e-4)
    gaps = np.where(np.arange(len(values)) % 7 == 0, np.nan, values)
    assert best_power(gaps, lengths) == pytest.approx(found, abs=0.1)
    assert best_power(values * 1e200, lengths) == pytest.approx(found, abs=1e-3)


def test_a_table_of_constants_is_left_as_it_is() -> None:
    assert best_power(np.array([5.0, 5.0, 5.0, np.nan, 2.0]), np.array([4, 1])) == 1.0
    assert best_power(np.array([np.nan]), np.array([1])) == 1.0


def test_numbers_of_any_size_have_an_exponent() -> None:
    values = 10.0 ** np.linspace(-300, 300, 50)
    assert best_power(values, np.array([50])) == 0.0  # equally far apart as logarithms


def test_forecasts_that_leave_the_image_end_at_zero_or_at_the_largest_number() -> None:
    for power in (0.25, 0.5, 1.0):
        far = np.array([-1e9, -1 / power - 1e-9, -1 / power])
        assert (inverse(far, power) == 0).all()
    for power in POWERS:
        found = inverse(np.array([1e308, 1e300, -1e308]), power)
        assert np.isfinite(found).all()
        assert (found >= 0).all()
        assert found[0] >= 1e290
    ascending = inverse(np.linspace(-10, 10, 1001), 0.5)
    assert (np.diff(ascending) >= 0).all()  # quantiles stay in order


def test_scaled_series_come_back_and_look_more_normal() -> None:
    series = [skewed(0.2, 50.0, 200), skewed(0.2, 3e5, 100, seed=1)]
    values, lengths = np.concatenate(series), np.array([200, 100])
    power = best_power(values, lengths)
    found = Scaling.of("test", values, lengths, False, ["a", "b"], power=power)
    z = found.forward(values, lengths)
    for scaled, raw in zip(np.split(z, [200]), series, strict=True):
        assert scaled.mean() == pytest.approx(0, abs=1e-9)
        assert scaled.std() == pytest.approx(1, rel=1e-9)
        assert abs(stats.skew(scaled)) < abs(stats.skew(raw)) / 2
    back = found.backward(np.stack([z[:200], z[:200]]))
    np.testing.assert_allclose(back[0], series[0], rtol=1e-9)
