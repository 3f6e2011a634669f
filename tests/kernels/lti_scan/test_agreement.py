"""Every backend against the reference in float64: outputs, final states, and the gradient of every argument."""

import math

import pytest
import torch

from statespace.kernels import native as core
from statespace.kernels.lti_scan import lti_scan, native

# (batch, length, channels, states): lengths around the segments of 64 steps, channels off the width of a vector.
SHAPES = [
    (2, 1, 1, 1),
    (3, 2, 3, 5),
    (5, 37, 17, 2),
    (2, 64, 40, 5),
    (3, 129, 3, 32),
    (1, 129, 40, 1),
    (2, 1000, 17, 32),
    (18, 64, 64, 2),  # blocks side by side
]
KINDS = {
    "from rest": {},
    "without D": {"D": False},
    "ragged": {"ragged": True},
    "carried": {"initial": True},
    "final": {"through": "final"},
    "everything": {"ragged": True, "initial": True, "through": "y and final"},
}


SETS = [] if core.why_missing() else list(core.instruction_sets())


def reference(case):
    return case.run(lambda **arguments: lti_scan(**arguments, backend="reference"))


@pytest.fixture(scope="module")
def truth():
    """The reference's results in float64, computed once for all backends and precisions."""
    known = {}

    def look_up(case, *key):
        if key not in known:
            known[key] = reference(case)
        return known[key]

    return look_up


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_reference_in_float64(problem, agree, scan, truth, shape, kind):
    # 1e-12: some thousand roundings of 1e-16, and the reference's own.
    case = problem(*shape, **KINDS[kind])
    agree(case.run(scan), truth(case, shape, kind), 1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_float64_reference_in_float32(problem, agree, scan, truth, shape, kind):
    # A state with a memory of 1000 steps collects 1000 roundings of 3e-8, at random: 1e-6 of it, some sigmas 3e-6. The
    # output averages over the states. The rounding of a alone would add 1e-5 if it were not taken back.
    case = problem(*shape, **KINDS[kind])
    agree(case.to(torch.float32).run(scan), truth(case, shape, kind), 2e-6, of_states=3e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("kind", ["from rest", "everything"])
def test_every_instruction_set_equals_the_reference(problem, agree, compiled, name, dtype, kind):
    case = problem(3, 150, 21, 7, **KINDS[kind])
    expected, low = reference(case), case.to(dtype)
    arguments = [*low.arguments.values(), low.lengths]
    y, final = native.forward(*arguments, instruction_set=name)
    grads = native.backward(low.grad_y, low.grad_final, *arguments, instruction_set=name)
    names = [f"grad {argument}" for argument in low.arguments]
    got = {"y": y, "final_state": final, **dict(zip(names, grads, strict=True))}
    agree({key: got[key] for key in expected}, expected, 1e-12 if dtype == torch.float64 else 3e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_pieces_with_the_state_carried_over_are_the_whole(problem, scan, dtype):
    case = problem(2, 300, 5, 4, initial=True).to(dtype)
    u, state = case.arguments["u"], case.arguments["initial_state"]
    rest = {name: case.arguments[name] for name in ("log_a", "b", "c", "D")}
    whole, final = scan(u, **rest, initial_state=state)
    pieces = []
    for piece in u.split([1, 63, 64, 100, 0, 72], 1):
        y, state = scan(piece, **rest, initial_state=state)
        pieces.append(y)
    # The pieces round at other places: 1e-12 and 3e-6, as against the reference.
    tolerance = 1e-12 if dtype == torch.float64 else 3e-6
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=0, atol=tolerance * float(whole.abs().max()))
    torch.testing.assert_close(state, final, rtol=0, atol=tolerance * float(final.abs().max()))


def test_a_pole_of_zero_forgets_and_passes_no_nan(problem, agree, scan):
    case = problem(2, 70, 3, 2, initial=True, ragged=True, through="y and final")
    case.arguments["log_a"][0, 0] = complex(-math.inf, 1.0)
    got = case.run(scan)
    agree(got, reference(case) | {"grad log_a": got["grad log_a"]}, 1e-12)  # 0 times infinity in autograd's chain there
    assert got["grad log_a"][0, 0] == 0


def test_a_sequence_of_length_zero_keeps_its_state(problem, scan):
    case = problem(4, 70, 3, 2, initial=True, ragged=True, through="y and final")
    got = case.run(scan)
    assert case.lengths[0] == 0
    assert torch.equal(got["final_state"][0], case.arguments["initial_state"][0])
    assert torch.equal(got["grad initial_state"][0], case.grad_final[0])


@pytest.mark.parametrize("backend", ["native", "chunked", "reference"])
def test_padding_is_not_looked_at(problem, request, backend):
    if backend == "native":
        request.getfixturevalue("compiled")
    case = problem(4, 150, 20, 3, initial=True, ragged=True, through="y and final")
    padding = (torch.arange(150) >= case.lengths[:, None])[..., None]
    clean = case.run(lambda **arguments: lti_scan(**arguments, backend=backend))
    case.arguments["u"].masked_fill_(padding, math.nan)
    case.grad_y.masked_fill_(padding, math.nan)
    got = case.run(lambda **arguments: lti_scan(**arguments, backend=backend))
    for name in clean:
        assert torch.equal(got[name], clean[name]), name
    assert (got["y"].masked_select(padding) == 0).all()
    assert (got["grad u"].masked_select(padding) == 0).all()


@pytest.mark.parametrize("shape", [(0, 5, 3, 2), (2, 0, 3, 2), (2, 5, 0, 2), (2, 5, 3, 0)], ids=str)
def test_empty_axes(problem, agree, scan, shape):
    case = problem(*shape, initial=True, through="y and final")
    agree(case.run(scan), reference(case), 1e-12)


def test_long_memory_needs_no_growing_numbers(scan):
    # An integrator, a = 1, counts its steps exactly in float32, whatever the length.
    one = torch.ones(1, 1, dtype=torch.complex64)
    y, final = scan(torch.ones(1, 100_000, 1), 0 * one, one, one)
    assert torch.equal(y[0, :, 0], torch.arange(1.0, 100_001.0))
    assert final.item() == 100_000
