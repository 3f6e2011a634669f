"""Optimiser groups: every parameter once, the dynamics gently and without decay."""

import pytest
import torch

from statespace.hippo import INITIALISATIONS
from statespace.layers import LAYERS, S4D, SequenceLayer
from statespace.layers.mixing import MIXINGS
from statespace.models import Backbone, ForecastNetwork
from statespace.training.parameter_groups import parameter_groups

MODELS = [
    *(pytest.param(lambda mixing=mixing: Backbone(4, 3, mixing=mixing), id=mixing) for mixing in MIXINGS),
    *(pytest.param(lambda init=init: S4D(4, init=init), id=init) for init in INITIALISATIONS),
    *(pytest.param(lambda name=name: LAYERS[name](4), id=name) for name in LAYERS),
    pytest.param(lambda: ForecastNetwork(3, 12, d_model=4), id="forecaster"),
    pytest.param(lambda: torch.nn.Linear(2, 2), id="without dynamics"),
]

models = pytest.mark.parametrize("make", MODELS)


@models
def test_every_parameter_once(make) -> None:
    model = make()
    grouped = [id(parameter) for group in parameter_groups(model, 1e-2, 0.1) for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())


# What is never decayed, by the names that the layers give it: steps, eigenvalues, feed-throughs, biases and norms.
UNDECAYED = {"log_dt", "A_log", "A_imag", "dt_bias", "D", "bias", "conv_bias"}


@models
@pytest.mark.parametrize("learning_rate", [1e-2, 1e-3, 1e-4])
def test_rates_and_decay(make, learning_rate: float) -> None:
    model = make()
    found = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in parameter_groups(model, learning_rate, 0.1)
        for parameter in group["params"]
    }
    layers = [module for module in model.modules() if isinstance(module, SequenceLayer)]
    dynamics = {id(p): layer.capabilities.selective for layer in layers for p in layer.ssm_parameters()}
    for name, parameter in model.named_parameters():
        rate, decay = found[id(parameter)]
        # Time-invariant systems learn slowly; those whose step follows the input are not decayed, and that is all.
        gently = id(parameter) in dynamics and not dynamics[id(parameter)]
        assert rate == (min(learning_rate, 1e-3) if gently else learning_rate), name
        plain = id(parameter) not in dynamics and parameter.ndim >= 2
        assert decay == (0.1 if plain else 0.0), name
        if name.rsplit(".", 1)[-1] in UNDECAYED or "norm" in name:
            assert decay == 0, name


def test_the_dynamics_by_name() -> None:
    def names(layer: SequenceLayer) -> set[str]:
        every = {id(parameter) for parameter in layer.ssm_parameters()}
        return {name for name, parameter in layer.named_parameters() if id(parameter) in every}

    assert names(S4D(4)) == {"log_dt", "A_log", "A_imag"}
    assert names(LAYERS["s6"](4)) == {"A_log", "dt_bias", "D"}
    assert names(LAYERS["mamba"](4)) == {"ssm.A_log", "ssm.dt_bias", "ssm.D"}


@models
def test_an_optimiser_takes_them(make) -> None:
    model = make().double()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = torch.optim.AdamW([dict(group) for group in parameter_groups(model, 1e-2, 0.0)])
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimizer.step()
    # The first step of Adam is the learning rate times the sign of the gradient, up to its eps of 1e-8.
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for parameter, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(old - parameter, torch.full_like(old, rates[id(parameter)]), rtol=1e-7, atol=0)
