"""The bilinear transform, also known as Tustin's method or the trapezoidal rule.

With ``G = I - A dt / 2``:
``Abar = G⁻¹ (I + A dt / 2)``, ``Bbar = G⁻¹ B dt``, ``Cbar = C G⁻¹``, ``Dbar = D + C Bbar / 2``.

The left half plane is mapped onto the unit disc, so a stable system stays stable and an unstable one unstable, at any
step. The state of the result is not a sample of ``x``: SciPy's choice, followed here, folds the trapezoidal rule's
``u[k+1]`` into the state, and `C` and `D` change with it.
"""

import torch
from torch import Tensor

from statespace.discretization.discrete import Discrete
from statespace.discretization.gbt import transform, transform_diagonal


def bilinear_diagonal(A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float) -> Discrete:
    """Discretise a diagonal system by the bilinear transform.

    With ``g = 1 / (1 - A dt / 2)``, elementwise: ``Abar = g (1 + A dt / 2)``, ``Bbar = g dt B``, ``Cbar = C g``,
    ``Dbar = D + C Bbar / 2``.

    The result takes the smallest type that holds all four matrices, so a real `A` beside a complex `B` gives complex
    results. Whether `dt` is positive is checked where its values are at hand: on the CPU, outside of compilation.

    Args:
        A: eigenvalues, ``(..., n)``, in 1/s.
        B: input matrix, ``(..., n, m)``.
        C: output matrix, ``(..., p, n)``.
        D: feed-through, ``(..., p, m)``.
        dt: step in s, ``(...)``.
    Returns:
        The discrete system, its ``A`` as ``(..., n)``.
    Raises:
        ShapeError, InputError: as every method; an eigenvalue is 2 / dt.
    Source:
        As `bilinear`; for diagonal systems Gu, Gupta, Goel and Ré, On the Parameterization and Initialization of
        Diagonal State Space Models, 2022, on discretization.
    """
    return transform_diagonal("bilinear_diagonal", A, B, C, D, dt, 0.5)


def bilinear_log_poles(A: Tensor, dt: Tensor | float) -> Tensor:
    """Return ``log(Abar) = log(1 + A dt / 2) - log(1 - A dt / 2)``, from which any power of a pole keeps its phase.

    A pole at 0, where ``A = -2 / dt``, has no logarithm; it is taken at the smallest normal number instead.

    Args:
        A: eigenvalues, ``(..., n)``, in 1/s, with negative real part.
        dt: step in s; a number, or ``(...)``.
    Returns:
        ``(..., n)``, complex, no unit.
    """
    half = A * (0.5 * (dt[..., None] if isinstance(dt, Tensor) else dt))
    half = half.to(half.dtype.to_complex())
    above = 1 + half
    above = torch.where(above == 0, torch.finfo(half.dtype).tiny, above)
    return torch.log(above) - torch.log(1 - half)


def bilinear(A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float) -> Discrete:
    """Discretise a system by the bilinear transform.

    One inverse of ``G = I - A dt / 2`` serves ``Abar = 2 G⁻¹ - I``, ``Bbar`` and ``Cbar``. Types and the check of `dt`
    are as in `bilinear_diagonal`.

    Args:
        A: state matrix, ``(..., n, n)``, in 1/s.
        B: input matrix, ``(..., n, m)``.
        C: output matrix, ``(..., p, n)``.
        D: feed-through, ``(..., p, m)``.
        dt: step in s, ``(...)``.
    Returns:
        The discrete system.
    Raises:
        ShapeError, InputError: as every method; an eigenvalue is 2 / dt.
    Source:
        Zhang, Chen and Chen, International Journal of Control 82(4), 2009, 741-754: the generalised bilinear
        transformation, here with alpha = 1/2; `C` and `D` as in SciPy's ``cont2discrete``.
    """
    return transform("bilinear", A, B, C, D, dt, 0.5)
