"""Gramians, Hankel singular values and balanced truncation.

A continuous Lyapunov equation is turned into a discrete one by the bilinear map; that one is summed by doubling,
``W <- W + F W Fᴴ, F <- F²``, which needs matrix products only, takes batches and can be differentiated.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from statespace.errors import InputError
from statespace.kernels.balancing import balance, change_units

if TYPE_CHECKING:
    from statespace.systems.dense import StateSpace

DOUBLINGS = 64


def _expect_stable(where: str, A: Tensor, discrete: bool) -> Tensor:
    poles: Tensor = torch.linalg.eigvals(A.detach())
    if not poles.numel():
        return poles
    margin = 1 - poles.abs().amax() if discrete else -poles.real.amax()
    if not bool(margin > 0):
        raise InputError(
            f"{where}: the system is not stable (margin {margin.item():.3g}), so the Gramian is infinite: "
            "stabilise it first (see feedback)."
        )
    return poles


def gramian(where: str, A: Tensor, B: Tensor, discrete: bool) -> Tensor:
    """Return ``W`` with ``A W + W Aᴴ + B Bᴴ = 0``, or ``A W Aᴴ - W + B Bᴴ = 0``.

    Args:
        where: the function that was called, for the message.
        A: state matrix, ``(..., n, n)``.
        B: input matrix, ``(..., n, m)``.
        discrete: which of the two.
    Returns:
        ``(..., n, n)``, Hermitian and positive semidefinite.
    Raises:
        InputError: the system is not stable.
    Source:
        Smith, SIAM J. Applied Mathematics 16(1), 1968, 198-201; doubling as in Anderson, International Journal of
        Control 28(2), 1978, 295-306.
    """
    units = balance(A, A.shape[-1])
    A, B = change_units(A, units), B / units[..., :, None]
    poles = _expect_stable(where, A, discrete)
    if not discrete and A.shape[-1]:
        # The shift between the slowest and the fastest pole makes the powers of F fall fastest.
        sizes = poles.abs().clamp(min=torch.finfo(A.dtype).tiny)
        shift = torch.sqrt(sizes.amax(-1) * sizes.amin(-1))[..., None, None].to(A.dtype.to_real())
        eye = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
        G = shift * eye - A
        A, B = torch.linalg.solve(G, shift * eye + A), torch.sqrt(2 * shift) * torch.linalg.solve(G, B)
    W, F = B @ B.mH, A
    for _ in range(DOUBLINGS):
        added = F @ W @ F.mH
        W = W + added
        if not added.numel() or bool(
            added.detach().abs().amax() <= torch.finfo(W.dtype).eps * 1e-3 * W.detach().abs().amax()
        ):
            break
        F = F @ F
    return units[..., :, None] * (W + W.mH) / 2 * units[..., None, :]


def _factor(W: Tensor) -> Tensor:
    """Return ``L`` with ``L Lᴴ = W``, where `W` may be singular."""
    values, vectors = torch.linalg.eigh(W)
    factor: Tensor = vectors * torch.sqrt(values.clamp(min=0))[..., None, :]
    return factor


def _balanced(system: "StateSpace") -> "StateSpace":
    """Return the system in units in which rounding is small, its inputs and outputs as they are."""
    units = balance(system.A, system.n)
    A, B, C = change_units(system.A, units), system.B / units[..., :, None], system.C * units[..., None, :]
    return replace(system, A=A, B=B, C=C)


def hankel_singular_values(system: "StateSpace") -> Tensor:
    """Return what each balanced state contributes; see `System.hankel_singular_values`."""
    system = _balanced(system)
    Wc = gramian("hankel_singular_values", system.A, system.B, system.is_discrete)
    Wo = gramian("hankel_singular_values", system.A.mH, system.C.mH, system.is_discrete)
    values: Tensor = torch.linalg.svdvals(_factor(Wo).mH @ _factor(Wc))
    return values


def balanced_truncation(system: "StateSpace", order: int) -> "StateSpace":
    """Return a system of fewer states; see `System.balanced_truncation`."""
    if not isinstance(order, int) or not 1 <= order <= system.n:
        raise InputError(
            f"balanced_truncation: order is {order!r}, but a whole number from 1 to {system.n} is expected."
        )
    system = _balanced(system)
    Wc = gramian("balanced_truncation", system.A, system.B, system.is_discrete)
    Wo = gramian("balanced_truncation", system.A.mH, system.C.mH, system.is_discrete)
    Lc, Lo = _factor(Wc), _factor(Wo)
    U, values, Vh = torch.linalg.svd(Lo.mH @ Lc)
    kept = values[..., :order]
    if not bool((kept > torch.finfo(values.dtype).eps * values[..., :1]).all()):
        least = int((values > torch.finfo(values.dtype).eps * values[..., :1]).sum(-1).min())
        raise InputError(
            f"balanced_truncation: only {least} Hankel singular values differ from zero: pass an order up to {least}."
        )
    scale = torch.rsqrt(kept)
    into = (scale[..., :, None] * U[..., :order].mH) @ Lo.mH  # (..., order, n)
    back = Lc @ (Vh[..., :order, :].mH * scale[..., None, :])  # (..., n, order)
    return replace(system, A=into @ system.A @ back, B=into @ system.B, C=system.C @ back, origin=None)
