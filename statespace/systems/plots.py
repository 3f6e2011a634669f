"""Pictures of a system, with units on the axes. matplotlib is loaded when the first one is asked for.

Each function takes one system with one input and one output, and returns a figure of matplotlib.
"""

from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statespace.errors import InputError
from statespace.systems._arguments import as_tensor
from statespace.systems.dense import StateSpace
from statespace.systems.system import System, as_dense

__all__ = ["bode", "impulse", "nyquist", "pole_zero", "step"]


def _figure(where: str, given: Any, rows: int = 1, height: float = 4.0) -> tuple[Any, Any]:
    if given is not None:
        return given, given.subplots(rows, 1, sharex=True)
    try:
        module = import_module("matplotlib.figure")
    except ImportError as error:
        raise InputError(f'{where}: matplotlib is missing: pip install "statespace[plot]".') from error
    figure = module.Figure(figsize=(6.4, height), layout="constrained")
    return figure, figure.subplots(rows, 1, sharex=True)


def _single(where: str, system: System) -> StateSpace:
    dense = as_dense(where, system)
    if dense.A.ndim > 2 or dense.inputs != 1 or dense.outputs != 1:
        raise InputError(
            f"{where}: the system has {dense.inputs} inputs, {dense.outputs} outputs and the leading axes "
            f"{tuple(dense.A.shape[:-2])}, but one input and one output are drawn: choose a row of C and a column of B."
        )
    return dense


def _frequencies(system: StateSpace, w: Tensor | None) -> Tensor:
    """Return two decades around the poles and zeros, in discrete time up to the Nyquist frequency."""
    if w is not None:
        return as_tensor("plots", "w", w).detach().reshape(-1)
    roots = torch.cat([system.poles(), system.zeros()]).detach().abs().double()
    if system.dt is not None:
        nyquist = torch.pi / _step(system)
        return torch.logspace(-3, 0, 600, dtype=torch.float64)[:-1] * nyquist
    roots = roots[(roots > 1e-9) & torch.isfinite(roots)]
    low, high = (roots.min().log10().item(), roots.max().log10().item()) if len(roots) else (0.0, 0.0)
    return torch.logspace(low - 1.5, high + 1.5, 800, dtype=torch.float64)


def _step(system: StateSpace) -> float:
    return system.dt.item() if isinstance(system.dt, Tensor) else float(system.dt or 1)


def _response(system: StateSpace, w: Tensor) -> np.ndarray:
    response: np.ndarray = system.frequency_response(w)[:, 0, 0].detach().cpu().numpy()
    return response


def bode(system: System, w: Tensor | None = None, figure: Any = None) -> Any:
    """Draw gain in dB and phase in degrees over the angular frequency.

    Args:
        system: one system with one input and one output.
        w: angular frequencies in rad/s; chosen around the poles and zeros if left out.
        figure: an empty figure of matplotlib to draw in, such as ``plt.figure()``; a new one if left out.
    Returns:
        The figure.
    Raises:
        InputError: matplotlib is missing, or the system has several inputs or outputs.
    """
    dense = _single("bode", system)
    w = _frequencies(dense, w)
    response = _response(dense, w)
    angles = np.angle(response)
    angles[angles > np.pi - 1e-9] -= 2 * np.pi  # half a turn is drawn as a lag
    decibels = 20 * np.log10(np.abs(response))
    figure, (gain, phase) = _figure("bode", figure, rows=2, height=5.6)
    gain.semilogx(w, decibels)
    gain.set_ylabel("gain (dB)")
    if np.ptp(decibels) < 0.1:  # an all-pass: its rounding is no picture
        gain.set_ylim(decibels.mean() - 1, decibels.mean() + 1)
    phase.semilogx(w, np.degrees(np.unwrap(angles)))
    phase.set_ylabel("phase (degrees)")
    phase.set_xlabel("angular frequency (rad/s)")
    for panel in (gain, phase):
        panel.grid(alpha=0.3)
    return figure


def nyquist(system: System, w: Tensor | None = None, figure: Any = None) -> Any:
    """Draw the frequency response in the complex plane, for negative frequencies too, with the point -1.

    Args:
        system: one system with one input and one output.
        w: angular frequencies in rad/s; chosen around the poles and zeros if left out.
        figure: an empty figure of matplotlib to draw in, such as ``plt.figure()``; a new one if left out.
    Returns:
        The figure.
    Raises:
        InputError: matplotlib is missing, or the system has several inputs or outputs.
    """
    dense = _single("nyquist", system)
    response = _response(dense, _frequencies(dense, w))
    figure, panel = _figure("nyquist", figure, height=5.6)
    (line,) = panel.plot(response.real, response.imag, label="positive frequencies")
    travelled = np.abs(np.diff(response)).cumsum()
    half = int(np.searchsorted(travelled, travelled[-1] / 2))
    begin, end = ((response[k].real, response[k].imag) for k in (half, half + 1))
    panel.annotate("", end, begin, arrowprops={"arrowstyle": "-|>", "color": line.get_color()})
    panel.plot(response.real, -response.imag, "--", label="negative frequencies")
    panel.plot([-1], [0], "k+")
    panel.set_aspect("equal", adjustable="datalim")
    panel.set_xlabel("real part (output units per input unit)")
    panel.set_ylabel("imaginary part (output units per input unit)")
    panel.legend()
    panel.grid(alpha=0.3)
    return figure


def _over_time(where: str, system: System, t: Tensor | int | None, what: str, unit: str, figure: Any) -> Any:
    dense = _single(where, system)
    if t is not None and dense.dt is None and not isinstance(t, int):
        t = as_tensor(where, "t", t)
    if t is None:
        margin = float(dense.stability_margin().detach())
        rate = margin if dense.dt is None else margin / _step(dense)
        span = 7 / rate if 1e-9 < rate < float("inf") else 10.0
        if dense.dt is None:
            t = torch.linspace(0, span, 500, dtype=torch.float64)
        else:
            t = min(max(int(span / _step(dense)), 10), 2000)
    response = (dense.impulse_response(t) if where == "impulse" else dense.step_response(t))[:, 0, 0].detach().cpu()
    figure, panel = _figure(where, figure)
    if isinstance(t, Tensor):
        panel.plot(t.detach().cpu(), response)
    else:
        panel.step(np.arange(t) * _step(dense), response, where="post")
    panel.set_xlabel("time (s)")
    panel.set_ylabel(f"{what} ({unit})")
    panel.grid(alpha=0.3)
    return figure


def impulse(system: System, t: Tensor | int | None = None, figure: Any = None) -> Any:
    """Draw the impulse response over time.

    Args:
        system: one system with one input and one output.
        t: times in s, or the number of steps of a discrete system; until the slowest mode has decayed if left out.
        figure: an empty figure of matplotlib to draw in, such as ``plt.figure()``; a new one if left out.
    Returns:
        The figure.
    Raises:
        InputError: matplotlib is missing, or the system has several inputs or outputs.
    """
    unit = "output units per (input unit x s)" if system.dt is None else "output units per input unit"
    return _over_time("impulse", system, t, "impulse response", unit, figure)


def step(system: System, t: Tensor | int | None = None, figure: Any = None) -> Any:
    """Draw the step response over time.

    Args:
        system: one system with one input and one output.
        t: times in s, or the number of steps of a discrete system; until the slowest mode has decayed if left out.
        figure: an empty figure of matplotlib to draw in, such as ``plt.figure()``; a new one if left out.
    Returns:
        The figure.
    Raises:
        InputError: matplotlib is missing, or the system has several inputs or outputs.
    """
    return _over_time("step", system, t, "step response", "output units per input unit", figure)


def pole_zero(system: System, figure: Any = None) -> Any:
    """Draw poles and zeros in the complex plane, with the border of stability.

    Args:
        system: one system with one input and one output.
        figure: an empty figure of matplotlib to draw in, such as ``plt.figure()``; a new one if left out.
    Returns:
        The figure.
    Raises:
        InputError: matplotlib is missing, or the system has several inputs or outputs.
    """
    dense = _single("pole_zero", system)
    poles, zeros = dense.poles().detach().cpu(), dense.zeros().cpu()
    figure, panel = _figure("pole_zero", figure, height=5.6)
    panel.plot(poles.real, poles.imag, "x", label="poles")
    if len(zeros):
        panel.plot(zeros.real, zeros.imag, "o", fillstyle="none", label="zeros")
    if dense.dt is None:
        panel.axvline(0, color="black", linewidth=0.8)
        unit = "rad/s"
    else:
        circle = np.linspace(0, 2 * np.pi, 200)
        panel.plot(np.cos(circle), np.sin(circle), color="black", linewidth=0.8)
        panel.set_aspect("equal", adjustable="datalim")
        unit = "no unit"
    panel.set_xlabel(f"real part ({unit})")
    panel.set_ylabel(f"imaginary part ({unit})")
    panel.legend()
    panel.grid(alpha=0.3)
    return figure
