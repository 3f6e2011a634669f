"""Location and scale against NumPy and scikit-learn, numbers of any size, and when the logarithm is taken."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statespace import Forecaster
from statespace.errors import InputError
from statespace.forecasting.scalers import SCALERS
from statespace.forecasting.scaling import Scaling, wants_log

FINITE = st.floats(allow_nan=False, allow_infinity=False)
LAST_BIT = 1e-320  # a number below 4e-308 loses its last bit when it is halved


def scaling(
    *series: list[float], log: bool = False, scaler_type: str = "standard"
) -> tuple[Scaling, np.ndarray, np.ndarray]:
    values, lengths = np.concatenate([np.asarray(one, float) for one in series]), np.array([len(one) for one in series])
    return Scaling.of("test", values, lengths, log, list("abcdef"[: len(series)]), scaler_type), values, lengths


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


@settings(deadline=None)  # a busy machine is no fault
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
    found, _, _ = scaling([0.0, 1.7e308], [7.0], [0.0, 1.7e308], scaler_type="minmax")
    assert (found.scale == 1.7e308).all()


def test_a_new_series_of_one_value_takes_its_spread_from_those_of_training() -> None:
    t = np.arange(150)
    trained = pd.DataFrame(
        {
            "unique_id": "a",
            "ds": t,
            "y": 10 + 5 * np.sin(2 * np.pi * t / 12) + np.random.default_rng(0).normal(size=150),
        }
    )
    fc = Forecaster(12, 24, max_steps=5, season_length=12, verbose=False).fit(trained, 1)
    new = pd.DataFrame({"unique_id": ["new"], "ds": [0], "y": [40.0]})
    pred = fc.predict(new, level=[95])
    width = pred[f"{fc.name}-hi-95"] - pred[f"{fc.name}-lo-95"]
    assert (width > 1e-3).all()  # of a scale of its own it would be zero


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


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("scaler_type", SCALERS)
def test_every_scaler_is_that_of_scikit_learn(scaler_type: str, log: bool) -> None:
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    theirs = {
        "standard": preprocessing.StandardScaler(),
        "robust": preprocessing.RobustScaler(unit_variance=True),
        "minmax": preprocessing.MinMaxScaler(),
        "none": preprocessing.FunctionTransformer(),
    }[scaler_type]
    rng = np.random.default_rng(0)
    series = [rng.lognormal(3, 1, 31), rng.uniform(100, 900, 6), 1e-3 * rng.lognormal(0, 2, 80)]
    series[0][3:6], series[2][::9] = np.nan, np.nan
    found, values, lengths = scaling(*series, log=log, scaler_type=scaler_type)
    z = found.forward(values, lengths)
    want = [theirs.fit_transform((np.log(one) if log else one)[:, None])[:, 0] for one in series]
    np.testing.assert_allclose(z, np.concatenate(want), rtol=1e-12, atol=1e-12)
    back = [found.backward(np.tile(part, (3, 1)))[i] for i, part in enumerate(np.split(z, [31, 37]))]
    np.testing.assert_allclose(np.concatenate(back), values, rtol=1e-12)


@pytest.mark.parametrize("scaler_type", SCALERS)
@settings(deadline=None)  # a busy machine is no fault
@given(st.lists(st.lists(FINITE, min_size=1, max_size=12), min_size=1, max_size=4))
def test_no_scaler_makes_a_number_too_large_for_32_bits(scaler_type: str, series: list[list[float]]) -> None:
    found, values, lengths = scaling(*series, scaler_type=scaler_type)
    z = found.forward(values, lengths)
    if scaler_type == "none":
        np.testing.assert_allclose(z, values, rtol=0, atol=LAST_BIT)
    else:
        assert np.abs(z).max() <= 1e7
    assert np.isfinite(found.backward(np.full((len(series), 3), 50.0))).all()
    constant, values, lengths = scaling([series[0][0]] * 9, scaler_type=scaler_type)
    back = constant.backward(constant.forward(values, lengths)[None])
    np.testing.assert_allclose(back[0], values, rtol=0, atol=LAST_BIT)


def test_outliers_do_not_move_the_robust_scale_and_zeros_do_not_end_it() -> None:
    calm = np.random.default_rng(0).standard_normal(1001)
    wild = np.where(np.arange(1001) % 20 == 0, 1e6, calm)
    found, _, _ = scaling(calm.tolist(), wild.tolist(), scaler_type="robust")
    assert found.scale[1] == pytest.approx(found.scale[0], rel=0.15)
    assert found.scale[0] == pytest.approx(1, rel=0.1)  # of standard normal values
    often_zero = [0.0] * 90 + [5.0] * 10
    for scaler_type in ("robust", "standard"):
        found, _, _ = scaling(often_zero, scaler_type=scaler_type)
        assert found.scale[0] == pytest.approx(np.std(often_zero), rel=1e-12)


def test_what_a_scaler_or_a_power_cannot_take_is_named() -> None:
    with pytest.raises(InputError, match=r"test: scaler_type is 'robus'.* Did you mean 'robust'\?"):
        scaling([1.0, 2.0], scaler_type="robus")
    values = np.array([1.0, 2.0, 1.0, np.nan, -3.0, 1.0])
    with pytest.raises(InputError, match=r"series 'b' holds -3.0, but transform='boxcox' needs positive values"):
        Scaling.of("test", values, np.array([2, 4]), False, ["a", "b"], power=0.5)
