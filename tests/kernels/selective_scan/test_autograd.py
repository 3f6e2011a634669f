"""Gradients against finite differences, and the operators against torch's own checks and compiler."""

import pytest
import torch

from statespace.errors import InputError
from statespace.kernels.selective_scan import METHODS, native, selective_scan

NAMES = ("u", "dt", "A", "B", "C", "D", "z", "dt_bias", "initial_state")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "kind",
    [{}, {"is_complex": True}, {"fixed": "B"}, {"groups": 2, "is_complex": True}, {"ends": [0, 3, 35]}],
    ids=str,
)
def test_gradcheck(problem, scan, method, kind):
    case = problem(1 if "ends" in kind else 2, 35, 2, 2, method=method, **kind)
    leaves = {name: value.requires_grad_() for name, value in case.arguments.items()}

    def run(*values):
        return scan(**dict(zip(leaves, values, strict=True)), **case.options, return_final_state=True)

    # Central differences of 1e-6 in float64 are good to some 1e-8; gradcheck's own defaults allow 1e-3.
    assert torch.autograd.gradcheck(run, tuple(leaves.values()), eps=1e-6, atol=1e-6, rtol=1e-5, fast_mode=True)


@pytest.mark.parametrize("kind", [{"full": False}, {"is_complex": True}, {"ends": [0, 3, 6]}], ids=str)
@pytest.mark.parametrize("keep", [False, True])
def test_opcheck(problem, compiled, kind, keep):
    case = problem(1, 6, 3, 2, **kind)
    given = [case.arguments.get(name) for name in NAMES]
    given[3:5] = [x[:, :, None] for x in given[3:5]]
    given = [None if value is None else value.requires_grad_() for value in given]
    cu_seqlens, softplus = case.options.get("cu_seqlens"), case.options["dt_softplus"]
    torch.library.opcheck(torch.ops.statespace.selective_scan_native, (*given, cu_seqlens, softplus, "euler-b", keep))


@pytest.mark.parametrize("kind", [{}, {"is_complex": True, "ends": [0, 33, 70]}], ids=str)
def test_compiles_as_one_graph(problem, scan, kind):
    case = problem(1, 70, 3, 2, **kind)
    plain = case.run(scan)
    compiled = case.run(torch.compile(scan, fullgraph=True, backend="aot_eager"))
    for name, expected in plain.items():
        assert torch.equal(compiled[name], expected), name


def test_no_state_is_kept_without_a_gradient(problem, compiled, monkeypatch):
    case = problem(1, 70, 3, 2)
    kept, original = [], native.selective_scan
    monkeypatch.setattr(native, "selective_scan", lambda *a: kept.append((found := original(*a))[2].numel()) or found)
    selective_scan(**case.arguments, **case.options, backend="native")
    case.arguments["dt"].requires_grad_()
    selective_scan(**case.arguments, **case.options, backend="native")
    with torch.no_grad():
        selective_scan(**case.arguments, **case.options, backend="native")
    assert kept[0] == kept[2] == 0 < kept[1]


def test_second_derivatives_are_refused_with_a_way_out(problem, compiled):
    case = problem(1, 5, 2, 2)
    u = case.arguments["u"].requires_grad_()
    y = selective_scan(**case.arguments, **case.options, backend="native")
    (first,) = torch.autograd.grad(y.square().sum(), u, create_graph=True)
    with pytest.raises(InputError, match=r"second derivatives.*backend='reference'"):
        torch.autograd.grad(first.sum(), u)
    y = selective_scan(**case.arguments, **case.options, backend="reference")
    (first,) = torch.autograd.grad(y.square().sum(), u, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), u)
    assert torch.isfinite(second).all()


def test_autocast_leaves_the_state_in_float32(problem, scan):
    case = problem(2, 20, 3, 2).to(torch.float32)
    project = torch.nn.Linear(3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        u = project(case.arguments["u"])
        y, final = scan(**case.arguments | {"u": u}, **case.options, return_final_state=True)
    assert (u.dtype, y.dtype, final.dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)


def test_arguments_keep_their_own_precision(problem, scan):
    case = problem(1, 5, 2, 2)
    leaves = {name: value.requires_grad_() for name, value in case.arguments.items()}
    leaves["u"] = leaves["u"].detach().float().requires_grad_()
    y, final = scan(**leaves, **case.options, return_final_state=True)
    assert (y.dtype, final.dtype) == (torch.float32, torch.float64)
    (y.sum() + final.sum()).backward()
    for name, leaf in leaves.items():
        assert leaf.grad.dtype == leaf.dtype, name
