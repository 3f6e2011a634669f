"""Gradients of every method with respect to A, B, C, D and dt, against finite differences and closed forms."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from statespace.discretization import METHODS, Discrete

every_form = pytest.mark.parametrize(
    ("name", "form"), [(name, form) for name in METHODS for form in ("dense", "diagonal")]
)
wide = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)


def form_of(name: str, form: str) -> Callable[..., Discrete]:
    """A form of a method, with a weight where one must be given, and D = 0 where it must be."""
    method = METHODS[name]
    weight = {"alpha": 0.3} if method.alpha == "required" else {}

    def run(A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float) -> Discrete:
        return getattr(method, form)(A, B, C, 0 * D if method.strictly_proper else D, dt, **weight)

    return run


def system(form: str, dtype: torch.dtype) -> list[Tensor]:
    n = 3
    A = torch.randn(2, n, dtype=dtype) if form == "diagonal" else torch.randn(2, n, n, dtype=dtype)
    A[0, 0] = 0  # a zero eigenvalue, or a zero row, which makes the matrix singular
    rest = [torch.randn(2, *shape, dtype=dtype) for shape in ((n, 2), (2, n), (2, 2))]
    return [matrix.requires_grad_() for matrix in (A, *rest)]


@every_form
@wide
def test_first_derivatives(name: str, form: str, dtype: torch.dtype) -> None:
    dt = torch.tensor([0.1, 0.7], dtype=torch.float64, requires_grad=True)
    assert gradcheck(form_of(name, form), (*system(form, dtype), dt))


@every_form
def test_one_step_for_all_systems_collects_the_gradients_of_each(name: str, form: str) -> None:
    dt = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(form_of(name, form), (*system(form, torch.float64), dt))


@every_form
def test_second_derivatives(name: str, form: str) -> None:
    dt = torch.tensor([0.2, 0.5], dtype=torch.float64, requires_grad=True)
    assert gradgradcheck(form_of(name, form), (*system(form, torch.float64), dt))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize("form", ["dense", "diagonal"])
def test_zoh_of_an_integrator_has_the_closed_form_gradient(form: str, dtype: torch.dtype) -> None:
    # Bbar = b dt (1 + a dt/2 + ...), so at a = 0 its derivative by a is b dt²/2.
    A = torch.zeros(1, 1, dtype=dtype) if form == "dense" else torch.zeros(1, dtype=dtype)
    A.requires_grad_()
    B, C, D = torch.full((1, 1), 3.0, dtype=dtype), torch.ones(1, 1, dtype=dtype), torch.zeros(1, 1, dtype=dtype)
    Bbar = getattr(METHODS["zoh"], form)(A, B, C, D, 0.5).B
    (gradient,) = torch.autograd.grad(Bbar.real.sum(), A)
    torch.testing.assert_close(gradient, torch.full_like(gradient, 3 * 0.5**2 / 2), rtol=4e-7, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64], ids=str)
def test_gradients_of_extreme_eigenvalues_are_finite(dtype: torch.dtype) -> None:
    A = torch.tensor([0.0, -1e-30, -1e-4, -1e2, -1e5], dtype=dtype, requires_grad=True)
    B, C, D = torch.ones(5, 1, dtype=dtype), torch.ones(1, 5, dtype=dtype), torch.ones(1, 1, dtype=dtype)
    dt = torch.ones((), requires_grad=True)
    for name in METHODS:
        result = form_of(name, "diagonal")(A, B, C, D, dt)
        total = result.A.real.sum() + result.B.real.sum()
        for gradient in torch.autograd.grad(total, (A, dt)):
            assert torch.isfinite(gradient).all()
