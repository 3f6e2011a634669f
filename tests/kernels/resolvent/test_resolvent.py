"""The resolvent: every backend and every instruction set against LAPACK, and derivatives against finite differences."""

import numpy as np
import pytest
import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.kernels import native as core
from statespace.kernels.resolvent import BACKENDS, native, resolvent

SETS = [] if core.why_missing() else list(core.instruction_sets())
every_set = pytest.mark.parametrize("instruction_set", SETS)
real = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


@pytest.fixture(autouse=True)
def compiled() -> None:
    if core.why_missing():
        pytest.skip("no compiled core")


def problem(n: int, m: int = 2, p: int = 3, count: int = 5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    A = torch.randn(count, n, n, dtype=torch.float64)
    B, C = torch.randn(count, n, m, dtype=torch.float64), torch.randn(count, p, n, dtype=torch.float64)
    return A, B, C, 0.5 + torch.rand(count, dtype=torch.float64)


@every_set
@real
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 40, 70])
def test_every_instruction_set_agrees_with_lapack(n: int, dtype: torch.dtype, instruction_set: str) -> None:
    A, B, C, t = (tensor.to(dtype) for tensor in problem(n))
    found = native.forward(A, B, C, t, instruction_set=instruction_set)
    G = np.eye(n) - (t[:, None, None].double() * A.double()).numpy()
    inverse = torch.from_numpy(np.linalg.inv(G))
    assert not found[3].any()
    # The forward error is the unit of rounding times the condition, which pivoting raises by a small factor.
    bound = 10 * torch.finfo(dtype).eps * torch.from_numpy(np.linalg.cond(G))
    for one, other in zip(found, (inverse, inverse @ B.double(), C.double() @ inverse), strict=False):
        error = (one.double() - other).flatten(1).norm(dim=1)
        size = {0: inverse.flatten(1).norm(dim=1)}.get(0)
        weight = max(1.0, B.double().norm(dim=(1, 2)).max().item(), C.double().norm(dim=(1, 2)).max().item())
        assert (error <= bound * size * weight).all()


@every_set
def test_pivots_are_needed_and_found(instruction_set: str) -> None:
    # I - A is a permutation: every pivot on the diagonal is 0. And one that is tiny beside the rest of its column.
    for n in (2, 5, 8, 16, 20):
        P = torch.eye(n, dtype=torch.float64)[torch.roll(torch.arange(n), 1)]
        P = torch.stack([P, P + 1e-17 * torch.eye(n)])
        eye = torch.eye(n, dtype=torch.float64)
        R = native.forward(
            eye - P, eye.expand_as(P), eye.expand_as(P), torch.ones(2).double(), instruction_set=instruction_set
        )
        for result in R[:3]:
            torch.testing.assert_close(result, P.mT.clone(), rtol=0, atol=1e-15)


@every_set
@real
def test_singular_and_not_finite_matrices_are_told_and_stay_alone(dtype: torch.dtype, instruction_set: str) -> None:
    for n in (1, 3, 8, 17):
        A, B, C, t = (tensor.to(dtype) for tensor in problem(n, count=6))
        A, t = 0.1 * A, torch.ones_like(t)
        A[1] = torch.eye(n)
        A[2] = torch.eye(n) - 3 * torch.ones(n, n) if n > 1 else 1  # equal rows
        A[3, 0, 0], A[4, -1, -1] = float("nan"), float("inf")
        R, RB, CR, singular = native.forward(A, B, C, t, instruction_set=instruction_set)
        assert singular[1:3].all()
        assert not singular[[0, 5]].any()
        for result in (R, RB, CR):
            assert result[1:3].isnan().all()
            assert not result[3:5].isfinite().all(-1).all(-1).any()
            assert result[[0, 5]].isfinite().all()


def test_same_bits_for_any_number_of_threads_and_any_company() -> None:
    arguments = problem(16, 1, 1, count=600)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = native.forward(*arguments)
        for count in (2, 3, 8):
            torch.set_num_threads(count)
            assert all(map(torch.equal, native.forward(*arguments), expected))
    finally:
        torch.set_num_threads(before)
    alone = native.forward(*(tensor[417:418] for tensor in arguments))
    assert all(torch.equal(one[0], many[417]) for one, many in zip(alone, expected, strict=True))


def test_strides_are_read_as_they_are() -> None:
    A, B, C, t = problem(9)
    expected = native.forward(A, B, C, t)
    found = native.forward(*(tensor.mT.contiguous().mT for tensor in (A, B, C)), t)
    assert all(map(torch.equal, found, expected))
    one = native.forward(A[:1].expand_as(A), B, C, t)
    each = native.forward(A[:1].repeat(5, 1, 1), B, C, t)
    assert all(map(torch.equal, one, each))


@pytest.mark.parametrize("backend", BACKENDS)
def test_empty_batches_states_and_sides(backend: str) -> None:
    for shape, m, p in (((0, 3), 2, 1), ((2, 0), 2, 1), ((2, 3), 0, 0)):
        n = shape[-1]
        A, B, C = torch.zeros(*shape, n), torch.zeros(*shape, m), torch.zeros(shape[0], p, n)
        found = resolvent(A, B, C, 0.5, backend=backend)
        assert [tuple(result.shape) for result in found] == [(*shape, n), (*shape, m), (shape[0], p, n), shape[:1]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_backends_agree_and_leading_axes_broadcast(backend: str) -> None:
    A, B, C = torch.randn(2, 1, 3, 3).double(), torch.randn(4, 3, 2).double(), torch.randn(1, 3).double()
    found = resolvent(A, B, C, 0.1, 3.0, -0.5, backend)
    R = torch.linalg.inv(torch.eye(3) - 0.1 * A).expand(2, 4, 3, 3)
    for result, expected in zip(found, (3 * R - 0.5 * torch.eye(3), R @ B, C @ R), strict=False):
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-13)
    assert found.singular.shape == (2, 4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_first_and_second_derivatives_of_all_arguments(backend: str) -> None:
    A, B, C, t = problem(3, count=2)
    arguments = [tensor.requires_grad_() for tensor in (0.3 * A, B, C, t)]
    assert torch.autograd.gradcheck(lambda *given: resolvent(*given, 2.0, -1.0, backend)[:3], arguments)
    assert torch.autograd.gradgradcheck(lambda *given: resolvent(*given, 2.0, -1.0, backend)[:3], arguments)


def test_is_a_proper_operator() -> None:
    arguments = tuple(tensor.requires_grad_() for tensor in problem(3, count=2))
    tests = ("test_schema", "test_faketensor", "test_autograd_registration", "test_aot_dispatch_static")
    torch.library.opcheck(torch.ops.statespace.resolvent_native.default, (*arguments, 2.0, -1.0), test_utils=tests)


def test_vmap_over_some_arguments() -> None:
    A, B, C, t = problem(3)
    found = torch.vmap(lambda A, t: tuple(resolvent(A, B[0], C[0], t)))(A, t)
    assert all(map(torch.equal, found, resolvent(A, B[:1], C[:1], t)))


def test_bad_arguments_are_told_apart() -> None:
    A, B, C, t = problem(3)
    with pytest.raises(ShapeError, match=r"resolvent: C is .*n = 3"):
        resolvent(A, B, C[..., :2])
    with pytest.raises(ShapeError, match=r"resolvent: the leading axes do not broadcast"):
        resolvent(A, B, C, t[:4])
    with pytest.raises(InputError, match=r"resolvent: C is torch.complex128 and A is torch.float64"):
        resolvent(A, B, C + 0j)
    with pytest.raises(InputError, match=r"resolvent: scale is 0"):
        resolvent(A, B, C, scale=0)
    with pytest.raises(InputError, match=r"resolvent: backend is 'triton'.*choose one of"):
        resolvent(A, B, C, backend="triton")
