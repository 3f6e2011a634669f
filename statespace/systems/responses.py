"""Responses to impulses, steps and sinusoids."""

from typing import TYPE_CHECKING, SupportsIndex

import torch
from torch import Tensor

from statespace.discretization import zoh
from statespace.discretization._arguments import surely_not_finite, values_can_be_read
from statespace.errors import InputError, ShapeError
from statespace.kernels.expm import expm_phi
from statespace.systems._arguments import as_tensor
from statespace.systems._matrices import Powers, orbit

if TYPE_CHECKING:
    from statespace.systems.dense import StateSpace
    from statespace.systems.system import System


def frequency_response(system: "System", w: Tensor | float) -> Tensor:
    """Return ``G(i w)`` or ``G(exp(i w dt))``; see `System.frequency_response`."""
    frequencies = as_tensor("frequency_response", "w", w)
    if frequencies.is_complex():
        raise InputError("frequency_response: w is complex, but real frequencies in rad/s are expected: pass w.real.")
    if frequencies.ndim > 1:
        raise ShapeError(f"frequency_response: w is {tuple(frequencies.shape)}, but frequencies (w,) are expected.")
    if surely_not_finite(frequencies):
        raise InputError("frequency_response: w holds NaN or infinity: for the gain at infinity take D.")
    frequencies = frequencies.reshape(-1).to(system.B.device, torch.float64)
    if system.dt is None:
        return system.transfer(torch.complex(torch.zeros_like(frequencies), frequencies))
    dt = torch.as_tensor(system.dt, dtype=torch.float64, device=frequencies.device)
    angles = frequencies * dt[..., None]
    return system.transfer(torch.exp(torch.complex(torch.zeros_like(angles), angles)))


def _times(system: "StateSpace", t: Tensor | int, where: str) -> Tensor | int:
    if system.is_discrete:
        if isinstance(t, bool | Tensor) or not isinstance(t, SupportsIndex) or int(t) < 1:
            raise InputError(
                f"{where}: a discrete system answers in steps, but {t!r} came: pass a whole number of them."
            )
        return int(t)
    if isinstance(t, int) and not isinstance(t, bool):
        raise InputError(f"{where}: the system is continuous, but the number {t} came: pass times in s as a tensor.")
    t = as_tensor(where, "t", t)
    if t.is_complex() or t.ndim != 1 or (values_can_be_read(t) and not bool((torch.isfinite(t) & (t >= 0)).all())):
        raise InputError(
            f"{where}: t is {tuple(t.shape)} {t.dtype}, but real finite times from 0 on, (l,), are expected."
        )
    return t.to(system.B.device, system.A.dtype.to_real())


def _checked(system: "StateSpace", where: str, response: Tensor) -> Tensor:
    if values_can_be_read(response.detach()) and not bool(torch.isfinite(response.detach()).all()):
        margin = system.stability_margin().min().item()
        raise InputError(
            f"{where}: the response overflows; the stability margin of the system is {margin:.3g}: "
            "ask for fewer steps or a shorter time."
        )
    return response


def _at(system: "StateSpace", t: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``exp(A t)`` and ``∫₀^t exp(A s) ds B`` at each time, ``(..., l, n, .)``.

    Times that lie evenly are reached by powers of one step, others by an exponential each.
    """
    gaps = t.diff()
    A, B = system.A, system.B
    if not system.n:
        return A.new_zeros(*A.shape[:-2], len(t), 0, 0), B.new_zeros(*B.shape[:-2], len(t), 0, system.inputs)
    even = len(gaps) > 1 and bool(((gaps - gaps[0]).abs() <= 4e-15 * t.abs().max()).all()) and bool(gaps[0] > 0)
    if not even:
        return expm_phi(A[..., None, :, :], B[..., None, :, :], t)
    step = (t[-1] - t[0]) / (len(t) - 1)
    n, m = B.shape[-2:]
    eye = torch.eye(n + m, dtype=A.dtype, device=A.device)

    def block(Abar: Tensor, Bbar: Tensor) -> Tensor:
        return torch.cat([torch.cat([Abar, Bbar], -1), eye[n:].expand(*Abar.shape[:-2], m, n + m)], -2)

    one = zoh(A, B, system.C, system.D, step)
    start = block(eye[:n, :n].expand_as(A), torch.zeros_like(B))
    if bool(t[0] > 0):
        begin = zoh(A, B, system.C, system.D, t[0])
        start = block(begin.A, begin.B)
    reached = orbit(Powers(block(one.A, one.B)), start, len(t))
    return reached[..., :n, :n], reached[..., :n, n:]


def impulse_response(system: "StateSpace", t: Tensor | int, where: str = "impulse_response") -> Tensor:
    """Return the response to a unit impulse; see `System.impulse_response`."""
    t = _times(system, t, where)
    A, B, C, D = system.A, system.B, system.C, system.D
    if isinstance(t, int):
        taps = C[..., None, :, :] @ orbit(Powers(A), B, t)[..., : t - 1, :, :]
        return _checked(system, where, torch.cat([D[..., None, :, :], taps], -3))
    return _checked(system, where, C[..., None, :, :] @ _at(system, t)[0] @ B[..., None, :, :])


def step_response(system: "StateSpace", t: Tensor | int) -> Tensor:
    """Return the response to a unit step; see `System.step_response`."""
    t = _times(system, t, "step_response")
    if isinstance(t, int):
        return _checked(system, "step_response", impulse_response(system, t, "step_response").cumsum(-3))
    driven = system.C[..., None, :, :] @ _at(system, t)[1]
    return _checked(system, "step_response", driven + system.D[..., None, :, :])
