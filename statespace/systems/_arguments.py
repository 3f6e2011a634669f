"""What the systems accept as a matrix and as a step, checked once."""

from math import isfinite

import numpy as np
import torch
from torch import Tensor

from statespace.discretization._arguments import TYPES, as_number, values_can_be_read
from statespace.errors import InputError, ShapeError


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


def as_time_step(where: str, dt: object) -> Tensor | float | None:
    """Return the step that a system is given.

    Args:
        where: the function that was called, for the message.
        dt: a number, a tensor, an array, a list, or None.
    Returns:
        The step: None, a number, or a tensor.
    Raises:
        InputError: it is no number, not real, or not positive and finite.
    """
    if dt is None:
        return None
    if isinstance(dt, list | tuple | np.ndarray):
        dt = as_tensor(where, "dt", dt)
    if isinstance(dt, Tensor):
        if dt.is_complex() or dt.dtype is torch.bool:
            raise InputError(f"{where}: dt is {dt.dtype}, but a real time step is expected: pass seconds.")
        if not values_can_be_read(dt):
            return dt
        good = bool((torch.isfinite(dt) & (dt > 0)).all())
    else:
        number = as_number(dt)
        if number is None:
            raise InputError(f"{where}: dt is {dt!r:.80}, but a positive number of seconds is expected.")
        dt = number
        good = isfinite(dt) and dt > 0
    if not good:
        came = dt.tolist() if isinstance(dt, Tensor) else dt
        came = came[0] if isinstance(came, list) and len(came) == 1 else came
        raise InputError(
            f"{where}: dt is {came}, but a positive finite time step is expected: pass seconds > 0, or None for a "
            "continuous system."
        )
    return dt


def leading(dt: Tensor | float | None, *tensors: Tensor) -> torch.Size:
    """Return the common leading axes of a step and of matrices, or raise a helpful error."""
    steps = dt.shape if isinstance(dt, Tensor) else ()
    try:
        return torch.Size(torch.broadcast_shapes(steps, *(tensor.shape[:-2] for tensor in tensors)))
    except RuntimeError as error:
        given = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
        if steps:
            given += f" and of dt {tuple(steps)}"
        raise ShapeError(
            f"system: the leading axes of {given} do not broadcast: give each the same, or none."
        ) from error
