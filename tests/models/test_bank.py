"""The bank of random systems: its memory against SciPy's simulation, and what it is made from."""

import numpy as np
import pytest
import scipy.signal
import torch

from statespace.errors import InputError
from statespace.models.bank import SystemBank


def test_states_are_those_of_oscillators_driven_by_the_window() -> None:
    # One system: every feature sees the same two numbers, so the bank's maps span what one oscillator remembers.
    bank = SystemBank(40, features=6, systems=1, seed=3)
    weight = (bank.mix.double() @ bank.memory.double()).numpy()
    U = np.linalg.svd(weight.T, full_matrices=False)[0]
    generator = torch.Generator().manual_seed(3)
    tau, omega = torch.rand(2, 1, generator=generator, dtype=torch.float64)[:, 0]
    pole = np.exp(-1 / (2 * 20 ** float(tau)) + 1j * np.pi / 40 * 10 ** float(omega))
    x = np.random.default_rng(0).standard_normal((5, 40))
    state = scipy.signal.lfilter([1], [1, -pole], x, axis=1)[:, -1]
    memory = scipy.signal.lfilter([1], [1, -pole], np.eye(40), axis=1)[:, -1]
    basis = np.linalg.qr(np.stack([memory.real, memory.imag], 1))[0]
    np.testing.assert_allclose(np.abs(np.linalg.svd(basis.T @ U[:, :2])[1]), 1, atol=1e-5)
    known = np.linalg.lstsq(np.stack([state.real, state.imag], 1), x @ weight.T, rcond=None)
    assert known[1].max() < 1e-9


def test_standardised_features_vary_by_one() -> None:
    bank = SystemBank(24, features=50)
    x = torch.randn(500, 24).cumsum(1)
    bank.standardise(x)
    mixed = x @ (bank.mix @ bank.memory).T
    torch.testing.assert_close(mixed.std(0), torch.ones(50))
    torch.testing.assert_close(bank(x), (mixed + bank.bias).clamp(min=0))


def test_a_seed_gives_one_bank_and_nothing_is_taken_from_the_global_generator() -> None:
    before = torch.random.get_rng_state()
    first, again, other = SystemBank(16, 8), SystemBank(16, 8), SystemBank(16, 8, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first.mix, again.mix)
    assert not torch.equal(first.mix, other.mix)


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(InputError, match="systems is 0"):
        SystemBank(16, systems=0)
