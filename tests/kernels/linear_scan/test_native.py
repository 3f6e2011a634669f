"""What is particular to compiled code: threads, processes, memory that is not ours."""

import math

import pytest
import torch

from statespace.kernels.linear_scan import linear_scan, native

pytestmark = pytest.mark.usefixtures("compiled")


def run(**arguments):
    return linear_scan(**arguments, backend="native")


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("shared", ["", "bl", "b"])
@pytest.mark.parametrize("shape", [(2, 700, (1333,)), (40, 500, (3,)), (1, 100_003, (5,))], ids=str)
def test_same_bits_for_any_number_of_threads(problem, threads, shape, shared):
    # Large enough for more than one thread: shared out by columns, by rows of the batch, and by pieces of the length.
    case = problem(*shape, initial=True, kind="ragged", shared=shared).to(torch.float32)
    threads(1)
    expected = case.run(run)
    for count in (2, 3, 8, 2):
        threads(count)
        for name, value in case.run(run).items():
            assert torch.equal(value, expected[name]), (name, count)


@pytest.mark.parametrize(
    "kind", [{}, {"kind": "ragged"}, {"shared": "bl", "initial": True}, {"kind": "packed"}], ids=str
)
@pytest.mark.parametrize("shape", [(1, 133, (19,)), (1, 33_000, (2,))], ids=str)
def test_every_element_of_the_results_is_written_and_nothing_outside(problem, monkeypatch, shape, kind):
    empty, guards = torch.empty, []

    def guarded(*shape, dtype):
        shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        memory = torch.full((math.prod(shape) + 128,), math.nan, dtype=dtype)
        memory[:64] = memory[-64:] = 7
        guards.append(memory)
        return memory[64:-64].view(*shape)

    case = problem(*shape, **kind)
    a, b, initial = case.arguments.values()
    rest = (initial, case.sequences.get("lengths"), case.sequences.get("cu_seqlens"))
    with monkeypatch.context() as patch:
        patch.setattr(torch, "empty", guarded)
        h = native.forward(a, b, *rest)
        native.backward(case.grad, a, h, *rest)
    assert torch.empty is empty
    assert len(guards) == 3
    for memory in guards:
        assert (memory[:64] == 7).all()
        assert (memory[-64:] == 7).all()
        assert not memory.isnan().any()


def test_bounds_that_escaped_the_check_touch_nothing_outside(problem):
    # In a traced graph the values cannot be checked: they are clamped.
    a, b, _ = problem(2, 20, (3,)).arguments.values()
    wild = native.forward(a, b, None, torch.tensor([-5, 10**12]), None)
    assert torch.equal(wild, native.forward(a, b, None, torch.tensor([0, 20]), None))
    wild = native.forward(a[:1], b[:1], None, None, torch.tensor([3, 10**12, -5, 7]))
    assert torch.equal(wild, native.forward(a[:1], b[:1], None, None, torch.tensor([0, 20, 20, 20])))


def test_denormals_are_taken_for_zero_and_the_setting_is_put_back(problem):
    h = run(a=torch.tensor([0.5]), b=torch.zeros(1, 200, 1), initial_state=torch.ones(1, 1))
    assert h[0, -1] == 0
    assert (h[h != 0] >= torch.finfo(torch.float32).tiny).all()
    assert (torch.tensor([1e-310], dtype=torch.float64) * 0.5).item() != 0
