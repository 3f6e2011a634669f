"""A system with a diagonal state matrix, all of its eigenvalues or one of each conjugate pair."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from statespace.discretization import discretize as discretize_matrices
from statespace.discretization import find_method
from statespace.errors import InputError
from statespace.shapes import expect
from statespace.systems._arguments import leading
from statespace.systems.dense import StateSpace
from statespace.systems.system import Origin, System


@dataclass(frozen=True, eq=False, repr=False)
class Diagonal(System):
    """A linear system whose states do not touch one another: ``x_k' = A_k x_k + B_k u, y = C x + D u``.

    With ``pairs=True`` each eigenvalue stands for itself and its conjugate, and the output is ``2 Re(C x) + D u``: half
    the states of a real system do. A real eigenvalue then stands for two equal ones.

    Args:
        A: eigenvalues, ``(..., n)``, in 1/s; no unit in discrete time.
        B: input matrix, ``(..., n, m)``, in state units per (input unit x s); in discrete time per input unit.
        C: output matrix, ``(..., p, n)``, in output units per state unit.
        D: feed-through, ``(..., p, m)``, in output units per input unit; zero if left out; real with `pairs`.
        dt: step in s of a discrete system; None for a continuous one.
        pairs: whether one of each conjugate pair is given.
        origin: where a discrete system comes from; `discretize` fills it in.
    Raises:
        ShapeError: the matrices disagree on a size.
        InputError: a matrix is not made of numbers, `dt` is not positive, or `D` is complex beside `pairs`.
    """

    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor = None  # type: ignore[assignment]  # zero if left out, and a tensor from __post_init__ on
    dt: Tensor | float | None = None
    pairs: bool = False
    origin: Origin | None = None

    def __post_init__(self) -> None:
        where = "Diagonal"
        given = self._settle(where, A=self.A, B=self.B, C=self.C, D=self.D)
        sizes: dict[str, int] = {}
        expect(where, "A", given["A"], "... n", sizes, "A holds the eigenvalues alone, not a matrix.")
        expect(
            where, "B", given["B"], "... n m", sizes, "B has a row for each eigenvalue; a matrix A makes a StateSpace."
        )
        expect(where, "C", given["C"], "... p n", sizes, "C has a column for each eigenvalue.")
        given.setdefault("D", given["B"].new_zeros(sizes["p"], sizes["m"]))
        expect(
            where, "D", given["D"], "... p m", sizes, "D has a row for each row of C and a column for each column of B."
        )
        if self.pairs and given["D"].is_complex() and bool((given["D"].detach().imag != 0).any()):
            raise InputError(f"{where}: D is complex, but with pairs=True the system is real: pass D.real.")
        batch = leading(self.dt, given["A"][..., None], given["B"], given["C"], given["D"])
        spread = {name: matrix.expand(*batch, *matrix.shape[-2:]) for name, matrix in given.items() if name != "A"}
        self._set(A=given["A"].expand(*batch, sizes["n"]), **spread)

    def to_dense(self) -> StateSpace:
        """Return the dense form; with `pairs` it is real, with two states ``Re x, Im x`` for each eigenvalue."""
        if not self.pairs:
            return StateSpace(torch.diag_embed(self.A), self.B, self.C, self.D, self.dt)
        re, im = self.A.real, self.A.imag if self.A.is_complex() else torch.zeros_like(self.A)
        upper = torch.cat([torch.diag_embed(re), torch.diag_embed(-im)], -1)
        lower = torch.cat([torch.diag_embed(im), torch.diag_embed(re)], -1)
        B, C = (matrix.to(matrix.dtype.to_complex()) for matrix in (self.B, self.C))
        return StateSpace(
            torch.cat([upper, lower], -2),
            torch.cat([B.real, B.imag], -2),
            torch.cat([2 * C.real, -2 * C.imag], -1),
            self.D.real,
            self.dt,
        )

    def discretize(self, dt: Tensor | float, method: str = "zoh", alpha: float | Tensor | None = None) -> "Diagonal":
        """Return the discrete counterpart, eigenvalue by eigenvalue; see `System.discretize`."""
        self._expect_continuous()
        # A pair's share of the feed-through is 2 Re(C ... B), which the method must not see as complex.
        double = 2 * self.C if self.pairs else self.C
        found = discretize_matrices(self.A, self.B, double, self.D, dt, method, alpha, diagonal=True)
        C = found.C / 2 if self.pairs else found.C
        D = found.D.real.to(found.D.dtype) if self.pairs else found.D
        origin = Origin(self, find_method("discretize", method).name, alpha)
        return replace(self, A=found.A, B=found.B, C=C, D=D, dt=dt, origin=origin)

    def transfer(self, s: Tensor) -> Tensor:
        """Return ``C (s I - A)⁻¹ B + D``, in O(n) for each point; see `System.transfer`."""
        wide = self.A.dtype.to_complex()
        points = s.to(wide)[..., None]

        def half(A: Tensor, B: Tensor, C: Tensor) -> Tensor:
            distance = points - A[..., None, :].to(wide)  # (..., w, n)
            if bool((distance.detach() == 0).any()):
                raise InputError(
                    "frequency_response: a pole lies on one of the frequencies, where the gain is infinite: move it."
                )
            return (C[..., None, :, :] / distance[..., None, :]) @ B[..., None, :, :].to(wide)

        G = half(self.A, self.B, self.C)
        if self.pairs:
            G = G + half(*(matrix.conj() for matrix in (self.A, self.B, self.C)))
        return G + self.D[..., None, :, :]
