"""What is particular to compiled code: threads, processes, memory that is not ours, strides."""

import math
import os

import pytest
import torch

from statespace.kernels import native as core
from statespace.kernels.lti_scan import lti_scan, native

pytestmark = pytest.mark.usefixtures("compiled")


def run(**arguments):
    return lti_scan(**arguments, backend="native")


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("shape", [(9, 700, 64, 16), (40, 500, 3, 16), (300, 40, 17, 8)], ids=str)
def test_same_bits_for_any_number_of_threads(problem, threads, shape):
    # Large enough for more than one thread, with blocks side by side (64) and blocks across the batch (3, 17).
    case = problem(*shape, initial=True, ragged=True, through="y and final").to(torch.float32)
    threads(1)
    expected = case.run(run)
    for count in (2, 3, 8, 2):
        threads(count)
        for name, value in case.run(run).items():
            assert torch.equal(value, expected[name]), (name, count)


def test_a_forked_child_computes_the_same(problem, threads):
    threads(2)
    case = problem(8, 600, 64, 16, through="y and final")
    arguments = [*case.arguments.values(), case.lengths]
    expected = [x.numpy().tobytes() for x in native.forward(*arguments)]  # the parent uses its threads before it forks
    child = os.fork()
    if child == 0:
        status = 1
        try:
            # Compared as bytes: torch's own parallel operations hang in a forked child.
            status = 0 if [x.numpy().tobytes() for x in native.forward(*arguments)] == expected else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_strides_are_read_as_they_are(problem):
    case = problem(3, 90, 20, 4)
    u = case.arguments["u"]
    rest = {name: value for name, value in case.arguments.items() if name != "u"}
    expected, final = run(u=u, **rest)
    transposed = u.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    padded = torch.full((3, 180, 25), math.nan, dtype=u.dtype)
    padded[:, ::2, 2:22] = u
    for view in (transposed, padded[:, ::2, 2:22]):
        y, last = run(u=view, **rest)
        assert torch.equal(y, expected)
        assert torch.equal(last, final)


def test_expanded_and_conjugated_inputs(problem, agree):
    case = problem(3, 90, 20, 4, initial=True)
    arguments = case.arguments | {
        "u": case.arguments["u"][:1, :, :1].expand(3, 90, 20),
        "b": case.arguments["b"][:1].expand(20, 4),
        "c": case.arguments["c"].conj(),
        "initial_state": case.arguments["initial_state"].conj().imag.mT.contiguous().mT + 0j,
        "D": case.arguments["log_a"][:, 0].conj().imag,
    }
    plain = {name: value.resolve_conj().resolve_neg().clone() for name, value in arguments.items()}
    got, expected = (lti_scan(**given, backend=b) for given, b in ((arguments, "native"), (plain, "reference")))
    agree({"y": got[0], "final": got[1]}, {"y": expected[0], "final": expected[1]}, 1e-12)


def test_an_expanded_gradient_needs_no_copy(problem):
    case = problem(3, 90, 20, 4)
    u = case.arguments["u"].requires_grad_()
    run(**case.arguments)[0].sum().backward()  # the gradient of a sum has strides of zero
    expected = torch.autograd.grad(lti_scan(**case.arguments, backend="reference")[0].sum(), u)[0]
    torch.testing.assert_close(u.grad, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [{}, {"ragged": True}, {"ragged": True, "initial": True, "through": "y and final"}])
def test_every_element_of_the_results_is_written(problem, monkeypatch, kind):
    empty = torch.empty

    def poisoned(*args, **kwargs):
        memory = empty(*args, **kwargs)
        return memory.fill_(math.nan) if memory.is_floating_point() or memory.is_complex() else memory

    case = problem(5, 133, 19, 3, **kind)
    expected = case.run(run)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "empty", poisoned)
        got = case.run(run)
    for name, value in expected.items():
        assert torch.equal(got[name], value), name


def test_nothing_outside_the_results_is_written(problem, monkeypatch):
    empty, guards = torch.empty, []

    def guarded(*shape, dtype):
        shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        memory = torch.full((math.prod(shape) + 128,), 7.0, dtype=dtype)
        guards.append(memory)
        return memory[64:-64].view(*shape)

    case = problem(5, 133, 19, 3, ragged=True, initial=True)
    arguments = [*case.arguments.values(), case.lengths]
    with monkeypatch.context() as patch:
        patch.setattr(torch, "empty", guarded)
        native.forward(*arguments)
        native.backward(case.grad_y, None, *arguments)
    assert torch.empty is empty
    assert len(guards) == 7
    for memory in guards:
        assert (memory[:64] == 7).all()
        assert (memory[-64:] == 7).all()


def test_lengths_that_escaped_the_check_touch_nothing_outside(problem):
    # In a traced graph the values of lengths cannot be checked: they are clamped.
    case = problem(3, 20, 3, 2)
    wild = native.forward(*case.arguments.values(), torch.tensor([-5, 10**12, 20]))
    tame = native.forward(*case.arguments.values(), torch.tensor([0, 20, 20]))
    assert all(torch.equal(x, y) for x, y in zip(wild, tame, strict=True))


def test_the_callers_treatment_of_denormals_is_put_back(problem):
    tiny = torch.tensor([1e-310], dtype=torch.float64)
    run(**problem(2, 100, 16, 2).arguments)
    assert (tiny * 0.5).item() != 0


def test_an_unknown_instruction_set_is_refused(problem):
    with pytest.raises(ValueError, match=r"instruction_set is 'AVX-1024'.*choose one of"):
        native.forward(*problem(1, 2, 1, 1).arguments.values(), None, instruction_set="AVX-1024")


def test_the_fastest_instruction_set_comes_first():
    assert core.instruction_set() == min(core.instruction_sets().values())
