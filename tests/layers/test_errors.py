"""What a layer and a block refuse, and what the message says about it."""

import re
from collections.abc import Callable
from itertools import permutations

import pytest
import torch

from statespace.errors import InputError, ShapeError
from statespace.layers import LAYERS, S4D, ResidualBlock, SequenceLayer

BATCH, LENGTH, CHANNELS = 2, 6, 4
x = torch.zeros(BATCH, LENGTH, CHANNELS)

layers = pytest.mark.parametrize("name", LAYERS)


def raises(error: type[Exception], *words: str) -> "pytest.RaisesExc[Exception]":
    return pytest.raises(error, match=".*".join(re.escape(word) for word in words))


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest) -> SequenceLayer:
    return LAYERS[request.param](CHANNELS)


def test_transposed_input_is_recognised(layer: SequenceLayer) -> None:
    with raises(ShapeError, ".forward", "x is (2, 4, 6)", "d = 4", "looks transposed", "x.transpose(1, 2)"):
        layer(x.transpose(1, 2))
    with raises(ShapeError, "x is (6, 4)", "(batch, length, channels)"):
        layer(x[0])


def test_a_step_takes_one_sample(layer: SequenceLayer) -> None:
    state = layer.initial_state(BATCH)
    with raises(ShapeError, ".step", "x is (2, 6, 4)", "one sample, (batch, channels)"):
        layer.step(x, state)
    with raises(ShapeError, "x is (2, 3)", "d = 4"):
        layer.step(x[:, 0, :3], state)


def test_integer_input(layer: SequenceLayer) -> None:
    with raises(InputError, "x is torch.int64", "x.float()"):
        layer(x.long())
    with raises(InputError, "x is torch.int64", "x.float()"):
        layer.step(x[:, 0].long(), layer.initial_state(BATCH))


def test_the_state_of_another_batch(layer: SequenceLayer) -> None:
    state = layer.initial_state(3)
    name = "state[0]" if isinstance(state, tuple) else "state"
    with raises(ShapeError, f"{name} is (3,", "b = 2", "one batch size"):
        layer(x, state)
    with raises(ShapeError, f"{name} is (3,", "b = 2", "one batch size"):
        layer.step(x[:, 0], state)


def test_a_step_needs_a_state(layer: SequenceLayer) -> None:
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients), raises(InputError, ".step: state is None", "initial_state(batch)"):
            layer.step(x[:, 0], None)


def test_the_state_of_another_layer() -> None:
    for name, other in permutations(LAYERS, 2):
        state = LAYERS[other](CHANNELS + 1).initial_state(BATCH)
        with raises(InputError, "state"):
            LAYERS[name](CHANNELS)(x, state)
    with raises(InputError, "Mamba.forward: state is a Tensor", "a tuple of 2 tensors", "initial_state"):
        LAYERS["mamba"](CHANNELS)(x, torch.zeros(BATCH, 3, 8))
    with raises(InputError, "S4D.forward: state is a tuple of 2", "one tensor"):
        LAYERS["s4d"](CHANNELS)(x, LAYERS["mamba"](CHANNELS).initial_state(BATCH))


@pytest.mark.parametrize("lengths", [[0, LENGTH + 1], [-1, 2]])
def test_lengths_out_of_range(layer: SequenceLayer, lengths: list[int]) -> None:
    with raises(InputError, f"lengths go from {min(lengths)} to {max(lengths)}", "6 long"):
        layer(x, lengths=torch.tensor(lengths))


def test_lengths_of_another_kind(layer: SequenceLayer) -> None:
    with raises(InputError, "lengths is torch.float32", "lengths.long()"):
        layer(x, lengths=torch.ones(BATCH))
    with raises(InputError, "lengths is torch.bool", "lengths.long()"):
        layer(x, lengths=torch.tensor([True, False]))
    with raises(ShapeError, "lengths is (3,)", "b = 2"):
        layer(x, lengths=torch.ones(3, dtype=torch.int64))
    layer(x, lengths=torch.ones(BATCH, dtype=torch.int32))  # any integers do


@pytest.mark.parametrize("dt_scale", [0.0, -1.0, float("nan"), float("inf")])
def test_dt_scale_out_of_range(layer: SequenceLayer, dt_scale: float) -> None:
    if not layer.capabilities.any_rate:
        return
    calls: list[Callable[[], object]] = [
        lambda: layer(x, dt_scale=dt_scale),
        lambda: layer.step(x[:, 0], layer.initial_state(BATCH), dt_scale=dt_scale),
    ]
    for call in calls:
        with raises(InputError, f"dt_scale is {dt_scale}", "positive"):
            call()


def test_dt_out_of_range(layer: SequenceLayer) -> None:
    if not layer.capabilities.irregular:
        return  # that it is refused as such, the suite of the contract shows
    for value in (0.0, -0.5, float("nan"), float("inf")):
        dt = torch.ones(BATCH, LENGTH)
        dt[1, 2] = value
        with raises(InputError, ".forward", f"dt has {value} among its values", "positive and finite"):
            layer(x, dt=dt)
        with raises(InputError, ".step", f"dt has {value} among its values", "positive and finite"):
            layer.step(x[:, 2], layer.initial_state(BATCH), dt[:, 2])
        layer(x, dt=dt, lengths=torch.tensor([LENGTH, 2]))  # in the padding, it is not looked at
    with raises(ShapeError, "dt is (2, 6, 4)", "(b, l)", "for all its channels"):
        layer(x, dt=torch.ones_like(x))
    with raises(ShapeError, "dt is (2, 6)", "(b)"):
        layer.step(x[:, 0], layer.initial_state(BATCH), torch.ones(BATCH, LENGTH))
    with raises(InputError, "dt is torch.int64", "dt.float()"):
        layer(x, dt=torch.ones(BATCH, LENGTH, dtype=torch.int64))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("argument", ["d_model", "d_state"])
def test_sizes_are_whole_numbers(name: str, argument: str) -> None:
    for value in (2.5, "4", 0, None, True):
        if argument == "d_state" and value is None and name in ("lstm", "gru"):
            continue
        with raises(InputError, f" is {value!r}, but a whole number of "):
            LAYERS[name](**{"d_model": 4, argument: value})


@pytest.mark.parametrize(
    ("argument", "known"),
    [
        ("init", "legs, lin, inv, real"),
        ("discretization", "zoh, bilinear"),
        ("view", "auto, convolution, scan"),
    ],
)
def test_unknown_names_list_the_known_ones(argument: str, known: str) -> None:
    with raises(InputError, f"S4D: {argument} is 'no'", known):
        S4D(CHANNELS, **{argument: "no"})


def test_sizes_of_s4d_out_of_range() -> None:
    with raises(InputError, "d_model is 0"):
        S4D(0)
    with raises(InputError, "n is 7", "conjugate pairs", "pass 6 or 8"):
        S4D(2, 7)
    for dt_min, dt_max in [(0.0, 0.1), (0.2, 0.1), (-1.0, 1.0), (0.1, float("inf")), (float("nan"), 1.0)]:
        with raises(InputError, f"dt_min is {dt_min} and dt_max {dt_max}"):
            S4D(2, dt_min=dt_min, dt_max=dt_max)


def test_blocks() -> None:
    with raises(InputError, "mixing is 'no'", "glu, gated"):
        ResidualBlock(S4D(CHANNELS), mixing="no")
    for dropout in (-0.1, 1.0):
        with raises(InputError, f"dropout is {dropout}", "[0, 1)"):
            ResidualBlock(S4D(CHANNELS), dropout=dropout)
    block = ResidualBlock(S4D(CHANNELS))
    with raises(ShapeError, "ResidualBlock.forward", "looks transposed"):
        block(x.transpose(1, 2))
    with raises(ShapeError, "observed is (2, 6, 4)", "(b, l)"):
        block(x, observed=torch.ones_like(x))
