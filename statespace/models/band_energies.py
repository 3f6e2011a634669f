"""Logarithms of the energy of a signal in bands, frame by frame: what an ear takes from a sound.

    x'_k = (-σ_k + i ω_k) x_k + σ_k u,     e_k[m] = log( floor + mean of |x_k|² over frame m )

with ω_k in geometric steps from one period a frame to the Nyquist frequency, and σ_k = ω_k / 8 + π / (2 frame): the
bands are wide in proportion, but answer within a frame.

The systems are continuous: at another sampling rate they are the same bands, of which those beyond its Nyquist
frequency stay silent, and the frames are as long in time.

Source: Stevens, Volkmann, Newman 1937, for hearing in bands that widen with frequency; the oscillators stand for their
filter bank.
"""

from math import pi

import torch
from torch import Tensor

from statespace.errors import InputError
from statespace.kernels.lti_scan import lti_scan

_SHARPNESS = 8.0  # of a band: its frequency over half its width


class BandEnergies:
    """Energies of bands in frames; see the module.

    Args:
        frame: samples in a frame, at the rate of training.
        bands: their number, for each channel.
        floor: energy that is not told from silence, in units of the signal's squared.
    Raises:
        InputError: an argument is out of range.
    """

    def __init__(self, frame: int, bands: int = 32, floor: float = 1e-4) -> None:
        for name, value, least in (("frame", frame, 4), ("bands", bands, 2)):
            if value < least:
                raise InputError(f"BandEnergies: {name} is {value}, but at least {least} is expected.")
        if not 0 < floor < float("inf"):
            raise InputError(f"BandEnergies: floor is {floor}, but a positive number is expected.")
        self.frame, self.bands, self.floor = frame, bands, floor
        self.omega = 2 * pi / frame * (0.475 * frame) ** torch.linspace(0, 1, bands, dtype=torch.float64)

    def frame_of(self, length: int, dt_scale: float) -> int:
        """Return the samples in a frame of a signal of `length` samples with this time between two."""
        return min(max(1, round(self.frame / dt_scale)), length)

    @torch.no_grad()
    def __call__(self, u: Tensor, dt_scale: float = 1.0) -> Tensor:
        """Return the energies of one signal.

        Args:
            u: samples, ``(l, channels)``, float32.
            dt_scale: time between two samples, in units of that of training.
        Returns:
            Logarithms, ``(frames, channels * bands)``; one frame of a signal that is shorter than that, and what is
            left over at the end counts for none.
        """
        sigma = self.omega / _SHARPNESS + pi / (2 * self.frame)
        A = torch.complex(-sigma, self.omega)
        z = A * dt_scale
        heard = self.omega * dt_scale < pi
        log_a = z.to(torch.complex64)[:, None]
        b = (torch.expm1(z) / A * sigma * heard).to(torch.complex64)[:, None]
        one = torch.ones_like(b)
        x = u.T[:, :, None].expand(-1, -1, self.bands).contiguous()  # (channels, l, bands)
        power = sum(lti_scan(x, log_a, b, c, None, None)[0].square() for c in (one, -1j * one))
        assert isinstance(power, Tensor)
        length = self.frame_of(len(u), dt_scale)
        count = len(u) // length
        means = power[:, : count * length].unflatten(1, (count, length)).mean(2)
        found: Tensor = (means + self.floor).log().transpose(0, 1).flatten(1)
        return found
