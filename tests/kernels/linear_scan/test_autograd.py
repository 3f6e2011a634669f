"""Gradients against finite differences, and the operators against torch's own checks and compiler."""

import pytest
import torch

from statespace.errors import InputError
from statespace.kernels.linear_scan import chunked, linear_scan, native

OPERATORS = {"native": torch.ops.statespace.linear_scan_native, "chunked": torch.ops.statespace.linear_scan_chunked}
CASES = [
    {"initial": True},
    {"initial": True, "complex_numbers": True, "shared": "bl"},
    {"initial": True, "kind": "ragged", "complex_numbers": True},
    {"kind": "ragged", "shared": "l"},
]


@pytest.mark.parametrize("kind", [*CASES, {"initial": True, "kind": "packed"}], ids=str)
def test_gradcheck(problem, scan, kind):
    case = problem(1 if kind.get("kind") == "packed" else 2, 67, (2,), **kind)
    leaves = {name: value.requires_grad_() for name, value in case.arguments.items() if value is not None}

    def run(*values):
        return scan(**dict(zip(leaves, values, strict=True)), **case.sequences)

    # Central differences of 1e-6 in float64 are good to some 1e-8; gradcheck's own defaults allow 1e-3.
    assert torch.autograd.gradcheck(run, tuple(leaves.values()), eps=1e-6, atol=1e-6, rtol=1e-5, fast_mode=True)


@pytest.mark.parametrize("module", [native, chunked], ids=lambda module: module.__name__.rsplit(".", 1)[1])
@pytest.mark.parametrize("kind", CASES, ids=str)
def test_opcheck(problem, request, module, kind):
    name = module.__name__.rsplit(".", 1)[1]
    if module is native:
        request.getfixturevalue("compiled")
    case = problem(2, 6, (3,), **kind)
    arguments = [None if value is None else value.requires_grad_() for value in case.arguments.values()]
    lengths = case.sequences.get("lengths") if module is native else None
    torch.library.opcheck(OPERATORS[name], (*arguments, lengths, None))


@pytest.mark.parametrize("kind", [{"initial": True}, {"kind": "ragged"}, {"kind": "packed", "initial": True}], ids=str)
def test_compiles_as_one_graph(problem, scan, kind):
    case = problem(1, 70, (3,), **kind)
    plain = case.run(scan)
    compiled = case.run(torch.compile(scan, fullgraph=True, backend="aot_eager"))
    for name, expected in plain.items():
        assert torch.equal(compiled[name], expected), name


def test_only_what_needs_a_gradient_gets_one(problem, scan):
    a, b, _ = problem(1, 5, (2,)).arguments.values()
    b.requires_grad_()
    scan(a, b).sum().backward()  # its gradient has strides of zero
    assert b.grad is not None
    assert a.grad is None


def test_the_result_is_kept_and_b_is_not(problem, scan):
    a, b, _ = problem(1, 5, (2,)).arguments.values()
    h = scan(a.requires_grad_(), b.requires_grad_())
    h.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        h.sum().backward()
    expected = scan(a, b)
    with torch.no_grad():
        twice = b.clone()
        h = scan(a, b)
        b.zero_()
    torch.testing.assert_close(h, scan(a, twice), rtol=0, atol=0)
    (grad,) = torch.autograd.grad(expected.sum(), b)
    assert torch.isfinite(grad).all()


def test_parameters_keep_their_own_precision(problem, scan):
    a, b, initial = problem(1, 5, (2,), initial=True).arguments.values()
    leaves = [value.requires_grad_() for value in (a, b.float(), initial.float())]
    h = scan(*leaves)
    assert h.dtype == torch.float64
    h.sum().backward()
    assert [leaf.grad.dtype for leaf in leaves] == [leaf.dtype for leaf in leaves]


def test_autocast_leaves_the_state_in_float32(problem, scan):
    a, b, _ = (None if value is None else value.float() for value in problem(1, 5, (2,)).arguments.values())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(scan(a, b), scan(a, b).float())
        assert scan(a, b).dtype == torch.float32


def test_second_derivatives_say_where_they_are(problem, scan):
    a, b, _ = problem(1, 5, (2,)).arguments.values()
    (grad,) = torch.autograd.grad(scan(a.requires_grad_(), b.requires_grad_()).sum(), a, create_graph=True)
    with pytest.raises(InputError, match=r"second derivatives.*backend='reference'"):
        grad.sum().backward()
    assert torch.autograd.gradgradcheck(lambda a, b: linear_scan(a, b, backend="reference"), (a, b), fast_mode=True)
