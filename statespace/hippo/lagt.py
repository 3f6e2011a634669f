"""HiPPO-LagT: the memory of the whole past, fading exponentially, in Laguerre polynomials.

The coefficients ``c_k(t) = ∫ u(s) L_k(t - s) exp(-(t - s)) ds`` over all of the past. Laguerre polynomials are
orthonormal in that weight, and the system is exact: nothing is approximated.
"""

import torch
from torch import Tensor

from statespace.hippo._order import check_order


def lagt(n: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Return the state and input matrix of HiPPO-LagT with a time constant of 1 s.

    ``A[i, j] = -1`` on and below the diagonal, 0 above; ``B[i] = 1``.

    Args:
        n: number of states, at least 1.
        dtype: type of the result, which is built in float64 and cast last.
    Returns:
        ``A (n, n)``, in 1/s, and ``B (n, 1)``, in state units per (input unit x s).
    Raises:
        InputError: `n` is not a positive whole number.
    Source:
        Gu, Dao, Ermon, Rudra and Ré, HiPPO: Recurrent Memory with Optimal Polynomial Projections, 2020, theorem 1, with
        alpha = 0 and beta = 1.
    """
    check_order("lagt", n)
    return -torch.ones(n, n, dtype=torch.float64).tril().to(dtype), torch.ones(n, 1, dtype=dtype)


def lagt_low_rank(n: int) -> Tensor:
    """Return the `P` that makes LagT normal: ``A + P Pᵀ = -I/2 + a skew-symmetric matrix``.

    ``P[i] = sqrt(1/2)``.

    Args:
        n: number of states, at least 1.
    Returns:
        ``P (n, 1)``, float64.
    Raises:
        InputError: `n` is not a positive whole number.
    Source:
        Gu, Goel and Ré, Efficiently Modeling Long Sequences with Structured State Spaces, 2022, appendix C.1.
    """
    check_order("lagt_low_rank", n)
    return torch.full((n, 1), 0.5**0.5, dtype=torch.float64)
