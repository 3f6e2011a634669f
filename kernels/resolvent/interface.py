"""The public operation: arguments are checked here, once, then a backend is called."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from statespace.errors import InputError
from statespace.kernels.dense import BACKENDS, check, pick
from statespace.kernels.registration import as_written
from statespace.kernels.resolvent import chunked, native, reference
from statespace.shapes import expect

__all__ = ["BACKENDS", "Resolvent", "resolvent"]
LARGEST = 64  # rows that the native backend takes by default
_RUN: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor, float, float], tuple[Tensor, Tensor, Tensor, Tensor]]] = {
    "native": native.resolvent,
    "chunked": as_written(chunked.resolvent),
    "reference": as_written(reference.resolvent),
}


class Resolvent(NamedTuple):
    """Inverses of ``I - tA``, and what they make of `B` and of `C`.

    Attributes:
        R: ``scale (I - tA)⁻¹ + shift I``, ``(..., n, n)``; NaN, like `RB` and `CR`, where there is none.
        RB: ``(I - tA)⁻¹ B``, ``(..., n, m)``.
        CR: ``C (I - tA)⁻¹``, ``(..., p, n)``.
        singular: ``(...)``, bool: where ``I - tA`` has no inverse, to the last bit.
    """

    R: Tensor
    RB: Tensor
    CR: Tensor
    singular: Tensor


def resolvent(
    A: Tensor,
    B: Tensor,
    C: Tensor,
    t: Tensor | float = 1.0,
    scale: float = 1.0,
    shift: float = 0.0,
    backend: str = "auto",
) -> Resolvent:
    """Invert ``I - tA`` for many matrices, and apply the inverse to a matrix on its right and one on its left.

    ``R = scale (I - tA)⁻¹ + shift I``, ``RB = (I - tA)⁻¹ B``, ``CR = C (I - tA)⁻¹``, by elimination with partial
    pivoting. With a scale of 2 and a shift of -1, `R` is Cayley's transform, ``(I - tA)⁻¹ (I + tA)``.

    Args:
        A: ``(..., n, n)``, float32, float64, complex64 or complex128, in 1/s.
        B: ``(..., n, m)``, of `A`'s dtype, in any unit.
        C: ``(..., p, n)``, of `A`'s dtype, in any unit.
        t: times in s, real; a number, or a tensor that broadcasts with the leading axes.
        scale: factor of the inverse in `R`, not 0; no unit.
        shift: multiple of the identity in `R`; no unit.
        backend: ``native`` (compiled; CPU, real), ``chunked`` (portable), ``reference`` (slow), or ``auto`` for the
            first of them that can.
    Returns:
        The inverse and both products, all with the same leading axes.
    Raises:
        ShapeError: `A` is not square, the matrices disagree on n, or the leading axes do not broadcast.
        InputError: a dtype, a device, the scale or the backend cannot be used.
    Source:
        Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, SIAM 2002, section 14.4 (Gauss and Jordan's
        elimination).
    """
    sizes: dict[str, int] = {}
    expect("resolvent", "A", A, "... n n", sizes)
    expect("resolvent", "B", B, "... n m", sizes, "B has a row for each row of A; a vector is one column, (n, 1).")
    expect("resolvent", "C", C, "... p n", sizes, "C has a column for each column of A; a vector is one row, (1, n).")
    if scale == 0:
        raise InputError("resolvent: scale is 0, but R is asked for: pass the factor of the inverse.")
    leading, t = check("resolvent", t, A=A, B=B, C=C)
    run = _RUN[pick("resolvent", backend, A, LARGEST)]
    A, B, C = (matrix.expand(*leading, *matrix.shape[-2:]) for matrix in (A, B, C))
    return Resolvent(*run(A, B, C, t.expand(leading), scale, shift))
