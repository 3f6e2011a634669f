"""The contract of every layer: convolution = scan = step by step = any split into chunks with the state carried over.

It holds for outputs, final state and all gradients, in whole and in ragged batches. A new layer joins by a line in
``statespace.layers.LAYERS``, and a line in ``VIEWS`` and in ``OPTIONS`` here.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product
from math import log

import pytest
import torch
from torch import Tensor

from statespace.hippo import INITIALISATIONS
from statespace.layers import LAYERS, SequenceLayer
from statespace.layers.s4d import LOG_POLES

BATCH, LENGTH, CHANNELS, STATES = 3, 131, 5, 8
VIEWS = {"s4d": ["convolution", "scan"]}
OPTIONS: dict[str, list[dict[str, str]]] = {
    "s4d": [{"init": init, "discretization": method} for init, method in product(INITIALISATIONS, LOG_POLES)]
}
CASES = [
    pytest.param(name, tuple(options.items()), id="-".join([name, *options.values()]))
    for name in LAYERS
    for options in OPTIONS[name]
]
# Of the largest number in each tensor. The views round the same sums of up to LENGTH terms in different orders.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}

cases = pytest.mark.parametrize(("name", "options"), CASES)
types = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
Options = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Result:
    """Outputs, final state and gradients by name."""

    values: dict[str, Tensor]

    def assert_close(self, expected: "Result", tolerance: float) -> None:
        assert self.values.keys() == expected.values.keys()
        for name, value in self.values.items():
            other = expected.values[name]
            assert value.dtype == other.dtype
            assert value.isfinite().all(), f"{name} is not finite"
            error, size = float((value - other).abs().max()), float(other.abs().max())
            assert error <= tolerance * size, f"{name} is off by {error / size:.1e}"


def make(name: str, options: Options, dtype: torch.dtype, view: str | None = None) -> SequenceLayer:
    """Make a layer; the same one each time but for its view."""
    torch.manual_seed(1)
    chosen = dict(options) | ({} if view is None else {"view": view})
    return LAYERS[name](CHANNELS, STATES, **chosen).to(dtype)


def whole(layer: SequenceLayer, x: Tensor, state: Tensor, dt_scale: float = 1.0) -> tuple[Tensor, Tensor]:
    return layer(x, state, dt_scale=dt_scale)


def steps(layer: SequenceLayer, x: Tensor, state: Tensor, dt_scale: float = 1.0) -> tuple[Tensor, Tensor]:
    outputs = []
    for sample in x.unbind(1):
        y, state = layer.step(sample, state, dt_scale)
        outputs.append(y)
    return torch.stack(outputs, dim=1), state


def chunks(layer: SequenceLayer, x: Tensor, state: Tensor, dt_scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Cut at random places; pieces of one sample and of none are among them."""
    cuts = torch.randint(0, x.shape[1] + 1, (6,)).tolist()
    outputs = []
    for begin, end in pairwise(sorted([0, 1, *cuts, *cuts[:1], x.shape[1]])):
        y, state = layer(x[:, begin:end], state, dt_scale=dt_scale)
        outputs.append(y)
    return torch.cat(outputs, dim=1), state


Way = Callable[..., tuple[Tensor, Tensor]]


def run(layer: SequenceLayer, way: Way, dtype: torch.dtype, length: int = LENGTH, dt_scale: float = 1.0) -> Result:
    """Run from a random state, and take the gradients of a loss on outputs and final state."""
    generator = torch.Generator().manual_seed(2)

    def draw(*shape: int, dtype: torch.dtype = dtype) -> Tensor:
        return torch.randn(*shape, dtype=dtype, generator=generator)

    x = draw(BATCH, length, CHANNELS).requires_grad_()
    like = layer.initial_state(BATCH)
    state = draw(*like.shape, dtype=like.dtype).requires_grad_()
    torch.manual_seed(length)  # of the cuts
    y, final = way(layer, x, state, dt_scale)
    loss = (y * draw(*y.shape)).sum() + (final * draw(*like.shape, dtype=like.dtype)).real.sum()
    leaves = {"x": x, "state": state, **dict(layer.named_parameters())}
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    values = {"y": y.detach(), "final state": final.detach()}
    values |= {f"gradient of {leaf}": value for leaf, value in zip(leaves, gradients, strict=True)}
    return Result(values)


@cache
def step_by_step(name: str, options: Options, dtype: torch.dtype, length: int = LENGTH, scale: float = 1.0) -> Result:
    return run(make(name, options, dtype), steps, dtype, length, scale)


@cases
@types
@pytest.mark.parametrize("way", [whole, chunks])
def test_every_view_is_the_recurrence(name: str, options: Options, dtype: torch.dtype, way: Way) -> None:
    expected = step_by_step(name, options, dtype)
    for view in VIEWS[name]:
        run(make(name, options, dtype, view), way, dtype).assert_close(expected, TOLERANCE[dtype])


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("length", [1, 2, 63, 65])
def test_at_odd_lengths(name: str, length: int) -> None:
    expected = step_by_step(name, (), torch.float64, length)
    for view in [*VIEWS[name], None]:
        layer = make(name, (), torch.float64, view)
        run(layer, whole, torch.float64, length).assert_close(expected, TOLERANCE[torch.float64])


@pytest.mark.parametrize("name", LAYERS)
def test_no_samples_leave_the_state_alone(name: str) -> None:
    for view in VIEWS[name]:
        layer = make(name, (), torch.float32, view)
        state = torch.randn_like(layer.initial_state(BATCH))
        for before, expected in ((state, state), (None, layer.initial_state(BATCH))):
            y, after = layer(torch.zeros(BATCH, 0, CHANNELS), before)
            assert y.shape == (BATCH, 0, CHANNELS)
            assert torch.equal(after, expected)


@pytest.mark.parametrize("name", LAYERS)
def test_no_state_is_the_initial_state(name: str) -> None:
    x = torch.randn(BATCH, LENGTH, CHANNELS, dtype=torch.float64)
    for view in VIEWS[name]:
        layer = make(name, (), torch.float64, view)
        for ours, expected in zip(layer(x), layer(x, layer.initial_state(BATCH)), strict=True):
            torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)


LENGTHS = [0, 1, 77, LENGTH - 1, LENGTH]


@cases
@types
def test_ragged_batches(name: str, options: Options, dtype: torch.dtype) -> None:
    """Each sequence is as if it were alone, whatever stands in the padding; another sample can follow at once."""
    x = torch.randn(len(LENGTHS), LENGTH, CHANNELS, dtype=dtype)
    after = torch.randn(len(LENGTHS), CHANNELS, dtype=dtype)
    lengths = torch.tensor(LENGTHS)
    padding = torch.arange(LENGTH) >= lengths[:, None]
    x[padding] = float("nan")
    like = make(name, options, dtype).initial_state(len(LENGTHS))
    start = torch.randn_like(like)
    weigh_y, weigh_next, weigh_final = torch.randn_like(x), torch.randn_like(after), torch.randn_like(like)

    def result(layer: SequenceLayer, y: Tensor, following: Tensor, final: Tensor, given: Tensor, at: Tensor) -> Result:
        loss = (weigh_y.masked_fill(padding[..., None], 0) * y).sum()
        loss = loss + (weigh_next * following).sum() + (weigh_final * final).real.sum()
        gradients = torch.autograd.grad(loss, [given, at, *layer.parameters()])
        names = ["gradient of x", "gradient of state", *(name for name, _ in layer.named_parameters())]
        values = {"y": y.detach(), "next": following.detach(), "final": final.detach()}
        return Result(values | dict(zip(names, gradients, strict=True)))

    layer = make(name, options, dtype)
    given, at = x.clone().requires_grad_(), start.clone().requires_grad_()
    ys, nexts, finals = [], [], []
    for i, length in enumerate(LENGTHS):
        y, final = steps(layer, given[i : i + 1, :length], at[i : i + 1]) if length else (given[:1, :0], at[i : i + 1])
        ys.append(torch.cat([y, y.new_zeros(1, LENGTH - length, CHANNELS)], dim=1))
        following, final = layer.step(after[i : i + 1], final)
        nexts.append(following)
        finals.append(final)
    expected = result(layer, torch.cat(ys), torch.cat(nexts), torch.cat(finals), given, at)

    for view in VIEWS[name]:
        layer = make(name, options, dtype, view)
        given, at = x.clone().requires_grad_(), start.clone().requires_grad_()
        y, final = layer(given, at, lengths)
        assert (y[padding] == 0).all()
        found = result(layer, y, *layer.step(after, final), given, at)
        assert (found.values["gradient of x"][padding] == 0).all()
        found.assert_close(expected, TOLERANCE[dtype])


@cases
def test_dt_scale_is_a_factor_on_the_step(name: str, options: Options) -> None:
    expected = step_by_step(name, options, torch.float64, scale=2.0)
    for view in VIEWS[name]:
        layer = make(name, options, torch.float64, view)
        for way in (whole, chunks):
            run(layer, way, torch.float64, dt_scale=2.0).assert_close(expected, TOLERANCE[torch.float64])
        with torch.no_grad():
            layer.get_parameter("log_dt").add_(log(2))
        run(layer, whole, torch.float64).assert_close(expected, TOLERANCE[torch.float64])


@cases
def test_saved_and_loaded(name: str, options: Options) -> None:
    layer = make(name, options, torch.float32)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    torch.manual_seed(3)
    other = LAYERS[name](CHANNELS, STATES, **dict(options))
    other.load_state_dict(torch.load(file, weights_only=True))
    x = torch.randn(BATCH, LENGTH, CHANNELS)
    for ours, theirs in zip(other(x), layer(x), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(other.step(x[:, 0], other(x)[1]), layer.step(x[:, 0], layer(x)[1]), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("length", [64, 256, 300])
def test_the_layout_of_the_input_does_not_matter(name: str, length: int) -> None:
    x = torch.randn(BATCH, CHANNELS, length, dtype=torch.float64).transpose(1, 2)
    for view in VIEWS[name]:
        layer = make(name, (), torch.float64, view)
        for ours, expected in zip(layer(x), layer(x.contiguous()), strict=True):
            torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_input_keeps_a_full_state(name: str, half: torch.dtype) -> None:
    x = torch.randn(BATCH, LENGTH, CHANNELS).to(half)
    for view in VIEWS[name]:
        layer = make(name, (), torch.float32, view)
        for ours, full in [
            (layer(x), layer(x.float())),
            (layer.step(x[:, 0], layer.initial_state(BATCH)), layer.step(x[:, 0].float(), layer.initial_state(BATCH))),
        ]:
            assert ours[0].dtype == half
            assert torch.equal(ours[0], full[0].to(half))
            assert torch.equal(ours[1], full[1])


def test_views_and_options_are_known_for_every_layer() -> None:
    assert VIEWS.keys() == OPTIONS.keys() == LAYERS.keys()
