"""First-order hold: the exact discretization when the input runs in straight lines between its samples.

``Abar = exp(A dt)``, ``Bbar = phi1(A dt)² B dt``, ``Cbar = C``, ``Dbar = D + C phi2(A dt) B dt``

with ``phi1(z) = (exp(z) - 1) / z`` and ``phi2(z) = (phi1(z) - 1) / z``. The straight line towards ``u[k+1]`` is folded
into the state, ``xi[k] = x[k] - phi2(A dt) B dt u[k]``, as SciPy does it; so the state is no sample of ``x``, and `D`
changes. `A` is never inverted.
"""

import torch
from torch import Tensor

from statespace.discretization._arguments import check
from statespace.discretization._phi import phi1, phi2
from statespace.discretization.discrete import Discrete
from statespace.kernels.expm import expm_phi


def foh_diagonal(A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float) -> Discrete:
    """Discretise a diagonal system whose input runs in straight lines between its samples.

    ``Abar = exp(A dt)``, ``Bbar = phi1(A dt)² B dt``, ``Dbar = D + C phi2(A dt) B dt``, elementwise; values and
    gradients are finite at ``A = 0`` too.

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
        Franklin, Powell and Workman, Digital Control of Dynamic Systems, 3rd edition 1998, section 6.3.2 (the
        triangle hold).
    """
    given = check("foh_diagonal", A, B, C, D, dt, diagonal=True)
    step = given.dt[..., None]
    z = given.A * step
    Abar = torch.exp(z).expand(*given.leading, z.shape[-1])
    Bbar = (phi1(z).square() * step)[..., None] * given.B
    ahead = (phi2(z) * step)[..., None] * given.B
    return Discrete(Abar, given.spread(Bbar), given.spread(given.C), given.spread(given.D + given.C @ ahead))


def foh(A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float) -> Discrete:
    """Discretise a system whose input runs in straight lines between its samples.

    All comes from one exponential, ``exp([[A dt, B dt, 0], [0, 0, I], [0, 0, 0]])``, whose upper blocks are ``Abar``,
    ``P = phi1(A dt) B dt`` and ``Q = phi2(A dt) B dt``: ``Bbar = P - Q + Abar Q``, ``Dbar = D + C Q``.

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
        Franklin, Powell and Workman, Digital Control of Dynamic Systems, 3rd edition 1998, section 6.3.2 (the
        triangle hold).
    """
    given = check("foh", A, B, C, D, dt, diagonal=False)
    m = B.shape[-1]
    Abar, integrals = expm_phi(given.A, given.B, given.dt, order=2)
    held, ahead = integrals[..., :m], integrals[..., m:]
    Bbar, Dbar = held - ahead + Abar @ ahead, given.D + given.C @ ahead
    return Discrete(*(given.spread(matrix) for matrix in (Abar, Bbar, given.C, Dbar)))
