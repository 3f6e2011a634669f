"""A system whose state matrix is diagonal plus low rank, the form of HiPPO and S4.

The rules that are rational in `A` (gbt and its cases) keep the form: with ``R = (I - alpha dt A)⁻¹``, which by
Woodbury's identity is again diagonal less low rank, ``Abar = (R - (1 - alpha) I) / alpha``. So they cost O(n r²)
instead of O(n³). The exponential keeps no such form, and the other methods give a dense system.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from statespace.discretization import discretize as discretize_matrices
from statespace.discretization import find_method
from statespace.discretization._arguments import check_alpha
from statespace.errors import InputError
from statespace.shapes import expect
from statespace.systems._arguments import as_time_step, leading
from statespace.systems.dense import StateSpace
from statespace.systems.system import Origin, System

RATIONAL = {"bilinear": 0.5, "euler": 0.0, "backward_diff": 1.0}


@dataclass(frozen=True, eq=False, repr=False)
class DPLR(System):
    """A linear system with ``A = diag(Lambda) - P Qᴴ``.

    All states are given, both of each conjugate pair: the low-rank term leads from each to every other, so that one of
    each pair, which is enough for `Diagonal`, would be no system of its own.

    Args:
        Lambda: the diagonal, ``(..., n)``, in 1/s; no unit in discrete time.
        P: left factor, ``(..., n, r)``; P and Q together in 1/s.
        B: input matrix, ``(..., n, m)``, in state units per (input unit x s); in discrete time per input unit.
        C: output matrix, ``(..., p, n)``, in output units per state unit.
        D: feed-through, ``(..., p, m)``, in output units per input unit; zero if left out.
        Q: right factor, ``(..., n, r)``; `P` if left out, as HiPPO has it.
        dt: step in s of a discrete system; None for a continuous one.
        origin: where a discrete system comes from; `discretize` fills it in.
    Raises:
        ShapeError: the matrices disagree on a size.
        InputError: a matrix is not made of numbers, or `dt` is not positive.
    Source:
        Gu, Goel and Ré, Efficiently Modeling Long Sequences with Structured State Spaces, 2022, section 3.
    """

    Lambda: Tensor
    P: Tensor
    B: Tensor
    C: Tensor
    D: Tensor = None  # type: ignore[assignment]  # zero if left out, and a tensor from __post_init__ on
    Q: Tensor = None  # type: ignore[assignment]  # P if left out
    dt: Tensor | float | None = None
    origin: Origin | None = None

    def __post_init__(self) -> None:
        where = "DPLR"
        Q = self.P if self.Q is None else self.Q
        given = self._settle(where, Lambda=self.Lambda, P=self.P, Q=Q, B=self.B, C=self.C, D=self.D)
        sizes: dict[str, int] = {}
        expect(where, "Lambda", given["Lambda"], "... n", sizes, "Lambda is the diagonal alone.")
        for name in ("P", "Q"):
            expect(
                where, name, given[name], "... n r", sizes, f"{name} has a row for each state; rank 1 is one column."
            )
        expect(where, "B", given["B"], "... n m", sizes, "B has a row for each state; a single input is one column.")
        expect(where, "C", given["C"], "... p n", sizes, "C has a column for each state; a single output is one row.")
        given.setdefault("D", given["B"].new_zeros(sizes["p"], sizes["m"]))
        expect(
            where, "D", given["D"], "... p m", sizes, "D has a row for each row of C and a column for each column of B."
        )
        diagonal = given.pop("Lambda")
        batch = leading(self.dt, diagonal[..., None], *given.values())
        spread = {name: matrix.expand(*batch, *matrix.shape[-2:]) for name, matrix in given.items()}
        self._set(Lambda=diagonal.expand(*batch, sizes["n"]), **spread)

    def to_dense(self) -> StateSpace:
        """Return the dense form, with ``A = diag(Lambda) - P Qᴴ``."""
        A = torch.diag_embed(self.Lambda) - self.P @ self.Q.mH
        return StateSpace(A, self.B, self.C, self.D, self.dt)

    def _resolve(self, diagonal: Tensor, scale: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return `left` and `right` with ``(diag(1/diagonal) + scale P Qᴴ)⁻¹ = diag(diagonal) - left right``."""
        left = diagonal[..., :, None] * self.P
        right = self.Q.mH * diagonal[..., None, :]
        eye = torch.eye(self.P.shape[-1], dtype=left.dtype, device=left.device)
        return scale * left, torch.linalg.solve(eye + scale * (self.Q.mH @ left), right)

    def discretize(self, dt: Tensor | float, method: str = "zoh", alpha: float | Tensor | None = None) -> System:
        """Return the discrete counterpart, a `DPLR` for the rational rules, else dense; see `System.discretize`."""
        self._expect_continuous()
        name = find_method("discretize", method).name
        origin = Origin(self, name, alpha)
        if name not in RATIONAL and name != "gbt":
            dense = self.to_dense()
            return StateSpace(*discretize_matrices(*(dense.A, dense.B, dense.C, dense.D), dt, name, alpha), dt, origin)
        weight = RATIONAL[name] if name in RATIONAL else check_alpha("gbt", alpha)
        checked = as_time_step("discretize", dt)
        if checked is None:
            raise InputError("discretize: dt is None, but a positive number of seconds is expected.")
        step = torch.as_tensor(checked, dtype=self.B.dtype.to_real(), device=self.B.device)
        tall, wide = step[..., None, None], step[..., None]
        if not isinstance(weight, Tensor) and weight == 0:
            return replace(self, Lambda=1 + wide * self.Lambda, P=tall * self.P, B=tall * self.B, dt=dt, origin=origin)
        diagonal = 1 / (1 - weight * wide * self.Lambda)
        if not bool(torch.isfinite(diagonal.detach()).all()):
            raise InputError(
                f"{name}: Lambda has the value 1 / (alpha dt), where the rule has a pole: choose a smaller dt."
            )
        left, right = self._resolve(diagonal, weight * tall)

        def resolvent(X: Tensor) -> Tensor:
            return diagonal[..., :, None] * X - left @ (right @ X)

        Bbar = resolvent(tall * self.B)
        Cbar = self.C * diagonal[..., None, :] - (self.C @ left) @ right
        return replace(
            self,
            Lambda=(diagonal - (1 - weight)) / weight,
            P=left / weight,
            Q=right.mH,
            B=Bbar,
            C=Cbar,
            D=self.D + weight * (self.C @ Bbar),
            dt=dt,
            origin=origin,
        )

    def transfer(self, s: Tensor) -> Tensor:
        """Return ``C (s I - A)⁻¹ B + D`` by Woodbury's identity, in O(n r) for each point; see `System.transfer`."""
        wide = self.B.dtype.to_complex()
        distance = s.to(wide)[..., None] - self.Lambda[..., None, :].to(wide)
        if bool((distance.detach() == 0).any()):
            return self.to_dense().transfer(s)  # the diagonal part alone has a pole there, the system need not
        inverse = (1 / distance)[..., :, None]  # (..., w, n, 1)
        P, Q, B, C, D = (matrix[..., None, :, :].to(wide) for matrix in (self.P, self.Q, self.B, self.C, self.D))
        eye = torch.eye(P.shape[-1], dtype=wide, device=P.device)
        correction = torch.linalg.solve(eye + Q.mH @ (inverse * P), Q.mH @ (inverse * B))
        G: Tensor = C @ (inverse * B) - C @ (inverse * P) @ correction + D
        return G
