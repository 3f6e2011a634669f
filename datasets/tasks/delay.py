"""Delay: answer with what came in a fixed time ago.

    y_t = u_{t - delay},    u white noise below a limiting frequency, zero before the first sample

The best linear memory of given order is known, and it is HiPPO's: a random state matrix has no such window.

Source: Gu, Johnson, Timalsina, Rudra and Ré 2022 (How to train your HiPPO, arXiv:2206.12037), section 5 and appendix E:
noise of 4000 samples, delayed by 1000.
"""

import numpy as np

from statespace.datasets.tasks.base import Batch, Task
from statespace.datasets.tasks.noise import band_limited_noise
from statespace.errors import InputError, at_least


class Delay(Task):
    """Delay a noise.

    Args:
        length: samples of a sequence.
        delay: samples between input and answer; the answer is judged from there on.
        band: largest frequency of the noise, as a part of the largest that sampling allows.
    Raises:
        InputError: an argument is out of range.
    """

    tokens = classes = False
    inputs = outputs = 1

    def __init__(self, length: int = 1000, delay: int = 250, band: float = 0.1) -> None:
        at_least("Delay", 1, length=length, delay=delay)
        if delay >= length:
            raise InputError(f"Delay: delay is {delay}, but a sequence has {length} samples: make delay smaller.")
        if not 0 < band <= 1:
            raise InputError(f"Delay: band is {band}, but a part of the largest frequency, in (0, 1], is expected.")
        self.length, self.delay, self.band = length, delay, band

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw `size` sequences with `rng`."""
        u = band_limited_noise(rng, size, self.length, self.band).astype(np.float32)
        y = np.zeros_like(u)
        y[:, self.delay :] = u[:, : -self.delay]
        mask = np.zeros(u.shape, bool)
        mask[:, self.delay :] = True
        return Batch(u[..., None], y[..., None], mask)
