"""A system with a dense state matrix, and its making from other descriptions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from statespace.discretization import discretize as discretize_matrices
from statespace.discretization import find_method
from statespace.errors import InputError
from statespace.shapes import expect
from statespace.systems._arguments import as_tensor, leading
from statespace.systems.system import Origin, System

Numbers = Tensor | Sequence[float] | np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class StateSpace(System):
    """A linear system with dense matrices: ``x' = A x + B u, y = C x + D u``, or with steps of ``dt``.

    Tensors keep their type and device; arrays and nested lists become tensors, whole numbers float64. All matrices
    are brought to the smallest type that holds them. A tensor is not copied, so that a system of parameters follows
    them while they are learnt: pass a clone of one that is to be changed in place.

    Args:
        A: state matrix, ``(..., n, n)``, in 1/s; no unit in discrete time.
        B: input matrix, ``(..., n, m)``, in state units per (input unit x s); in discrete time per input unit.
        C: output matrix, ``(..., p, n)``, in output units per state unit.
        D: feed-through, ``(..., p, m)``, in output units per input unit; zero if left out or 0.
        dt: step in s of a discrete system; None for a continuous one.
        origin: where a discrete system comes from; `discretize` fills it in.
    Raises:
        ShapeError: `A` is not square, or the matrices disagree on a size.
        InputError: a matrix is not made of numbers, or `dt` is not positive.
    """

    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor = None  # type: ignore[assignment]  # zero if left out, and a tensor from __post_init__ on
    dt: Tensor | float | None = None
    origin: Origin | None = None

    def __post_init__(self) -> None:
        where = "StateSpace"
        given = self._settle(where, A=self.A, B=self.B, C=self.C, D=self.D)
        sizes: dict[str, int] = {}
        expect(where, "A", given["A"], "... n n", sizes, "A must be square; eigenvalues alone make a Diagonal.")
        expect(
            where,
            "B",
            given["B"],
            "... n m",
            sizes,
            "B has a row for each state; a single input is one column, (n, 1).",
        )
        expect(
            where,
            "C",
            given["C"],
            "... p n",
            sizes,
            "C has a column for each state; a single output is one row, (1, n).",
        )
        given.setdefault("D", given["A"].new_zeros(sizes["p"], sizes["m"]))
        expect(
            where, "D", given["D"], "... p m", sizes, "D has a row for each row of C and a column for each column of B."
        )
        batch = leading(self.dt, *given.values())
        self._set(**{name: matrix.expand(*batch, *matrix.shape[-2:]) for name, matrix in given.items()})

    @classmethod
    def from_transfer_function(cls, num: Numbers, den: Numbers, dt: Tensor | float | None = None) -> "StateSpace":
        """Return the system of a ratio of polynomials, in the controller form that SciPy's ``tf2ss`` gives.

        Args:
            num: coefficients of the numerator, highest power first, ``(k,)``, or ``(p, k)`` for several outputs.
            den: coefficients of the denominator, highest power first, ``(n + 1,)``.
            dt: step in s of a discrete system.
        Returns:
            The system, with one input.
        Raises:
            InputError: the denominator is zero, or shorter than the numerator.
        Source:
            Kailath, Linear Systems, 1980, section 2.1 (controller canonical form).
        """
        where = "StateSpace.from_transfer_function"
        top, bottom = as_tensor(where, "num", num), as_tensor(where, "den", den)
        dtype = torch.promote_types(top.dtype, bottom.dtype)
        top, bottom = torch.atleast_2d(top).to(dtype), torch.atleast_1d(bottom).to(dtype)
        if bottom.ndim > 1 or not bool((bottom != 0).any()):
            raise InputError(f"{where}: den is {bottom.tolist()}, but one polynomial that is not zero is expected.")
        bottom = bottom[int(bottom.nonzero()[0]) :]
        used = (top != 0).any(0).nonzero()
        top = top[:, int(used[0]) :] if len(used) else top[:, -1:]
        n = len(bottom) - 1
        if top.shape[1] > n + 1:
            raise InputError(
                f"{where}: the numerator has degree {top.shape[1] - 1} and the denominator {n}: a system that "
                "differentiates its input has no state space form; give the denominator at least that degree."
            )
        top = torch.cat([top.new_zeros(len(top), n + 1 - top.shape[1]), top], 1) / bottom[0]
        bottom = bottom / bottom[0]
        D = top[:, :1]
        shift = torch.eye(n, dtype=dtype, device=bottom.device)
        A = torch.cat([-bottom[None, 1:], shift[:-1]]) if n else shift
        return (
            cls(A, shift[:, :1], top[:, 1:] - D * bottom[1:], D, dt)
            if n
            else cls(A, top.new_zeros(0, 1), top.new_zeros(len(top), 0), D, dt)
        )

    @classmethod
    def from_zpk(cls, z: Numbers, p: Numbers, k: float, dt: Tensor | float | None = None) -> "StateSpace":
        """Return the system of zeros, poles and a gain, in the form that SciPy's ``zpk2ss`` gives.

        By way of the polynomials, whose coefficients lose digits from some twenty poles on.

        Args:
            z: zeros, in rad/s, complex ones in conjugate pairs.
            p: poles, likewise.
            k: gain, in output units per input unit (times rad/s for each pole in excess).
            dt: step in s of a discrete system, whose zeros and poles have no unit.
        Returns:
            The system, real, with one input and one output.
        Raises:
            InputError: complex zeros or poles come without their conjugates.
        """
        where = "StateSpace.from_zpk"
        gain = as_tensor(where, "k", k)
        if gain.numel() != 1 or gain.is_complex():
            raise InputError(f"{where}: k is {k!r:.80}, but one real number is expected.")
        num, den = (_polynomial(where, name, roots) for name, roots in (("z", z), ("p", p)))
        return cls.from_transfer_function(gain.reshape(()).to(num) * num, den, dt)

    def to_dense(self) -> "StateSpace":
        """Return the system itself."""
        return self

    def discretize(self, dt: Tensor | float, method: str = "zoh", alpha: float | Tensor | None = None) -> "StateSpace":
        """Return the discrete counterpart; see `System.discretize`."""
        self._expect_continuous()
        found = discretize_matrices(self.A, self.B, self.C, self.D, dt, method, alpha)
        return StateSpace(*found, dt, Origin(self, find_method("discretize", method).name, alpha))

    def transfer(self, s: Tensor) -> Tensor:
        """Return ``C (s I - A)⁻¹ B + D``; see `System.transfer`."""
        wide = self.A.dtype.to_complex()
        A, B, C, D = (matrix[..., None, :, :].to(wide) for matrix in (self.A, self.B, self.C, self.D))
        eye = torch.eye(self.n, dtype=wide, device=A.device)
        X, info = torch.linalg.solve_ex(s.to(wide)[..., None, None] * eye - A, B)
        if bool((info != 0).any()):
            raise InputError(
                "frequency_response: a pole lies on one of the frequencies, where the gain is infinite: move it."
            )
        G: Tensor = C @ X + D
        return G


def _polynomial(where: str, name: str, roots: Numbers) -> Tensor:
    values = torch.atleast_1d(as_tensor(where, name, roots)).flatten()
    coefficients = torch.ones(1, dtype=values.dtype.to_complex(), device=values.device)
    for root in values:
        padded = torch.cat([coefficients, coefficients.new_zeros(1)])
        coefficients = padded - root * torch.cat([coefficients.new_zeros(1), coefficients])
    size = coefficients.abs().max()
    if bool((coefficients.imag.abs() > 1e-8 * size).any()):
        raise InputError(f"{where}: {name} holds complex numbers without their conjugates: a real system needs both.")
    return coefficients.real
