"""Gradients against finite differences, and the operators against torch's own checks and compiler."""

import pytest
import torch

from statespace.kernels.lti_scan import chunked, lti_scan, native, reference


def names(module):
    return module.__name__.rsplit(".", 1)[1]


@pytest.mark.parametrize("ragged", [False, True])
def test_gradcheck(problem, scan, ragged):
    case = problem(2, 67, 2, 2, initial=True, ragged=ragged)
    leaves = {name: value.requires_grad_() for name, value in case.arguments.items()}

    def run(*values):
        return scan(**dict(zip(leaves, values, strict=True)), lengths=case.lengths)

    # Central differences of 1e-6 in float64 are good to some 1e-8; gradcheck's own defaults allow 1e-3.
    assert torch.autograd.gradcheck(run, tuple(leaves.values()), eps=1e-6, atol=1e-6, rtol=1e-5, fast_mode=True)


@pytest.mark.parametrize("module", [native, chunked], ids=names)
@pytest.mark.parametrize("full", [False, True])
def test_opcheck(problem, request, module, full):
    if module is native:
        request.getfixturevalue("compiled")
    case = problem(2, 6, 3, 2, D=full, initial=full, ragged=full)
    arguments = [None if value is None else value.requires_grad_() for value in case.arguments.values()]
    torch.library.opcheck(getattr(torch.ops.statespace, f"lti_scan_{names(module)}"), (*arguments, case.lengths))


def test_compiles_as_one_graph(problem, scan):
    case = problem(2, 70, 3, 2, initial=True, ragged=True, through="y and final")
    plain = case.run(scan)
    compiled = case.run(torch.compile(scan, fullgraph=True, backend="aot_eager"))
    for name, expected in plain.items():
        assert torch.equal(compiled[name], expected), name


def test_compiles_with_the_default_compiler(problem, compiled):
    case = problem(1, 10, 2, 2)

    @torch.compile(fullgraph=True)
    def layer(u, *rest):
        y, _ = lti_scan(2 * u, *rest, backend="native")
        return y.sin()

    arguments = [value for value in case.arguments.values() if value is not None]
    expected = lti_scan(2 * arguments[0], *arguments[1:], backend="reference")[0].sin()
    torch.testing.assert_close(layer(*arguments), expected, rtol=0, atol=1e-12)


def test_only_what_needs_a_gradient_gets_one(problem, scan):
    case = problem(1, 5, 2, 2)
    u = case.arguments["u"].requires_grad_()
    y, final = scan(**case.arguments)
    (y.sum() + final.real.sum()).backward()
    assert u.grad is not None
    assert case.arguments["b"].grad is None


def test_parameters_keep_their_own_precision(problem, scan):
    case = problem(1, 5, 2, 2)
    arguments = case.arguments | {"u": case.arguments["u"].float()}
    leaves = {name: value.requires_grad_() for name, value in arguments.items() if value is not None}
    y, final = scan(**leaves)
    assert (y.dtype, final.dtype) == (torch.float32, torch.complex64)
    (y.sum() + final.real.sum()).backward()
    for name, leaf in leaves.items():
        assert leaf.grad.dtype == leaf.dtype, name
    assert reference.lti_scan(*arguments.values())[0].dtype in (torch.float32, torch.float64)
