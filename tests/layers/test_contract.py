"""The contract of every layer: whole sequences = step by step = any split into chunks with the state carried over.

It holds for every view, for outputs, final state and all gradients, in whole and in ragged batches, for equal and for
unequal times between samples. What a layer cannot do, it declares in its `capabilities`; that it refuses it with one
sentence is checked too. A new layer joins by a line in ``statespace.layers.LAYERS``, and one in ``OPTIONS`` here.
"""

import io
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product
from typing import Any

import pytest
import torch
from torch import Tensor

from statespace.errors import InputError
from statespace.hippo import INITIALISATIONS
from statespace.kernels.selective_scan import METHODS
from statespace.layers import LAYERS, SequenceLayer, State
from statespace.layers.s4d import LOG_POLES

BATCH, LENGTH, CHANNELS = 2, 37, 4  # longer than a chunk of 32, which is what compiled scans go by
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "lssl": [
        {"d_state": 5, "init": init, "discretization": method}
        for init, method in [("legs", "bilinear"), ("legt", "zoh"), ("lagt", "bilinear"), ("fout", "zoh")]
    ],
    "s4": [{"d_state": 8}],
    "s4d": [
        {"d_state": 8, "init": init, "discretization": method} for init, method in product(INITIALISATIONS, LOG_POLES)
    ],
    "s5": [
        {"d_state": 8, "blocks": 2, "conj_sym": pairs, "discretization": method}
        for pairs, method in product([True, False], LOG_POLES)
    ],
    "lru": [{"d_state": 6}],
    "s6": [{"d_state": 4, "discretization": method} for method in METHODS],
    "mamba": [{"d_state": 4}],
    "ssd": [{"d_state": 4}, {"d_state": 4, "head_dim": 1, "n_groups": 2}],
    "mamba2": [{"d_state": 4, "norm": norm, "n_groups": 2} for norm in ("after-gate", "before-gate", "none")],
    "mamba3": [{"d_state": 6, "n_groups": 2}],
    "lstm": [{"d_state": 6}],
    "gru": [{"d_state": 6}],
    "transformer": [{}],
}
CASES = {
    "-".join([name, *(str(value) for option, value in options.items() if option != "d_state")]): (name, options)
    for name, every in OPTIONS.items()
    for options in every
}
FIRST = [next(case for case, (other, _) in CASES.items() if other == name) for name in OPTIONS]
# Of the largest number in each tensor. The views round the same sums of up to LENGTH terms in different orders.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
# The times between samples: as in training, another rate, or a different one before each sample.
TIMES = ["equal", "scaled", "unequal"]

cases = pytest.mark.parametrize("case", CASES)
firsts = pytest.mark.parametrize("case", FIRST)
# Every option in float64, which shows a wrong formula; one of each layer in float32, which shows rounding.
typed = pytest.mark.parametrize(
    ("case", "dtype"), [*product(CASES, [torch.float64]), *product(FIRST, [torch.float32])], ids=str
)

Run = tuple[Tensor, State]
Times = dict[str, Any]
Way = Callable[[SequenceLayer, Tensor, State, Times], Run]


@dataclass(frozen=True)
class Result:
    """Outputs, final state and gradients by name."""

    values: dict[str, Tensor]

    def assert_close(self, expected: "Result", tolerance: float) -> None:
        assert self.values.keys() == expected.values.keys()
        for name, value in self.values.items():
            other = expected.values[name]
            assert value.dtype == other.dtype, name
            assert value.shape == other.shape, name
            assert value.isfinite().all(), f"{name} is not finite"
            if value.dtype == torch.bool:
                assert torch.equal(value, other), name
            elif value.numel():
                error, size = float((value - other).abs().max()), float(other.abs().max())
                assert error <= tolerance * size, f"{name} is off by {error:.1e} of {size:.1e}"


def make(case: str, dtype: torch.dtype, view: str | None = None) -> SequenceLayer:
    """Make a layer; the same one each time but for its view."""
    name, options = CASES[case]
    torch.manual_seed(1)
    return LAYERS[name](CHANNELS, **options, **({} if view is None else {"view": view})).to(dtype)


def views(case: str) -> list[str | None]:
    return list(LAYERS[CASES[case][0]].capabilities.views) or [None]


def takes(case: str, times: str) -> bool:
    capabilities = LAYERS[CASES[case][0]].capabilities
    return {"equal": True, "scaled": capabilities.any_rate, "unequal": capabilities.irregular}[times]


def parts(state: State) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


def like(state: State, every: list[Tensor]) -> State:
    return tuple(every) if isinstance(state, tuple) else every[0]


def rows(state: State, chosen: slice) -> State:
    return like(state, [part[chosen] for part in parts(state)])


def join(states: list[State]) -> State:
    """Join the states of several sequences; one that grows with its sequence is filled up, as in a ragged batch."""
    joined = []
    for every in zip(*map(parts, states), strict=True):
        longest = max(part.shape[1] for part in every)
        filled = [
            torch.cat([part, part.new_zeros(1, longest - part.shape[1], *part.shape[2:])], dim=1) for part in every
        ]
        joined.append(torch.cat(filled))
    return like(states[0], joined)


def moves(part: Tensor) -> bool:
    return part.is_floating_point() or part.is_complex()


def state_after(layer: SequenceLayer, batch: int, generator: torch.Generator) -> State:
    """The state after a few samples, detached: one that the layer can have, and not zero."""
    x = torch.randn(batch, 9, CHANNELS, dtype=next(layer.parameters()).dtype, generator=generator)
    state = layer(x)[1]
    return like(state, [part.detach().clone().requires_grad_(moves(part)) for part in parts(state)])


def draw_times(times: str, shape: tuple[int, ...], dtype: torch.dtype) -> Times:
    """Draw `dt` over a factor of ten, and a rate besides."""
    if times == "unequal":
        generator = torch.Generator().manual_seed(3)
        dt = 10 ** (torch.rand(*shape, dtype=dtype, generator=generator) - 0.6)
        return {"dt": dt.requires_grad_(), "dt_scale": 0.7}
    return {"dt_scale": 2.0} if times == "scaled" else {}


def at(times: Times, when: int | slice, batch: slice = slice(None)) -> Times:
    return {name: value[batch, when] if isinstance(value, Tensor) else value for name, value in times.items()}


def whole(layer: SequenceLayer, x: Tensor, state: State, times: Times) -> Run:
    return layer(x, state, **times)


def steps(layer: SequenceLayer, x: Tensor, state: State, times: Times) -> Run:
    outputs = []
    for t, sample in enumerate(x.unbind(1)):
        y, state = layer.step(sample, state, **at(times, t))
        outputs.append(y)
    return torch.stack(outputs, dim=1), state


def chunks(layer: SequenceLayer, x: Tensor, state: State, times: Times) -> Run:
    """Cut at random places; pieces of one sample and of none are among them."""
    cuts = torch.randint(0, x.shape[1] + 1, (4,)).tolist()
    outputs = []
    for begin, end in pairwise(sorted([0, 1, *cuts, cuts[0], x.shape[1]])):
        y, state = layer(x[:, begin:end], state, **at(times, slice(begin, end)))
        outputs.append(y)
    return torch.cat(outputs, dim=1), state


def collect(layer: SequenceLayer, found: dict[str, Tensor], leaves: dict[str, Tensor]) -> Result:
    """Take the gradients of a loss that weighs every number that was found at random."""
    generator = torch.Generator().manual_seed(4)
    loss = torch.zeros(())
    for value in found.values():
        if value.requires_grad:
            weights = torch.randn(value.shape, dtype=value.dtype, generator=generator)
            loss = loss + (value * weights).real.sum()
    leaves = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad} | dict(layer.named_parameters())
    gradients = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    values = {name: value.detach() for name, value in found.items()}
    values |= {f"gradient of {leaf}": value for leaf, value in zip(leaves, gradients, strict=True)}
    return Result(values)


def named(name: str, state: State) -> dict[str, Tensor]:
    return {f"{name} {i}": part for i, part in enumerate(parts(state))}


def run(layer: SequenceLayer, way: Way, dtype: torch.dtype, times: str = "equal", length: int = LENGTH) -> Result:
    """Run from a state that is not zero, and take the gradients of a loss on outputs and final state."""
    generator = torch.Generator().manual_seed(2)
    state = state_after(layer, BATCH, generator)
    x = torch.randn(BATCH, length, CHANNELS, dtype=dtype, generator=generator).requires_grad_()
    drawn = draw_times(times, (BATCH, length), dtype)
    torch.manual_seed(length)  # of the cuts
    y, final = way(layer, x, state, drawn)
    leaves = {"x": x, **named("state", state)} | ({"dt": drawn["dt"]} if "dt" in drawn else {})
    return collect(layer, {"y": y, **named("final state", final)}, leaves)


@cache
def step_by_step(case: str, dtype: torch.dtype, times: str = "equal", length: int = LENGTH) -> Result:
    return run(make(case, dtype), steps, dtype, times, length)


@typed
@pytest.mark.parametrize("times", TIMES)
def test_every_view_is_the_recurrence(case: str, dtype: torch.dtype, times: str) -> None:
    if not takes(case, times):
        pytest.skip("the layer does not take these times")
    expected = step_by_step(case, dtype, times)
    for view in views(case) if times != "unequal" else [None]:
        for way in [whole, chunks]:
            run(make(case, dtype, view), way, dtype, times).assert_close(expected, TOLERANCE[dtype])


@cases
def test_equal_times_are_another_rate(case: str) -> None:
    """A dt of 2 throughout is a dt_scale of 2, and one of 1 is none."""
    layer, x = make(case, torch.float64), torch.randn(BATCH, LENGTH, CHANNELS, dtype=torch.float64)
    ones = torch.ones(BATCH, LENGTH, dtype=torch.float64)
    if not takes(case, "unequal"):
        with pytest.raises(InputError, match="dt is given, but"):
            layer(x, dt=ones)
        with pytest.raises(InputError, match="dt is given, but"):
            layer.step(x[:, 0], layer.initial_state(BATCH), dt=ones[:, 0])
    else:
        for dt, dt_scale, equal in [(2 * ones, 1.0, 2.0), (4 * ones, 0.5, 2.0), (ones, 1.0, 1.0)]:
            for ours, expected in zip(
                *(parts(one) for one in (layer(x, dt=dt, dt_scale=dt_scale)[1], layer(x, dt_scale=equal)[1])),
                strict=True,
            ):
                torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)
            torch.testing.assert_close(
                layer(x, dt=dt, dt_scale=dt_scale)[0], layer(x, dt_scale=equal)[0], rtol=1e-10, atol=1e-12
            )
    if not takes(case, "scaled"):
        with pytest.raises(InputError, match=r"dt_scale is 2.0, but"):
            layer(x, dt_scale=2.0)
        with pytest.raises(InputError, match=r"dt_scale is 2.0, but"):
            layer.step(x[:, 0], layer.initial_state(BATCH), dt_scale=2.0)
    else:
        assert not torch.allclose(layer(x)[0], layer(x, dt_scale=2.0)[0], atol=1e-6)


@firsts
@pytest.mark.parametrize("length", [1, 2, 33, 65])
def test_at_odd_lengths(case: str, length: int) -> None:
    expected = step_by_step(case, torch.float64, "equal", length)
    for view in {*views(case), None}:
        found = run(make(case, torch.float64, view), whole, torch.float64, "equal", length)
        found.assert_close(expected, TOLERANCE[torch.float64])


@firsts
def test_no_samples_leave_the_state_alone(case: str) -> None:
    nothing = torch.zeros(BATCH, 0, CHANNELS)
    for view in views(case):
        layer = make(case, torch.float32, view)
        state = state_after(layer, BATCH, torch.Generator().manual_seed(0))
        for before, expected in ((state, state), (None, layer.initial_state(BATCH))):
            for times in ({}, {"dt": torch.ones(BATCH, 0)}) if takes(case, "unequal") else ({},):
                y, after = layer(nothing, before, **times)
                assert y.shape == nothing.shape
                assert all(map(torch.equal, parts(after), parts(expected)))


@firsts
def test_no_sequences(case: str) -> None:
    nothing = torch.zeros(0, LENGTH, CHANNELS)
    for view in views(case):
        layer = make(case, torch.float32, view)
        for times in ({}, {"dt": torch.ones(0, LENGTH)}) if takes(case, "unequal") else ({},):
            y, after = layer(nothing, **times)
            assert y.shape == nothing.shape
            assert all(len(part) == 0 for part in parts(after))


@firsts
def test_no_state_is_the_initial_state(case: str) -> None:
    x = torch.randn(BATCH, LENGTH, CHANNELS, dtype=torch.float64)
    for view in views(case):
        layer = make(case, torch.float64, view)
        (y, final), (expected, last) = layer(x), layer(x, layer.initial_state(BATCH))
        for ours, theirs in zip([y, *parts(final)], [expected, *parts(last)], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@firsts
def test_a_step_leaves_the_state_that_it_was_given(case: str) -> None:
    """With gradients and without: the compiled steps work in place, on a state of their own."""
    layer = make(case, torch.float64)
    state = state_after(layer, BATCH, torch.Generator().manual_seed(0))
    x = torch.randn(BATCH, CHANNELS, dtype=torch.float64)
    before = [part.detach().clone() for part in parts(state)]
    y, after = layer.step(x, state)
    with torch.no_grad():
        found, last = layer.step(x, state)
    for ours, theirs in zip([found, *parts(last)], [y, *parts(after)], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert all(map(torch.equal, parts(state), before))


LENGTHS = [0, 1, 18, LENGTH]


@cache
def alone(case: str, dtype: torch.dtype, times: str) -> Result:
    return ragged(make(case, dtype), dtype, times, one_by_one)


def one_by_one(layer: SequenceLayer, x: Tensor, state: State, times: Times) -> Run:
    """Each sequence by itself, step by step."""
    ys, finals = [], []
    for i, length in enumerate(LENGTHS):
        row = slice(i, i + 1)
        y, final = x[row, :0], rows(state, row)
        if length:
            y, final = steps(layer, x[row, :length], final, at(times, slice(length), row))
        ys.append(torch.cat([y, y.new_zeros(1, LENGTH - length, CHANNELS)], dim=1))
        finals.append(final)
    return torch.cat(ys), join(finals)


def all_at_once(layer: SequenceLayer, x: Tensor, state: State, times: Times) -> Run:
    return layer(x, state, torch.tensor(LENGTHS), **times)


def ragged(layer: SequenceLayer, dtype: torch.dtype, times: str, way: Way) -> Result:
    """Run a ragged batch with NaN in its padding, and let another sample follow at once."""
    generator = torch.Generator().manual_seed(5)
    state = state_after(layer, len(LENGTHS), generator)
    x = torch.randn(len(LENGTHS), LENGTH, CHANNELS, dtype=dtype, generator=generator)
    following = torch.randn(len(LENGTHS), CHANNELS, dtype=dtype, generator=generator)
    drawn = draw_times(times, (len(LENGTHS), LENGTH), dtype)
    padding = torch.arange(LENGTH) >= torch.tensor(LENGTHS)[:, None]
    x[padding] = float("nan")
    x.requires_grad_()
    given = dict(drawn)
    if "dt" in drawn:
        given["dt"] = drawn["dt"].masked_fill(padding, float("nan"))
    y, final = way(layer, x, state, given)
    assert (y[padding] == 0).all()
    after, last = layer.step(following, final, **at(drawn, 0))
    leaves = {"x": x, **named("state", state)} | ({"dt": drawn["dt"]} if "dt" in drawn else {})
    found = {"y": y, "next y": after, **named("final state", final), **named("next state", last)}
    result = collect(layer, found, leaves)
    assert (result.values["gradient of x"][padding] == 0).all()
    return result


@typed
@pytest.mark.parametrize("times", ["equal", "unequal"])
def test_ragged_batches(case: str, dtype: torch.dtype, times: str) -> None:
    """Each sequence is as if it were alone, whatever stands in the padding; another sample can follow at once."""
    if not takes(case, times):
        pytest.skip("the layer does not take these times")
    expected = alone(case, dtype, times)
    for view in views(case) if times == "equal" else [None]:
        ragged(make(case, dtype, view), dtype, times, all_at_once).assert_close(expected, TOLERANCE[dtype])


@cases
def test_saved_and_loaded(case: str) -> None:
    name, options = CASES[case]
    layer = make(case, torch.float32)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    torch.manual_seed(3)
    other = LAYERS[name](CHANNELS, **options)
    other.load_state_dict(torch.load(file, weights_only=True))
    x = torch.randn(BATCH, LENGTH, CHANNELS)
    (y, final), (expected, last) = other(x), layer(x)
    (after, final), (following, last) = other.step(x[:, 0], final), layer.step(x[:, 0], last)
    for ours, theirs in zip([y, after, *parts(final)], [expected, following, *parts(last)], strict=True):
        assert torch.equal(ours, theirs)


@firsts
@pytest.mark.parametrize("length", [64, 300])
def test_the_layout_of_the_input_does_not_matter(case: str, length: int) -> None:
    x = torch.randn(BATCH, CHANNELS, length, dtype=torch.float64).transpose(1, 2)
    for view in views(case):
        layer = make(case, torch.float64, view)
        (y, final), (expected, last) = layer(x), layer(x.contiguous())
        for ours, theirs in zip([y, *parts(final)], [expected, *parts(last)], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@firsts
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_input_keeps_a_full_state(case: str, half: torch.dtype) -> None:
    x = torch.randn(BATCH, LENGTH, CHANNELS).to(half)
    for view in views(case):
        layer = make(case, torch.float32, view)
        start = layer.initial_state(BATCH)
        for (y, state), (full, expected) in [
            (layer(x), layer(x.float())),
            (layer.step(x[:, 0], start), layer.step(x[:, 0].float(), start)),
        ]:
            assert y.dtype == half
            assert torch.equal(y, full.to(half))
            assert all(map(torch.equal, parts(state), parts(expected)))


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["lssl", "s4", "s4d", "s5", "lru"])
def test_half_precision_weights_are_rounded_and_nothing_else(name: str, half: torch.dtype) -> None:
    x, dt = torch.randn(BATCH, LENGTH, CHANNELS), torch.rand(BATCH, LENGTH) + 0.5
    for view in LAYERS[name].capabilities.views or [None]:
        layer = LAYERS[name](CHANNELS, d_state=6, **({} if view is None else {"view": view})).to(half)
        rounded = deepcopy(layer).float()
        start = layer.initial_state(BATCH)
        for found, expected in (
            (layer(x), rounded(x)),
            (layer(x, start, dt=dt), rounded(x, start, dt=dt)),
            (layer.step(x[:, 0], start), rounded.step(x[:, 0], start)),
            (layer.step(x[:, 0], start, dt[:, 0]), rounded.step(x[:, 0], start, dt[:, 0])),
        ):
            assert all(map(torch.equal, found, expected))
        assert layer(x.to(half))[0].dtype == half
        for gradient in torch.autograd.grad(layer(x)[0].square().sum(), list(layer.parameters())):
            assert gradient.dtype == half
            assert gradient.isfinite().all()


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["s6", "mamba", "ssd", "mamba2", "mamba3"])
def test_dynamics_in_full_precision_between_matrices_in_half(name: str, half: torch.dtype) -> None:
    """As checkpoints are published: the same but for products that are rounded, some one after the other."""
    layer, x = LAYERS[name](CHANNELS, d_state=6), torch.randn(BATCH, LENGTH, CHANNELS)
    for parameter in layer.parameters():
        if not any(parameter is kept for kept in layer.ssm_parameters()):
            parameter.data = parameter.data.to(half)
    expected, _ = deepcopy(layer).float()(x)
    start = layer.initial_state(BATCH)
    close = 4 * torch.finfo(half).eps * expected.abs().max()
    for rows in (x, x.to(half)):
        for way in (whole, chunks, steps):
            assert (way(layer, rows, start, {})[0] - expected).abs().max() < close
        with torch.no_grad():
            assert (steps(layer, rows, start, {})[0] - expected).abs().max() < close
    for gradient in torch.autograd.grad(layer(x)[0].square().sum(), list(layer.parameters())):
        assert gradient.isfinite().all()


@firsts
def test_under_autocast(case: str) -> None:
    """The same but for the products, four of them one after the other, which are rounded to the 8 bits of bfloat16."""
    x = torch.randn(BATCH, LENGTH, CHANNELS)
    for view in views(case):
        layer = make(case, torch.float32, view)
        expected, _ = layer(x)
        with torch.autocast("cpu", torch.bfloat16):
            y, final = whole(layer, x, layer.initial_state(BATCH), {})
            stepped, last = steps(layer, x, layer.initial_state(BATCH), {})
        for found in (y, stepped):
            assert found.dtype == torch.float32
            assert (found - expected).abs().max() < 4 * 2**-8 * expected.abs().max()
        for ours, theirs in zip(parts(final), parts(last), strict=True):
            assert ours.shape == theirs.shape
        for gradient in torch.autograd.grad(y.square().sum(), list(layer.parameters()), allow_unused=True):
            assert gradient is None or gradient.isfinite().all()


@firsts
def test_a_state_of_another_kind_is_refused(case: str) -> None:
    layer, x = make(case, torch.float32), torch.zeros(BATCH, LENGTH, CHANNELS)
    state = layer.initial_state(BATCH)
    wrong = (*parts(state), torch.zeros(BATCH))
    wanted = f"a tuple of {len(state)} tensors" if isinstance(state, tuple) else "one tensor"
    sentence = re.escape(f"state is a tuple of {len(wrong)}, but {wanted} is expected: pass what")
    with pytest.raises(InputError, match=sentence):
        layer(x, wrong)
    with pytest.raises(InputError, match=sentence):
        layer.step(x[:, 0], wrong)


def test_every_layer_is_among_the_cases() -> None:
    assert OPTIONS.keys() == LAYERS.keys()
    assert len(CASES) == sum(map(len, OPTIONS.values()))
    assert all(layer.capabilities.steps for layer in LAYERS.values())
