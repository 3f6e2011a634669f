"""HiPPO-LegS: the memory that holds the whole past, scaled to the present, in Legendre polynomials.

The optimal coefficients ``c(t)`` of the past ``u(s), 0 <= s <= t``, in orthonormal Legendre polynomials on ``[0, t]``
obey ``c'(t) = (A c(t) + B u(t)) / t``. With ``1/t`` dropped, the same `A` and `B` start deep state space models.
"""

import torch
from torch import Tensor

from statespace.hippo._order import check_order


def legs(n: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Return the state and input matrix of HiPPO-LegS.

    ``A[i, j] = -sqrt(2i + 1) sqrt(2j + 1)`` below the diagonal, ``-(i + 1)`` on it, 0 above, counted from 0;
    ``B[i] = sqrt(2i + 1)``. So ``A + Aᵀ + B Bᵀ = -I``.

    The eigenvalues are ``-1 ... -n``, but never diagonalise `A` as it is: the condition of its eigenvectors is 8e10 at
    n = 16. Use `nplr`.

    Args:
        n: number of states, at least 1.
        dtype: type of the result, which is built in float64 and cast last.
    Returns:
        ``A (n, n)``, in 1/s, and ``B (n, 1)``, in state units per (input unit x s).
    Raises:
        InputError: `n` is not a positive whole number.
    Source:
        Gu, Dao, Ermon, Rudra and Ré, HiPPO: Recurrent Memory with Optimal Polynomial Projections, 2020, theorem 2,
        with the sign taken into `A`.
    """
    check_order("legs", n)
    order = torch.arange(n, dtype=torch.float64)
    root = torch.sqrt(2 * order + 1)
    A = -(torch.outer(root, root).tril(-1) + torch.diag(order + 1))
    return A.to(dtype), root[:, None].to(dtype)


def legs_low_rank(n: int) -> Tensor:
    """Return the `P` that makes LegS normal: ``A + P Pᵀ = -I/2 + a skew-symmetric matrix``.

    ``P[i] = sqrt(i + 1/2)``.

    Args:
        n: number of states, at least 1.
    Returns:
        ``P (n, 1)``, float64.
    Raises:
        InputError: `n` is not a positive whole number.
    Source:
        Gu, Goel and Ré, Efficiently Modeling Long Sequences with Structured State Spaces, 2022, appendix C.1.
    """
    check_order("legs_low_rank", n)
    return torch.sqrt(torch.arange(n, dtype=torch.float64) + 0.5)[:, None]
