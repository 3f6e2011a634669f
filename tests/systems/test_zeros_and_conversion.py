"""Zeros in any units, and the ways to and from SciPy and python-control that have room for less than a system."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, signal

from statespace import StateSpace
from statespace.errors import InputError
from statespace.systems import from_control, from_scipy, to_scipy

RATES = st.floats(-9, 9).map(lambda exponent: 10.0**exponent)


@pytest.mark.parametrize(
    ("system", "zero"),
    [
        (StateSpace.from_transfer_function([1, 1], [1, 2e8, 3e16]), -1),
        (StateSpace.from_transfer_function([1, 1e6], [1, 2e3, 3e9]), -1e6),
        (StateSpace.from_zpk([-1e5], [-1e6, -2e6, -3e6], 1e12), -1e5),
    ],
)
def test_zeros_far_from_the_poles(system, zero):
    np.testing.assert_allclose(system.zeros(), [zero], rtol=1e-6)  # of which the poles, 1e8 larger, leave 8 digits


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), time=RATES, into=RATES, out=RATES, through=st.booleans())
def test_zeros_do_not_depend_on_units(seed, time, into, out, through):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(2, 8), rng.integers(1, 3)
    A, B, C, D = (rng.normal(size=shape) for shape in ((n, n), (n, m), (m, n), (m, m)))
    D = D * through
    B[: n // 2] *= seed % 3 != 0
    units = 10.0 ** rng.uniform(-3, 3, n)
    scaled = StateSpace(
        time * units[:, None] * A / units, time * into * units[:, None] * B, out * C / units, into * out * D
    )
    zeros = scaled.zeros().numpy() / time
    plain = StateSpace(A, B, C, D).zeros().numpy()
    assert len(zeros) == len(plain)
    for zero in zeros:
        # At a zero, and there alone, the system matrix is singular; elsewhere it is so by chance of 1e-9 or less.
        pencil = np.block([[A - zero * np.eye(n), B], [C, D]])
        values = linalg.svdvals(pencil)
        assert values[-1] <= 1e-9 * (1 + abs(zero)) * values[0]


def test_forms_of_scipy_with_less_room_are_refused():
    system = StateSpace(-torch.eye(3), torch.ones(3, 2), torch.ones(3, 3))
    with pytest.raises(InputError, match=r"transfer-function has one input, but the system has 2 and 3"):
        to_scipy(system, "transfer-function")
    with pytest.raises(InputError, match=r"zeros-poles-gain has one input and one output"):
        to_scipy(StateSpace(-torch.eye(3), torch.ones(3, 1), torch.ones(2, 3)), "zeros-poles-gain")


@pytest.mark.parametrize("gain", [signal.lti([2.0], [1.0]), signal.ZerosPolesGain([], [], 2.0)])
def test_a_gain_of_scipy_has_no_pole(gain):
    found = from_scipy(gain)
    assert (found.n, found.D.item(), bool(found.is_stable())) == (0, 2.0, True)


def test_systems_of_several_types_combine():
    a, w = StateSpace([[-1.0]], [[1.0]], [[1.0]]), torch.tensor([0.5], dtype=torch.float64)
    g = a.frequency_response(w)
    for other in (a.to(torch.float32), a.to(torch.complex64)):
        torch.testing.assert_close(a.series(other).frequency_response(w), g * g)
        torch.testing.assert_close(a.feedback(other).frequency_response(w), g / (1 + g * g))


def test_a_matrix_of_transfer_functions_comes_from_control():
    control = pytest.importorskip("control")
    G = control.tf([[[1], [1, 2]], [[3], [1]]], [[[1, 1], [1, 3]], [[1, 4], [1, 5, 6]]])
    w = np.array([0.1, 1.0, 10.0])
    ours = from_control(G).frequency_response(torch.from_numpy(w)).numpy()
    np.testing.assert_allclose(ours, np.moveaxis(G(1j * w), -1, 0), rtol=1e-12)


def test_what_a_filter_keeps_does_not_depend_on_its_frequency():
    reference = from_scipy(signal.lti(*signal.butter(4, 1.0, analog=True)))
    for rate in (1e-3, 6283.0, 1e6):
        system = from_scipy(signal.lti(*signal.butter(4, rate, analog=True)))
        torch.testing.assert_close(
            system.hankel_singular_values(), reference.hankel_singular_values(), rtol=1e-9, atol=1e-12
        )
        w = torch.tensor([0.3, 1.0, 2.0], dtype=torch.float64)
        ours = system.balanced_truncation(2).frequency_response(rate * w)
        torch.testing.assert_close(ours, reference.balanced_truncation(2).frequency_response(w), rtol=1e-8, atol=1e-10)
