"""Sample paths against the quantiles they come from, and the correlation of errors against series where it is known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from statespace.errors import InputError
from statespace.forecasting.paths import copula, probabilities, simulate
from statespace.models import QUANTILES
from statespace.models.outputs.levels import between, normal_score

H = 12
LEVELS = np.array(QUANTILES)


def powers(rho: float, h: int = H) -> np.ndarray:
    return rho ** np.abs(np.subtract.outer(np.arange(h), np.arange(h)))


def autoregressive(rho: float, steps: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(steps)
    for i in range(1, steps):
        x[i] = rho * x[i - 1] + np.sqrt(1 - rho**2) * x[i]
    return x


@pytest.mark.parametrize("rho", [-0.7, 0.0, 0.5, 0.95])
def test_each_step_keeps_its_quantiles_whatever_the_correlation(rho: float) -> None:
    rng, n = np.random.default_rng(0), 20_000
    quantiles = np.sort(rng.standard_t(4, (2, H, len(QUANTILES))) * 30 + 100, -1)
    paths = simulate("test", quantiles, powers(rho), n)
    assert paths.shape == (2, n, H)
    share = (paths[..., None] <= quantiles[:, None]).mean(1)
    error = np.sqrt(LEVELS * (1 - LEVELS) / n)
    # 360 shares: the farthest of as many standard normals is about 3, and beyond 4.5 in 1 of 400 cases
    assert (np.abs(share - LEVELS) < 4.5 * error).all()


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.8])
def test_paths_add_up_as_their_correlation_says(rho: float) -> None:
    n, R = 20_000, powers(rho)
    total = simulate("test", np.broadcast_to(norm.ppf(LEVELS), (1, H, len(LEVELS))).copy(), R, n)[0].sum(1)
    want = R.sum()  # the variance of a sum of standard normals
    assert abs(total.var() / want - 1) < 4 * np.sqrt(2 / n)  # the standard error of a variance


@pytest.mark.parametrize("rho", [-0.6, 0.3, 0.8, 0.95])
def test_the_correlation_of_an_autoregression_is_found(rho: float) -> None:
    x = autoregressive(rho, 20_000)
    windows = np.lib.stride_tricks.sliding_window_view(x, H)
    found = copula(windows)
    # Bartlett: the standard error of a correlation at any lag is at most sqrt((1 + rho²) / (1 - rho²) / n)
    error = np.sqrt((1 + rho**2) / (1 - rho**2) / len(x))
    assert np.abs(found - powers(rho)).max() < 4 * error


def test_errors_that_add_up_over_the_horizon_are_found_to() -> None:
    """A forecast of a random walk errs by a sum of shocks: corr(e_i, e_j) = sqrt(i / j), which no lag alone tells."""
    n = 4000
    errors = np.random.default_rng(0).standard_normal((n, H)).cumsum(1) / np.sqrt(np.arange(1, H + 1))
    i = np.arange(1, H + 1)
    want = np.sqrt(np.minimum.outer(i, i) / np.maximum.outer(i, i))
    # a twelfth of the windows is counted as independent, and the rest is drawn to the powers of one number
    assert np.abs(copula(errors) - want).max() < 4 / np.sqrt(n / H)
    assert np.abs(powers(copula(errors)[0, 1]) - want).max() > 0.5


def test_a_season_in_the_errors_is_found_to() -> None:
    month = np.random.default_rng(0).standard_normal((5000, 6))
    found = copula(np.tile(month, 2))
    assert found[0, 6] > 0.9
    assert abs(found[0, 3]) < 0.1


def test_where_there_is_nothing_to_learn_from_steps_are_independent() -> None:
    for nothing in (np.empty((0, H)), np.full((30, H), np.nan), np.zeros((30, H)), np.ones((5, 1))):
        np.testing.assert_allclose(copula(nothing), np.eye(nothing.shape[1]), atol=0)
    noise = np.random.default_rng(0).standard_normal((25, H))
    few = copula(noise) - np.eye(H)
    as_they_are = np.corrcoef(noise.T) - np.eye(H)
    assert np.abs(as_they_are).max() > 0.5  # what 25 windows seem to say
    assert np.abs(few).max() < 0.1


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(0, 9), st.integers(1, 8)),
        elements=st.one_of(st.floats(-4, 4), st.sampled_from([0.0, 4.0, -4.0, float("nan")])),
    )
)
def test_what_is_found_is_always_a_correlation(scores: np.ndarray) -> None:
    found = copula(scores)
    assert (found == found.T).all()
    np.testing.assert_allclose(np.diagonal(found), 1, rtol=1e-12)
    assert np.linalg.eigvalsh(found).min() > 1e-6
    assert np.isfinite(np.linalg.cholesky(found)).all()


def test_beyond_the_horizon_paths_go_on_without_a_seam() -> None:
    u = probabilities(powers(0.8), 3, 30, 8000, seed=1)
    x = norm.ppf(u)
    assert x.shape == (8000, 3, 30)
    found = np.corrcoef(x[:, 0].T)
    np.testing.assert_allclose(found, powers(0.8, 30), atol=4.5 / np.sqrt(8000))
    between_series = np.corrcoef(x[:, 0, 5], x[:, 1, 5])[0, 1]
    assert abs(between_series) < 4 / np.sqrt(8000)
    shorter = probabilities(powers(0.8), 3, 5, 8000, seed=1)
    np.testing.assert_allclose(np.corrcoef(norm.ppf(shorter[:, 0]).T), powers(0.8, 5), atol=4.5 / np.sqrt(8000))


def test_the_same_seed_gives_the_same_paths_and_gaps_stay_gaps() -> None:
    quantiles = np.sort(np.random.default_rng(0).normal(size=(3, H, len(QUANTILES))), -1)
    quantiles[1] = np.nan
    first, again, other = (simulate("test", quantiles, powers(0.5), 50, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first[0] != other[0]).any()
    assert np.isnan(first[1]).all()
    assert np.isfinite(first[[0, 2]]).all()


@pytest.mark.parametrize(("n_paths", "seed"), [(0, 0), (2.5, 0), (True, 0), ("9", 0), (5, -1)])
def test_numbers_of_paths_and_seeds_are_whole(n_paths: object, seed: object) -> None:
    with pytest.raises(InputError, match=r"Forecaster.simulate: (n_paths|seed) is .* a whole number from [01] on"):
        simulate("Forecaster.simulate", np.zeros((1, H, 15)), np.eye(H), n_paths, seed)  # type: ignore[arg-type]  # on purpose


def test_scores_of_a_right_forecast_are_standard_normal_and_undo_between() -> None:
    location, scale = np.array([0.0, -300.0, 5.0]), np.array([1.0, 20.0, 0.001])
    quantiles = torch.tensor(location[:, None] + scale[:, None] * norm.ppf(LEVELS))
    z = np.linspace(-3.9, 3.9, 41)[:, None]
    np.testing.assert_allclose(
        normal_score(quantiles.expand(41, 3, 15), torch.tensor(location + scale * z)), z + 0 * location, atol=1e-9
    )
    skewed = torch.sort(torch.randn(50, len(QUANTILES)).double().exp(), -1).values
    u = torch.rand(50).double() * 0.98 + 0.01
    torch.testing.assert_close(normal_score(skewed, between(skewed, u)), torch.special.ndtri(u))


def test_scores_at_the_ends_in_gaps_and_where_quantiles_coincide() -> None:
    quantiles = torch.tensor([0.0] * 8 + [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])  # half of the outcomes are 0
    y = torch.tensor([0.0, -1.0, 1e9, float("nan"), 1.0])
    found = normal_score(quantiles.expand(5, -1), y)
    assert found[0] == pytest.approx(norm.ppf(0.25), abs=1e-6)  # the middle of what is 0
    assert found[1] == -4
    assert found[2] == 4
    assert found[3].isnan()
    assert found[4] == pytest.approx(norm.ppf(0.6), abs=1e-6)
    constant = torch.full((3, len(QUANTILES)), 5.0)
    assert normal_score(constant, torch.tensor([4.0, 5.0, 6.0])).tolist() == pytest.approx([-4, 0, 4], abs=1e-6)
