"""States of many series: rows, gaps, series without a row and questions, against the layers' own steps."""

from typing import Any

import pytest
import torch
from torch import Tensor

from statespace.layers import LAYERS
from statespace.models import Backbone
from statespace.models.carried import Carried
from statespace.models.program import flatten

BATCH, CHANNELS, WIDTH = 5, 3, 8
TOLERANCE = 1e-10  # float64
TIMED = [name for name, layer in LAYERS.items() if layer.capabilities.irregular]


def make(layer: str, mixing: str = "auto") -> tuple[Carried, Backbone, Tensor, Tensor]:
    torch.manual_seed(0)
    backbone = Backbone(WIDTH, 2, layer, 4, mixing).double().eval()
    weight, bias = torch.randn(WIDTH, CHANNELS, dtype=torch.float64), torch.randn(WIDTH, dtype=torch.float64)
    return Carried(backbone, weight, bias, BATCH), backbone, weight, bias


def rows(count: int) -> list[tuple[Tensor, Tensor, Tensor | None]]:
    """Rows with gaps, and with series that have none; now and then all are there."""
    found = []
    for place in range(count):
        known, moved = torch.rand(BATCH) < 0.7, torch.rand(BATCH) < 0.7
        x = torch.randn(BATCH, CHANNELS, dtype=torch.float64)
        found.append((x, known | (place % 3 == 0), None if place % 2 else moved))
    return found


def kept(new: Any, old: Any, moved: Tensor | None) -> Any:
    if moved is None:
        return new
    if isinstance(new, Tensor):
        return torch.where(moved.reshape(-1, *(1,) * (new.ndim - 1)), new, old)
    return type(new)(kept(a, b, moved) for a, b in zip(new, old, strict=True))


def close(ours: Any, theirs: Any) -> None:
    for one, other in zip(flatten(ours), flatten(theirs), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=TOLERANCE)


@torch.no_grad()
@pytest.mark.parametrize("timed", [False, True], ids=["even", "timed"])
@pytest.mark.parametrize("layer", LAYERS)
def test_moving_is_the_layers_own_step(layer: str, timed: bool) -> None:
    if LAYERS[layer].capabilities.grows or (timed and layer not in TIMED):
        pytest.skip("states that grow are not carried, and this layer knows no time")
    carried, backbone, weight, bias = make(layer)
    state: Any = backbone.initial_state(BATCH)
    for x, known, moved in rows(9):
        dt = torch.rand(BATCH, dtype=torch.float64) + 0.5 if timed else None
        carried.move(x, known, moved, dt)
        u = torch.nn.functional.linear(x, weight, bias)
        _, new = backbone.step(u, state, dt=dt, observed=known)
        state = kept(new, state, moved)
        close(carried.state, state)


@torch.no_grad()
@pytest.mark.parametrize("layer", LAYERS)
def test_following_is_asking_and_moving(layer: str) -> None:
    """Several rows at once, each series with gaps of its own, are the rows one by one."""
    if LAYERS[layer].capabilities.grows:
        pytest.skip("states that grow are not carried")
    (carried, *_), (other, *_) = make(layer), make(layer)
    x, asked = torch.randn(2, BATCH, 7, CHANNELS, dtype=torch.float64)
    known = torch.rand(BATCH, 7) < 0.6
    want = []
    for t in range(7):
        want.append(other.ask(asked[:, t : t + 1])[:, 0])
        other.move(x[:, t], known[:, t])
    torch.testing.assert_close(carried.follow(asked, x, known), torch.stack(want, 1), rtol=0, atol=TOLERANCE)
    close(carried.state, other.state)


@torch.no_grad()
@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("layer", LAYERS)
def test_a_question_is_answered_and_moves_nothing(layer: str, steps: int) -> None:
    if LAYERS[layer].capabilities.grows:
        pytest.skip("states that grow are not carried")
    carried, backbone, weight, bias = make(layer)
    for x, known, moved in rows(4):
        carried.move(x, known, moved)
    before = [part.clone() for part in flatten(carried.state)]
    asked = torch.randn(BATCH, steps, CHANNELS, dtype=torch.float64)
    state, want = carried.state, []
    for x in torch.nn.functional.linear(asked, weight, bias).unbind(1):
        z, state = backbone.step(x, state)
        want.append(z)
    torch.testing.assert_close(carried.ask(asked), torch.stack(want, 1), rtol=0, atol=TOLERANCE)
    for one, other in zip(flatten(carried.state), before, strict=True):
        assert torch.equal(one, other)


@torch.no_grad()
@pytest.mark.parametrize("layer", LAYERS)
def test_some_series_start_again_and_the_others_stay(layer: str) -> None:
    if LAYERS[layer].capabilities.grows:
        pytest.skip("states that grow are not carried")
    carried, backbone, weight, bias = make(layer)
    for x, known, moved in rows(3):
        carried.move(x, known, moved)
    before = [part.clone() for part in flatten(carried.state)]
    which = torch.tensor([3, 1])
    window, known = torch.randn(2, 7, CHANNELS, dtype=torch.float64), torch.rand(2, 7) < 0.8
    carried.read(window, known, which)
    _, want = backbone(torch.nn.functional.linear(window, weight, bias), observed=known)
    stay = torch.tensor([0, 2, 4])
    for one, old, new in zip(flatten(carried.state), before, flatten(want), strict=True):
        assert torch.equal(one[stay], old[stay])
        torch.testing.assert_close(one[which], new, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("mixing", ["glu", "gated", "none"])
@pytest.mark.parametrize("layer", ["s4d", "s6", "mamba"])
def test_what_the_forecaster_runs_on_has_a_compiled_form(layer: str, mixing: str) -> None:
    assert make(layer, mixing)[0].why == ""
