"""What the systems accept as a matrix and as a step, checked once."""

from math import isfinite

import numpy as np
import torch
from torch import Tensor

from statespace.discretization._arguments import TYPES, values_can_be_read
from statespace.errors import InputError


def as_tensor(where: str, name: str, matrix: object) -> Tensor:
    """Return a matrix as a tensor of a floating type.

    Args:
        where: the function that was called, for the message.
        name: the argument's name.
        matrix: a tensor, an array or nested lists; what is not floating becomes float64.
    Returns:
        The tensor.
    Raises:
        InputError: it is none of these, or of a type that is not calculated in.
    """
    if isinstance(matrix, Tensor):
        tensor = matrix
    else:
        try:
            array = np.asarray(matrix)
            if array.dtype.kind in "iub":
                array = array.astype(np.float64)
            tensor = torch.as_tensor(array.copy())
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{where}: {name} is {matrix!r:.80}, but a tensor, an array or rows of numbers of equal length "
                "are expected."
            ) from error
    if tensor.dtype not in TYPES:
        if tensor.is_floating_point() or tensor.is_complex():
            raise InputError(
                f"{where}: {name} is {tensor.dtype}, but float32, float64, complex64 or complex128 is expected: "
                f"pass {name}.to(torch.float64)."
            )
        tensor = tensor.to(torch.float64)
    return tensor


def check_time_step(where: str, dt: Tensor | float | None) -> None:
    """Check the step that a system is given.

    Args:
        where: the function that was called, for the message.
        dt: a number, a tensor, or None.
    Raises:
        InputError: a number that is not positive and finite, or a tensor that is complex or not so.
    """
    if dt is None:
        return
    if isinstance(dt, Tensor):
        if dt.is_complex():
            raise InputError(f"{where}: dt is {dt.dtype}, but a real time step is expected: pass dt.real.")
        if not values_can_be_read(dt):
            return
        good = bool((torch.isfinite(dt) & (dt > 0)).all())
    else:
        try:
            good = isfinite(dt) and dt > 0
        except TypeError as error:
            raise InputError(f"{where}: dt is {dt!r}, but a positive number of seconds is expected.") from error
    if not good:
        raise InputError(
            f"{where}: dt is {dt}, but a positive finite time step is expected: pass seconds > 0, or None for a "
            "continuous system."
        )
