"""SciPy's ``cont2discrete``, for systems of this library: the same names, batched and differentiable."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from statespace.errors import InputError
from statespace.systems.conversion import from_scipy
from statespace.systems.dense import StateSpace
from statespace.systems.system import System


def as_system(where: str, system: System | Sequence[Any]) -> System:
    """Return a system, made from ``(A, B, C, D)``, ``(num, den)``, ``(z, p, k)`` or SciPy's ``lti`` where need be.

    Args:
        where: the function that was called, for the message.
        system: a system or a tuple.
    Returns:
        The system.
    Raises:
        InputError: it is neither, or a tuple of another length.
    """
    if isinstance(system, System):
        return system
    if type(system).__module__.startswith("scipy.signal"):
        return from_scipy(system)
    if isinstance(system, tuple | list):
        if len(system) == 2:
            return StateSpace.from_transfer_function(*system)
        if len(system) == 3:
            return StateSpace.from_zpk(*system)
        if len(system) == 4:
            return StateSpace(*system)
    raise InputError(
        f"{where}: a {type(system).__name__} came, but a system, (A, B, C, D), (num, den), (z, p, k) or SciPy's lti "
        "is expected: objects of python-control go through from_control."
    )


def cont2discrete(
    system: System | Sequence[Any], dt: Tensor | float, method: str = "zoh", alpha: float | Tensor | None = None
) -> System:
    """Return the discrete counterpart of a continuous system.

    The result has the attributes ``A, B, C, D, dt`` and unpacks into them, ``A, B, C, D, dt = cont2discrete(...)``, as
    that of SciPy's function does. `Diagonal` systems stay diagonal, and are discretised eigenvalue by eigenvalue.

    Args:
        system: a continuous system, or ``(A, B, C, D)``, ``(num, den)``, ``(z, p, k)``, or an ``lti`` of SciPy.
        dt: step in s, positive; a number or a tensor that broadcasts with the leading axes. It may be learnt.
        method: ``zoh``, ``foh``, ``bilinear`` (``tustin``), ``gbt``, ``euler`` (``forward_diff``), ``backward_diff``,
            ``impulse``, ``exponential-trapezoidal`` or ``euler-b``.
        alpha: weight of the end of the step for ``gbt``, which needs it, and ``exponential-trapezoidal``.
    Returns:
        The discrete system, which remembers `dt` and where it comes from.
    Raises:
        InputError: the system is discrete, the method is not known (they are listed), `dt` is not positive, or
            `alpha` is missing or outside of [0, 1].
    """
    return as_system("cont2discrete", system).discretize(dt, method, alpha)
