"""The HiPPO matrices as a normal matrix less one of low rank, and the unitary change of basis that makes it diagonal.

``A = S - P Pᵀ`` with ``S = c I + K``, `K` skew-symmetric. ``-i K`` is Hermitian, so `eigh` finds real eigenvalues and a
unitary `V`; the eigenvectors of `A` itself, which are hopeless, are never asked for.

Accuracy, measured for LegS against the matrices it was made from: ``V (Lambda - P Pᴴ) Vᴴ`` gives `A` back to 1e-14
relative to its norm up to n = 256, and ``Vᴴ V`` is the identity to 1e-13. An eigenvalue is exact to a few units of
roundoff *of the largest one*, which grows as n²/π: to about 1e-11 absolute at n = 256.

Source: Gu, Goel and Ré, Efficiently Modeling Long Sequences with Structured State Spaces, 2022, theorem 1 and
appendix C.1; Gu, Gupta, Goel and Ré, On the Parameterization and Initialization of Diagonal State Space Models, 2022.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from statespace.errors import choose
from statespace.hippo._order import check_order
from statespace.hippo.legs import legs, legs_low_rank

# Each measure with its transition (A, B) and the low-rank term that makes A normal.
_MEASURES: dict[str, tuple[Callable[[int], tuple[Tensor, Tensor]], Callable[[int], Tensor]]] = {
    "legs": (legs, legs_low_rank),
}


class NPLR(NamedTuple):
    """A HiPPO system in the basis in which its normal part is diagonal, ``A = V (diag(Lambda) - P Pᴴ) Vᴴ``.

    All are complex128.

    Attributes:
        Lambda: eigenvalues of the normal part, ``(n,)``, by rising imaginary part, in 1/s; conjugate pairs.
        P: low-rank term in the new basis, ``(n, rank)``. Its first column is real and positive, which fixes the phase
            of each eigenvector, so that the result does not depend on the linear algebra library.
        B: input matrix in the new basis, ``(n, 1)``.
        V: the unitary basis, ``(n, n)``: old states are `V` times new ones.
    """

    Lambda: Tensor
    P: Tensor
    B: Tensor
    V: Tensor


def nplr(measure: str, n: int) -> NPLR:
    """Return a HiPPO system as diagonal plus low rank, by one Hermitian eigendecomposition in float64.

    Args:
        measure: which HiPPO system; ``"legs"``.
        n: number of states, at least 1.
    Returns:
        Eigenvalues, low-rank term, input matrix and basis, with ``A = V (diag(Lambda) - P Pᴴ) Vᴴ``; complex128.
    Raises:
        InputError: `measure` is not known, or `n` is not a positive whole number.
    Source:
        Gu, Goel and Ré, Efficiently Modeling Long Sequences with Structured State Spaces, 2022, theorem 1.
    """
    choose("nplr", "measure", measure, _MEASURES)
    check_order("nplr", n)
    transition, low_rank = _MEASURES[measure]
    (A, B), P = transition(n), low_rank(n)
    S = A + P @ P.mT
    skew = (S - S.mT) / 2  # exact, and free of the rounding that P Pᵀ leaves beside -1/2 on the diagonal
    frequencies, V = torch.linalg.eigh(-1j * skew)
    first = V.mH @ P[:, :1].to(V.dtype)
    V = V * torch.sgn(first).mT
    Lambda = torch.complex(S.diagonal().mean().expand(n), frequencies)
    return NPLR(Lambda, V.mH @ P.to(V.dtype), V.mH @ B.to(V.dtype), V)
