"""Recordings at another sampling rate, by a polyphase filter: what the new rate cannot hold is filtered out.

    y[m] = Σ_k h[m q - k p] x[k],      new rate / old rate = p / q

with h a low-pass filter at the lower of the two Nyquist frequencies. The filter is SciPy's.
"""

from fractions import Fraction
from importlib import import_module
from typing import Any

import numpy as np

from statespace.errors import InputError

_FINEST = 2000  # the largest p and q: 44101 Hz to 8000 Hz is off by less than one part in a million
FURTHEST = 256  # between two rates that anybody means


def _ratio(rate: float, target: float) -> Fraction:
    """Return new rate / old rate as p / q, if both make sense."""
    for name, value in (("rate", rate), ("target", target)):
        if not 0 < value < float("inf"):
            raise InputError(f"resample: {name} is {value}, but a positive number of samples in a second is expected.")
    if max(rate, target) > FURTHEST * min(rate, target):
        raise InputError(
            f"resample: from {rate:g} Hz to {target:g} Hz is more than a factor of {FURTHEST}: check the rate that "
            "the file states."
        )
    wanted = Fraction(target) / Fraction(rate)
    return wanted.limit_denominator(_FINEST) if wanted <= 1 else 1 / (1 / wanted).limit_denominator(_FINEST)


def resampled_length(length: int, rate: float, target: float) -> int:
    """Return how many samples `resample` makes of so many.

    Args:
        length: samples of the recording.
        rate: of the recording, in Hz.
        target: the new rate, in Hz.
    Returns:
        Their number at `target`.
    Raises:
        InputError: as `resample`.
    """
    ratio = _ratio(rate, target)
    return -(-length * ratio.numerator // ratio.denominator)


def resample(samples: np.ndarray, rate: float, target: float) -> np.ndarray:
    """Bring a recording to another sampling rate.

    Args:
        samples: ``(channels, n)``, float32, without NaN.
        rate: of the recording, in Hz.
        target: the new rate, in Hz.
    Returns:
        The recording at `target`, ``(channels, ceil(n * target / rate))``, float32.
    Raises:
        InputError: a rate is not positive, or the two are too far apart to be meant.
    """
    ratio = _ratio(rate, target)
    if rate == target:
        return samples
    signal: Any = import_module("scipy.signal")
    # Beyond its ends a signal is taken to go on along a line: with zeros there, an offset would ring.
    found: np.ndarray = signal.resample_poly(samples, ratio.numerator, ratio.denominator, axis=1, padtype="line")
    return found.astype(np.float32)
