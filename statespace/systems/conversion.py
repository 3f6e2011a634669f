"""To and from SciPy and python-control, both loaded when they are asked for."""

from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statespace.errors import InputError, choose
from statespace.systems.dense import StateSpace
from statespace.systems.system import System, as_dense

FORMS = ("state-space", "transfer-function", "zeros-poles-gain")


def _arrays(where: str, system: System, allow_complex: bool) -> tuple[tuple[np.ndarray, ...], float | None]:
    dense = as_dense(where, system)
    if dense.A.ndim > 2:
        raise InputError(
            f"{where}: the system is a batch {tuple(dense.A.shape[:-2])}: convert one at a time, system.select(i)."
        )
    if dense.A.is_complex() and not allow_complex:
        raise InputError(
            f"{where}: the matrices are complex, but real ones are needed there: "
            "keep both of each conjugate pair, or make a Diagonal with pairs=True."
        )
    arrays = tuple(matrix.detach().cpu().numpy().copy() for matrix in (dense.A, dense.B, dense.C, dense.D))
    return arrays, dense.dt.item() if isinstance(dense.dt, Tensor) else dense.dt


def _step(dt: Any) -> float | None:
    """Return the step of a foreign system; True, which means unspecified there, becomes 1."""
    if dt is None or dt == 0:
        return None
    return 1.0 if dt is True else float(dt)


def from_scipy(system: Any) -> StateSpace:
    """Return the system of SciPy's ``lti`` or ``dlti``, in whichever of its forms.

    Args:
        system: a ``scipy.signal`` StateSpace, TransferFunction or ZerosPolesGain.
    Returns:
        The system, float64; discrete for ``dlti``, with a step of 1 s where SciPy has none.
    Raises:
        InputError: it is no such object.
    """
    signal = import_module("scipy.signal")
    if not isinstance(system, signal.lti | signal.dlti):
        raise InputError(
            f"from_scipy: a {type(system).__name__} came, but a scipy.signal.lti or dlti is expected: "
            "tuples of matrices or coefficients go to StateSpace or its from_… methods."
        )
    dt = _step(system.dt)
    if isinstance(system, signal.TransferFunction):  # SciPy's own way to a state space gives a gain a state, at 0
        return StateSpace.from_transfer_function(system.num, system.den, dt)
    if isinstance(system, signal.ZerosPolesGain):
        return StateSpace.from_zpk(system.zeros, system.poles, system.gain, dt)
    found = system.to_ss()
    A, B, C, D = (torch.from_numpy(np.array(matrix, ndmin=2)) for matrix in (found.A, found.B, found.C, found.D))
    return StateSpace(A, B, C, D, dt)


def to_scipy(system: System, form: str = "state-space") -> Any:
    """Return the system as an object of SciPy.

    Args:
        system: one system, not a batch.
        form: ``"state-space"``, ``"transfer-function"`` or ``"zeros-poles-gain"``.
    Returns:
        A ``scipy.signal.lti``, or a ``dlti`` for a discrete system.
    Raises:
        InputError: the system is a batch, the form is not known, or has no room for its inputs and outputs.
    """
    choose("to_scipy", "form", form, FORMS)
    signal = import_module("scipy.signal")
    matrices, dt = _arrays("to_scipy", system, allow_complex=True)
    outputs, inputs = matrices[3].shape
    if (form != "state-space" and inputs != 1) or (form == "zeros-poles-gain" and outputs != 1):
        several = "one input" if form == "transfer-function" else "one input and one output"
        raise InputError(
            f"to_scipy: SciPy's {form} has {several}, but the system has {inputs} and {outputs}: take a column "
            "of B and D (and a row of C and D), or form='state-space'."
        )
    found = signal.StateSpace(*matrices) if dt is None else signal.StateSpace(*matrices, dt=dt)
    if form == "transfer-function":
        return found.to_tf()
    return found.to_zpk() if form == "zeros-poles-gain" else found


def _control(where: str) -> ModuleType:
    try:
        return import_module("control")
    except ImportError as error:
        raise InputError(f"{where}: python-control is not installed: pip install control.") from error


def from_control(system: Any) -> StateSpace:
    """Return the system of python-control's ``StateSpace`` or ``TransferFunction``.

    Args:
        system: a linear system of python-control.
    Returns:
        The system, float64; discrete if it has a step, of 1 s where python-control has True. A matrix of transfer
        functions becomes the states of all its entries, which may be more than are needed.
    Raises:
        InputError: python-control is not installed, or it is no such object.
    """
    control = _control("from_control")
    if not isinstance(system, control.StateSpace | control.TransferFunction):
        raise InputError(
            f"from_control: a {type(system).__name__} came, but a linear system of python-control is expected."
        )
    if isinstance(system, control.TransferFunction):
        entries = [
            [StateSpace.from_transfer_function(*entry) for entry in zip(*row, strict=True)]
            for row in zip(system.num, system.den, strict=True)
        ]
        return _of_entries(entries, _step(system.dt))
    found = system
    A, B, C, D = (
        torch.from_numpy(np.array(matrix, dtype=np.float64, ndmin=2)) for matrix in (found.A, found.B, found.C, found.D)
    )
    return StateSpace(A, B, C, D, _step(found.dt))


def _of_entries(entries: list[list[StateSpace]], dt: float | None) -> StateSpace:
    """Return the system of a matrix of systems with one input and one output: the states of all, side by side."""
    rows, columns = len(entries), len(entries[0])
    states = [(i, j, entries[i][j]) for i in range(rows) for j in range(columns)]
    B = [torch.nn.functional.pad(entry.B, (j, columns - 1 - j)) for _, j, entry in states]
    C = [torch.nn.functional.pad(entry.C, (0, 0, i, rows - 1 - i)) for i, _, entry in states]
    D = torch.stack([torch.stack([entry.D[0, 0] for entry in row]) for row in entries])
    return StateSpace(torch.block_diag(*(entry.A for *_, entry in states)), torch.cat(B), torch.cat(C, 1), D, dt)


def to_control(system: System) -> Any:
    """Return the system as a ``StateSpace`` of python-control.

    Args:
        system: one real system, not a batch.
    Returns:
        A ``control.StateSpace``, with the step of a discrete system.
    Raises:
        InputError: python-control is not installed, the system is a batch, or its matrices are complex.
    """
    control = _control("to_control")
    matrices, dt = _arrays("to_control", system, allow_complex=False)
    return control.ss(*matrices) if dt is None else control.ss(*matrices, dt)
