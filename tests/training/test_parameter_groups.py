"""Optimiser groups: every parameter once, the dynamics gently and without decay."""

import pytest
import torch

from statespace.hippo import INITIALISATIONS
from statespace.layers import S4D
from statespace.layers.mixing import MIXINGS
from statespace.models import Backbone, QuantileForecaster
from statespace.training.parameter_groups import parameter_groups

MODELS = [
    *(pytest.param(lambda mixing=mixing: Backbone(4, 3, mixing=mixing), id=mixing) for mixing in MIXINGS),
    *(pytest.param(lambda init=init: S4D(4, init=init), id=init) for init in INITIALISATIONS),
    pytest.param(lambda: QuantileForecaster(3, 12, d_model=4), id="forecaster"),
    pytest.param(lambda: torch.nn.Linear(2, 2), id="without dynamics"),
]

models = pytest.mark.parametrize("make", MODELS)


@models
def test_every_parameter_once(make) -> None:
    model = make()
    grouped = [id(parameter) for group in parameter_groups(model, 1e-2, 0.1) for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())


@models
@pytest.mark.parametrize("learning_rate", [1e-2, 1e-3, 1e-4])
def test_rates_and_decay_by_name(make, learning_rate: float) -> None:
    model = make()
    found = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in parameter_groups(model, learning_rate, 0.1)
        for parameter in group["params"]
    }
    for name, parameter in model.named_parameters():
        last = name.rsplit(".", 1)[-1]
        if last in ("log_dt", "A_log", "A_imag"):
            assert found[id(parameter)] == (min(learning_rate, 1e-3), 0.0), name
        elif last in ("D", "bias") or "norm" in name:
            assert found[id(parameter)] == (learning_rate, 0.0), name
        else:
            assert found[id(parameter)] == (learning_rate, 0.1), name


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
