"""What the operations on many dense matrices ask of their arguments, and which backend they take."""

import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.kernels import dispatch, native
from statespace.shapes import broadcast, expect_tensor

BACKENDS = ("native", "chunked", "reference")  # fastest first
_REAL = {
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.complex64: torch.float32,
    torch.complex128: torch.float64,
}


def pick(where: str, backend: str, A: Tensor, largest: int) -> str:
    """Return the backend for a batch of matrices.

    Args:
        where: the operation that was called, for the message.
        backend: what was asked for, ``auto`` or one of `BACKENDS`.
        A: the matrices.
        largest: rows beyond which ``auto`` leaves matrices to torch, whose own products and inverses are then faster.
    Returns:
        One of `BACKENDS`.
    Raises:
        InputError: the backend is unknown, not there, or cannot take such matrices; the message says why.
    """
    refusal = native.why_refused(A.device.type)
    if A.is_complex():
        refusal = f"it computes in float32 and float64, and A is {A.dtype}."
    if backend == "auto" and A.shape[-1] > largest and dispatch.leaves_to(backend, "chunked"):
        return "chunked"
    return dispatch.pick(where, backend, dict.fromkeys(BACKENDS) | {"native": refusal})


def check(where: str, t: Tensor | float, **matrices: Tensor) -> tuple[torch.Size, Tensor]:
    """Check that matrices and times go together.

    Args:
        where: the operation that was called, for the messages.
        t: times; a number or a real tensor.
        matrices: the matrices by name, ``(..., rows, columns)``, the first one called ``A``.
    Returns:
        The leading axes of all, broadcast together, and `t` as a tensor of the matrices' precision.
    Raises:
        ShapeError: the leading axes do not broadcast.
        InputError: a dtype or a device differs, or cannot be used.
    """
    A = matrices["A"]
    for name, matrix in matrices.items():
        if matrix.dtype not in _REAL or matrix.dtype != A.dtype:
            raise InputError(
                f"{where}: {name} is {matrix.dtype} and A is {A.dtype}, but one of float32, float64, complex64 and "
                "complex128 is expected for all: convert them with .to(torch.float64)."
            )
        if matrix.device != A.device:
            raise InputError(f"{where}: {name} is on {matrix.device} but A on {A.device}: use {name}.to(A.device).")
    if t is None or hasattr(t, "__len__"):  # no number
        expect_tensor(where, "t", t)
    if isinstance(t, Tensor):
        if t.is_complex() or t.dtype is torch.bool:
            raise InputError(f"{where}: t is {t.dtype}, but real times are expected: pass t.real or a float.")
        if t.device != A.device and t.device.type != "cpu":  # from there, a few numbers come without a word
            raise InputError(f"{where}: t is on {t.device} but A on {A.device}: use t.to(A.device).")
        t = t.to(device=A.device, dtype=_REAL[A.dtype])
    else:
        t = torch.full((), t, dtype=_REAL[A.dtype], device=A.device)
    shapes = {name: matrix.shape[:-2] for name, matrix in matrices.items()} | {"t": t.shape}
    try:
        return broadcast(*shapes.values()), t
    except RuntimeError as error:
        given = ", ".join(f"{name} has {tuple(shape)}" for name, shape in shapes.items())
        raise ShapeError(
            f"{where}: the leading axes do not broadcast: {given}. "
            "Give each the same leading axes, axes of size 1, or none."
        ) from error
