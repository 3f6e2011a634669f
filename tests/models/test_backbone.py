"""The backbone: its blocks one after the other, step by step, in ragged batches and with gaps."""

import pytest
import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.layers import LAYERS, State
from statespace.layers.mixing import MIXINGS
from statespace.models import Backbone

BATCH, LENGTH, CHANNELS = 3, 30, 4
TOLERANCE = 1e-10  # float64: what the layers promise

names = pytest.mark.parametrize("layer", LAYERS)
mixings = pytest.mark.parametrize("mixing", MIXINGS)


def make(layer: str, mixing: str) -> Backbone:
    return Backbone(CHANNELS, 3, layer, d_state=8, mixing=mixing).double()


def signal() -> Tensor:
    return torch.randn(BATCH, LENGTH, CHANNELS, dtype=torch.float64)


def tensors(states: list[State]) -> list[Tensor]:
    return [part for state in states for part in (state if isinstance(state, tuple) else (state,))]


def assert_equal(ours: tuple[Tensor, list[State]], expected: tuple[Tensor, list[State]]) -> None:
    for one, other in zip([ours[0], *tensors(ours[1])], [expected[0], *tensors(expected[1])], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=TOLERANCE)


@names
@mixings
def test_is_its_blocks_and_a_norm(layer: str, mixing: str) -> None:
    backbone, x = make(layer, mixing), signal()
    h, states = x, []
    for block in backbone.blocks:
        h, state = block(h)
        states.append(state)
    assert_equal(backbone(x), (torch.nn.functional.layer_norm(h, [CHANNELS]), states))


@names
@mixings
@pytest.mark.parametrize("dt_scale", [1.0, 2.0])
def test_step_by_step(layer: str, mixing: str, dt_scale: float) -> None:
    if dt_scale != 1 and not LAYERS[layer].capabilities.any_rate:
        pytest.skip("the layer counts samples")
    backbone, x = make(layer, mixing), signal()
    states = backbone.initial_state(BATCH)
    outputs = []
    for sample in x.unbind(1):
        y, states = backbone.step(sample, states, dt_scale=dt_scale)
        outputs.append(y)
    assert_equal(backbone(x, dt_scale=dt_scale), (torch.stack(outputs, 1), states))


@names
@mixings
def test_chunks_with_gaps(layer: str, mixing: str) -> None:
    backbone, x = make(layer, mixing), signal()
    observed = (torch.rand(BATCH, LENGTH) < 0.7).double()
    first, states = backbone(x[:, :11], observed=observed[:, :11])
    second, states = backbone(x[:, 11:], states, observed=observed[:, 11:])
    assert_equal(backbone(x, observed=observed), (torch.cat([first, second], 1), states))


@names
@mixings
def test_prefill_of_a_ragged_batch_then_a_step(layer: str, mixing: str) -> None:
    backbone, x = make(layer, mixing), signal()
    lengths = torch.tensor([LENGTH, 0, 17])
    following = torch.randn(BATCH, CHANNELS, dtype=torch.float64)
    y, states = backbone(x, lengths=lengths)
    after, states = backbone.step(following, states)
    for i, length in enumerate(lengths.tolist()):
        alone = torch.cat([x[i, :length], following[i : i + 1]])[None]
        expected, final = backbone(alone)
        here, there = ([part[row] for part in tensors(every)] for row, every in ((i, states), (0, final)))
        assert_equal((after[i], here), (expected[0, -1], there))
        torch.testing.assert_close(y[i, :length], expected[0, :length], rtol=0, atol=TOLERANCE)


def test_what_it_refuses() -> None:
    with pytest.raises(InputError, match=r"layer is 's5d', which is not known: choose one of s4d.* mean 's4d'"):
        Backbone(CHANNELS, layer="s5d")
    with pytest.raises(InputError, match="n_layers is 0"):
        Backbone(CHANNELS, 0)
    backbone, x = make("s4d", "glu").float(), torch.zeros(1, LENGTH, CHANNELS)
    for wrong in ([], backbone.initial_state(1)[:2]):
        with pytest.raises(InputError, match=f"Backbone.forward: state holds {len(wrong)} tensors.*3 blocks"):
            backbone(x, wrong)
        with pytest.raises(InputError, match=f"Backbone.step: state holds {len(wrong)} tensors.*3 blocks"):
            backbone.step(x[:, 0], wrong)
    with pytest.raises(ShapeError, match="transposed"):
        backbone(x.transpose(1, 2))
