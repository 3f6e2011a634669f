"""Zero-order hold: the exact discretization when the input is constant over each step.

``Abar = exp(A dt)``, ``Bbar = ∫₀^dt exp(A s) ds B``, ``Cbar = C``, ``Dbar = D``.

`A` is never inverted, so it may be singular: an integrator has an eigenvalue 0.
"""

import torch
from torch import Tensor

from statespace.discretization._arguments import check
from statespace.discretization._phi import phi1
from statespace.discretization.discrete import Discrete
from statespace.kernels.expm import expm_phi


def zoh_diagonal(A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float) -> Discrete:
    """Discretise a diagonal system whose input is held constant over each step.

    ``Abar = exp(A dt)`` and ``Bbar = phi1(A dt) dt B`` with ``phi1(z) = (exp(z) - 1) / z``, elementwise; values and
    gradients are finite at ``A = 0`` too.

    The result takes the smallest type that holds all four matrices, so a real `A` beside a complex `B` gives complex
    results. Whether `dt` is positive is checked where its values are at hand: on the CPU, outside of compilation.

    Args:
        A: eigenvalues, ``(..., n)``, in 1/s.
        B: input matrix, ``(..., n, m)``, in state units per (input unit x s).
        C: output matrix, ``(..., p, n)``, in output units per state unit.
        D: feed-through, ``(..., p, m)``, in output units per input unit.
        dt: step in s, positive; a number, or a tensor that broadcasts with the leading axes.
    Returns:
        The discrete system; its ``A`` is the diagonal ``(..., n)``.
    Raises:
        ShapeError: the matrices disagree on a size, or the leading axes do not broadcast.
        InputError: an argument is not of a floating type, or `dt` is not positive and finite.
    Source:
        Åström and Wittenmark, Computer-Controlled Systems, 3rd edition 1997, section 2.3; for diagonal
        systems Gu, Gupta, Goel and Ré, On the Parameterization and Initialization of Diagonal State Space Models,
        2022, on discretization.
    """
    given = check("zoh_diagonal", A, B, C, D, dt, diagonal=True)
    step = given.dt[..., None]
    z = given.A * step
    Abar = torch.exp(z).expand(*given.leading, z.shape[-1])
    Bbar = (phi1(z) * step)[..., None] * given.B
    return Discrete(Abar, given.spread(Bbar), given.spread(given.C), given.spread(given.D))


def zoh_log_poles(A: Tensor, dt: Tensor | float) -> Tensor:
    """Return ``log(Abar) = A dt``, from which any power of a pole keeps its phase.

    Args:
        A: eigenvalues, ``(..., n)``, in 1/s.
        dt: step in s; a number, or ``(...)``.
    Returns:
        ``(..., n)``, no unit.
    """
    return A * (dt[..., None] if isinstance(dt, Tensor) else dt)


def zoh(A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float) -> Discrete:
    """Discretise a system whose input is held constant over each step.

    ``Abar`` and ``Bbar`` are blocks of one exponential, ``exp([[A, B], [0, 0]] dt) = [[Abar, Bbar], [0, I]]``.

    In float64 ``Abar`` and ``Bbar`` agree with SciPy's to 1e-12, relative to the norm of each, while ``|A| dt`` is of
    order one; beyond, the error grows with the condition of the exponential, as it does in any method. Types and the
    check of `dt` are as in `zoh_diagonal`.

    Args:
        A: state matrix, ``(..., n, n)``, in 1/s.
        B: input matrix, ``(..., n, m)``, in state units per (input unit x s).
        C: output matrix, ``(..., p, n)``, in output units per state unit.
        D: feed-through, ``(..., p, m)``, in output units per input unit.
        dt: step in s, positive; a number, or a tensor that broadcasts with the leading axes.
    Returns:
        The discrete system.
    Raises:
        ShapeError: `A` is not square, the matrices disagree on a size, or the leading axes do not broadcast.
        InputError: an argument is not of a floating type, or `dt` is not positive and finite.
    Source:
        Van Loan, IEEE Transactions on Automatic Control 23(3), 1978, 395-404.
    """
    given = check("zoh", A, B, C, D, dt, diagonal=False)
    Abar, Bbar = expm_phi(given.A, given.B, given.dt)
    return Discrete(*(given.spread(matrix) for matrix in (Abar, Bbar, given.C, given.D)))
