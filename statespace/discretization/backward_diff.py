"""Backward differences, or the implicit Euler method.

With ``G = I - A dt``: ``Abar = G⁻¹``, ``Bbar = G⁻¹ B dt``, ``Cbar = C G⁻¹``, ``Dbar = D + C Bbar``.

The left half plane is mapped into a disc within the unit disc: stable systems stay stable, and some unstable ones
become so.
"""

from torch import Tensor

from statespace.discretization.discrete import Discrete
from statespace.discretization.gbt import transform, transform_diagonal


def backward_diff_diagonal(A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float) -> Discrete:
    """Discretise a diagonal system by backward differences.

    With ``G = I - A dt``: ``Abar = G⁻¹``, ``Bbar = G⁻¹ B dt``, ``Cbar = C G⁻¹``, ``Dbar = D + C Bbar``.

    Args:
        A: eigenvalues, ``(..., n)``, in 1/s.
        B: input matrix, ``(..., n, m)``.
        C: output matrix, ``(..., p, n)``.
        D: feed-through, ``(..., p, m)``.
        dt: step in s, ``(...)``.
    Returns:
        The discrete system, its ``A`` as ``(..., n)``.
    Raises:
        ShapeError, InputError: as every method; an eigenvalue is 1 / dt.
    Source:
        Åström and Wittenmark, Computer-Controlled Systems, 3rd edition 1997, section 8.2.
    """
    return transform_diagonal("backward_diff_diagonal", A, B, C, D, dt, 1.0)


def backward_diff(A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float) -> Discrete:
    """Discretise a system by backward differences.

    With ``G = I - A dt``: ``Abar = G⁻¹``, ``Bbar = G⁻¹ B dt``, ``Cbar = C G⁻¹``, ``Dbar = D + C Bbar``.

    Args:
        A: state matrix, ``(..., n, n)``, in 1/s.
        B: input matrix, ``(..., n, m)``.
        C: output matrix, ``(..., p, n)``.
        D: feed-through, ``(..., p, m)``.
        dt: step in s, ``(...)``.
    Returns:
        The discrete system.
    Raises:
        ShapeError, InputError: as every method; an eigenvalue is 1 / dt.
    Source:
        Åström and Wittenmark, Computer-Controlled Systems, 3rd edition 1997, section 8.2.
    """
    return transform("backward_diff", A, B, C, D, dt, 1.0)
