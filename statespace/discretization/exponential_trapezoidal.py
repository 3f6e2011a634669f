"""The exponential-trapezoidal rule of Mamba-3: the state decays exactly, the input is weighed at both ends of a step.

``h[k+1] = exp(A dt) (h[k] + (1 - alpha) dt B u[k]) + alpha dt B u[k+1]``

With the end's share folded into the state, ``xi[k] = h[k] - alpha dt B u[k]``, this is
``Abar = exp(A dt)``, ``Bbar = exp(A dt) B dt``, ``Cbar = C``, ``Dbar = D + alpha C B dt``: only `Dbar` knows `alpha`.
At ``alpha = 1`` it is impulse invariance.
"""

import torch
from torch import Tensor

from statespace.discretization._arguments import check, check_alpha
from statespace.discretization.discrete import Discrete
from statespace.kernels.expm import expm


def weigh_diagonal(
    where: str, A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float, alpha: float | Tensor
) -> Discrete:
    """Discretise a diagonal system with the weight `alpha`, on behalf of the method `where`."""
    given = check(where, A, B, C, D, dt, diagonal=True)
    step = given.dt[..., None]
    Abar = torch.exp(given.A * step)
    drive = given.B * step[..., None]
    D = given.D + alpha * (given.C @ drive)
    return Discrete(
        Abar.expand(*given.leading, Abar.shape[-1]),
        given.spread(Abar[..., None] * drive),
        given.spread(given.C),
        given.spread(D),
    )


def weigh(
    where: str, A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float, alpha: float | Tensor
) -> Discrete:
    """Discretise a dense system with the weight `alpha`, on behalf of the method `where`."""
    given = check(where, A, B, C, D, dt, diagonal=False)
    step = given.dt[..., None, None]
    Abar = expm(given.A * step)
    drive = given.B * step
    D = given.D + alpha * (given.C @ drive)
    return Discrete(*(given.spread(matrix) for matrix in (Abar, Abar @ drive, given.C, D)))


def exponential_trapezoidal_diagonal(
    A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float, alpha: float | Tensor = 0.5
) -> Discrete:
    """Discretise a diagonal system by the exponential-trapezoidal rule.

    ``Abar = exp(A dt)``, ``Bbar = exp(A dt) B dt``, ``Dbar = D + alpha C B dt``, elementwise.

    Args:
        A: eigenvalues, ``(..., n)``, in 1/s.
        B: input matrix, ``(..., n, m)``, in state units per (input unit x s).
        C: output matrix, ``(..., p, n)``, in output units per state unit.
        D: feed-through, ``(..., p, m)``, in output units per input unit.
        dt: step in s, positive; a number, or a tensor that broadcasts with the leading axes.
        alpha: weight of the end of the step, from 0 to 1; Mamba-3 learns it, 1/2 is the trapezoidal rule.
    Returns:
        The discrete system; its ``A`` is the diagonal ``(..., n)``.
    Raises:
        ShapeError: the matrices disagree on a size, or the leading axes do not broadcast.
        InputError: an argument is not of a floating type, `dt` is not positive and finite, or
            `alpha` is not within [0, 1].
    Source:
        Lahoti and others, Mamba-3: Improved Sequence Modeling using State Space Principles, 2025, the exponential-
        trapezoidal rule, with lambda as `alpha`.
    """
    where = "exponential_trapezoidal_diagonal"
    return weigh_diagonal(where, A, B, C, D, dt, check_alpha(where, alpha))


def exponential_trapezoidal(
    A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float, alpha: float | Tensor = 0.5
) -> Discrete:
    """Discretise a system by the exponential-trapezoidal rule.

    ``Abar = exp(A dt)``, ``Bbar = exp(A dt) B dt``, ``Cbar = C``, ``Dbar = D + alpha C B dt``.

    Args:
        A: state matrix, ``(..., n, n)``, in 1/s.
        B: input matrix, ``(..., n, m)``, in state units per (input unit x s).
        C: output matrix, ``(..., p, n)``, in output units per state unit.
        D: feed-through, ``(..., p, m)``, in output units per input unit.
        dt: step in s, positive; a number, or a tensor that broadcasts with the leading axes.
        alpha: weight of the end of the step, from 0 to 1; Mamba-3 learns it, 1/2 is the trapezoidal rule.
    Returns:
        The discrete system.
    Raises:
        ShapeError: `A` is not square, the matrices disagree on a size, or the leading axes do not broadcast.
        InputError: an argument is not of a floating type, `dt` is not positive and finite, or
            `alpha` is not within [0, 1].
    Source:
        Lahoti and others, Mamba-3: Improved Sequence Modeling using State Space Principles, 2025, the exponential-
        trapezoidal rule, with lambda as `alpha`.
    """
    where = "exponential_trapezoidal"
    return weigh(where, A, B, C, D, dt, check_alpha(where, alpha))
