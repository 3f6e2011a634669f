"""HiPPO-LegT: the memory of a sliding window, in Legendre polynomials; the Legendre Memory Unit's system.

The coefficients ``c_k(t) = ∫ u(s) p_k(s) ds`` over ``[t - 1, t]``, in orthonormal Legendre polynomials on the window.
Their derivative asks for ``u(t - 1)``, which is gone: the memory's own reconstruction stands in for it. So the
coefficients are those of the projection only for a signal that is a polynomial of degree below n.
"""

import torch
from torch import Tensor

from statespace.hippo._order import check_order


def legt(n: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Return the state and input matrix of HiPPO-LegT with a window of 1 s.

    ``A[i, j] = -sqrt(2i + 1) sqrt(2j + 1)`` on and below the diagonal, with the sign ``(-1)^(i - j)`` above it, counted
    from 0; ``B[i] = sqrt(2i + 1)``.

    Args:
        n: number of states, at least 1.
        dtype: type of the result, which is built in float64 and cast last.
    Returns:
        ``A (n, n)``, in 1/s, and ``B (n, 1)``, in state units per (input unit x s).
    Raises:
        InputError: `n` is not a positive whole number.
    Source:
        Gu, Dao, Ermon, Rudra and Ré, HiPPO: Recurrent Memory with Optimal Polynomial Projections, 2020, theorem 1, for
        orthonormal polynomials; Voelker, Kajić and Eliasmith, Legendre Memory Units, 2019.
    """
    check_order("legt", n)
    order = torch.arange(n, dtype=torch.float64)
    root = torch.sqrt(2 * order + 1)
    sign = torch.where(order[:, None] >= order, 1.0, 1.0 - 2.0 * ((order[:, None] - order).abs() % 2))
    return (-torch.outer(root, root) * sign).to(dtype), root[:, None].to(dtype)


def legt_low_rank(n: int) -> Tensor:
    """Return the `P` of rank 2 that makes LegT normal: ``A + P Pᵀ`` is skew-symmetric.

    ``P[i] = sqrt(i + 1/2) (1, (-1)^i)``.

    Args:
        n: number of states, at least 1.
    Returns:
        ``P (n, 2)``, float64.
    Raises:
        InputError: `n` is not a positive whole number.
    Source:
        Gu, Goel and Ré, Efficiently Modeling Long Sequences with Structured State Spaces, 2022, appendix C.1.
    """
    check_order("legt_low_rank", n)
    order = torch.arange(n, dtype=torch.float64)
    return torch.sqrt(order + 0.5)[:, None] * torch.stack([torch.ones_like(order), 1 - 2 * (order % 2)], 1)
