"""Recordings from WAV files, as numbers in [-1, 1], and one clear sentence for every file that is none.

The reading itself is SciPy's; what it says of a broken header depends on where the header breaks, so every way in which
it can fail ends here in one error that names the file.
"""

import struct
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from statespace.errors import InputError

# What SciPy's reader raises for headers that contradict themselves, found by changing bytes at random.
_BROKEN = (ValueError, struct.error, UnboundLocalError, ZeroDivisionError, OverflowError, EOFError, MemoryError)


class Audio(NamedTuple):
    """A recording.

    Attributes:
        samples: ``(channels, n)``, float32; whole numbers in the file are divided by the largest one of their type.
        rate: samples in a second, in Hz.
    """

    samples: np.ndarray
    rate: int


def as_fraction(samples: np.ndarray) -> np.ndarray:
    """Bring the numbers of a file to [-1, 1]: bytes lie around 128, other whole numbers around 0.

    Args:
        samples: as they are stored, of any shape.
    Returns:
        The same in float32; whole numbers are divided by the largest one of their type.
    """
    if samples.dtype.kind == "u":
        return ((samples.astype(np.float32) - 128) / 128).astype(np.float32)
    if samples.dtype.kind == "i":
        return (samples / float(2 ** (8 * samples.dtype.itemsize - 1))).astype(np.float32)
    return samples.astype(np.float32)


def read_audio(path: Path | str, cut_short: str = "refuse") -> Audio:
    """Read a WAV file: PCM of 8 to 32 bits or floating point, any number of channels.

    Args:
        path: the file.
        cut_short: what to do with a file that ends before its header says: ``"refuse"``, or ``"keep"`` what is there.
    Returns:
        The samples and their rate.
    Raises:
        InputError: there is no such file, it may not be read, it is no WAV file, it is cut short or holds no samples,
            or samples are not finite.
    """
    path, shown = Path(path), repr(str(path))
    try:
        empty = path.stat().st_size == 0
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"read_audio: {shown} cannot be read ({error.strerror}): check its name.") from error
    wavfile: Any = import_module("scipy.io.wavfile")
    with file, warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        if empty:
            raise InputError(f"read_audio: {shown} is empty: record or copy it anew.")
        try:
            rate, samples = wavfile.read(file)
        except OSError as error:
            raise InputError(f"read_audio: {shown} cannot be read ({error.strerror or error}).") from error
        except _BROKEN as error:
            if "buffer size" in str(error) or "Unexpected end" in str(error) or isinstance(error, struct.error):
                raise InputError(f"read_audio: {shown} is cut short: copy it anew.") from error
            raise InputError(
                f"read_audio: {shown} is not a WAV file that can be read ({str(error).rstrip('.')}): convert it to "
                "PCM of 16 bits."
            ) from error
    if cut_short != "keep" and any("prematurely" in str(note.message) for note in notes):
        raise InputError(f"read_audio: {shown} is cut short: copy it anew.")
    if samples.size == 0 or rate <= 0:
        raise InputError(f"read_audio: {shown} holds no samples: record it anew.")
    found = as_fraction(np.atleast_2d(samples.T))
    if not np.isfinite(found).all():
        raise InputError(f"read_audio: {shown} holds samples that are not finite numbers: convert it anew.")
    return Audio(np.ascontiguousarray(found), int(rate))
