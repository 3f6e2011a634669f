"""Euler's method, or forward differences.

``Abar = I + A dt``, ``Bbar = B dt``, ``Cbar = C``, ``Dbar = D``.

The cheapest rule and the least stable: an eigenvalue `a` stays stable only while ``|1 + a dt| < 1``.
"""

from torch import Tensor

from statespace.discretization.discrete import Discrete
from statespace.discretization.gbt import transform, transform_diagonal


def euler_diagonal(A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float) -> Discrete:
    """Discretise a diagonal system by Euler's method.

    ``Abar = I + A dt``, ``Bbar = B dt``, ``Cbar = C``, ``Dbar = D``.

    Args:
        A: eigenvalues, ``(..., n)``, in 1/s.
        B: input matrix, ``(..., n, m)``.
        C: output matrix, ``(..., p, n)``.
        D: feed-through, ``(..., p, m)``.
        dt: step in s, ``(...)``.
    Returns:
        The discrete system, its ``A`` as ``(..., n)``.
    Raises:
        ShapeError, InputError: as every method.
    Source:
        Åström and Wittenmark, Computer-Controlled Systems, 3rd edition 1997, section 8.2.
    """
    return transform_diagonal("euler_diagonal", A, B, C, D, dt, 0.0)


def euler(A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float) -> Discrete:
    """Discretise a system by Euler's method.

    ``Abar = I + A dt``, ``Bbar = B dt``, ``Cbar = C``, ``Dbar = D``.

    Args:
        A: state matrix, ``(..., n, n)``, in 1/s.
        B: input matrix, ``(..., n, m)``.
        C: output matrix, ``(..., p, n)``.
        D: feed-through, ``(..., p, m)``.
        dt: step in s, ``(...)``.
    Returns:
        The discrete system.
    Raises:
        ShapeError, InputError: as every method.
    Source:
        Åström and Wittenmark, Computer-Controlled Systems, 3rd edition 1997, section 8.2.
    """
    return transform("euler", A, B, C, D, dt, 0.0)
