"""Signals from ``.npy`` files, and one clear sentence for every file that is none."""

from pathlib import Path
from tokenize import TokenError

import numpy as np

from statespace.errors import InputError

# What NumPy's reader raises for headers that make no sense, found by changing bytes at random.
_BROKEN = (
    ValueError,
    EOFError,
    SyntaxError,
    TypeError,
    OverflowError,
    MemoryError,
    KeyError,
    RecursionError,
    TokenError,
)


def read_array(path: Path) -> np.ndarray:
    """Read a signal that ``numpy.save`` wrote.

    Args:
        path: the file; no code is run from it.
    Returns:
        The samples, ``(channels, n)``, float32; NaN where something is missing.
    Raises:
        InputError: there is no such file, it is broken, or holds something else than ``(channels, n)`` or ``(n,)``
            numbers that float32 can hold.
    """
    where = f"read_array: {str(path)!r}"
    try:
        with path.open("rb") as file:
            found: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise InputError(f"{where} cannot be read ({error.strerror or 'it is cut short'}): check its name.") from error
    except _BROKEN as error:
        raise InputError(f"{where} is not a whole .npy file of numbers: save it anew with numpy.save.") from error
    if found.ndim not in (1, 2) or found.dtype.kind not in "fiub":
        raise InputError(f"{where} holds {found.dtype} {found.shape}, but numbers (channels, n) or (n,) are expected.")
    if found.size == 0:
        raise InputError(f"{where} holds no samples: record it anew.")
    with np.errstate(over="ignore"):
        samples = np.atleast_2d(found).astype(np.float32)
    if np.isinf(samples).any() or np.isnan(samples).all():
        raise InputError(
            f"{where} holds infinity, values too large for float32, or no number at all: scale or mend it."
        )
    return samples
