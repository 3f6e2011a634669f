"""What all discretizations ask of their arguments: checked once, in one type, with one step per system."""

import cmath
from functools import reduce
from math import inf, isfinite
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.shapes import broadcast, expect

# The types that are calculated in, each with the real type of the same precision, which `dt` takes.
TYPES = {
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.complex64: torch.float32,
    torch.complex128: torch.float64,
}


class Arguments(NamedTuple):
    """The checked arguments: matrices of one type, `dt` as a real tensor, and the leading axes of the result."""

    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor
    dt: Tensor
    leading: torch.Size

    def spread(self, matrix: Tensor) -> Tensor:
        """Give `matrix` the leading axes of the result; a view, nothing is copied."""
        shape = self.leading + matrix.shape[-2:]
        return matrix if matrix.shape == shape else matrix.expand(shape)


def values_can_be_read(tensor: Tensor) -> bool:
    """Tell whether a check may look at the values of `tensor` at no cost.

    Not while a graph is traced, where a value cannot steer Python, and not on an accelerator, where reading one
    would stall the queue in every training step.
    """
    return not torch.compiler.is_compiling() and tensor.device.type == "cpu" and tensor.numel() > 0


def as_number(value: object) -> float | None:
    """Return a real number as a float, or None for what is no number: words and truth values among them."""
    if isinstance(value, str | bool):
        return None
    try:
        return float(value)  # type: ignore[arg-type]  # the question is whether it can be done
    except (TypeError, ValueError):
        return None


def surely_not_finite(*tensors: Tensor) -> bool:
    """Tell whether one of the tensors is known to hold a NaN or an infinity.

    False where the values may not be looked at. A sum tells in most cases, at the cost of reading the tensor once.
    """
    for tensor in tensors:
        values = tensor.detach()
        try:
            if not values_can_be_read(values):
                continue
            # By numpy, in this thread: waking others up for it can take longer than all the rest.
            with np.errstate(all="ignore"):
                total = complex(values.resolve_conj().resolve_neg().numpy().sum())
            if cmath.isfinite(total):
                continue
            if not bool(values.isfinite().all()):
                return True
        except RuntimeError:  # vmap and fake tensors refuse to let a value steer Python
            return False
    return False


def _check_step(where: str, dt: Tensor) -> None:
    if dt.is_complex() or dt.dtype is torch.bool:
        raise InputError(f"{where}: dt is {dt.dtype}, but a real time step is expected: pass dt.real or a float.")
    if not values_can_be_read(dt):
        return
    # One pass over dt: aminmax hands a NaN on, and no comparison with NaN holds.
    low, high = torch.aminmax(dt.detach())
    try:
        positive = bool((low > 0) & (high < inf))
    except RuntimeError:  # vmap and fake tensors refuse to let a value steer Python
        return
    if not positive:
        came = f"{dt.item()}" if dt.ndim == 0 else f"a tensor with values from {low.item()} to {high.item()}"
        raise InputError(
            f"{where}: dt is {came}, but positive finite time steps are expected: "
            "pass softplus(dt) or exp(log_dt) where it is learnt."
        )


def _step(where: str, dt: object, like: Tensor) -> Tensor:
    if isinstance(dt, list | tuple | np.ndarray):
        try:
            dt = torch.as_tensor(np.asarray(dt))
        except (TypeError, ValueError) as error:
            raise InputError(f"{where}: dt is {dt!r:.80}, but numbers of seconds are expected.") from error
    if not isinstance(dt, Tensor):
        step = as_number(dt)
        if step is None:
            raise InputError(f"{where}: dt is {dt!r:.80}, but a number or a tensor of time steps is expected.")
        if not (isfinite(step) and step > 0):
            raise InputError(f"{where}: dt is {step}, but a positive finite time step is expected: pass seconds > 0.")
        return torch.full((), step, dtype=TYPES[like.dtype], device=like.device)
    _check_step(where, dt)
    return dt.to(device=like.device, dtype=TYPES[like.dtype])


def check(where: str, A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float, diagonal: bool) -> Arguments:
    """Check the arguments of a discretization and bring them to one type.

    Args:
        where: the function that was called, for the messages.
        A: state matrix ``(..., n, n)``, or its diagonal ``(..., n)``, in 1/s.
        B: input matrix, ``(..., n, m)``.
        C: output matrix, ``(..., p, n)``.
        D: feed-through, ``(..., p, m)``.
        dt: step in s; a number or a tensor that broadcasts with the leading axes.
        diagonal: whether `A` is a diagonal.
    Returns:
        The arguments in the smallest type that holds all four matrices; `dt` in the real type of the same precision.
    Raises:
        ShapeError: `A` is not square, the matrices disagree on a size, or the leading axes do not broadcast.
        InputError: an argument is no tensor of a floating type, or `dt` is not positive and finite.
    """
    matrices = {"A": A, "B": B, "C": C, "D": D}
    for name, matrix in matrices.items():
        if not isinstance(matrix, Tensor):
            raise InputError(
                f"{where}: {name} is a {type(matrix).__name__}, but a torch tensor is expected: "
                f"pass torch.as_tensor({name}, dtype=torch.float64)."
            )
        if matrix.dtype not in TYPES:
            raise InputError(
                f"{where}: {name} is {matrix.dtype}, but float32, float64, complex64 or complex128 is expected: "
                f"pass {name}.to(torch.float64)."
            )
    sizes: dict[str, int] = {}
    if diagonal:
        expect(where, "A", A, "... n", sizes, "A holds the eigenvalues alone, not a matrix.")
    else:
        expect(where, "A", A, "... n n", sizes, "A must be square; eigenvalues alone go to the diagonal form.")
    expect(where, "B", B, "... n m", sizes, "B has a row for each state; a single input is one column, (n, 1).")
    expect(where, "C", C, "... p n", sizes, "C has a column for each state; a single output is one row, (1, n).")
    expect(where, "D", D, "... p m", sizes, "D has a row for each row of C and a column for each column of B.")
    if not A.dtype == B.dtype == C.dtype == D.dtype:
        dtype = reduce(torch.promote_types, (matrix.dtype for matrix in matrices.values()))
        A, B, C, D = (matrix.to(dtype) for matrix in matrices.values())
    step = _step(where, dt, A)
    axes = {"A": A.shape[: -1 if diagonal else -2], "B": B.shape[:-2], "C": C.shape[:-2], "D": D.shape[:-2]}
    axes["dt"] = step.shape
    try:
        leading = broadcast(*axes.values())
    except RuntimeError as error:
        given = ", ".join(f"{name} has {tuple(shape)}" for name, shape in axes.items())
        raise ShapeError(
            f"{where}: the leading axes do not broadcast: {given}. "
            "Give each the same leading axes, axes of size 1, or none."
        ) from error
    return Arguments(A, B, C, D, step, leading)


def check_alpha(where: str, alpha: Tensor | float | None) -> Tensor | float:
    """Check the weight of the end of a step.

    Args:
        where: the function that was called, for the message.
        alpha: a number or a tensor of one value, from 0 to 1.
    Returns:
        `alpha`, as a float unless it is a tensor.
    Raises:
        InputError: `alpha` is missing, no real number, or outside of [0, 1].
    """
    meaning = "0 is Euler, 0.5 the trapezoidal rule, 1 backward differences"
    if alpha is None:
        raise InputError(f"{where}: alpha is missing: pass a number from 0 to 1 ({meaning}).")
    if isinstance(alpha, Tensor):
        if alpha.ndim or not alpha.is_floating_point():
            raise InputError(f"{where}: alpha is {tuple(alpha.shape)} {alpha.dtype}, but one real number is expected.")
        if not values_can_be_read(alpha):
            return alpha
    try:
        value = float(alpha)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: alpha is {alpha!r}, but a number from 0 to 1 is expected ({meaning}).") from error
    if not 0 <= value <= 1:
        raise InputError(f"{where}: alpha is {value}, but a number from 0 to 1 is expected ({meaning}).")
    return alpha if isinstance(alpha, Tensor) else value
