"""The generalised bilinear transformation, of which Euler, the trapezoidal rule and backward differences are cases.

With ``G = I - alpha A dt``:
``Abar = G⁻¹ (I + (1 - alpha) A dt)``, ``Bbar = G⁻¹ B dt``, ``Cbar = C G⁻¹``, ``Dbar = D + alpha C Bbar``.

From ``alpha = 1/2`` on, a stable system stays stable at any step. The state of the result is not a sample of ``x``
unless ``alpha = 0``: SciPy's choice, followed here, folds what the rule takes of ``u[k+1]`` into the state, and `C`
and `D` change with it.
"""

import torch
from torch import Tensor

from statespace.discretization._arguments import check, check_alpha, values_can_be_read
from statespace.discretization.discrete import Discrete
from statespace.errors import InputError
from statespace.kernels.resolvent import resolvent


def _refuse_pole(where: str, singular: Tensor, alpha: float | Tensor) -> None:
    """Raise where ``I - alpha A dt`` has no inverse."""
    if not values_can_be_read(singular):
        return
    try:
        found = bool(singular.any())
    except RuntimeError:  # vmap and fake tensors refuse to let a value steer Python
        return
    if found:
        a = alpha if isinstance(alpha, float) else "alpha"
        raise InputError(
            f"{where}: A has the eigenvalue 1 / ({a} dt), where I - {a} A dt has no inverse: "
            "choose a smaller dt, or zoh."
        )


def transform_diagonal(
    where: str, A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float, alpha: float | Tensor
) -> Discrete:
    """Discretise a diagonal system by the transformation with `alpha`, on behalf of the method `where`."""
    given = check(where, A, B, C, D, dt, diagonal=True)
    step = given.dt[..., None]
    full = given.A * step
    denominator = 1 - alpha * full
    _refuse_pole(where, denominator.detach() == 0, alpha)
    Abar = ((1 + (1 - alpha) * full) / denominator).expand(*given.leading, full.shape[-1])
    Bbar = (step / denominator)[..., None] * given.B
    Cbar = given.C / denominator[..., None, :]
    Dbar = given.D + alpha * (given.C @ Bbar)
    return Discrete(Abar, given.spread(Bbar), given.spread(Cbar), given.spread(Dbar))


def transform(
    where: str, A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float, alpha: float | Tensor
) -> Discrete:
    """Discretise a dense system by the transformation with `alpha`, on behalf of the method `where`.

    From ``alpha = 1/2`` on, ``Abar = (R - (1 - alpha) I) / alpha`` with ``R = G⁻¹`` loses nothing. Below, that
    difference would cancel, and ``Abar = I + R A dt``.
    """
    given = check(where, A, B, C, D, dt, diagonal=False)
    step = given.dt[..., None, None]
    identity = torch.eye(A.shape[-1], dtype=given.A.dtype, device=given.A.device)
    drive = given.B * step
    if isinstance(alpha, float) and alpha == 0:
        return Discrete(*(given.spread(matrix) for matrix in (identity + given.A * step, drive, given.C, given.D)))
    high = isinstance(alpha, float) and alpha >= 0.5
    scale, shift = (1 / alpha, 1 - 1 / alpha) if isinstance(alpha, float) and high else (1.0, 0.0)
    found = resolvent(given.A, drive, given.C, alpha * given.dt, scale, shift)
    _refuse_pole(where, found.singular, alpha)
    Abar = found.R if high else identity + found.R @ (given.A * step)
    Dbar = given.D + alpha * (given.C @ found.RB)
    return Discrete(*(given.spread(matrix) for matrix in (Abar, found.RB, found.CR, Dbar)))


def gbt_diagonal(
    A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float, alpha: float | Tensor | None = None
) -> Discrete:
    """Discretise a diagonal system by the generalised bilinear transformation, elementwise.

    Args:
        A: eigenvalues, ``(..., n)``, in 1/s.
        B: input matrix, ``(..., n, m)``, in state units per (input unit x s).
        C: output matrix, ``(..., p, n)``, in output units per state unit.
        D: feed-through, ``(..., p, m)``, in output units per input unit.
        dt: step in s, positive; a number, or a tensor that broadcasts with the leading axes.
        alpha: weight of the end of the step, from 0 (Euler) to 1 (backward differences); it must be given.
    Returns:
        The discrete system; its ``A`` is the diagonal ``(..., n)``.
    Raises:
        ShapeError: the matrices disagree on a size, or the leading axes do not broadcast.
        InputError: an argument is not of a floating type, `dt` is not positive and finite, `alpha` is missing or not
            within [0, 1], or an eigenvalue is ``1 / (alpha dt)``.
    Source:
        Zhang, Chen and Chen, International Journal of Control 82(4), 2009, 741-754.
    """
    return transform_diagonal("gbt_diagonal", A, B, C, D, dt, check_alpha("gbt_diagonal", alpha))


def gbt(
    A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float, alpha: float | Tensor | None = None
) -> Discrete:
    """Discretise a system by the generalised bilinear transformation.

    With ``G = I - alpha A dt``: ``Abar = G⁻¹ (I + (1 - alpha) A dt)``, ``Bbar = G⁻¹ B dt``, ``Cbar = C G⁻¹``,
    ``Dbar = D + alpha C Bbar``.

    Args:
        A: state matrix, ``(..., n, n)``, in 1/s.
        B: input matrix, ``(..., n, m)``, in state units per (input unit x s).
        C: output matrix, ``(..., p, n)``, in output units per state unit.
        D: feed-through, ``(..., p, m)``, in output units per input unit.
        dt: step in s, positive; a number, or a tensor that broadcasts with the leading axes.
        alpha: weight of the end of the step, from 0 (Euler) to 1 (backward differences); it must be given.
    Returns:
        The discrete system.
    Raises:
        ShapeError: `A` is not square, the matrices disagree on a size, or the leading axes do not broadcast.
        InputError: an argument is not of a floating type, `dt` is not positive and finite, `alpha` is missing or not
            within [0, 1], or an eigenvalue is ``1 / (alpha dt)``.
    Source:
        Zhang, Chen and Chen, International Journal of Control 82(4), 2009, 741-754; `C` and `D` as in SciPy's
        ``cont2discrete``.
    """
    return transform("gbt", A, B, C, D, dt, check_alpha("gbt", alpha))
