"""The logarithms of the poles of each method: their exponentials are the discrete eigenvalues, and SciPy's."""

import numpy as np
import pytest
import torch
from scipy.signal import cont2discrete

from statespace.discretization import METHODS
from statespace.hippo import INITIALISATIONS

# A logarithm of modulus up to 20 and an exponential, each rounded once: 20 units of 2^-53 and a little more.
TOLERANCE = 1e-14
STEPS = torch.tensor([1e-3, 0.03, 0.4], dtype=torch.float64)

methods = pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.log_poles])
inits = pytest.mark.parametrize("init", INITIALISATIONS)


@methods
@inits
def test_their_exponentials_are_the_poles(name: str, init: str) -> None:
    A = INITIALISATIONS[init](16).expand(len(STEPS), -1)
    ours = torch.exp(METHODS[name].log_poles(A, STEPS))
    ones, zero = torch.ones_like(A)[..., None], torch.zeros(1, 1, dtype=A.dtype)
    theirs = METHODS[name].diagonal(A, ones, ones.mT, zero, STEPS).A
    torch.testing.assert_close(ours, theirs.to(ours.dtype), rtol=0, atol=TOLERANCE)
    for row, a, dt in zip(ours.numpy(), A.numpy(), STEPS.tolist(), strict=True):
        for pole, eigenvalue in zip(row, a, strict=True):
            one = np.ones((1, 1))
            expected = cont2discrete((eigenvalue * one, one, one, one), dt, name)[0].item()
            assert abs(pole - expected) < TOLERANCE


@methods
def test_a_number_as_step_is_a_tensor_of_it(name: str) -> None:
    A = INITIALISATIONS["legs"](8).expand(2, -1)
    number, tensor = (METHODS[name].log_poles(A, dt) for dt in (0.1, torch.full((2,), 0.1, dtype=torch.float64)))
    assert torch.equal(number, tensor)


@methods
def test_gradients_are_finite_differences(name: str) -> None:
    A = INITIALISATIONS["lin"](6).expand(2, -1).clone().requires_grad_()
    dt = torch.tensor([0.1, 0.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(METHODS[name].log_poles, (A, dt))


def test_bilinear_goes_through_the_pole_at_zero() -> None:
    """A real eigenvalue of -2 / dt has the pole 0, one beyond a negative pole: powers must come out all the same."""
    A = torch.tensor([-1.0, -2.0, -3.0], dtype=torch.float64)
    log_poles = METHODS["bilinear"].log_poles(A, 1.0)
    assert log_poles.isfinite().all()
    for power in (1, 2, 5):
        expected = np.array([1 / 3, 0, -1 / 5]) ** power
        np.testing.assert_allclose(torch.exp(power * log_poles).numpy(), expected, rtol=0, atol=TOLERANCE)


def test_zoh_keeps_the_phase_of_a_long_power() -> None:
    """A million steps of 10 rad: exact to the rounding of the product, where the rounded pole would lose 1e-10."""
    A = torch.tensor([10j], dtype=torch.complex128)
    power = 1_000_000
    ours = torch.exp(power * METHODS["zoh"].log_poles(A, 1.0)).item()
    assert abs(ours - np.exp(1e7j)) < 1e-15
