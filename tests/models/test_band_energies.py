"""Energies of bands, against SciPy's simulation of the same oscillators, and at another sampling rate."""

import numpy as np
import pytest
import torch
from scipy import signal as scipy_signal

from statespace.errors import InputError
from statespace.models import BandEnergies


def test_energies_are_those_of_a_simulation_by_scipy() -> None:
    energies = BandEnergies(frame=20, bands=6)
    u = torch.randn(107, 2, generator=torch.Generator().manual_seed(0))
    found = energies(u).view(5, 2, 6)
    assert float(energies.omega[0]) == pytest.approx(2 * np.pi / 20)  # one period a frame
    for band, omega in enumerate(energies.omega.tolist()):
        sigma = omega / 8 + np.pi / 40
        A, B = np.array([[-sigma + 1j * omega]]), np.array([[sigma + 0j]])
        Ad, Bd, *_ = scipy_signal.cont2discrete((A, B, np.eye(1), np.zeros((1, 1))), 1.0, method="zoh")
        for channel in range(2):
            state, power = 0j, []
            for value in u[:, channel].tolist():
                state = Ad[0, 0] * state + Bd[0, 0] * value
                power.append(abs(state) ** 2)
            wanted = np.log(np.reshape(power[:100], (5, 20)).mean(1) + 1e-4)
            np.testing.assert_allclose(found[:, channel, band], wanted, atol=1e-4)


def test_a_tone_is_loudest_in_its_band_at_both_rates() -> None:
    energies = BandEnergies(frame=64)
    omega = float(energies.omega[12])
    t = torch.arange(4096)
    tone = torch.sin(omega * t)[:, None]
    full, half = energies(tone), energies(tone[::2], dt_scale=2.0)
    assert full.shape == half.shape == (64, 32)
    assert (full[4:].mean(0).argmax(), half[4:].mean(0).argmax()) == (12, 12)
    assert float((full[4:, 12] - half[4:, 12]).abs().max()) < 0.1
    beyond = energies.omega * 2 > np.pi
    assert bool(beyond.any())
    torch.testing.assert_close(half[:, beyond].exp(), torch.full_like(half[:, beyond], 1e-4))


def test_a_signal_shorter_than_a_frame_is_one_frame() -> None:
    assert BandEnergies(frame=64)(torch.ones(3, 2)).shape == (1, 64)


def test_what_is_out_of_range_is_named() -> None:
    for options in ({"frame": 2}, {"frame": 8, "bands": 1}, {"frame": 8, "floor": 0.0}):
        with pytest.raises(InputError, match=f"BandEnergies: {list(options)[-1]} is"):
            BandEnergies(**options)  # type: ignore[arg-type]
