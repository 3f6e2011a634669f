"""The measures of HiPPO by name: which past is remembered, how strongly, and in which functions."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, pi
from typing import SupportsFloat

import torch
from torch import Tensor

from statespace.errors import InputError, choose
from statespace.hippo.fout import fout, fout_low_rank
from statespace.hippo.lagt import lagt, lagt_low_rank
from statespace.hippo.legs import legs, legs_low_rank
from statespace.hippo.legt import legt, legt_low_rank


def _legendre(n: int, place: Tensor) -> Tensor:
    """Return orthonormal Legendre polynomials at places from 0, the oldest, to 1, the present: ``(..., n)``."""
    x = 2 * place - 1
    found = [torch.ones_like(x), x][:n]
    for k in range(1, n - 1):
        found.append(((2 * k + 1) * x * found[k] - k * found[k - 1]) / (k + 1))
    return torch.stack(found, -1) * torch.sqrt(2 * torch.arange(n, dtype=x.dtype, device=x.device) + 1)


def _laguerre(n: int, age: Tensor) -> Tensor:
    """Return Laguerre polynomials of the age, in time constants: ``(..., n)``."""
    found = [torch.ones_like(age), 1 - age][:n]
    for k in range(1, n - 1):
        found.append(((2 * k + 1 - age) * found[k] - k * found[k - 1]) / (k + 1))
    return torch.stack(found, -1)


def _fourier(n: int, age: Tensor) -> Tensor:
    """Return the Fourier basis of the age, in windows: ``(..., n)``."""
    k = torch.arange(1, n // 2 + 1, dtype=age.dtype, device=age.device)
    phase = 2 * pi * age[..., None] * k
    pairs = torch.stack([torch.cos(phase), torch.sin(phase)], -1).flatten(-2) * 2**0.5
    return torch.cat([torch.ones_like(age)[..., None], pairs], -1)


@dataclass(frozen=True)
class Measure:
    """A measure: its system, what makes it normal, and the functions that reconstruct the past.

    Attributes:
        name: the name by which it is chosen.
        matrices: gives ``A (n, n)`` and ``B (n, 1)``.
        low_rank: gives ``P (n, rank)`` with ``A + P Pᵀ`` normal.
        basis: gives the functions ``(..., n)`` at an age ``(...)`` in units of the window or time constant; for
            ``legs`` in units of the whole past.
        centre: the real part of the eigenvalues of that normal matrix, in units of 1 / scale.
        window: whether the memory ends at an age of 1.
    """

    name: str
    matrices: Callable[[int], tuple[Tensor, Tensor]]
    low_rank: Callable[[int], Tensor]
    basis: Callable[[int, Tensor], Tensor]
    centre: float
    window: bool


_ALL = (
    Measure("legs", legs, legs_low_rank, lambda n, age: _legendre(n, 1 - age), centre=-0.5, window=True),
    Measure("legt", legt, legt_low_rank, lambda n, age: _legendre(n, 1 - age), centre=0.0, window=True),
    Measure("lagt", lagt, lagt_low_rank, _laguerre, centre=-0.5, window=False),
    Measure("fout", fout, fout_low_rank, _fourier, centre=0.0, window=True),
)

MEASURES: dict[str, Measure] = {measure.name: measure for measure in _ALL}


def check_scale(where: str, scale: float, name: str = "scale") -> None:
    """Check a time scale.

    Args:
        where: the function that was called, for the message.
        scale: the time scale in s.
        name: the argument's name.
    Raises:
        InputError: it is not positive and finite.
    """
    number = isinstance(scale, SupportsFloat) and not isinstance(scale, bool)
    if not number or not (isfinite(float(scale)) and float(scale) > 0):
        raise InputError(f"{where}: {name} is {scale!r}, but a positive finite number of seconds is expected.")


def transition(measure: str, n: int, scale: float = 1.0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Return the state and input matrix of a HiPPO system.

    Args:
        measure: ``"legs"`` (the whole past, scaled), ``"legt"`` (a window, Legendre), ``"lagt"`` (a fading past) or
            ``"fout"`` (a window, Fourier).
        n: number of states, at least 1; odd for ``fout``.
        scale: length of the window, or time constant, in s: both matrices are divided by it.
        dtype: type of the result, which is built in float64 and cast last.
    Returns:
        ``A (n, n)``, in 1/s, and ``B (n, 1)``, in state units per (input unit x s).
    Raises:
        InputError: `measure` is not known, `n` is not a state size, or `scale` is not positive.
    Source:
        Gu, Dao, Ermon, Rudra and Ré, HiPPO: Recurrent Memory with Optimal Polynomial Projections, 2020.
    """
    choose("transition", "measure", measure, MEASURES)
    check_scale("transition", scale)
    A, B = MEASURES[measure].matrices(n)
    return (A / scale).to(dtype), (B / scale).to(dtype)
