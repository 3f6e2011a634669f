"""Reconstruction: after the last sample, say what the whole signal was.

    y_j = u(s_j),   s_j  evenly spaced over the past, j = 1 … points

The answer is given once, from the state at the end: so the state must be a compressed history, which is what HiPPO
derives.

Source: Gu, Dao, Ermon, Rudra and Ré 2020 (HiPPO, arXiv:2008.07669), section 4.3 on function approximation; Gu, Johnson,
Timalsina, Rudra and Ré 2022 (arXiv:2206.12037), section 5, for noise that is reconstructed from the last state.
"""

import numpy as np

from statespace.datasets.tasks.base import Batch, Task
from statespace.datasets.tasks.noise import band_limited_noise
from statespace.errors import InputError, at_least


class Reconstruction(Task):
    """Reconstruct a noise from what is left at its end.

    Args:
        length: samples of a sequence.
        points: number of samples that are asked for, evenly spaced from the first to the last; at least 2.
        band: largest frequency of the noise, as a part of the largest that sampling allows.
    Raises:
        InputError: an argument is out of range.
    """

    tokens = classes = False
    per_sequence = True
    inputs = 1

    def __init__(self, length: int = 1000, points: int = 64, band: float = 0.02) -> None:
        at_least("Reconstruction", 2, length=length, points=points)
        if points > length:
            raise InputError(f"Reconstruction: points is {points}, but a sequence has {length} samples: ask for fewer.")
        if not 0 < band <= 1:
            raise InputError(
                f"Reconstruction: band is {band}, but a part of the largest frequency, in (0, 1], is expected."
            )
        self.length, self.outputs, self.band = length, points, band
        self.positions = np.linspace(0, length - 1, points).round().astype(np.int64)

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw `size` sequences with `rng`."""
        u = band_limited_noise(rng, size, self.length, self.band).astype(np.float32)
        return Batch(u[..., None], u[:, self.positions])
