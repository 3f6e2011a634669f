"""A learnt scale and shift around a network: nothing at the start, learnt, and what a network without them can be."""

import math
from copy import deepcopy

import pytest
import torch
from torch import Tensor

from statespace.forecasting.live import Live, as_row
from statespace.models import ForecastNetwork, History
from statespace.models.outputs import OUTPUTS
from statespace.training import ForecastModule, WindowSource

H, SIZE = 5, 24
GAMMA, BETA = 0.6, 0.9

pytestmark = pytest.mark.usefixtures("one_thread")


def network(scaler: str, linear: bool = True, output: str = "normal", learnt: bool = True) -> ForecastNetwork:
    """A network with weights drawn at random, the same for every scaler."""
    torch.manual_seed(0)
    made = ForecastNetwork(
        H, SIZE, d_model=8, n_layers=1, d_state=8, output=OUTPUTS[output](), scaler=scaler, futr=2, linear=linear
    )
    made = made.double().eval()
    with torch.no_grad():
        for part in (made.head, made.linear):
            if part is not None:
                part.weight.normal_(std=0.3)
                part.bias.normal_(std=0.3)
        if learnt and scaler == "reversible":
            made.scaler.log_scale.fill_(math.log(GAMMA))
            made.scaler.shift.fill_(BETA)
    return made


def absorbed(learnt: ForecastNetwork) -> ForecastNetwork:
    """Return a network without a learnt scale and shift that forecasts the same means, by other weights."""
    found = deepcopy(learnt)
    del found.scaler
    found.scaler = "standard"
    with torch.no_grad():
        value, observed = found.embed.weight[:, 0].clone(), found.embed.weight[:, 1].clone()
        found.embed.weight[:, 0], found.embed.weight[:, 1] = GAMMA * value, observed + BETA * value
        found.head.weight[0] /= GAMMA
        found.head.bias[0] /= GAMMA
        if found.linear is None:
            found.head.bias[0] -= BETA / GAMMA
        else:  # of windows without gaps
            window, level = found.linear.weight[:, :SIZE], found.linear.weight[:, SIZE]
            found.linear.bias.copy_((found.linear.bias + BETA * (window.sum(1) - level - 1)) / GAMMA)
    return found


def histories(length: int = SIZE, gaps: bool = True, irregular: bool = False) -> History:
    x, futr = 7 + torch.randn(6, length).double().cumsum(1), torch.randn(6, length + H, 2).double()
    observed = (torch.rand(6, length) < 0.7).double() if gaps else torch.ones(6, length).double()
    dt = 0.5 + torch.rand(6, length + H).double() if irregular else None
    return History(x * observed, observed, futr=futr, futr_known=torch.ones(6, length + H).double(), dt=dt)


@pytest.mark.parametrize("output", [name for name, kind in OUTPUTS.items() if not kind().positive])
def test_it_starts_as_standard_does_and_learns(output: str) -> None:
    source = WindowSource(torch.randn(90), torch.tensor([90]), SIZE, H)
    batch = source.cut(torch.zeros(9, dtype=torch.int64), torch.arange(40, 49))
    losses: list[Tensor] = []
    for scaler in ("standard", "reversible"):
        torch.manual_seed(0)
        made = ForecastNetwork(H, SIZE, d_model=8, n_layers=1, output=OUTPUTS[output](), scaler=scaler)
        torch.nn.init.normal_(made.head.weight)
        losses.append(ForecastModule(made.eval(), 1e-3, 0.0, 9).loss(batch))
    assert torch.equal(losses[0], losses[1])
    scaler = made.scaler
    assert not isinstance(scaler, str)
    for parameter, gradient in zip(
        scaler.parameters(), torch.autograd.grad(losses[1], scaler.parameters()), strict=True
    ):
        assert gradient.abs() > 1e-4, parameter


@pytest.mark.parametrize("how", ["gaps", "irregular", "another rate", "linear path", "longer"])
def test_other_weights_without_it_forecast_the_same(how: str) -> None:
    learnt = network("reversible", linear=how == "linear path")
    plain = absorbed(learnt)
    past, steps, dt_scale = histories(gaps=how != "linear path", irregular=how == "irregular"), H, 1.0
    if how == "another rate":
        past, dt_scale = histories(2 * SIZE - 1), 0.5
    if how == "longer":
        past = past._replace(futr=torch.randn(6, SIZE + 2 * H, 2).double(), futr_known=torch.ones(6, SIZE + 2 * H))
        steps = 2 * H
    with torch.no_grad():
        found, want = (one(past, steps, dt_scale).mean for one in (learnt, plain))
        other = network("standard", linear=how == "linear path")(past, steps, dt_scale).mean
    torch.testing.assert_close(found, want, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(other, want, rtol=1e-2, atol=1e-2)  # the scale and the shift are no small ones


@pytest.mark.parametrize("irregular", [False, True])
def test_a_live_forecast_goes_on_as_that_of_other_weights_without_it(irregular: bool) -> None:
    learnt = network("reversible", linear=False)
    past = histories(irregular=irregular)
    window = past._replace(
        futr=past.futr[:, :SIZE],
        futr_known=past.futr_known[:, :SIZE],
        dt=None if past.dt is None else past.dt[:, :SIZE],
    )
    ahead = as_row(torch.zeros(6, H).double(), futr=past.futr[:, SIZE:], dt=past.dt[:, SIZE:] if irregular else None)
    one, other = Live(learnt, window), Live(absorbed(learnt), window)
    with torch.no_grad():
        offline = learnt(past).mean
    torch.testing.assert_close(one.forecast(H, ahead).mean, offline, rtol=1e-9, atol=1e-9)
    for step in range(40):
        x = 7 + torch.randn(6, 1).double()
        x[step % 6] = torch.nan
        dt = 0.5 + torch.rand(6, 1).double() if irregular else None
        row = as_row(x, futr=torch.randn(6, 1, 2).double(), dt=dt)
        one.push(row)
        other.push(row)
    torch.testing.assert_close(one.forecast(H, ahead).mean, other.forecast(H, ahead).mean, rtol=1e-9, atol=1e-9)
