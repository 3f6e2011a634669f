"""A system run over a signal: step by step, as a convolution, and as a parallel scan, which agree.

The scan works on blocks of T samples. Within a block the outputs are one product with a Toeplitz matrix of the kernel;
each block hands ``R u`` on to the state, and the states at the block boundaries, ``T`` times fewer than the samples,
come from a parallel prefix sum. All of it is matrix products, for which machines are built.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from statespace.discretization import discretize as discretize_matrices
from statespace.discretization import find_method
from statespace.discretization._arguments import values_can_be_read
from statespace.errors import InputError, ShapeError, choose
from statespace.systems._arguments import as_tensor, as_time_step
from statespace.systems._matrices import Powers, orbit, prefix, rows_orbit, states_varying

if TYPE_CHECKING:
    from statespace.systems.dense import StateSpace

VIEWS = ("scan", "convolution", "recurrent")
BLOCK = 64


class Simulation(NamedTuple):
    """What a simulation gives.

    Attributes:
        y: outputs, ``(..., l, p)``.
        x0: the state before the first sample, ``(..., n)``.
        x: the state after the last sample, ``(..., n)``.
        step: length of the last step in s, ``(...)`` or a number; None for a discrete system.
    """

    y: Tensor
    x0: Tensor
    x: Tensor
    step: Tensor | float | None = None


def _signal(system: "StateSpace", u: Tensor) -> tuple[Tensor, bool]:
    """Check the signal; one without a channel axis gets one."""
    u = as_tensor("simulate", "u", u)
    bare = u.ndim == 1
    if bare and system.inputs == 1:
        u = u[:, None]
    if u.ndim < 2 or u.shape[-1] != system.inputs:
        hint = " It looks transposed: time comes before the inputs." if system.inputs in u.shape[:-1] else ""
        raise ShapeError(
            f"simulate: u is {tuple(u.shape)}, but (..., l, m) with m = {system.inputs} is expected.{hint}"
        )
    if u.is_complex() and not system.A.is_complex():
        raise InputError("simulate: u is complex but the system is real: simulate u.real and u.imag.")
    return u.to(device=system.B.device, dtype=system.A.dtype), bare


def _spread(
    system: "StateSpace", u: Tensor, x0: Tensor | None, step: Tensor | float | None = None
) -> tuple[Tensor, Tensor]:
    """Check the state, and give it and the signal the leading axes of all."""
    axes = {"u": u.shape[:-2], "the system": system.A.shape[:-2]}
    if x0 is not None:
        x0 = as_tensor("simulate", "x0", x0)
        if x0.is_complex() and not system.A.is_complex():
            raise InputError("simulate: x0 is complex but the system is real: simulate from x0.real and from x0.imag.")
        if x0.shape[-1:] != (system.n,):
            raise ShapeError(f"simulate: x0 is {tuple(x0.shape)}, but (..., n) with n = {system.n} is expected.")
        x0, axes["x0"] = x0.to(u), x0.shape[:-1]
    if isinstance(step, Tensor) and step.ndim:
        axes["the steps"] = step.shape[:-1]
    try:
        batch = torch.broadcast_shapes(*axes.values())
    except RuntimeError as error:
        given = ", ".join(f"{name} has {tuple(shape)}" for name, shape in axes.items())
        raise ShapeError(f"simulate: the leading axes do not broadcast: {given}. Give each the same.") from error
    if x0 is None:
        x0 = torch.zeros(*batch, system.n, dtype=u.dtype, device=u.device)
    return u.expand(*batch, *u.shape[-2:]), x0.expand(*batch, system.n)


def _report_overflow(
    system: "StateSpace", given: tuple[Tensor, ...], y: Tensor, x: Tensor, stepped: Tensor, method: str | None = None
) -> None:
    """Say that a state has overflown, where it was not handed in like that; `stepped` is the matrix of one step."""
    if not values_can_be_read(y.detach()) or bool(torch.isfinite(y.detach()).all() & torch.isfinite(x.detach()).all()):
        return
    matrices = (system.A, system.B, system.C, system.D, *given)
    if all(bool(torch.isfinite(matrix.detach()).all()) for matrix in matrices):
        margin = system.stability_margin().min().item()
        first = (
            (~torch.isfinite(y.detach())).flatten(0, -3).any(0).any(-1)
            if y.ndim > 2
            else ~torch.isfinite(y.detach()).all(-1)
        )
        step = int(first.nonzero()[0]) if bool(first.any()) else y.shape[-2]
        why = f"the stability margin of the system is {margin:.3g}: take fewer steps, or stabilise it (see feedback)"
        if margin > 0 and method is not None and bool(torch.isfinite(stepped.detach()).all()):
            size = torch.linalg.eigvals(stepped.detach()).abs().max().item()
            why = (
                f"the system is stable (margin {margin:.3g}), but {method} at this step is not, with a pole of modulus "
                f"{size:.3g}: take a smaller step, or zoh"
            )
        # Before the first infinity the parallel views may meet the products of infinity and zero.
        raise InputError(f"simulate: the state overflows, in this view by step {step}; {why}.")


def _recurrent(matrices: tuple[Tensor, ...], u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Step by step; the matrices have an axis of time, of length 1 where they stay the same."""
    outputs = []
    for k, sample in enumerate(u.unbind(-2)):
        a, b, c, d = (matrix[..., k if matrix.shape[-3] > 1 else 0, :, :] for matrix in matrices)
        outputs.append((c @ x[..., None] + d @ sample[..., None])[..., 0])
        x = (a @ x[..., None] + b @ sample[..., None])[..., 0]
    return (torch.stack(outputs, -2) if outputs else u.new_zeros(*x.shape[:-1], 0, matrices[2].shape[-2])), x


def _toeplitz(kernel: Tensor) -> Tensor:
    """Return the block Toeplitz matrix ``(..., T p, T m)`` of a kernel ``(..., T, p, m)``."""
    T, p, m = kernel.shape[-3:]
    lag = torch.arange(T, device=kernel.device)[:, None] - torch.arange(T, device=kernel.device)
    blocks = kernel[..., lag.clamp(min=0), :, :]  # (..., T, T, p, m)
    blocks = torch.where((lag >= 0)[:, :, None, None], blocks, 0)
    return blocks.transpose(-3, -2).reshape(*kernel.shape[:-3], T * p, T * m)


def _scan(A: Tensor, B: Tensor, C: Tensor, D: Tensor, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    length, m, p, n = u.shape[-2], B.shape[-1], C.shape[-2], A.shape[-1]
    T = min(BLOCK, max(length, 1))
    powers = Powers(A)
    reach = orbit(powers, B, T)  # (..., T, n, m)
    kernel = torch.cat(
        [D.expand(*reach.shape[:-3], p, m)[..., None, :, :], C[..., None, :, :] @ reach[..., :-1, :, :]], -3
    )
    toeplitz = _toeplitz(kernel)
    free = rows_orbit(C, powers, T + 1)  # (..., T + 1, p, n)
    batch = x.shape[:-1]
    blocks, rest = divmod(length, T)
    outputs = []
    if blocks:
        U = u[..., : blocks * T, :].reshape(*batch, blocks, T * m)
        R = reach.flip(-3).movedim(-3, -2).reshape(*reach.shape[:-3], n, T * m)
        handed = torch.cat([x[..., None, :], U @ R.mT], -2)
        states = prefix(powers(T), handed)  # at every boundary, (..., blocks + 1, n)
        F = free[..., :T, :, :].reshape(*free.shape[:-3], T * p, n)
        y = U @ toeplitz.mT + states[..., :-1, :] @ F.mT
        outputs.append(y.reshape(*batch, blocks * T, p))
        x = states[..., -1, :]
    if rest:
        U = u[..., blocks * T :, :].reshape(*batch, 1, rest * m)
        F = free[..., :rest, :, :].reshape(*free.shape[:-3], rest * p, n)
        y = U @ toeplitz[..., : rest * p, : rest * m].mT + x[..., None, :] @ F.mT
        outputs.append(y.reshape(*batch, rest, p))
        R = reach[..., :rest, :, :].flip(-3).movedim(-3, -2).reshape(*reach.shape[:-3], n, rest * m)
        x = (x[..., None, :] @ powers(rest).mT + U @ R.mT)[..., 0, :]
    return (torch.cat(outputs, -2) if outputs else u.new_zeros(*batch, 0, p)), x


def _convolution(A: Tensor, B: Tensor, C: Tensor, D: Tensor, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    length = u.shape[-2]
    if length == 0:
        return _scan(A, B, C, D, u, x)
    powers = Powers(A)
    reach = orbit(powers, B, length)
    first = D.expand(*reach.shape[:-3], *D.shape[-2:])[..., None, :, :]
    kernel = torch.cat([first, C[..., None, :, :] @ reach[..., :-1, :, :]], -3)
    size = 1 << (2 * length - 2).bit_length() if length > 1 else 1
    forward, inverse = (torch.fft.fft, torch.fft.ifft) if u.is_complex() else (torch.fft.rfft, torch.fft.irfft)
    product = forward(kernel, size, -3) @ forward(u, size, -2)[..., None]
    forced = inverse(product[..., 0], size, -2)[..., :length, :]
    free = orbit(powers, x[..., None], length + 1)[..., 0]  # (..., l + 1, n)
    final = free[..., -1, :] + torch.einsum("...lnm,...lm->...n", reach.flip(-3), u)
    return forced + free[..., :-1, :] @ C.mT, final


def simulate_discrete(system: "StateSpace", u: Tensor, x0: Tensor | Simulation | None, view: str) -> Simulation:
    """Run a discrete system; see `System.simulate`."""
    choose("simulate", "view", view, VIEWS)
    x0 = x0.x if isinstance(x0, Simulation) else x0
    signal, bare = _signal(system, u)
    signal, x0 = _spread(system, signal, x0)
    A, B, C, D = system.A, system.B, system.C, system.D
    if view == "recurrent":
        y, x = _recurrent((A[..., None, :, :], B[..., None, :, :], C[..., None, :, :], D[..., None, :, :]), signal, x0)
    else:
        y, x = (_scan if view == "scan" else _convolution)(A, B, C, D, signal, x0)
    _report_overflow(system, (signal, x0), y, x, A)
    return Simulation(y[..., 0] if bare and system.outputs == 1 else y, x0, x)


def _steps(u: Tensor, t: Tensor | None, dt: Tensor | float | None) -> Tensor | float:
    """Return the step, or one step for each sample."""
    dt = as_time_step("simulate", dt)
    length = u.shape[-2]
    if (t is None) == (dt is None):
        came = "both t and dt are" if dt is not None else "neither t nor dt is"
        raise InputError(f"simulate: {came} given: a continuous system needs stamps t or a step dt, one of them.")
    if t is not None:
        t = as_tensor("simulate", "t", t)
        if t.is_complex() or t.ndim == 0 or t.shape[-1] not in (length, length + 1):
            raise ShapeError(
                f"simulate: t is {tuple(t.shape)}, but one real stamp for each of the {length} samples is expected, "
                "(..., l), and perhaps that of the final state."
            )
        if t.shape[-1] < 2:
            raise InputError("simulate: t holds no two stamps, which tells no step: pass dt.")
        gaps = t.diff()
        if values_can_be_read(gaps) and not bool((gaps > 0).all()):
            raise InputError("simulate: t does not rise from stamp to stamp: sort it, and leave no stamp twice.")
        return gaps if gaps.shape[-1] == length else torch.cat([gaps, gaps[..., -1:]], -1)
    assert dt is not None
    if isinstance(dt, Tensor) and dt.ndim:
        if dt.shape[-1] != length:
            raise ShapeError(
                f"simulate: dt is {tuple(dt.shape)}, but a number or a step for each sample, (..., {length}), is due."
            )
        return dt
    return dt


def _sampled(
    system: "StateSpace", step: Tensor | float, method: str, alpha: float | Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``Phi``, ``M`` and ``N`` of ``w[k+1] = Phi w[k] + M u[k]``, ``x[k] = w[k] + N u[k]``.

    `w` is the state before a sample arrives. All three are read off the discretization of a system whose outputs are
    its states: there ``Dbar = N``, and ``Cbar`` leads from the method's own state to `w`.
    """
    A, B = system.A, system.B
    if isinstance(step, Tensor) and step.ndim:
        A, B = A[..., None, :, :], B[..., None, :, :]
    eye = torch.eye(system.n, dtype=A.dtype, device=A.device)
    found = discretize_matrices(A, B, eye, torch.zeros_like(B), step, method, alpha)
    return found.A, found.C @ found.B, found.D


def _arriving(system: "StateSpace", step: Tensor | float, method: str, alpha: float | Tensor | None) -> Tensor:
    """Return ``N`` of a step that is over."""
    if isinstance(step, Tensor) and step.ndim:
        return _sampled(system, step[..., None], method, alpha)[2][..., 0, :, :]
    return _sampled(system, step, method, alpha)[2]


def simulate_sampled(
    system: "StateSpace",
    u: Tensor,
    t: Tensor | None,
    dt: Tensor | float | None,
    x0: Tensor | Simulation | None,
    view: str,
    method: str,
    alpha: float | Tensor | None,
) -> Simulation:
    """Run a continuous system over samples, with equal or unequal steps; see `System.simulate`."""
    choose("simulate", "view", view, VIEWS)
    find_method("simulate", method)
    before, x0 = (x0.step, x0.x) if isinstance(x0, Simulation) else (None, x0)
    signal, bare = _signal(system, u)
    step = _steps(signal, t, dt)
    last = step[..., -1] if isinstance(step, Tensor) and step.ndim and step.shape[-1] else step
    signal, x0 = _spread(system, signal, x0, step)
    start = x0
    single = not (isinstance(step, Tensor) and step.ndim)
    if find_method("simulate", method).strictly_proper and values_can_be_read(system.D) and bool((system.D != 0).any()):
        raise InputError(f"simulate: D is not 0, which {method} cannot take: choose zoh, or add D u yourself.")
    if not single and view == "convolution":
        gaps = torch.as_tensor(step)
        if bool(((gaps - gaps.mean()).abs() > 1e-9 * gaps.mean()).any()):
            raise InputError(
                "simulate: the steps differ, and only equal ones make a convolution: use view='scan' or 'recurrent'."
            )
        step, single = gaps.mean(), True
    Phi, M, N = _sampled(system, step, method, alpha)
    C, D = system.C, system.D
    if before is not None and signal.shape[-2]:
        # What the first sample adds depends on the step that led to it, which belongs to the run that is continued.
        first = N if single else N[..., 0, :, :]
        start = x0 + ((_arriving(system, before, method, alpha) - first) @ signal[..., 0, :, None])[..., 0]
    if single:
        if view == "recurrent":
            matrices = tuple(matrix[..., None, :, :] for matrix in (Phi, M, C, D + C @ N))
            y, x = _recurrent(matrices, signal, start)
        else:
            y, x = (_scan if view == "scan" else _convolution)(Phi, M, C, D + C @ N, signal, start)
    else:
        arrived = torch.cat([N[..., :1, :, :], N[..., :-1, :, :]], -3)  # what a sample adds depends on the step before
        M = M + Phi @ (arrived - N)
        C, D = C[..., None, :, :], D[..., None, :, :] + C[..., None, :, :] @ arrived
        if view == "recurrent":
            y, x = _recurrent((Phi, M, C, D), signal, start)
        else:
            driven = (M @ signal[..., None])[..., 0]
            states = states_varying(Phi, driven, start)
            y = (C @ states[..., :-1, :, None] + D @ signal[..., None])[..., 0]
            x = states[..., -1, :]
    _report_overflow(system, (signal, x0), y, x, Phi, method)
    return Simulation(y[..., 0] if bare and system.outputs == 1 else y, x0, x, last)
