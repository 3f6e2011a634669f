"""What a training is told by: the same version, parameters and data give the same bits."""

from collections.abc import Iterable
from hashlib import sha256

from torch import Tensor

from statespace.version import __version__


def fingerprint(parameters: object, tensors: Iterable[Tensor | None]) -> str:
    """Return what a training by this version, with these parameters and data, is told by.

    Args:
        parameters: whatever decides the result, with a `repr` that is the same in every process.
        tensors: the data, in order, on the CPU; ``None`` where there is nothing.
    Returns:
        SHA-256 of all, as 64 digits.
    """
    digest = sha256(repr((__version__, parameters)).encode())
    for tensor in tensors:
        digest.update(b"-" if tensor is None else tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
