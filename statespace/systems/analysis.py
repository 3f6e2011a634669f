"""Gain, zeros, and the way back from discrete to continuous time."""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from statespace.errors import InputError
from statespace.kernels.balancing import balance, change_units

if TYPE_CHECKING:
    from statespace.systems.dense import StateSpace


def dc_gain(system: "StateSpace") -> Tensor:
    """Return the gain for constant input; see `System.dc_gain`."""
    A, B, C, D = system.A, system.B, system.C, system.D
    if system.is_discrete:
        A = A - torch.eye(system.n, dtype=A.dtype, device=A.device)
    units = balance(A, system.n)
    A, B, C = change_units(A, units), B / units[..., :, None], C * units[..., None, :]
    X, info = torch.linalg.solve_ex(A, B)
    gain = D - C @ X
    beyond = torch.linalg.cond(A.detach(), 1) > 1 / torch.finfo(A.dtype).eps if system.n else info != 0
    singular = ((info != 0) | beyond)[..., None, None] | ~torch.isfinite(gain)
    return torch.where(singular, torch.full_like(gain, float("inf")), gain)


def _size(matrix: Tensor) -> float:
    """The largest entry, or 1 where there is none or all are 0."""
    return (matrix.abs().max().item() if matrix.numel() else 0.0) or 1.0


def _compress(A: Tensor, B: Tensor, C: Tensor, D: Tensor, tolerance: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Take out the states that must be 0 while the output is, until `D` has full row rank."""
    while C.shape[0]:
        U, values, _ = torch.linalg.svd(D) if D.shape[1] else (torch.eye(len(D)).to(D), D.new_zeros(0).real, None)
        rank = int((values > tolerance).sum())
        C, D = U.mH @ C, U.mH @ D
        upper, lower = C[:rank], C[rank:]
        D = D[:rank]
        if not len(lower) or not A.shape[0]:
            return A, B, upper, D
        _, values, Vh = torch.linalg.svd(lower)
        tied = int((values > tolerance).sum())
        if tied == 0:
            return A, B, upper, D
        V = torch.cat([Vh[tied:], Vh[:tied]]).mH  # the states that are free come first
        free = A.shape[0] - tied
        A, B, upper = V.mH @ A @ V, V.mH @ B, upper @ V
        C = torch.cat([upper[:, :free], A[free:, :free]])
        D = torch.cat([D, B[free:]])
        A, B = A[:free, :free], B[:free]
    return A, B, C, D


def zeros(system: "StateSpace") -> Tensor:
    """Return the invariant zeros; see `System.zeros`.

    Source:
        Emami-Naeini and Van Dooren, Automatica 18(4), 1982, 415-430.
    """
    A, B, C, D = (matrix.detach() for matrix in (system.A, system.B, system.C, system.D))
    if A.ndim > 2:
        raise InputError(f"zeros: the system is a batch {tuple(A.shape[:-2])}: take one at a time, system.select(i).")
    # What is small depends on the units of time, states, inputs and outputs: take those that make all blocks large.
    units = balance(A, len(A))
    A, B, C = change_units(A, units), B / units[:, None], C * units
    # Once more, with inputs and outputs that weigh as much as the states.
    rows = [torch.cat([A / _size(A), B / _size(B)], 1), torch.cat([C / _size(C), 0 * D], 1)]
    units = balance(torch.cat(rows), len(A))
    A, B, C = change_units(A, units), B / units[:, None], C * units
    rate = _size(A)
    D = D * (rate / (_size(B) * _size(C)))
    A, B, C = A / rate, B / _size(B), C / _size(C)
    tolerance = 10 * max(A.shape[0], 1) * torch.finfo(A.dtype).eps * max(1.0, _size(D) if D.numel() else 1.0)
    A, B, C, D = _compress(A, B, C, D, tolerance)
    A, C, B, D = (matrix.mH for matrix in _compress(A.mH, C.mH, B.mH, D.mH, tolerance))
    if not A.shape[0]:
        return A.new_zeros(0, dtype=A.dtype.to_complex())
    found: Tensor = torch.linalg.eigvals(A - B @ torch.linalg.solve(D, C) if len(D) else A)
    return found * rate


def undo_hold(system: "StateSpace") -> "StateSpace":
    """Return the continuous system whose zero-order hold this one is; see `System.to_continuous`."""
    if system.dt is None:
        raise InputError("to_continuous: the system is continuous already.")
    A, B = system.A, system.B
    real = not A.is_complex()
    values, V = torch.linalg.eig(A)
    condition = torch.linalg.cond(V).max().item()
    if not condition < 1e10:
        raise InputError(
            f"to_continuous: the eigenvectors have the condition number {condition:.1e}, so the logarithm is worth "
            "nothing in float64: keep the continuous system, or discretise it anew."
        )
    beyond = (values.abs() == 0) | ((values.imag == 0) & (values.real < 0)) if real else values.abs() == 0
    if bool(beyond.any()):
        raise InputError(
            "to_continuous: an eigenvalue of A is 0 or negative, which no held continuous system of this size has: "
            "such a system is discrete by birth (a delay, an oscillation at half the sampling rate)."
        )
    dt = torch.as_tensor(system.dt, dtype=A.dtype.to_real(), device=A.device)[..., None]
    poles = torch.log(values) / dt
    # Bbar = phi1(log Abar) dt B, with phi1(z) = (exp(z) - 1) / z, in the basis of the eigenvectors
    z = poles * dt
    phi = torch.where(z.abs() < 1e-8, 1 + z / 2, torch.expm1(z) / torch.where(z == 0, 1, z))
    inverse = torch.linalg.inv(V)
    found_A = (V * poles[..., None, :]) @ inverse
    found_B = V @ ((inverse @ B.to(V.dtype)) / (phi * dt)[..., None])
    if real:
        found_A, found_B = found_A.real, found_B.real
    return replace(system, A=found_A, B=found_B, dt=None, origin=None)
