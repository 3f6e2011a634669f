"""The public operations: arguments are checked here, once, then a backend is called."""

from collections.abc import Callable

from torch import Tensor

from statespace.errors import InputError
from statespace.kernels.dense import BACKENDS, check, pick
from statespace.kernels.expm import chunked, native, reference
from statespace.kernels.registration import as_written
from statespace.shapes import expect, expect_tensor

__all__ = ["BACKENDS", "expm", "expm_phi"]
LARGEST = 128  # rows that the native backend takes by default
_RUN: dict[str, Callable[[Tensor, Tensor, Tensor, int], tuple[Tensor, Tensor]]] = {
    "native": native.expm_phi,
    "chunked": as_written(chunked.expm_phi),
    "reference": as_written(reference.expm_phi),
}


def expm_phi(
    A: Tensor, B: Tensor, t: Tensor | float = 1.0, order: int = 1, backend: str = "auto"
) -> tuple[Tensor, Tensor]:
    """Return the exponentials of many matrices, and their integrals applied to a matrix each.

    ``E = exp(tA)``, ``F = [phi_1(tA) tB, phi_2(tA) tB]`` with ``phi_1(z) = (exp(z) - 1) / z`` and
    ``phi_2(z) = (phi_1(z) - 1) / z``: for ``x' = A x + B u`` they take the state, a constant input and the slope of an
    input over a step t. `A` is never inverted. Backward errors are of the order of the unit roundoff, relative to `A`
    and to `B` each: neither small entries beside the identity nor those of a large `B` cost digits.

    Args:
        A: ``(..., n, n)``, float32, float64, complex64 or complex128, in 1/s.
        B: ``(..., n, m)``, of `A`'s dtype, in state units per (input unit x s).
        t: times in s, real; a number, or a tensor that broadcasts with the leading axes.
        order: how many integrals: 0 (then `F` is empty), 1 or 2.
        backend: ``native`` (compiled; CPU, real), ``chunked`` (portable), ``reference`` (slow), or ``auto`` for the
            first of them that can.
    Returns:
        E: ``(..., n, n)``, no unit; NaN for a matrix that is not finite.
        F: ``(..., n, order m)``, in state units per input unit.
    Raises:
        ShapeError: `A` is not square, `A` and `B` disagree on n, or the leading axes do not broadcast.
        InputError: a dtype, a device, the order or the backend cannot be used.
    Source:
        Al-Mohy and Higham, SIAM J. Scientific Computing 33(2), 2011, 488-511, theorem 2.1 (the integrals); Sastre,
        Ibáñez and Defez, Applied Mathematics and Computation 340, 2019, 206-220 (the polynomials of the native
        backend); Higham, SIAM J. Matrix Analysis and Applications 26(4), 2005, 1179-1193 (the chunked one).
    """
    sizes: dict[str, int] = {}
    expect("expm_phi", "A", A, "... n n", sizes)
    expect("expm_phi", "B", B, "... n m", sizes, "B has a row for each row of A; a vector is one column, (n, 1).")
    if order not in (0, 1, 2):
        raise InputError(f"expm_phi: order is {order!r}, but 0, 1 or 2 integrals are expected.")
    leading, t = check("expm_phi", t, A=A, B=B)
    run = _RUN[pick("expm_phi", backend, A, LARGEST)]
    return run(A.expand(*leading, *A.shape[-2:]), B.expand(*leading, *B.shape[-2:]), t.expand(leading), order)


def expm(A: Tensor, t: Tensor | float = 1.0, backend: str = "auto") -> Tensor:
    """Return the exponentials of many matrices, ``exp(tA) = 1 + tA + (tA)²/2! + ...``.

    Args:
        A: ``(..., n, n)``, float32, float64, complex64 or complex128, in 1/s.
        t: times in s, real; a number, or a tensor that broadcasts with the leading axes.
        backend: as in `expm_phi`.
    Returns:
        ``exp(tA)``, ``(..., n, n)``, no unit; NaN for a matrix that is not finite.
    Raises:
        ShapeError: `A` is not square, or the leading axes do not broadcast.
        InputError: the dtype, the device or the backend cannot be used.
    Source:
        As `expm_phi`.
    """
    expect_tensor("expm", "A", A)
    return expm_phi(A, A[..., :0], t, 0, backend)[0]
