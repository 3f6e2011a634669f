"""Gradients against finite differences, and the operator against torch's own checks, compiler, export and autocast."""

import pytest
import torch

from statespace.errors import InputError
from statespace.kernels import native as core
from statespace.kernels.ssd import BACKENDS, ssd

BOUNDS = torch.tensor([0, 3, 9])
MISSING = ("triton", "native") if core.why_missing() else ("triton",)  # triton has suites of its own
HERE = [name for name in BACKENDS if name not in MISSING]


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize("options", [{}, {"cu_seqlens": BOUNDS}], ids=["plain", "packed"])
def test_gradcheck(problem, backend, options):
    case = problem(1, 9, 2, 2, 1, 2, chunk=4, **options)
    leaves = {name: value.requires_grad_() for name, value in case.arguments.items()}

    def run(*values):
        named = dict(zip(leaves, values, strict=True))
        return ssd(**named, **case.options, return_final_state=True, backend=backend)

    # Central differences of 1e-6 in float64 are good to some 1e-8; gradcheck's own defaults allow 1e-3.
    assert torch.autograd.gradcheck(run, tuple(leaves.values()), eps=1e-6, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bounds", [None, BOUNDS], ids=["plain", "packed"])
def test_opcheck(problem, full, bounds, dtype):
    options = {} if bounds is None else {"cu_seqlens": bounds}
    case = problem(1, 9, 2, 2, 1, 2, full=full, **options).to(dtype)
    del case.arguments["dt_bias"]
    arguments = [None if value is None else value.requires_grad_() for value in case.arguments.values()]
    torch.library.opcheck(torch.ops.statespace.ssd_chunked, (*arguments, bounds, 4))
    if "native" in HERE:
        arguments[6] = None  # the gate
        torch.library.opcheck(torch.ops.statespace.ssd_native, (*arguments, bounds, 4))


@pytest.mark.parametrize("options", [{}, {"cu_seqlens": BOUNDS}, {"lengths": torch.tensor([5])}], ids=str)
def test_compiles_as_one_graph(problem, options):
    case = problem(1, 9, 2, 2, 1, 2, **options)
    plain = case.run()
    compiled = case.run(torch.compile(ssd, fullgraph=True, backend="aot_eager"))
    for name, expected in plain.items():
        torch.testing.assert_close(compiled[name], expected, rtol=0, atol=1e-13, msg=name)


@pytest.mark.parametrize("packed", [False, True])
def test_exports(problem, packed):
    case = problem(1, 9, 2, 2, 1, 2, **({"cu_seqlens": BOUNDS} if packed else {}))

    class Layer(torch.nn.Module):
        def forward(self, arguments, options):
            return ssd(**arguments, **options)

    layer = Layer()
    program = torch.export.export(layer, (case.arguments, case.options))
    expected = layer(case.arguments, case.options)
    torch.testing.assert_close(program.module()(case.arguments, case.options), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("backend", HERE)
def test_autocast_leaves_the_state_in_float32(problem, agree, backend):
    # Rounded to bfloat16, the operands of a single matrix product would be off by 4e-3.
    case = problem(2, 40, 2, 8, 1, 8).to(torch.float32)
    truth = case.to(torch.float64).run(backend="reference")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = case.run(backend=backend)
    agree(got, truth, 2e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("backend", HERE)
def test_half_precision_is_computed_in_float32(problem, agree, dtype, backend):
    # The arguments, and the gradient that comes back, are numbers that the dtype holds: only results are rounded.
    case = problem(2, 40, 2, 8, 1, 8).to(torch.float32)
    case.grad_y.copy_(case.grad_y.to(dtype))
    halves = ("x", "B", "C", "z")
    for name in halves:
        case.arguments[name] = case.arguments[name].to(dtype).float()
    truth = case.to(torch.float64).run(backend="reference")
    for name in halves:
        case.arguments[name] = case.arguments[name].to(dtype)
    got = case.run(backend=backend)
    for name, value in got.items():
        rounded = name == "y" or name.removeprefix("grad ") in halves
        assert value.dtype == (dtype if rounded else torch.float32), name
    rounding = torch.finfo(dtype).eps
    agree(got, truth, rounding)
    exact = {k: v for k, v in got.items() if v.dtype == torch.float32}
    agree(exact, {k: truth[k] for k in exact}, 2e-6)


def test_results_that_nobody_uses_and_arguments_without_gradient(problem, agree):
    case = problem(1, 9, 2, 2, 1, 2)
    for through in ("y", "final"):
        part = problem(1, 9, 2, 2, 1, 2, through=through)
        agree(part.run(), part.run(backend="reference"), 1e-12)
    x = case.arguments["x"].requires_grad_()
    ssd(**case.arguments).sum().backward()
    assert x.grad is not None
    assert case.arguments["B"].grad is None


def test_second_derivatives_are_refused(problem):
    case = problem(1, 5, 2, 2, 1, 2)
    x = case.arguments["x"].requires_grad_()
    (grad,) = torch.autograd.grad(ssd(**case.arguments).square().sum(), x, create_graph=True)
    with pytest.raises(InputError, match=r"second derivatives.*backend='reference'"):
        grad.sum().backward()
    y = ssd(**case.arguments, backend="reference")
    (grad,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    grad.sum().backward()


def test_views_give_the_same(problem, agree):
    case = problem(2, 30, 4, 3, 2, 5)
    expected = case.run()
    views = dict(case.arguments)
    views["x"] = views["x"].permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    views["B"] = views["B"].mT.contiguous().mT
    views["dt"] = views["dt"].repeat_interleave(2, 1)[:, ::2]
    y, final = ssd(**views, **case.options, return_final_state=True)
    agree({"y": y, "final_state": final}, {k: expected[k] for k in ("y", "final_state")}, 1e-13)
    shared = case.arguments | {"z": case.arguments["z"][:1, :1].expand(2, 30, 4, 3)}
    dense = shared | {"z": shared["z"].clone()}
    torch.testing.assert_close(ssd(**shared, dt_softplus=True), ssd(**dense, dt_softplus=True), rtol=0, atol=1e-13)


def test_buffers_hold_no_unwritten_memory(problem):
    # Deterministic mode fills fresh memory with NaN.
    torch.use_deterministic_algorithms(True)
    try:
        for options in ({}, {"cu_seqlens": torch.tensor([0, 20, 20, 83])}):
            for value in problem(1, 83, 4, 3, 2, 5, **options).run().values():
                assert value.isfinite().all()
    finally:
        torch.use_deterministic_algorithms(False)
