"""Every backend against a plain recurrence in NumPy and the reference: outputs, final states, every gradient."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from statespace.kernels import native as core
from statespace.kernels.ssd import BACKENDS, native, pieces, ssd

# (batch, length, heads, channels of a head, groups, states): lengths around the chunks, groups of one and more heads
SHAPES = [
    (2, 1, 2, 3, 1, 2),
    (1, 2, 4, 1, 4, 3),
    (3, 37, 4, 5, 2, 3),
    (2, 64, 2, 8, 1, 16),
    (2, 65, 6, 3, 3, 1),
    (1, 200, 4, 16, 2, 8),
]
BOUNDS = torch.tensor([0, 5, 5, 40, 41, 170, 200])
MISSING = ("triton", "native") if core.why_missing() else ("triton",)  # triton has suites of its own
HERE = [name for name in BACKENDS if name not in MISSING]
SETS = [] if core.why_missing() else list(core.instruction_sets())
FAST = [name for name in HERE if name != "reference"]


@pytest.fixture(params=[pieces.NUMBERS_CPU, 1, 5000], ids=["usual", "smallest", "small"])
def blocks(request, monkeypatch):
    """Blocks of all heads and many chunks, of one head in one chunk, and something between."""
    monkeypatch.setattr(pieces, "NUMBERS_CPU", request.param)


def recurrence(x, dt, A, B, C, D, z, dt_bias, initial_state):
    """The definition, one sequence and one head at a time."""
    y, final = np.empty_like(x), np.empty_like(initial_state)
    per_group = x.shape[2] // B.shape[2]
    for i in range(x.shape[0]):
        for j in range(x.shape[2]):
            h = initial_state[i, j]
            for t in range(x.shape[1]):
                step = math.log1p(math.exp(dt[i, t, j] + dt_bias[j]))
                h = math.exp(step * A[j]) * h + step * np.outer(x[i, t, j], B[i, t, j // per_group])
                gate = z[i, t, j] / (1 + np.exp(-z[i, t, j]))
                y[i, t, j] = (h @ C[i, t, j // per_group] + D[j] * x[i, t, j]) * gate
            final[i, j] = h
    return y, final


@pytest.mark.parametrize("backend", HERE)
def test_plain_recurrence_in_numpy(problem, backend):
    # A hundred steps of a few roundings each.
    case = problem(2, 100, 4, 3, 2, 5)
    expected = recurrence(**{name: value.numpy() for name, value in case.arguments.items()})
    got = ssd(**case.arguments, dt_softplus=True, return_final_state=True, backend=backend)
    for ours, truth in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), truth, rtol=0, atol=1e-12 * np.abs(truth).max())


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_reference(problem, agree, shape, full, backend):
    # float64: some hundred roundings of 1e-16. float32: a few roundings of 6e-8 of the sums over a chunk.
    case = problem(*shape, full=full)
    truth = case.run(backend="reference")
    for chunk in (7, 64):
        agree(case.run(backend=backend, chunk=chunk), truth, 1e-12)
    agree(case.to(torch.float32).run(backend=backend), truth, 2e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("shape", [(2, 70, 4, 3, 2, 5), (1, 200, 2, 17, 1, 16), (2, 129, 3, 16, 3, 33)], ids=str)
def test_every_instruction_set_equals_the_reference(problem, agree, shape, name, dtype):
    case = problem(*shape)
    case.arguments["z"] = case.arguments["dt_bias"] = None  # which are not the core's business
    case.arguments["dt"] = torch.nn.functional.softplus(case.arguments["dt"] - 3).float().double()
    truth, low = case.run(dt_softplus=False, backend="reference"), case.to(dtype)
    x, dt, A, B, C, D, _, _, initial = low.arguments.values()
    arguments = (x, dt, A, B, C, D, None, initial, None, 64)
    y, final = native.forward(*arguments, instruction_set=name)
    grads = native.backward(low.grad_y, low.grad_final, *arguments, instruction_set=name)
    names = ("x", "dt", "A", "B", "C", "D", "z", "initial_state")
    found = {f"grad {key}": value for key, value in zip(names, grads, strict=True) if key != "z"}
    agree({"y": y, "final_state": final, **found}, truth, 1e-12 if dtype == torch.float64 else 2e-6)


@pytest.mark.skipif(not SETS, reason="there is no compiled core")
@pytest.mark.parametrize("bounds", [None, torch.tensor([0, 5, 5, 900, 3000])], ids=["whole", "packed"])
def test_same_bits_for_any_number_of_threads(problem, bounds):
    options = {} if bounds is None else {"cu_seqlens": bounds}
    case = problem(1, 3000, 6, 16, 2, 32, **options).to(torch.float32)
    before = torch.get_num_threads()
    found = []
    try:
        for count in (1, 3, 2):
            torch.set_num_threads(count)
            found.append(case.run(backend="native"))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        for name, value in found[0].items():
            assert torch.equal(value, other[name]), name


@pytest.mark.skipif(not SETS, reason="there is no compiled core")
@pytest.mark.parametrize("options", [{}, {"cu_seqlens": torch.tensor([0, 1, 60, 60, 133])}], ids=["whole", "packed"])
def test_every_element_of_the_results_is_written(problem, monkeypatch, options):
    empty = torch.empty

    def poisoned(*args, **kwargs):
        memory = empty(*args, **kwargs)
        return memory.fill_(math.nan) if memory.is_floating_point() else memory

    case = problem(1, 133, 4, 3, 2, 5, **options)
    expected = case.run(backend="native")
    with monkeypatch.context() as patch:
        patch.setattr(torch, "empty", poisoned)
        got = case.run(backend="native")
    for name, value in expected.items():
        assert torch.equal(got[name], value), name


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("backend", FAST)
def test_packed_and_padded_sequences_equal_the_reference(problem, agree, backend):
    packed = problem(1, 200, 4, 3, 2, 5, cu_seqlens=BOUNDS)
    padded = problem(4, 90, 4, 3, 2, 5, lengths=torch.tensor([0, 33, 64, 90]))
    for case in (packed, padded):
        truth = case.run(backend="reference")
        for chunk in (7, 64):
            agree(case.run(backend=backend, chunk=chunk), truth, 1e-12)


@pytest.mark.parametrize("backend", HERE)
def test_packed_sequences_are_the_sequences_one_by_one(problem, backend):
    case = problem(1, 200, 4, 3, 2, 5, cu_seqlens=BOUNDS.int())
    whole = case.run(backend=backend)
    over_time = ("x", "dt", "B", "C", "z")
    for i, (start, stop) in enumerate(pairwise(BOUNDS)):
        arguments = {k: v[:, start:stop] if k in over_time else v for k, v in case.arguments.items()}
        arguments["initial_state"] = case.arguments["initial_state"][i : i + 1]
        y, final = ssd(**arguments, dt_softplus=True, return_final_state=True, backend=backend)
        torch.testing.assert_close(whole["y"][:, start:stop], y, rtol=0, atol=1e-12)
        torch.testing.assert_close(whole["final_state"][i : i + 1], final, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", HERE)
def test_packed_sequences_do_not_see_each_other(problem, backend):
    case = problem(1, 200, 4, 3, 2, 5, cu_seqlens=BOUNDS)
    case.arguments["x"][0, 41:170] = math.nan
    got = case.run(backend=backend)
    assert got["y"][0, 41:170].isnan().all()
    assert got["y"][0, :41].isfinite().all()
    assert got["y"][0, 170:].isfinite().all()
    assert got["final_state"].isfinite().all(-1).all(-1).all(-1).tolist() == [True, True, True, True, False, True]


@pytest.mark.parametrize("backend", HERE)
def test_padding_is_not_looked_at(problem, backend):
    case = problem(3, 70, 2, 3, 1, 4, lengths=torch.tensor([0, 33, 70]))
    padding = torch.arange(70) >= case.options["lengths"][:, None]
    clean = case.run(backend=backend)
    for name in ("x", "dt", "B", "C", "z"):
        case.arguments[name][padding] = math.nan
    case.grad_y[padding] = math.nan
    got = case.run(backend=backend)
    for name, expected in clean.items():
        torch.testing.assert_close(got[name], expected, rtol=0, atol=0, msg=name)
    assert (got["y"][padding] == 0).all()


@pytest.mark.parametrize("backend", HERE)
def test_pieces_with_the_state_carried_over_are_the_whole(problem, backend):
    case = problem(2, 150, 4, 3, 2, 5)
    y, final = ssd(**case.arguments, dt_softplus=True, return_final_state=True, backend=backend)
    parts, state = [], case.arguments["initial_state"]
    over_time = {name: case.arguments[name].split([1, 63, 0, 64, 22], 1) for name in ("x", "dt", "B", "C", "z")}
    for piece in zip(*over_time.values(), strict=True):
        arguments = case.arguments | dict(zip(over_time, piece, strict=True)) | {"initial_state": state}
        part, state = ssd(**arguments, dt_softplus=True, return_final_state=True, backend=backend)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), y, rtol=0, atol=1e-12)
    torch.testing.assert_close(state, final, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1e-2, 3.0])
def test_float32_keeps_its_digits_over_a_long_signal(problem, agree, scale):
    # Issue of the operator: 2e-6 of the output, 1e-5 of the gradients. dt A up to 50 in the last case.
    case = problem(1, 8192, 2, 4, 1, 4)
    case.arguments["dt"] = (scale * torch.rand(case.arguments["dt"].shape)).double()
    case.arguments["dt_bias"] = None
    truth, got = case.run(dt_softplus=False), case.to(torch.float32).run(dt_softplus=False)
    agree({k: got[k] for k in ("y", "final_state")}, {k: truth[k] for k in ("y", "final_state")}, 2e-6)
    agree(got, truth, 1e-5)


def test_a_fast_decay_among_slow_ones_keeps_its_gradient(problem, agree):
    # A difference of what arrives and what leaves would lose the exponents' gradients where one step forgets all.
    case = problem(1, 256, 2, 4, 1, 4)
    step = torch.full((1, 256, 2), 1e-3, dtype=torch.float64)
    step[:, ::50] = 4.0
    case.arguments["dt"], case.arguments["dt_bias"] = step, None
    agree(case.to(torch.float32).run(dt_softplus=False), case.run(dt_softplus=False, backend="reference"), 2e-6)


def test_growing_states_and_nan_are_not_hidden(problem, agree):
    case = problem(1, 100, 2, 3, 1, 4)
    case.arguments["A"] = torch.tensor([0.5, 2.0], dtype=torch.float64)
    agree(case.run(), case.run(backend="reference"), 1e-12)
    case.arguments["x"][0, 70] = math.nan
    finite = ssd(**case.arguments).isfinite().all(-1).all(-1)[0]
    assert finite[:64].all()  # it spreads over the chunk that it stands in, by products with 0
    assert not finite[70:].any()


def test_states_are_not_subnormal():
    # After an impulse the state decays through 1e-38, where arithmetic is a hundred times slower. The outputs of one
    # chunk, at most, are computed from what is left.
    x, steps = torch.zeros(1, 4096, 1, 2), torch.full((1, 4096, 1), 1.0)
    x[:, 0] = 1
    one = torch.ones(1, 4096, 1, 3)
    y, final = ssd(x, steps, torch.tensor([-0.05]), one, one, return_final_state=True)
    assert not final.any()
    assert y[0, :512].gt(0).all()  # exp(-25)
    assert ((y != 0) & (y.abs() < torch.finfo(torch.float32).tiny)).any(-1).sum() <= 64


@pytest.mark.parametrize(
    "shape", [(0, 5, 2, 3, 1, 2), (2, 0, 2, 3, 1, 2), (2, 5, 2, 0, 1, 2), (2, 5, 2, 3, 1, 0)], ids=str
)
def test_empty_axes(problem, agree, shape):
    case = problem(*shape)
    agree(case.run(), case.run(backend="reference"), 1e-12)


@pytest.mark.parametrize("backend", ["native", "chunked", "reference"])
def test_no_heads(backend):
    if backend == "native" and (reason := core.why_missing()):
        pytest.skip(f"native: {reason}")
    shapes = {"x": (2, 6, 0, 3), "dt": (2, 6, 0), "A": (0,), "B": (2, 6, 2, 5), "C": (2, 6, 2, 5)}
    given = {name: torch.zeros(shape, requires_grad=True) for name, shape in shapes.items()}
    y, final = ssd(**given, return_final_state=True, backend=backend)
    (y.sum() + final.sum()).backward()
    assert y.shape == (2, 6, 0, 3)
    assert final.shape == (2, 0, 3, 5)
    assert all(value.grad is not None and (value.grad == 0).all() for value in given.values())
