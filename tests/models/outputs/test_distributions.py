"""Losses, quantiles and means against SciPy; Tweedie's against a mixture of SciPy's Poisson and gamma distributions."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from statespace.errors import InputError
from statespace.models import QUANTILES
from statespace.models.outputs import NegativeBinomial, Normal, Quantile, StudentT, Tweedie
from statespace.models.outputs.levels import MIDDLE, between

N = 200
LEVELS = np.array(QUANTILES)


def given_windows(parameters: int, positive: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Raw numbers, and locations and scales of windows."""
    rng = np.random.default_rng(1)
    raw = rng.normal(size=(N, parameters)) * ([1.5] if parameters < 3 else [1.5, 1.0, 3.0])
    location = np.zeros(N) if positive else rng.normal(scale=30, size=N)
    return torch.tensor(raw), torch.tensor(location), torch.tensor(rng.uniform(0.3, 20, N))


def softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)


def around_zero(x: np.ndarray) -> np.ndarray:
    return (x + np.sqrt(x**2 + 0.04)) / 2


def close(found: Tensor, want: np.ndarray, rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(found.numpy(), want, rtol=rtol, atol=1e-9)


def test_the_normal_distribution_is_that_of_scipy() -> None:
    raw, location, scale = given_windows(2, positive=False)
    r, mu, s = raw.numpy(), location.numpy(), scale.numpy()
    want = stats.norm(mu + s * r[:, 0], s * (softplus(r[:, 1]) + 1e-3))
    y = want.rvs(random_state=0)
    output = Normal()
    close(output.loss(raw, torch.tensor(y), location, scale), -want.logpdf(y) - np.log(s))  # of y / s
    close(output.loss(raw, torch.tensor(y), location, scale, scale * 3), -want.logpdf(y) - np.log(3 * s))
    close(output.mean(raw, location, scale), want.mean())
    close(output.quantiles(raw, location, scale), want.ppf(LEVELS[:, None]).T)


def test_student_t_is_that_of_scipy() -> None:
    raw, location, scale = given_windows(3, positive=False)
    r, mu, s = raw.numpy(), location.numpy(), scale.numpy()
    nu = 2 + 98 / (1 + np.exp(2.4 - r[:, 2]))
    assert nu.min() < 2.5
    assert nu.max() > 90
    want = stats.t(nu, mu + s * r[:, 0], s * (softplus(r[:, 1]) + 1e-3))
    y = want.rvs(random_state=0)
    output = StudentT()
    close(output.loss(raw, torch.tensor(y), location, scale), -want.logpdf(y) - np.log(s))
    close(output.loss(raw, torch.tensor(y), location, scale, scale * 3), -want.logpdf(y) - np.log(3 * s))
    close(output.mean(raw, location, scale), want.mean())
    close(output.quantiles(raw, location, scale), want.ppf(LEVELS[:, None]).T)


def test_the_negative_binomial_distribution_is_that_of_scipy() -> None:
    raw, location, scale = given_windows(2, positive=True)
    r, s = raw.numpy(), scale.numpy()
    mean, alpha = s * around_zero(r[:, 0]), softplus(r[:, 1]) + 1e-4
    want = stats.nbinom(1 / alpha, 1 / (1 + alpha * mean))
    y = want.rvs(random_state=0)
    output = NegativeBinomial()
    close(output.loss(raw, torch.tensor(y).double(), location, scale), -want.logpmf(y))
    close(output.mean(raw, location, scale), want.mean())
    found = output.quantiles(raw, location, scale).numpy()
    np.testing.assert_array_equal(found, want.ppf(LEVELS[:, None]).T)
    # the definition: the smallest count whose probability from below reaches the level
    assert (want.cdf(found.T) >= LEVELS[:, None]).all()
    assert (want.cdf(found.T - 1) < LEVELS[:, None]).all()


def test_large_counts_have_their_quantiles() -> None:
    raw = torch.tensor([[1e3, -20.0], [1e6, 0.0], [1e9, -3.0]], dtype=torch.float64)
    mean, alpha = raw[:, 0].numpy(), softplus(raw[:, 1].numpy()) + 1e-4
    found = NegativeBinomial().quantiles(raw, torch.zeros(3), torch.ones(3)).numpy()
    want = stats.nbinom(1 / alpha, 1 / (1 + alpha * mean)).ppf(LEVELS[:, None]).T
    np.testing.assert_allclose(found, want, rtol=1e-9)  # beyond 1e9 the last count is a matter of rounding


class Mixture:
    """A Poisson number of gamma distributed amounts, written out by SciPy, one window at a time."""

    def __init__(self, mean: float, phi: float, p: float) -> None:
        self.rate, self.shape = mean ** (2 - p) / (phi * (2 - p)), (2 - p) / (p - 1)
        self.theta = phi * (p - 1) * mean ** (p - 1)
        self.n = np.arange(1, int(self.rate + 40 * np.sqrt(self.rate) + 200))
        self.weight = stats.poisson.pmf(self.n, self.rate)
        self.amounts = stats.gamma(self.n * self.shape, scale=self.theta)

    def negative_log(self, y: float) -> float:
        return self.rate if y == 0 else -np.log((self.weight * self.amounts.pdf(y)).sum())

    def cdf(self, y: float) -> float:
        return np.exp(-self.rate) + (self.weight * self.amounts.cdf(y)).sum()

    def rvs(self, rng: np.random.Generator, size: int) -> np.ndarray:
        count = rng.poisson(self.rate, size)
        return np.where(count > 0, rng.gamma(np.maximum(count, 1) * self.shape, self.theta), 0.0)


@pytest.mark.parametrize("power", [1.1, 1.3, 1.5, 1.7, 1.9, None])
def test_tweedie_is_a_poisson_number_of_gamma_amounts(power: float | None) -> None:
    rng, output = np.random.default_rng(2), Tweedie(power)
    raw, location, scale = given_windows(output.parameters, positive=True)
    raw[::4, 1] = -8.0  # few zeros: a thousand terms and more
    r, s = raw.numpy(), scale.numpy()
    p = np.full(N, power) if power is not None else 1.1 + 0.8 / (1 + np.exp(-r[:, 2]))
    mixtures = [
        Mixture(*one) for one in zip(around_zero(r[:, 0]), softplus(r[:, 1]) + 0.01, p, strict=True)
    ]  # of y / s
    z = np.array([one.rvs(rng, 1)[0] for one in mixtures])
    assert (z == 0).any()
    want = np.array([one.negative_log(value) for one, value in zip(mixtures, z, strict=True)])
    close(output.loss(raw, torch.tensor(z * s), location, scale), want, rtol=1e-8)
    found = output.quantiles(raw, location, scale).numpy() / s[:, None]
    for one, quantiles in zip(mixtures, found, strict=True):
        none = np.exp(-one.rate)
        assert (quantiles[LEVELS <= none] == 0).all()  # the mass at zero is exact
        above = quantiles[LEVELS > none]
        np.testing.assert_allclose([one.cdf(y) for y in above], LEVELS[LEVELS > none], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("power", [1.2, 1.5, 1.8])
def test_tweedie_has_the_mean_and_the_quantiles_of_a_simulation(power: float) -> None:
    raw, one = torch.tensor([[0.8, 0.3]], dtype=torch.float64), torch.ones(1).double()
    output, draws = Tweedie(power), 200_000
    mean, phi = around_zero(np.array(0.8)), softplus(np.array(0.3)) + 0.01
    y = Mixture(float(mean), float(phi), power).rvs(np.random.default_rng(0), draws)
    error = np.sqrt(phi * mean**power / draws)  # the standard error, by var y = φ m^p
    assert abs(output.mean(raw, 0 * one, one).item() - y.mean()) < 4 * error
    for level, quantile in zip(LEVELS, output.quantiles(raw, 0 * one, one)[0].numpy(), strict=True):
        share = (y <= quantile).mean()
        if quantile == 0:
            assert share >= level - 4 * np.sqrt(level * (1 - level) / draws)
        else:
            assert abs(share - level) < 4 * np.sqrt(level * (1 - level) / draws)


def test_the_sum_over_many_amounts_is_that_of_all_of_them() -> None:
    """Where not every count is summed: a density integrates to one, and has the moments that Tweedie's has."""
    output = Tweedie(1.5)
    for small in (-4.0, -12.0):  # λ of a hundred, and of two hundred
        raw = torch.tensor([[1.0, small]], dtype=torch.float64)
        mean, phi = around_zero(np.array(1.0)), softplus(np.array(small)) + 0.01
        y = torch.linspace(0.05, 3.0, 6001, dtype=torch.float64)
        density = (-output.loss(raw, y, torch.zeros(1), torch.ones(1))).exp()
        step = (y[1] - y[0]).item()
        assert (density.sum() * step).item() == pytest.approx(1, rel=1e-7)
        first = ((density * y).sum() * step).item()
        assert first == pytest.approx(mean, rel=1e-7)
        assert ((density * (y - first) ** 2).sum() * step).item() == pytest.approx(phi * mean**1.5, rel=1e-5)


def test_an_amount_in_another_unit_has_the_same_probability() -> None:
    """The density integrates to one in the unit that it is given in, whatever the scale of the window."""
    raw, scale, unit = torch.tensor([[1.0, -4.0]], dtype=torch.float64), torch.tensor([2.0]), torch.tensor([5.0])
    y = torch.linspace(0.1, 6.0, 6001, dtype=torch.float64)
    density = (-Tweedie(1.5).loss(raw, y, torch.zeros(1), scale, unit)).exp()
    assert (density.sum() * (y[1] - y[0]) / unit).item() == pytest.approx(1, rel=1e-7)


def test_the_pinball_loss_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    raw, location, scale = (
        torch.randn(N, 16).double(),
        30 * torch.randn(N).double(),
        0.3 + torch.rand(N).double(),
    )
    y = location + scale * torch.randn(N)
    for weight in (0.0, 0.3):
        output = Quantile(weight)
        given = raw[:, : output.parameters]
        z = ((y - location) / scale).numpy()
        quantiles = output.quantiles(given, torch.zeros(N), torch.ones(N)).numpy()
        want = np.mean([metrics.mean_pinball_loss(z, quantiles[:, k], alpha=q) for k, q in enumerate(QUANTILES)])
        if weight:
            want += weight * metrics.mean_squared_error(z, (given[:, 0] + given[:, -1]).numpy())
        assert output.loss(given, y, location, scale).mean().item() == pytest.approx(want, rel=1e-12)
        in_y = output.loss(given, y, location, scale, torch.ones(N).double()).mean().item()
        quantiles, mean = output.quantiles(given, location, scale).numpy(), output.mean(given, location, scale).numpy()
        want = np.mean([metrics.mean_pinball_loss(y, quantiles[:, k], alpha=q) for k, q in enumerate(QUANTILES)])
        want += weight * metrics.mean_squared_error(y, mean)
        assert in_y == pytest.approx(want, rel=1e-12)


def test_the_median_is_the_first_number() -> None:
    raw = torch.randn(N, 16)
    quantiles = Quantile().quantiles(raw, torch.zeros(N), torch.ones(N))
    assert (quantiles[:, MIDDLE] == raw[:, 0]).all()


def test_between_and_beyond_the_levels_normal_quantiles_are_met() -> None:
    location, scale = torch.tensor([0.0, 7.0, -1e6]).double(), torch.tensor([1.0, 0.01, 1e3]).double()
    quantiles = location[:, None] + scale[:, None] * torch.tensor(stats.norm.ppf(QUANTILES))
    u = torch.tensor([1e-9, 0.001, 0.005, 0.0123, 0.3, 0.5, 0.77, 0.995, 0.9999]).double()[:, None]
    want = location.numpy() + scale.numpy() * stats.norm.ppf(u.numpy())
    np.testing.assert_allclose(between(quantiles, u).numpy(), want, rtol=1e-12)
    equal = torch.full((2, len(QUANTILES)), 0.1)
    assert (between(equal, u) == 0.1).all()


def test_values_that_cannot_come_name_the_series_and_what_to_use() -> None:
    whole, half, below = np.array([np.nan, 0.0, 3.0]), np.array([1.0, 2.5]), np.array([1.0, -2.0])
    for output in (NegativeBinomial(), Tweedie()):
        output.check("Forecaster.fit", "shop", whole)
    Tweedie().check("Forecaster.fit", "shop", half)
    counts = r"Forecaster\.fit: series 'shop' holds 2\.5, but output 'negative-binomial' is for counts.*use 'tweedie'"
    with pytest.raises(InputError, match=counts):
        NegativeBinomial().check("Forecaster.fit", "shop", half)
    for output in (NegativeBinomial(), Tweedie()):
        with pytest.raises(InputError, match=r"holds -2, but output .* from 0 on: use 'quantile', 'normal' or"):
            output.check("Forecaster.fit", "shop", below)


def test_arguments_out_of_range_are_refused() -> None:
    for power in (1.0, 2.0, 1.05, float("nan")):
        with pytest.raises(InputError, match=r"Tweedie: power is .* from 1\.1 to 1\.9 is expected, or None"):
            Tweedie(power)
    for weight in (-0.1, float("inf"), float("nan")):
        with pytest.raises(InputError, match=r"Quantile: mean_weight is .* from 0 on is expected"):
            Quantile(weight)
