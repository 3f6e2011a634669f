"""The rule that Mamba's code calls zero-order hold: exact for `A`, Euler for `B`.

``Abar = exp(A dt)``, ``Bbar = B dt``, ``Cbar = C``, ``Dbar = D``.

Named for what it is. Beside the exact ``Bbar`` it is 5 % high at ``A dt = -0.1``, 58 % at -1 and 100 % at -1.6; it is
here for parity with published checkpoints, and because it costs next to nothing.
"""

import torch
from torch import Tensor

from statespace.discretization._arguments import check
from statespace.discretization.discrete import Discrete
from statespace.kernels.expm import expm


def euler_b_diagonal(A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float) -> Discrete:
    """Discretise a diagonal system, `A` exactly and `B` by Euler's method.

    ``Abar = exp(A dt)``, ``Bbar = B dt``, elementwise.

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
        Gu and Dao, Mamba: Linear-Time Sequence Modeling with Selective State Spaces, 2023, section 2 (there called
        ZOH) and its published code.
    """
    given = check("euler_b_diagonal", A, B, C, D, dt, diagonal=True)
    step = given.dt[..., None]
    Abar = torch.exp(given.A * step)
    Abar = Abar.expand(*given.leading, Abar.shape[-1])
    return Discrete(Abar, given.spread(given.B * step[..., None]), given.spread(given.C), given.spread(given.D))


def euler_b(A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float) -> Discrete:
    """Discretise a system, `A` exactly and `B` by Euler's method.

    ``Abar = exp(A dt)``, ``Bbar = B dt``, ``Cbar = C``, ``Dbar = D``.

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
        Gu and Dao, Mamba: Linear-Time Sequence Modeling with Selective State Spaces, 2023, section 2 (there called
        ZOH) and its published code.
    """
    given = check("euler_b", A, B, C, D, dt, diagonal=False)
    step = given.dt[..., None, None]
    return Discrete(*(given.spread(matrix) for matrix in (expm(given.A * step), given.B * step, given.C, given.D)))
