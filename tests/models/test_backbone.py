"""The backbone: its blocks one after the other, step by step, in ragged batches and with gaps."""

import re
from itertools import product

import pytest
import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.layers import LAYERS, State
from statespace.layers.mixing import MIXINGS
from statespace.models import Backbone

BATCH, LENGTH, CHANNELS = 3, 14, 4
TOLERANCE = 1e-10  # float64: what the layers promise

# Each layer with the mixing that suits it, and one with all of them.
stacks = pytest.mark.parametrize(
    ("layer", "mixing"), [*((name, "auto") for name in LAYERS), *(("s4d", mixing) for mixing in MIXINGS)]
)


def make(layer: str, mixing: str) -> Backbone:
    return Backbone(CHANNELS, 2, layer, d_state=8, mixing=mixing).double()


def signal() -> Tensor:
    return torch.randn(BATCH, LENGTH, CHANNELS, dtype=torch.float64)


def tensors(states: list[State]) -> list[Tensor]:
    return [part for state in states for part in (state if isinstance(state, tuple) else (state,))]


def assert_equal(ours: tuple[Tensor, list[State]], expected: tuple[Tensor, list[State]]) -> None:
    for one, other in zip([ours[0], *tensors(ours[1])], [expected[0], *tensors(expected[1])], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=TOLERANCE)


@stacks
def test_is_its_blocks_and_a_norm(layer: str, mixing: str) -> None:
    backbone, x = make(layer, mixing), signal()
    h, states = x, []
    for block in backbone.blocks:
        h, state = block(h)
        states.append(state)
    assert_equal(backbone(x), (torch.nn.functional.layer_norm(h, [CHANNELS]), states))


@stacks
def test_step_by_step(layer: str, mixing: str) -> None:
    dt_scale = 2.0 if LAYERS[layer].capabilities.any_rate else 1.0
    backbone, x = make(layer, mixing), signal()
    states = backbone.initial_state(BATCH)
    outputs = []
    for sample in x.unbind(1):
        y, states = backbone.step(sample, states, dt_scale=dt_scale)
        outputs.append(y)
    assert_equal(backbone(x, dt_scale=dt_scale), (torch.stack(outputs, 1), states))


@stacks
def test_chunks_with_gaps(layer: str, mixing: str) -> None:
    backbone, x = make(layer, mixing), signal()
    observed = (torch.rand(BATCH, LENGTH) < 0.7).double()
    first, states = backbone(x[:, :11], observed=observed[:, :11])
    second, states = backbone(x[:, 11:], states, observed=observed[:, 11:])
    assert_equal(backbone(x, observed=observed), (torch.cat([first, second], 1), states))


@stacks
def test_prefill_of_a_ragged_batch_then_a_step(layer: str, mixing: str) -> None:
    backbone, x = make(layer, mixing), signal()
    lengths = torch.tensor([LENGTH, 0, 9])
    following = torch.randn(BATCH, CHANNELS, dtype=torch.float64)
    y, states = backbone(x, lengths=lengths)
    after, states = backbone.step(following, states)
    for i, length in enumerate(lengths.tolist()):
        alone = torch.cat([x[i, :length], following[i : i + 1]])[None]
        expected, final = backbone(alone)
        here, there = ([part[row] for part in tensors(every)] for row, every in ((i, states), (0, final)))
        if LAYERS[layer].capabilities.grows:  # padding takes up room in it
            here, there = [], []
        assert_equal((after[i], here), (expected[0, -1], there))
        torch.testing.assert_close(y[i, :length], expected[0, :length], rtol=0, atol=TOLERANCE)


def test_names_of_parameters_are_those_of_saved_models() -> None:
    """Models that were saved before stacks had lists and rates are still loaded."""
    block = {"norm.weight", "norm.bias", "mixing.linear.weight", "mixing.linear.bias"}
    block |= {f"layer.{name}" for name in ("log_dt", "A_log", "A_imag", "C", "D")}
    expected = {f"blocks.{i}.{name}" for i in range(2) for name in block} | {"norm.weight", "norm.bias"}
    assert set(Backbone(CHANNELS).state_dict()) == expected
    assert set(Backbone(CHANNELS, 2, "s4d", 64, "glu", 0.1).state_dict()) == expected


def test_hybrid_stacks() -> None:
    """A list of layers, each with options and a mixing of its own, is these blocks one after the other."""
    options = [{"init": "lin"}, {"d_state": 6}, {"expand": 3}]
    stack = Backbone(CHANNELS, layer=["s4d", "s6", "mamba"], d_state=4, options=options, norm="rms").double()
    assert [type(block.layer).__name__ for block in stack.blocks] == ["S4D", "S6", "Mamba"]
    assert [type(block.mixing).__name__ for block in stack.blocks] == ["GLU", "GLU", "Unmixed"]
    assert [stack.blocks[0].layer.A_log.shape[1], stack.blocks[1].layer.d_state] == [2, 6]
    assert len(stack.blocks[2].layer.conv_bias) == 3 * CHANNELS
    h = x = signal()
    for block in stack.blocks:
        h, _ = block(h)
    expected = h * torch.rsqrt(h.square().mean(-1, keepdim=True) + 1e-5)
    torch.testing.assert_close(stack(x)[0], expected, rtol=0, atol=TOLERANCE)
    mixed = Backbone(CHANNELS, layer=["s4d", "s6"], mixing=["gated", "none"])
    assert [type(block.mixing).__name__ for block in mixed.blocks] == ["Gated", "Unmixed"]


def test_bidirectional_stacks() -> None:
    stack = Backbone(CHANNELS, 2, ["s4d", "mamba"], 4, bidirectional=True).double()
    x = signal()
    lengths = torch.tensor([LENGTH, 5, 0])
    y, states = stack(x, lengths=lengths)
    torch.testing.assert_close(y[1, :5], stack(x[1:2, :5])[0][0], rtol=0, atol=TOLERANCE)
    assert not torch.allclose(y[0, 0], stack(x[:1, :-1])[0][0, 0])  # the first output knows the last sample
    with pytest.raises(InputError, match=r"Bidirectional.step: .* cannot run sample by sample"):
        stack.step(x[:, 0], stack.initial_state(BATCH))
    with pytest.raises(InputError, match=r"Bidirectional.forward: state is given"):
        stack(x, states)


def test_unequal_times_and_gaps_step_by_step() -> None:
    backbone, x = make("s4d", "glu"), signal()
    dt, observed = torch.rand(BATCH, LENGTH).double() + 0.5, (torch.rand(BATCH, LENGTH) < 0.6).double()
    states, outputs = backbone.initial_state(BATCH), []
    for t in range(LENGTH):
        y, states = backbone.step(x[:, t], states, dt[:, t], observed=observed[:, t])
        outputs.append(y)
    assert_equal(backbone(x, dt=dt, observed=observed), (torch.stack(outputs, 1), states))


def test_the_padding_is_zero_and_not_looked_at() -> None:
    backbone, x = make("mamba", "auto"), signal()
    lengths = torch.tensor([LENGTH, 0, 9])
    padding = torch.arange(LENGTH) >= lengths[:, None]
    y, _ = backbone(x.masked_fill(padding[..., None], float("nan")), lengths=lengths)
    assert (y[padding] == 0).all()
    for gradient in torch.autograd.grad(y.square().sum(), list(backbone.parameters())):
        assert gradient.isfinite().all()


def test_stochastic_depth_leaves_out_whole_sequences() -> None:
    torch.manual_seed(0)
    block = Backbone(CHANNELS, 1, "s4d", 4, stochastic_depth=0.5).double().blocks[0]
    x = torch.randn(400, 3, CHANNELS, dtype=torch.float64)
    y, state = block(x)
    block.eval()
    expected, final = block(x)
    left_out = (y == x).all((1, 2))
    assert 150 < int(left_out.sum()) < 250  # 400 draws of 1/2: five standard deviations
    torch.testing.assert_close((y - x)[~left_out], 2 * (expected - x)[~left_out], rtol=1e-12, atol=1e-12)
    assert torch.equal(state, final)  # the state moves on all the same
    deep = Backbone(CHANNELS, 4, stochastic_depth=0.2)
    assert [block.stochastic_depth.p for block in deep.blocks] == pytest.approx([0.05, 0.1, 0.15, 0.2])


@pytest.mark.filterwarnings("ignore:Mismatch dtype")  # of torch's RMSNorm: it takes what it warns of
@pytest.mark.parametrize(("norm", "mixing"), list(product(["layer", "rms"], ["glu", "none"])))
@pytest.mark.parametrize("autocast", [False, True])
def test_an_input_of_another_type_is_refused_where_torch_would(norm: str, mixing: str, autocast: bool) -> None:
    types = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    for own, other in product(types[1:], types):
        backbone, x = (
            Backbone(CHANNELS, 1, "mamba", 4, mixing, norm=norm).to(own),
            torch.randn(2, 3, CHANNELS).to(other),
        )
        needed = [backbone.norm, *([backbone.blocks[0].mixing.linear] if mixing == "glu" else [])]
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            try:
                refused = not all(module(x) is not None for module in needed)
            except RuntimeError:
                refused = True
            for where, run, given in (
                ("forward", backbone.forward, (x,)),
                ("step", backbone.step, (x[:, 0], backbone.initial_state(2))),
            ):
                if refused:
                    words = re.escape(f"Backbone.{where}: x is {other}, but the weights are {own}: pass x.to({own}).")
                    with pytest.raises(InputError, match=words):
                        run(*given)
                else:
                    run(*given)


def test_what_it_refuses() -> None:
    with pytest.raises(InputError, match=r"layer is 's5d', which is not known: choose one of .*s4d.* mean 's.d?'"):
        Backbone(CHANNELS, layer="s5d")
    with pytest.raises(InputError, match="n_layers is 0"):
        Backbone(CHANNELS, 0)
    backbone, x = make("s4d", "glu").float(), torch.zeros(1, LENGTH, CHANNELS)
    for wrong in ([], backbone.initial_state(1)[:1]):
        with pytest.raises(InputError, match=f"Backbone.forward: state holds {len(wrong)} states, but 2 are expected"):
            backbone(x, wrong)
        with pytest.raises(InputError, match=f"Backbone.step: state holds {len(wrong)} states, but 2 are expected"):
            backbone.step(x[:, 0], wrong)
    with pytest.raises(ShapeError, match="transposed"):
        backbone(x.transpose(1, 2))
    for wrong, sentence in (
        ({"layer": ["s4d", "s6"], "n_layers": 3}, "layer has 2 entries, but there are 3 blocks"),
        ({"n_layers": 1.5}, r"n_layers is 1\.5, but a whole number of at least 1"),
        ({"layer": None}, "layer is None, which is not known: choose one of"),
        ({"mixing": ["glu"]}, "mixing has 1 entries, but there are 2 blocks"),
        ({"options": {"expand": 2}}, "options has 'expand', but s4d takes d_state, init"),
        ({"norm": "batch"}, "norm is 'batch', which is not known: choose one of layer, rms"),
        ({"stochastic_depth": 1.0}, r"stochastic_depth is 1.0, but a probability in \[0, 1\)"),
    ):
        with pytest.raises(InputError, match=sentence):
            Backbone(CHANNELS, **wrong)
