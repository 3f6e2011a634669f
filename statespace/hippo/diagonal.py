"""Initial eigenvalues of diagonal state space models (S4D).

A real system of `n` states with complex eigenvalues needs one of each conjugate pair only: the output is twice the
real part of what that half gives. So the complex initialisations return ``n / 2`` eigenvalues, with imaginary parts
from small to large, none negative. A time constant of 2 s and frequencies of order π rad/s mean that the step Δ of a
layer sets its time scale.

Source: Gu, Gupta, Goel and Ré, On the Parameterization and Initialization of Diagonal State Space Models, 2022.
"""

from collections.abc import Callable
from math import pi

import torch
from torch import Tensor

from statespace.hippo._order import check_order
from statespace.hippo.nplr import nplr


def s4d_legs(n: int) -> Tensor:
    """Return the eigenvalues of the normal part of HiPPO-LegS, ``eig(A + P Pᵀ)``.

    The start of S4D that approximates S4; real parts are -1/2.

    Args:
        n: number of real states, even, at least 2.
    Returns:
        ``(n/2,)``, complex128, in 1/s: one of each conjugate pair, with rising positive imaginary part.
    Raises:
        InputError: `n` is not a positive even number.
    Source:
        Gu, Gupta, Goel and Ré 2022, S4D-LegS.
    """
    check_order("s4d_legs", n, pairs=True)
    return nplr("legs", n).Lambda[n // 2 :].clone()


def s4d_lin(n: int) -> Tensor:
    """Return ``-1/2 + iπk`` for ``k = 0 ... n/2 - 1``: the frequencies of a Fourier series.

    The first one is real, and stands for a pair of equal eigenvalues.

    Args:
        n: number of real states, even, at least 2.
    Returns:
        ``(n/2,)``, complex128, in 1/s, with rising imaginary part.
    Raises:
        InputError: `n` is not a positive even number.
    Source:
        Gu, Gupta, Goel and Ré 2022, equation S4D-Lin.
    """
    check_order("s4d_lin", n, pairs=True)
    k = torch.arange(n // 2, dtype=torch.float64)
    return torch.complex(torch.full_like(k, -0.5), pi * k)


def s4d_inv(n: int) -> Tensor:
    """Return ``-1/2 + i (n/π) (n / (2k + 1) - 1)`` for ``k = 0 ... n/2 - 1``, which follows LegS by an inverse law.

    Args:
        n: number of real states, even, at least 2.
    Returns:
        ``(n/2,)``, complex128, in 1/s: sorted by rising positive imaginary part, that is by falling ``k``.
    Raises:
        InputError: `n` is not a positive even number.
    Source:
        Gu, Gupta, Goel and Ré 2022, equation S4D-Inv.
    """
    check_order("s4d_inv", n, pairs=True)
    k = torch.arange(n // 2 - 1, -1, -1, dtype=torch.float64)
    return torch.complex(torch.full_like(k, -0.5), n / pi * (n / (2 * k + 1) - 1))


def s4d_real(n: int) -> Tensor:
    """Return ``-(k + 1)`` for ``k = 0 ... n - 1``: the eigenvalues of LegS itself, and Mamba's start.

    Args:
        n: number of real states, at least 1.
    Returns:
        ``(n,)``, float64, in 1/s.
    Raises:
        InputError: `n` is not a positive whole number.
    Source:
        Gu, Gupta, Goel and Ré 2022, S4D-Real; Gu and Dao, Mamba, 2023, section 3.6.
    """
    check_order("s4d_real", n)
    return -torch.arange(1, n + 1, dtype=torch.float64)


INITIALISATIONS: dict[str, Callable[[int], Tensor]] = {
    "legs": s4d_legs,
    "lin": s4d_lin,
    "inv": s4d_inv,
    "real": s4d_real,
}
