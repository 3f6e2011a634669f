"""HiPPO-FouT: the memory of a sliding window, in a Fourier series.

The coefficients of ``u`` on ``[t - 1, t]`` in ``1, sqrt(2) cos(2πk(t - s)), sqrt(2) sin(2πk(t - s))``. A Fourier
series takes the middle of the jump at the window's ends, from which the value that leaves the window is told. The
coefficients are those of the projection only for a signal of period 1 s and frequencies below (n - 1) / 2 + 1 Hz.
"""

from math import pi

import torch
from torch import Tensor

from statespace.errors import InputError
from statespace.hippo._order import check_order


def _check(where: str, n: int) -> None:
    check_order(where, n)
    if n % 2 == 0:
        raise InputError(
            f"{where}: n is {n}, but a constant with pairs of sine and cosine is odd: pass {n - 1} or {n + 1}."
        )


def _ends(n: int) -> Tensor:
    """Return the basis functions at the end of the window: 1, sqrt(2), 0, sqrt(2), 0, ..."""
    ends = torch.zeros(n, dtype=torch.float64)
    ends[1::2] = 2**0.5
    ends[0] = 1
    return ends


def fout(n: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Return the state and input matrix of HiPPO-FouT with a window of 1 s.

    ``A = K - 2 p pᵀ`` and ``B = 2 p``, with `p` the basis functions at the window's end and `K` turning each pair of
    sine and cosine at its frequency.

    Args:
        n: number of states, odd: a constant, then cosine and sine of rising frequency.
        dtype: type of the result, which is built in float64 and cast last.
    Returns:
        ``A (n, n)``, in 1/s, and ``B (n, 1)``, in state units per (input unit x s).
    Raises:
        InputError: `n` is not a positive odd number.
    Source:
        Gu, Johnson, Timalsina, Rudra and Ré, How to Train Your HiPPO, 2023, theorem on S4-FouT; the empty state that
        is there beside the constant is left out.
    """
    _check("fout", n)
    ends = _ends(n)
    turn = torch.zeros(n - 1, dtype=torch.float64)
    turn[1::2] = 2 * pi * torch.arange(1, n // 2 + 1, dtype=torch.float64)
    K = torch.diag(turn, -1) - torch.diag(turn, 1)
    return (K - 2 * torch.outer(ends, ends)).to(dtype), (2 * ends[:, None]).to(dtype)


def fout_low_rank(n: int) -> Tensor:
    """Return the `P` that makes FouT normal: ``A + P Pᵀ`` is skew-symmetric.

    Args:
        n: number of states, odd.
    Returns:
        ``P (n, 1)``, float64.
    Raises:
        InputError: `n` is not a positive odd number.
    Source:
        Gu, Johnson, Timalsina, Rudra and Ré, How to Train Your HiPPO, 2023.
    """
    _check("fout_low_rank", n)
    return 2**0.5 * _ends(n)[:, None]
