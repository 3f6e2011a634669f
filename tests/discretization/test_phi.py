"""phi1 and its derivative against mpmath at 40 digits, over 32 decades, real and complex."""

import mpmath
import numpy as np
import pytest
import torch
from torch import Tensor

from statespace.discretization._phi import NEAR_ZERO, phi1

TYPES = [torch.float32, torch.float64, torch.complex64, torch.complex128]


def points(dtype: torch.dtype) -> Tensor:
    """Spread arguments over moduli 1e-30 ... 1e2, around the seam of the two branches, and by the zeros 2πik."""
    moduli = np.concatenate([np.logspace(-30, 2, 120), NEAR_ZERO * np.linspace(0.9, 1.1, 21)])
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, (len(moduli), 3))
    z = np.concatenate([(moduli[:, None] * np.exp(1j * angles)).ravel(), moduli, -moduli, 1j * moduli])
    if dtype.is_complex:
        zeros = 2j * np.pi * np.arange(1, 16)
        z = np.concatenate([z, zeros, zeros + 1e-4, zeros - 1e-3j])
    else:
        z = np.concatenate([moduli, -moduli])
    found = torch.from_numpy(z).to(dtype)
    return found[found.real < 85]  # exp overflows in float32 beyond


def exact(z: complex) -> mpmath.mpc:
    z = mpmath.mpmathify(z)
    return mpmath.expm1(z) / z if abs(z) > 1e-25 else 1 + z / 2


def exact_derivative(z: complex) -> mpmath.mpc:
    z = mpmath.mpmathify(z)
    return (mpmath.exp(z) - exact(z)) / z if abs(z) > 1e-12 else mpmath.mpf(1) / 2 + z / 3


def worst(z: Tensor, found: Tensor, truth: list[mpmath.mpc]) -> Tensor:
    """Return the errors of `found`, relative to the modulus of `truth`, in units of eps."""
    pairs = zip(found.detach().to(torch.complex128).resolve_conj().tolist(), truth, strict=True)
    return torch.tensor([float(abs(ours - theirs) / abs(theirs)) for ours, theirs in pairs]) / torch.finfo(z.dtype).eps


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_values_and_derivatives(dtype: torch.dtype) -> None:
    z = points(dtype).requires_grad_()
    wide = z.detach().to(torch.complex128).tolist()
    value = phi1(z)
    (derivative,) = torch.autograd.grad(value, z, torch.ones_like(value))
    with mpmath.workdps(40):
        # A handful of elementwise operations, each correct to about one unit.
        assert worst(z, value, [exact(x) for x in wide]).max() <= 4
        # The quotient rule subtracts numbers 1/|z| as large at the seam, |z| = 1/4, and |z| as large far out.
        errors = worst(z, derivative.conj(), [exact_derivative(x) for x in wide])
        assert (errors <= 32 * z.detach().abs().clamp(min=1)).all()


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_at_zero_value_and_derivatives_are_those_of_the_series(dtype: torch.dtype) -> None:
    z = torch.zeros(2, dtype=dtype, requires_grad=True)
    value = phi1(z)
    (first,) = torch.autograd.grad(value.real.sum(), z, create_graph=True)
    (second,) = torch.autograd.grad(first.real.sum(), z)
    for found, expected in ((value, 1), (first, 1 / 2), (second, 1 / 3)):
        torch.testing.assert_close(found, torch.full_like(found, expected))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_far_into_the_left_half_plane_nothing_becomes_nan(dtype: torch.dtype) -> None:
    z = torch.tensor([-1e3, -1e6, -1e30], dtype=dtype, requires_grad=True)
    value = phi1(z)
    torch.testing.assert_close(value, -1 / z)
    (gradient,) = torch.autograd.grad(value.real.sum(), z)
    assert torch.isfinite(gradient).all()
