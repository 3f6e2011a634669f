"""Invariants of the forecasting network: order of the quantiles, gaps, padding, level and scale, any horizon."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.layers import LAYERS
from statespace.models import QUANTILES, Backbone, ForecastNetwork, History
from statespace.models.instance_norm import FLOOR, normalise
from statespace.models.linear_path import LEVEL

MIDDLE = len(QUANTILES) // 2


pytestmark = pytest.mark.usefixtures("one_thread")


def random_model(seed: int, h: int = 5, size: float = 1.0, **options: int) -> ForecastNetwork:
    """A model whose every weight is drawn at random, as after a training that went anywhere."""
    torch.manual_seed(seed)
    model = ForecastNetwork(h, 24, d_model=8, n_layers=1, d_state=8, season_length=6, **options).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "log" not in name and "A_" not in name:  # the dynamics stay stable
                parameter.normal_(std=size)
        model.offsets.normal_(std=size)
    return model


def forecast(model: ForecastNetwork, x: Tensor, observed: Tensor, steps: int | None = None) -> Tensor:
    return model(History(x, observed), steps).quantiles


def windows(count: int = 16, length: int = 24) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, length).cumsum(1)
    return x, (torch.rand(count, length) > 0.2).float()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.01, 1.0, 10.0]), st.integers(1, 13))
def test_quantiles_never_cross_whatever_the_weights(seed: int, size: float, steps: int) -> None:
    model = random_model(seed, size=size)
    x, observed = windows()
    with torch.no_grad():
        for quantiles in (forecast(model, x, observed), forecast(model, x, observed, steps)):
            assert quantiles.isfinite().all()
            assert (quantiles.diff(dim=-1) >= 0).all()


def test_what_stands_in_a_gap_does_not_matter() -> None:
    model = random_model(0)
    x, observed = windows()
    other = torch.where(observed > 0, x, 1e4 * torch.randn_like(x))
    # the masked values are multiplied by zero, so nothing is left of them
    torch.testing.assert_close(forecast(model, x, observed), forecast(model, other, observed), rtol=1e-5, atol=1e-5)
    loss = forecast(model, x.requires_grad_(), observed).square().sum()
    (gradient,) = torch.autograd.grad(loss, x)
    assert (gradient[observed == 0] == 0).all()


def test_a_window_and_its_padded_self_differ_in_the_linear_path_alone() -> None:
    """Nothing enters the state while nothing is observed, so padding in front leaves the backbone where it was."""
    model = random_model(1)
    model.linear = None
    x, observed = windows(8, 10)
    pad = torch.zeros(8, 30)
    want = forecast(model, x, observed)
    for more in (7, 30):
        found = forecast(model, torch.cat([pad[:, :more], x], 1), torch.cat([pad[:, :more], observed], 1))
        torch.testing.assert_close(found, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scaler", ["standard", "reversible", "robust"])
def test_bands_alone_are_wider_where_a_window_begins_late(scaler: str) -> None:
    model = random_model(1, scaler=scaler)
    model.offsets.zero_()
    x, observed = torch.randn(3, 24), torch.ones(3, 24)
    observed[1, :20] = observed[2, :-1] = 0
    want = forecast(model, x * observed, observed)
    model.wider.copy_(torch.linspace(9, 1, 24))
    found = forecast(model, x * observed, observed)
    torch.testing.assert_close(found[0], want[0], rtol=0, atol=0)
    torch.testing.assert_close(found[..., MIDDLE], want[..., MIDDLE])
    width, before = (part.diff(dim=-1) for part in (found, want))
    torch.testing.assert_close(width[1:], before[1:] * model.wider[[3, 0], None, None], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("shift", "scale"), [(1000.0, 1.0), (0.0, 64.0), (-5.0, 0.5)])
def test_level_and_unit_of_a_window_carry_over(shift: float, scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("statespace.models.instance_norm.FLOOR", 0.0)  # the floor is what keeps this from being exact
    model = random_model(2).double()
    with torch.no_grad():
        model.linear.weight[:, model.linear.groups == LEVEL] = 0  # the level is looked at only where it says something
    x, observed = (part.double() for part in windows())
    want = forecast(model, x, observed) * scale + shift
    torch.testing.assert_close(forecast(model, x * scale + shift, observed), want, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("steps", [5, 12])
def test_what_covariates_add_to_the_values_is_added_to_the_forecast(steps: int) -> None:
    """Values with it are forecast as values without it are by a network that knows of none, and it comes on top."""
    model, knowing = random_model(0, futr=2), random_model(0, futr=2)
    effect = torch.tensor([0.7, -2.0])
    model.begin.normal_()
    knowing.begin_at(torch.zeros(5, 24), torch.ones(29), effect[None])
    knowing.load_state_dict(model.state_dict() | {"effect": effect[None]})
    x, observed = windows()
    futr = torch.randn(16, 24 + steps, 2)
    added = futr @ effect
    past = History(x * observed, observed, futr=futr, futr_known=torch.ones(16, 24 + steps))
    with torch.no_grad():
        want = model(past, steps).quantiles + added[:, 24:, None]
        found = knowing(past._replace(x=(x + added[:, :24]) * observed), steps).quantiles
    torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-4)


def test_normalisation_is_mean_and_deviation_of_what_was_observed() -> None:
    x, observed = windows(5)
    found = normalise(x, observed)
    for i in range(5):
        seen = x[i][observed[i] > 0]
        torch.testing.assert_close(found.location[i, 0], seen.mean(), rtol=1e-5, atol=1e-6)
        want = (seen.var(correction=0) + FLOOR**2).sqrt()
        torch.testing.assert_close(found.scale[i, 0], want, rtol=1e-5, atol=1e-6)
        assert (found.x[i][observed[i] == 0] == 0).all()
    nothing = normalise(x, torch.zeros_like(x))
    assert (nothing.location == 0).all()
    assert nothing.scale.isfinite().all()


def test_a_shorter_horizon_is_the_start_of_the_longer_one_and_beyond_the_bands_widen() -> None:
    model = random_model(3, h=4, size=0.3)
    x, observed = windows()
    with torch.no_grad():
        whole = forecast(model, x, observed)
        for steps in (1, 3, 4):
            torch.testing.assert_close(forecast(model, x, observed, steps), whole[:, :steps], rtol=1e-5, atol=1e-5)
        longer = forecast(model, x, observed, 19)
        assert longer.shape == (16, 19, len(QUANTILES))
        width = longer[..., -1] - longer[..., 0]
    for block in range(4, 19, 4):  # each block adds to the spread at the end of the one before
        assert (width[:, block : block + 4] >= width[:, block - 1 : block] * (1 - 1e-5)).all()


def test_the_feedback_is_the_median_itself() -> None:
    model = random_model(4, h=4, size=0.3)
    x, observed = windows()
    with torch.no_grad():
        first = forecast(model, x, observed)[..., MIDDLE]
        x2, o2 = torch.cat([x, first], 1)[:, -24:], torch.cat([observed, torch.ones(16, 4)], 1)[:, -24:]
        torch.testing.assert_close(
            forecast(model, x, observed, 8)[:, 4:, MIDDLE], forecast(model, x2, o2)[..., MIDDLE], rtol=1e-5, atol=1e-5
        )


def test_bad_sizes_and_names_are_refused() -> None:
    for h, size in ((0, 5), (5, 0), (-1, 5)):
        with pytest.raises(InputError, match="from 1 on is expected"):
            ForecastNetwork(h, size)
    with pytest.raises(InputError, match=r"choose one of .*s4d"):
        ForecastNetwork(2, 5, layer="s44d")
    with pytest.raises(InputError, match="choose one of auto, glu, gated"):
        Backbone(8, mixing="mlp")
    with pytest.raises(InputError, match="n_layers is 0, but a whole number of at least 1"):
        Backbone(8, n_layers=0)
    with pytest.raises(InputError, match="dropout"):
        Backbone(8, dropout=1.0)
    model = random_model(0)
    with pytest.raises(ShapeError, match="Pad shorter windows in front"):
        forecast(model, torch.zeros(2, 23), torch.zeros(2, 23))
    with pytest.raises(ShapeError, match="observed"):
        forecast(model, torch.zeros(2, 24), torch.zeros(2, 23))


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_forecasts_and_learns(layer: str) -> None:
    torch.manual_seed(0)
    model = ForecastNetwork(3, 12, layer=layer, d_model=8, n_layers=1, d_state=4)
    x, observed = windows(4, 12)
    quantiles = forecast(model, x, observed)
    assert quantiles.shape == (4, 3, len(QUANTILES))
    assert (quantiles.diff(dim=-1) >= 0).all()
    quantiles.square().mean().backward()
    for name, parameter in model.backbone.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("mixing", ["glu", "gated"])
def test_the_backbone_over_a_sequence_is_the_backbone_step_by_step(mixing: str) -> None:
    torch.manual_seed(0)
    backbone = Backbone(6, n_layers=2, d_state=8, mixing=mixing).eval()
    x = torch.randn(3, 20, 6)
    with torch.no_grad():
        y, last = backbone(x)
        state, steps = backbone.initial_state(3), []
        for one in x.unbind(1):
            out, state = backbone.step(one, state)
            steps.append(out)
        first, middle = backbone(x[:, :7])
        second, end = backbone(x[:, 7:], middle)
    torch.testing.assert_close(torch.stack(steps, 1), y, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.cat([first, second], 1), y, rtol=1e-5, atol=1e-5)
    for a, b, c in zip(last, state, end, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(a, c, rtol=1e-5, atol=1e-5)
