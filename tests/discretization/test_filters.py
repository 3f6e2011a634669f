"""Analogue filters in controller form: the everyday systems whose entries run over tens of orders of magnitude."""

import mpmath
import numpy as np
import pytest
import torch
from scipy import signal

from statespace import StateSpace, cont2discrete

FILTERS = {
    "butterworth": lambda order, rate: signal.butter(order, rate, analog=True),
    "elliptic": lambda order, rate: signal.ellip(order, 1, 40, rate, analog=True),
    "bessel": lambda order, rate: signal.bessel(order, rate, analog=True, norm="mag"),
}


def exact(system: StateSpace, dt: float) -> tuple[np.ndarray, np.ndarray]:
    """Both matrices of the zero-order hold to 80 digits, from the system's own numbers."""
    n = system.n
    block = np.zeros((n + 1, n + 1))
    block[:n, :n], block[:n, n:] = system.A, system.B
    with mpmath.workdps(80):
        found = mpmath.expm(mpmath.matrix(block.tolist()) * mpmath.mpf(dt))
        rows = np.array([[float(found[i, j]) for j in range(n + 1)] for i in range(n)])
    return rows[:, :n], rows[:, n:]


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize("order", [3, 4, 6, 8])
@pytest.mark.parametrize("frequency", [1.0, 1e3, 1e6])
def test_every_entry_is_exact_beside_its_row_and_column(kind, order, frequency):
    rate = 2 * np.pi * frequency
    system = StateSpace.from_transfer_function(*FILTERS[kind](order, rate))
    dt = 0.1 / frequency
    A, B = exact(system, dt)
    for dtype, tolerance in ((torch.float64, 1e-13), (torch.complex128, 1e-13)):  # native, portable
        found = cont2discrete(system.to(dtype), dt)
        # In units of rate^-k for state k all entries are near 1: the error counts in those.
        units = rate ** -np.arange(order, dtype=float)
        for ours, wanted, scale in ((found.A, A, units[None] / units[:, None]), (found.B, B, 1 / units[:, None])):
            assert np.abs((ours.numpy() - wanted) * scale).max() <= tolerance * np.abs(wanted * scale).max()


@pytest.mark.parametrize("method", ["zoh", "foh", "impulse", "bilinear"])
@pytest.mark.parametrize("order", [4, 8, 12])
def test_the_frequency_does_not_matter(method, order):
    """The same filter at 1 rad/s and at 1 MHz, sampled alike, is the same discrete filter."""
    responses = []
    w = torch.linspace(0.01, 0.5, 7, dtype=torch.float64)
    for rate in (1.0, 2e6 * np.pi):
        system = StateSpace.from_transfer_function(*signal.butter(order, rate, analog=True))
        found = cont2discrete(system, 0.3 / rate, method)
        responses.append(found.frequency_response(w * rate))
    # Solving for a response in controller form loses the digits by which the coefficients differ: 1e3 at order 12.
    torch.testing.assert_close(responses[0], responses[1], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("method", ["zoh", "foh", "bilinear"])
def test_a_long_step_settles(method):
    system = StateSpace.from_transfer_function(*signal.butter(12, 2000 * np.pi, analog=True))
    assert cont2discrete(system, 1.0, method).dc_gain().item() == pytest.approx(1, abs=1e-6)
