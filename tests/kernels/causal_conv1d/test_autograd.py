"""Gradients against finite differences, and the operators against torch's own checks, compiler and export."""

import pytest
import torch

from statespace.errors import InputError
from statespace.kernels.causal_conv1d import causal_conv1d, chunked, native


def names(module):
    return module.__name__.rsplit(".", 1)[1]


@pytest.mark.parametrize("kind", [{}, {"ragged": True}, {"packed": 3}, {"activation": None}], ids=str)
def test_gradcheck(problem, convolve, kind):
    case = problem(1 if "packed" in kind else 2, 67, 2, 4, initial=True, **kind)
    leaves = {name: value.requires_grad_() for name, value in case.tensors.items()}

    def run(*values):
        return convolve(**dict(zip(leaves, values, strict=True)), **case.options, return_final_state=True)

    # Central differences of 1e-6 in float64 are good to some 1e-8; gradcheck's own defaults allow 1e-3.
    assert torch.autograd.gradcheck(run, tuple(leaves.values()), eps=1e-6, atol=1e-6, rtol=1e-5, fast_mode=True)


@pytest.mark.parametrize("module", [native, chunked], ids=names)
@pytest.mark.parametrize("kind", [{"bias": False}, {"initial": True, "ragged": True}, {"packed": 2}], ids=str)
def test_opcheck(problem, request, module, kind):
    if module is native:
        request.getfixturevalue("compiled")
    case = problem(1 if "packed" in kind else 2, 6, 3, 4, **kind)
    tensors = [None if value is None else value.requires_grad_() for value in case.tensors.values()]
    rest = (case.options.get("lengths"), case.options.get("cu_seqlens"), True)
    torch.library.opcheck(getattr(torch.ops.statespace, f"causal_conv1d_{names(module)}"), (*tensors, *rest))


@pytest.mark.parametrize("kind", [{"ragged": True}, {"packed": 3}], ids=str)
def test_compiles_as_one_graph(problem, convolve, kind):
    case = problem(1 if "packed" in kind else 2, 70, 3, 4, initial=True, through="y and final", **kind)
    plain = case.run(convolve)
    compiled = case.run(torch.compile(convolve, fullgraph=True, backend="aot_eager"))
    for name, expected in plain.items():
        assert torch.equal(compiled[name], expected), name


@pytest.mark.parametrize("backend", ["native", "chunked"])
def test_exports(problem, request, backend):
    if backend == "native":
        request.getfixturevalue("compiled")

    class Layer(torch.nn.Module):
        def forward(self, x, weight, bias):
            return causal_conv1d(x, weight, bias, activation="silu", backend=backend)

    tensors = [value for value in problem(2, 9, 3, 4).tensors.values() if value is not None]
    any_length = ({1: torch.export.Dim("length")}, None, None)
    exported = torch.export.export(Layer(), tuple(tensors), dynamic_shapes=any_length)
    longer = torch.randn(2, 100, 3, dtype=torch.float64)
    assert torch.equal(exported.module()(longer, *tensors[1:]), Layer()(longer, *tensors[1:]))


def test_autocast_changes_nothing(problem, convolve):
    case = problem(2, 70, 3, 4, through="y and final").to(torch.float32)
    plain = case.run(convolve)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = case.run(convolve)
    for name, expected in plain.items():
        assert torch.equal(under[name], expected), name


def test_the_reference_has_second_derivatives_and_the_others_say_so(problem, convolve):
    case = problem(1, 6, 2, 3)
    leaves = tuple(value.requires_grad_() for value in case.tensors.values() if value is not None)
    assert torch.autograd.gradgradcheck(
        lambda *values: causal_conv1d(*values, activation="silu", backend="reference"), leaves, fast_mode=True
    )
    (grad,) = torch.autograd.grad(convolve(*leaves, activation="silu").sum(), leaves[0], create_graph=True)
    with pytest.raises(InputError, match=r"second derivatives.*backend='reference'"):
        grad.sum().backward()


def test_parameters_keep_their_own_precision(problem, convolve):
    tensors = problem(2, 5, 3, 4, initial=True).tensors
    tensors["x"] = tensors["x"].to(torch.bfloat16)
    leaves = {name: value.requires_grad_() for name, value in tensors.items()}
    y, final = convolve(**leaves, return_final_state=True)
    assert (y.dtype, final.dtype) == (torch.bfloat16, torch.bfloat16)
    (y.sum() + final.sum()).backward()
    for name, leaf in leaves.items():
        assert leaf.grad.dtype == leaf.dtype, name
