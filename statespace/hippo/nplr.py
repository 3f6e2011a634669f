"""The HiPPO matrices as a normal matrix less one of low rank, and the unitary change of basis that makes it diagonal.

``A = S - P Pᵀ`` with ``S = c I + K``, `K` skew-symmetric. ``-i K`` is Hermitian, so `eigh` finds real eigenvalues and a
unitary `V`; the eigenvectors of `A` itself, which are hopeless, are never asked for.

Accuracy, measured against the matrices it was made from, for every measure: ``V (Lambda - P Pᴴ) Vᴴ`` gives `A` back
to 1e-14 relative to its norm up to n = 256, and ``Vᴴ V`` is the identity to 1e-13. An eigenvalue is exact to a few
units of roundoff *of the largest one*, which grows as n²/π for LegS: to about 1e-11 absolute at n = 256.

Source: Gu, Goel and Ré, Efficiently Modeling Long Sequences with Structured State Spaces, 2022, theorem 1 and
appendix C.1; Gu, Gupta, Goel and Ré, On the Parameterization and Initialization of Diagonal State Space Models, 2022.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from statespace.errors import choose
from statespace.hippo._order import check_order
from statespace.hippo.measures import MEASURES


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
        measure: a key of `MEASURES`: ``"legs"``, ``"legt"``, ``"lagt"`` or ``"fout"``.
        n: number of states, at least 1.
    Returns:
        Eigenvalues, low-rank term, input matrix and basis, with ``A = V (diag(Lambda) - P Pᴴ) Vᴴ``; complex128.
    Raises:
        InputError: `measure` is not known, or `n` is not a positive whole number.
    Source:
        Gu, Goel and Ré, Efficiently Modeling Long Sequences with Structured State Spaces, 2022, theorem 1.
    """
    choose("nplr", "measure", measure, MEASURES)
    check_order("nplr", n)
    (A, B), P = MEASURES[measure].matrices(n), MEASURES[measure].low_rank(n)
    S = A + P @ P.mT
    skew = (S - S.mT) / 2  # exact, and free of the rounding that P Pᵀ leaves beside -1/2 on the diagonal
    frequencies, V = torch.linalg.eigh(-1j * skew)
    first = V.mH @ P[:, :1].to(V.dtype)
    V = V * torch.where(first == 0, 1, torch.sgn(first)).mT
    Lambda = torch.complex(torch.full_like(frequencies, MEASURES[measure].centre), frequencies)
    return NPLR(Lambda, V.mH @ P.to(V.dtype), V.mH @ B.to(V.dtype), V)
