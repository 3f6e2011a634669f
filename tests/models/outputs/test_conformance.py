"""What every output promises: order, units, gradients, numbers that stay finite, quantiles that are samples."""

import functools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from statespace.models import QUANTILES
from statespace.models.outputs import OUTPUTS, Output, Quantile, Tweedie

VARIANTS: dict[str, Callable[[], Output]] = {
    **OUTPUTS,
    "quantile without mean": functools.partial(Quantile, mean_weight=0.0),
    "tweedie of learnt power": functools.partial(Tweedie, power=None),
}
every_output = pytest.mark.parametrize("name", VARIANTS)


def drawn(output: Output, *shape: int, size: float = 1.0, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(*shape, output.parameters, generator=generator, dtype=dtype)


def values(output: Output, *shape: int) -> Tensor:
    y = 3 * torch.randn(*shape, dtype=torch.float64)
    return y.round().clamp(min=0) if output.positive else y


@every_output
def test_shapes_and_types_are_those_of_the_values(name: str) -> None:
    output = VARIANTS[name]()
    for dtype in (torch.float32, torch.float64):
        raw, y = drawn(output, 3, 4, dtype=dtype), values(output, 3, 4).to(dtype)
        location, scale = torch.zeros(3, 1, dtype=dtype), torch.ones(3, 1, dtype=dtype)
        u = torch.rand(7, 3, 4)
        for found, shape in (
            (output.loss(raw, y, location, scale), (3, 4)),
            (output.mean(raw, location, scale), (3, 4)),
            (output.quantiles(raw, location, scale), (3, 4, len(QUANTILES))),
            (output.sample(raw, location, scale, u), (7, 3, 4)),
        ):
            assert found.shape == shape
            assert found.dtype == dtype


@every_output
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.01, 1.0, 10.0, 1e3, 1e9]))
def test_quantiles_never_cross_and_are_finite_whatever_the_network_says(name: str, seed: int, size: float) -> None:
    output = VARIANTS[name]()
    raw = drawn(output, 16, size=size, seed=seed, dtype=torch.float32)
    for scale in (1.0, 0.01, 300.0):
        quantiles = output.quantiles(raw, torch.zeros(16), torch.full((16,), scale))
        assert quantiles.isfinite().all()
        assert (quantiles.diff(dim=-1) >= 0).all()
        assert not output.positive or (quantiles >= 0).all()
        assert output.mean(raw, torch.zeros(16), torch.full((16,), scale)).isfinite().all()


@every_output
def test_zeros_are_a_forecast_of_the_spread_they_begin_with(name: str) -> None:
    output, spread = VARIANTS[name](), torch.tensor([0.02, 0.3, 5.0], dtype=torch.float64)
    begin = output.begin(spread)
    assert begin.shape == (3, output.parameters)
    if output.positive:
        assert not begin.any()
        return
    zero, one = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    want = torch.special.ndtri(torch.tensor(QUANTILES, dtype=torch.float64)) * spread[:, None]
    # Student's t of ten degrees of freedom has the same scale and longer tails.
    near = slice(2, -2) if name == "student-t" else slice(None)
    rtol = 0.12 if name == "student-t" else 1e-6
    torch.testing.assert_close(output.quantiles(begin, zero, one)[:, near], want[:, near], rtol=rtol, atol=1e-9)
    torch.testing.assert_close(output.mean(begin, zero, one), zero)


@every_output
@pytest.mark.parametrize("size", [1.0, 100.0, 1e5, 1e10])
def test_loss_and_gradient_are_finite_whatever_the_network_says(name: str, size: float) -> None:
    output = VARIANTS[name]()
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0])] * min(output.parameters, 3))
    raw = torch.zeros(len(signs), output.parameters)
    raw[:, : signs.shape[1]] = size * signs
    for one in (0.0, 1.0, 40.0, 10_000.0) if output.positive else (-10_000.0, -1.0, 0.0, 3.0, 10_000.0):
        for scale in (0.05, 1.0, 1e3):
            given_ = raw.clone().requires_grad_()
            loss = output.loss(
                given_, torch.full((len(raw),), one), torch.zeros(len(raw)), torch.full((len(raw),), scale)
            )
            (gradient,) = torch.autograd.grad(loss.sum(), given_)
            assert loss.isfinite().all()
            assert gradient.isfinite().all()


@every_output
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    output = VARIANTS[name]()
    raw, y = drawn(output, 12), values(output, 12)
    location = torch.zeros(12, dtype=torch.float64) if output.positive else torch.randn(12, dtype=torch.float64)
    scale = 0.5 + torch.rand(12, dtype=torch.float64)
    # central differences of step 1e-6 err by about 1e-9 of the loss, and twice that where the loss is not smooth
    torch.autograd.gradcheck(
        lambda one: output.loss(one, y, location, scale), raw.requires_grad_(), eps=1e-6, atol=1e-6
    )
    torch.autograd.gradcheck(lambda one: output.mean(one, location, scale), raw, eps=1e-6, atol=1e-6)


@every_output
def test_units_carry_over(name: str) -> None:
    """In other units the forecast is the same, and so is what counts as a mistake."""
    if name == "negative-binomial":
        pytest.skip("counts have no other unit")
    output = VARIANTS[name]()
    raw, y, zero, one = drawn(output, 50), values(output, 50), torch.zeros(50).double(), torch.ones(50).double()
    shift = 0.0 if output.positive else 70.0
    location, scale = zero + shift, 64.0 * one
    torch.testing.assert_close(output.loss(raw, y * 64 + shift, location, scale), output.loss(raw, y, zero, one))
    torch.testing.assert_close(output.mean(raw, location, scale), output.mean(raw, zero, one) * 64 + shift)
    torch.testing.assert_close(output.quantiles(raw, location, scale), output.quantiles(raw, zero, one) * 64 + shift)


@every_output
def test_the_quantiles_are_samples_at_their_levels_and_samples_ascend(name: str) -> None:
    output = VARIANTS[name]()
    raw, location, scale = drawn(output, 20), torch.zeros(20).double(), torch.ones(20).double()
    at_levels = output.sample(raw, location, scale, torch.tensor(QUANTILES, dtype=torch.float64)[:, None])
    torch.testing.assert_close(at_levels.mT, output.quantiles(raw, location, scale))
    u = torch.linspace(1e-6, 1 - 1e-6, 999, dtype=torch.float64)[:, None]
    samples = output.sample(raw, location, scale, u)
    assert samples.isfinite().all()
    assert (samples.diff(dim=0) >= 0).all()


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "quantile"])  # its mean is trained by itself
def test_the_mean_is_that_of_the_samples(name: str) -> None:
    output = VARIANTS[name]()
    raw, location, scale = drawn(output, 20, size=0.5), torch.zeros(20).double(), torch.ones(20).double()
    u = (torch.arange(5000).double()[:, None] + 0.5) / 5000  # stratified: what is left out are the outermost 1e-4
    mean = output.sample(raw, location, scale, u).mean(0)
    torch.testing.assert_close(mean, output.mean(raw, location, scale), rtol=2e-3, atol=2e-3)


@every_output
def test_the_loss_is_least_at_the_distribution_that_the_values_come_from(name: str) -> None:
    """A proper score: among forecasts near the truth, none does better on what the truth brings about."""
    output = VARIANTS[name]()
    zero, one = torch.zeros(1).double(), torch.ones(1).double()
    raw = drawn(output, 1, size=0.5)
    if name == "quantile":
        raw[..., -1] = 0.0
        raw[..., 1:8] = raw[..., 8:15]  # symmetric, so that the median is also the mean
    u = (torch.arange(4000).double()[:, None] + 0.5) / 4000
    y = output.sample(raw, zero, one, u)
    least = output.loss(raw, y, zero, one).mean()
    for parameter in range(output.parameters):
        for move in (-0.4, 0.4):
            other = raw.clone()
            other[..., parameter] += move
            assert output.loss(other, y, zero, one).mean() > least


@every_output
def test_any_finite_number_or_gap_may_come_unless_told_otherwise(name: str) -> None:
    output = VARIANTS[name]()
    output.check("fit", "a", torch.tensor([float("nan"), 0.0, 3.0]).numpy())
    if not output.positive:
        output.check("fit", "a", torch.tensor([-1.5, float("nan")]).numpy())
