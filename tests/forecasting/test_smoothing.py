"""Exponential smoothing as a state space model, against its recursions written component by component."""

import numpy as np
import pytest

from statespace.datasets import load
from statespace.forecasting.innovations import Kind, Smoothing
from statespace.forecasting.smoothing import fitted, groups_of, smoothed

KINDS = [Kind(slope, season) for slope in (False, True) for season in (1, 4)]
KINDS += [Kind(True, season, steady=True) for season in (1, 4)]


def model(kind: Kind, seed: int = 0) -> Smoothing:
    return kind.model(np.random.default_rng(seed).normal(size=len(kind.start)) - 1)


def components(kind: Kind, of: Smoothing) -> tuple[float, float, float, float]:
    """Return α, β, φ and γ of the book's component form."""
    alpha, beta, damping = of.K[0], 0.0, 1.0
    if kind.slope:
        beta, damping = of.K[1], of.A[1, 1]
    return alpha, beta, damping, of.K[-1] if kind.season > 1 else 0.0


def recursion(kind: Kind, of: Smoothing, start: np.ndarray, y: np.ndarray, steps: int) -> tuple[list, list]:
    """Filter and forecast by level, slope and seasonal components (Hyndman et al. 2008, table 2.1)."""
    alpha, beta, damping, gamma = components(kind, of)
    level, slope = start[0], start[1] if kind.slope else 0.0
    seasons = list(start[1 + kind.slope :]) if kind.season > 1 else [0.0]
    errors = []
    for t, value in enumerate(y):
        place = t % kind.season
        error = value - (level + damping * slope + seasons[place])
        level, slope = level + damping * slope + alpha * error, damping * slope + beta * error
        seasons[place] += gamma * error
        errors.append(error)
    ahead = [
        level + slope * sum(damping**j for j in range(1, n + 1)) + seasons[(len(y) + n - 1) % kind.season]
        for n in range(1, steps + 1)
    ]
    return errors, ahead


@pytest.mark.parametrize("kind", KINDS)
def test_errors_and_forecasts_are_those_of_the_recursions(kind: Kind) -> None:
    of, y = model(kind), np.random.default_rng(1).normal(size=37).cumsum()
    errors, start = of.errors(y[:, None])
    want, ahead = recursion(kind, of, start[:, 0], y, 11)
    np.testing.assert_allclose(errors[:, 0], want, atol=1e-9)
    np.testing.assert_allclose(of.forecast(37, 11) @ y, ahead, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_no_other_start_leaves_smaller_errors(kind: Kind) -> None:
    of, y = model(kind), np.random.default_rng(1).normal(size=37).cumsum()
    none, _ = recursion(kind, of, np.zeros(kind.states), y, 1)
    each = [recursion(kind, of, one, 0 * y, 1)[0] for one in np.eye(kind.states)]
    least = float(np.square(none + np.linalg.lstsq(np.array(each).T, -np.array(none), rcond=None)[0] @ each).sum())
    assert np.square(of.errors(y[:, None])[0]).sum() == pytest.approx(least, rel=1e-6)


def test_the_spread_grows_as_the_book_says() -> None:
    """Table 6.2 of Hyndman et al. 2008: class 1, with c_j written out."""
    steps = np.arange(1, 13)
    level = model(Kind(False, 1))
    np.testing.assert_allclose(level.growth(12), 1 + level.K[0] ** 2 * (steps - 1))
    kind = Kind(True, 4)
    full = model(kind)
    alpha, beta, damping, gamma = components(kind, full)
    carried = [alpha + beta * sum(damping**i for i in range(1, j + 1)) + gamma * (j % 4 == 0) for j in range(1, 12)]
    np.testing.assert_allclose(full.growth(12), 1 + np.concatenate([[0], np.cumsum(np.square(carried))]))


def test_a_level_that_is_simulated_is_found_again() -> None:
    """One in each series of several: α = 0.3 is what all share."""
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(8, 400))
    levels = 0.3 * errors.cumsum(1)
    y = np.concatenate([np.zeros((8, 1)), levels[:, :-1]], 1) + errors
    found = smoothed(y.ravel(), np.full(8, 400), 1, 60, 5)
    assert found is not None
    share, best = max(found.models, key=lambda pair: pair[0])
    assert (len(best.C), share > 0.5) == (1, True)
    assert best.K[0] == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("name", ["airline", "elnino", "sunspots"])
def test_a_shift_and_a_scale_of_the_window_go_through_to_the_forecast(name: str) -> None:
    y = np.log1p(load(name)["y"].to_numpy(float))[-150:]
    found = smoothed(y, np.array([len(y)]), 12, 48, 24)
    assert found is not None
    window = y[-48:]
    np.testing.assert_allclose(found.weight @ (3 * window - 7), 3 * (found.weight @ window) - 7, atol=1e-4)


def test_a_season_that_repeats_goes_on() -> None:
    y = np.tile([1.0, 5.0, 2.0, -3.0], 20) + 1e-3 * np.random.default_rng(0).normal(size=80)
    found = smoothed(y, np.array([80]), 4, 16, 8)
    assert found is not None
    np.testing.assert_allclose(found.weight @ y[-16:], np.tile([1.0, 5.0, 2.0, -3.0], 2), atol=0.01)
    assert found.spread.max() < 0.01


def test_the_spread_is_that_of_the_errors_made() -> None:
    """Of a random walk, the error n ahead has n times the variance of the steps."""
    steps = np.random.default_rng(0).normal(size=(20, 300))
    y = steps.cumsum(1)
    found = smoothed(y.ravel(), np.full(20, 300), 1, 300, 10, "none")
    assert found is not None
    np.testing.assert_allclose(found.spread[:10], np.sqrt(np.arange(1, 11)), rtol=0.15)
    assert len(found.spread) == 310  # further than the horizon, for windows that end in a gap


def test_gaps_and_unequal_lengths_are_taken() -> None:
    rng = np.random.default_rng(0)
    series = [rng.normal(size=n).cumsum() for n in (40, 77, 300)]
    series[1][:5] = series[2][100:110] = np.nan
    found = smoothed(np.concatenate(series), np.array([40, 77, 300]), 1, 30, 4)
    assert found is not None
    assert np.isfinite(found.weight).all()
    assert (found.spread > 0).all()


@pytest.mark.parametrize("y", [np.ones(50), np.full(50, np.nan), np.arange(1.0)], ids=["constant", "empty", "short"])
def test_what_tells_nothing_gives_none(y: np.ndarray) -> None:
    assert smoothed(y, np.array([len(y)]), 1, 20, 5) is None


def test_of_a_random_walk_covariates_are_regressed_in_differences() -> None:
    rng = np.random.default_rng(0)
    beside = rng.normal(size=(80, 2)).cumsum(0)
    y = beside @ [0.7, -0.2] + rng.normal(size=80).cumsum()
    walk = Smoothing(np.eye(1), np.ones(1), np.ones(1))
    found = fitted(walk, groups_of(y, np.array([80]), beside, np.array([0])))
    want = np.linalg.lstsq(np.diff(beside, axis=0), np.diff(y), rcond=None)[0]
    np.testing.assert_allclose(found.effect, want, rtol=1e-4)
    assert found.squares[0][0] == pytest.approx(np.square(np.diff(y) - np.diff(beside, axis=0) @ want).sum())


def test_what_covariates_add_is_found_in_what_is_left_of_level_and_season() -> None:
    rng = np.random.default_rng(0)
    beside = rng.normal(size=(3 * 90, 2))
    season = np.tile([3.0, -1.0, 0.0, -2.0], 68)[: 3 * 90]
    y = season + beside @ [0.8, 0.0] + 0.2 * rng.normal(size=3 * 90)
    found = smoothed(y, np.full(3, 90), 4, 30, 8, beside=beside)
    assert found is not None
    np.testing.assert_allclose(found.effect, [[0.8, 0.0]], atol=0.05)
    assert found.spread.max() < 0.3


def test_covariates_that_say_nothing_add_nothing() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=60).cumsum()
    found = smoothed(y, np.array([60]), 1, 20, 4, beside=rng.normal(size=(60, 5)))
    assert found is not None
    np.testing.assert_array_equal(found.effect, np.zeros((1, 5)))


def test_covariates_that_level_and_season_know_are_left_to_them() -> None:
    rng = np.random.default_rng(0)
    y = np.tile([3.0, -1.0, 0.0, -2.0], 30) + 0.1 * rng.normal(size=120)
    beside = np.stack([np.zeros(120), np.ones(120), np.tile([1.0, 0.0, 0.0, 0.0], 30)], 1)
    model = Kind(False, 4).model([-1.0, -2.0])
    found = fitted(model, groups_of(y, np.array([120]), beside, np.array([0])))
    np.testing.assert_allclose(found.effect, np.zeros(3), atol=1e-3)


def monthly(seed: int, others: int, steps: int = 40, slope: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    rng, time = np.random.default_rng(seed), np.arange(steps)
    beside = rng.normal(size=(steps, 1 + others))
    y = 0.2 * time + 6 * np.sin(2 * np.pi * time / 12) + slope * beside[:, 0] + rng.normal(size=steps)
    return y, beside


@pytest.mark.parametrize("others", [0, 10, 24])
@pytest.mark.parametrize("seed", range(3))
def test_a_covariate_is_found_among_others_that_say_nothing(seed: int, others: int) -> None:
    y, beside = monthly(seed, others)
    found = smoothed(y, np.array([40]), 12, 36, 12, beside=beside)
    assert found is not None
    assert found.effect[0, 0] == pytest.approx(5.0, abs=0.8)
    assert np.sqrt(np.square(found.effect[0, 1:]).sum()) < 1.2
    assert any(len(model.C) > 12 for _, model in found.models)  # and the season with it


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_gaps_do_not_hide_what_covariates_add(share: float) -> None:
    rng = np.random.default_rng(0)
    beside = rng.normal(size=(300, 1))
    y = 5 * beside[:, 0] + rng.normal(size=300)
    y[rng.random(300) < share] = np.nan
    found = smoothed(y, np.array([300]), 1, 36, 12, beside=beside)
    assert found is not None
    assert found.effect[0, 0] == pytest.approx(5.0, abs=0.2)


@pytest.mark.parametrize("slope", [0.0, 5.0, 50.0])
def test_the_spread_is_that_of_windows_without_what_covariates_add(slope: float) -> None:
    y, beside = monthly(0, 0, 200, slope)
    found = smoothed(y, np.array([200]), 12, 36, 12, beside=beside)
    assert found is not None
    bare = (y - beside @ found.effect[0])[-36:]
    assert found.spread[0] * bare.std() == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("short", [2, 3, 8, 14, 20, 26])
def test_a_series_that_is_too_short_for_a_season_does_not_take_it_from_the_others(short: int) -> None:
    each = [monthly(seed, 0, 120) for seed in range(6)]
    y, beside = (np.concatenate(parts) for parts in zip(*each, strict=True))
    alone = smoothed(y, np.full(6, 120), 12, 36, 12, beside=beside)
    lengths = np.array([short, *[120] * 6])
    found = smoothed(
        np.concatenate([y[:short], y]), lengths, 12, 36, 12, beside=np.concatenate([beside[:short], beside])
    )
    assert alone is not None
    assert found is not None
    np.testing.assert_allclose(found.effect, [[5.0]], atol=0.1)
    for got, want in zip(found[:3], alone[:3], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_the_spread_is_that_of_the_series_that_have_most_values() -> None:
    """Of windows of a few values the scale is small now and then, and the errors in units of it are large."""
    rng = np.random.default_rng(0)
    walks = [rng.normal(size=n).cumsum() for n in (*[200] * 6, *[11] * 3)]
    of_long = smoothed(np.concatenate(walks[:6]), np.full(6, 200), 1, 60, 5)
    of_all = smoothed(np.concatenate(walks), np.array([len(walk) for walk in walks]), 1, 60, 5)
    assert of_long is not None
    assert of_all is not None
    np.testing.assert_allclose(of_all.spread[:5], of_long.spread[:5], rtol=0.1)


@pytest.mark.parametrize("count", [1, 30])
@pytest.mark.parametrize("steps", [2, 3, 4, 5])
def test_of_a_few_values_the_last_one_goes_on(steps: int, count: int) -> None:
    """A trend is no reason to go back to their mean, and its changes say how far the next value may be off."""
    y = 100 + 5 * np.arange(steps) + np.random.default_rng(0).normal(0, 0.2, size=(count, steps))
    found = smoothed(y.ravel(), np.full(count, steps), 12, 24, 2, "none")
    assert found is not None
    assert (found.weight[:, -steps:] @ y.T >= y[:, -1] - 0.5).all()
    assert found.spread[0] == pytest.approx(5, rel=0.8)


@pytest.mark.parametrize("seed", range(4))
def test_a_line_of_eight_values_goes_on(seed: int) -> None:
    steps = np.arange(14)
    y = 100 + 5 * steps + np.random.default_rng(seed).normal(0, 0.5, size=14)
    found = smoothed(y[:8], np.array([8]), 12, 24, 6, "none")
    assert found is not None
    np.testing.assert_allclose(
        found.weight[:, -8:] @ y[:8], 100 + 5 * steps[8:], atol=2.5
    )  # the last value is off by 30
    assert found.spread.max() < 2.5


def test_a_window_of_two_steps_is_no_reason_to_take_a_series_for_a_random_walk() -> None:
    assert smoothed(np.random.default_rng(0).normal(size=100), np.array([100]), 1, 2, 3) is None
