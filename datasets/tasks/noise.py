"""Band-limited white noise: the input of the tasks that ask what a memory holds."""

import numpy as np


def band_limited_noise(rng: np.random.Generator, size: int, length: int, band: float) -> np.ndarray:
    """Draw white noise without frequencies above a limit, with unit variance on average.

    Args:
        rng: where the numbers come from.
        size: number of sequences.
        length: samples of each.
        band: the limit as a part of the largest frequency that sampling allows, in (0, 1].
    Returns:
        ``(size, length)``, float64. It is cut from a signal of twice the length, since a sum of sines is periodic.
    """
    period = 2 * length
    kept = max(1, int(band * period / 2))
    spectrum = np.zeros((size, period // 2 + 1), complex)
    spectrum[:, 1 : kept + 1] = rng.standard_normal((size, kept)) + 1j * rng.standard_normal((size, kept))
    # Each frequency but the last adds 4 / period^2 to the variance.
    signal = np.fft.irfft(spectrum, period, axis=1) * (period / (2 * np.sqrt(kept)))
    return np.asarray(signal[:, :length])
