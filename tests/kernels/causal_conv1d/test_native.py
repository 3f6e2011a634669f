"""What is particular to compiled code: threads, memory that is not ours, values that escaped the check."""

import math

import pytest
import torch

from statespace.kernels.causal_conv1d import causal_conv1d, native

pytestmark = pytest.mark.usefixtures("compiled")


def run(**arguments):
    return causal_conv1d(**arguments, backend="native")


def operands(case):
    return (*case.tensors.values(), case.options.get("lengths"), case.options.get("cu_seqlens"), True)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("kind", [{"ragged": True}, {"packed": 9}], ids=str)
def test_same_bits_for_any_number_of_threads(problem, threads, kind):
    # Large enough for more than one thread, and more pieces than groups.
    case = problem(1 if "packed" in kind else 5, 3000, 100, 4, initial=True, through="y and final", **kind)
    case = case.to(torch.float32)
    threads(1)
    expected = case.run(run)
    for count in (2, 3, 8, 2):
        threads(count)
        for name, value in case.run(run).items():
            assert torch.equal(value, expected[name]), (name, count)


@pytest.mark.parametrize(
    "kind", [{}, {"ragged": True, "initial": True, "through": "y and final"}, {"packed": 5}], ids=str
)
@pytest.mark.parametrize("width", [1, 4, 6])
def test_every_element_of_the_results_is_written(problem, monkeypatch, kind, width):
    empty = torch.empty

    def poisoned(*args, **kwargs):
        memory = empty(*args, **kwargs)
        return memory.fill_(math.nan) if memory.is_floating_point() else memory

    case = problem(1 if "packed" in kind else 5, 133, 19, width, **kind)
    expected = case.run(run)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "empty", poisoned)
        got = case.run(run)
    for name, value in expected.items():
        assert torch.equal(got[name], value), name


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_nothing_outside_the_results_is_written(problem, monkeypatch, dtype):
    guards = []

    def guarded(*shape, dtype):
        shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        shape = (shape,) if isinstance(shape, int) else shape
        memory = torch.full((math.prod(shape) + 128,), 7.0, dtype=dtype)
        guards.append(memory)
        return memory[64:-64].view(*shape)

    case = problem(5, 133, 19, 4, ragged=True, initial=True)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    x, weight, bias, initial, *rest = operands(case)
    given = (x.to(dtype), weight.to(wide), bias.to(wide), initial.to(dtype), *rest)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "empty", guarded)
        native.forward(*given)
        native.backward(case.grad_y.to(dtype), None, *given)
    assert len(guards) == 6
    for memory in guards:
        assert (memory[:64] == 7).all()
        assert (memory[-64:] == 7).all()


def test_values_that_escaped_the_check_touch_nothing_outside(problem):
    # In a traced graph the values of lengths and bounds cannot be checked: they are clamped.
    case = problem(3, 20, 3, 4)
    x, weight, bias, *_ = case.tensors.values()

    def both(wild, tame, x=x, packed=False):
        wild, tame = ((None, torch.tensor(v)) if packed else (torch.tensor(v), None) for v in (wild, tame))
        found = [native.forward(x, weight, bias, None, *values, True) for values in (wild, tame)]
        assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))

    both([-5, 10**12, 20], [0, 20, 20])
    both([-5, 10**12, -7, 3, 19], [0, 20, 20, 20, 20], x=x[:1], packed=True)
    both([4, 5, 3, 10, 12], [0, 5, 5, 10, 20], x=x[:1], packed=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("factor", [1, 1 + 2**-8, 1 + 2**-9, 1 + 2**-11, 1 + 2**-12, 0.5 - 2**-13, 1.5, 2**-9, 2**16])
def test_half_precision_is_rounded_like_torchs(dtype, factor):
    # A filter of one tap multiplies. All numbers of the type, with halfway and nearly halfway results among them.
    every = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(dtype).view(1, -1, 1)
    product = every.float() * factor
    # What float32 holds as a denormal number is taken for zero; float16 has none below that, bfloat16 has.
    product = torch.where(product.abs() < torch.finfo(torch.float32).tiny, 0, product)
    product = torch.where(every.float().abs() < torch.finfo(torch.float32).tiny, 0, product)
    got = run(x=every, weight=torch.tensor([[float(factor)]]))
    torch.testing.assert_close(got, product.to(dtype), rtol=0, atol=0, equal_nan=True)
