"""The result that every discretization gives, and the shape of the functions that give it."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from torch import Tensor


class Discrete(NamedTuple):
    """A discrete system ``x[k+1] = Abar x[k] + Bbar u[k]``, ``y[k] = Cbar x[k] + Dbar u[k]``.

    The fields carry the names of SciPy's ``cont2discrete``; the bar of the textbooks is understood. All four have the
    same leading axes ``...``, those of the arguments broadcast together, and the same type.

    Attributes:
        A: ``Abar``, ``(..., n, n)``, or its diagonal ``(..., n)`` where a diagonal system was given; no unit.
        B: ``Bbar``, ``(..., n, m)``, in state units per input unit.
        C: ``Cbar``, ``(..., p, n)``, in output units per state unit.
        D: ``Dbar``, ``(..., p, m)``, in output units per input unit.
    """

    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor


Discretizer: TypeAlias = Callable[..., Discrete]
"""``method(A, B, C, D, dt) -> Discrete``, for dense or for diagonal systems; some take ``alpha`` as well."""

LogPoles: TypeAlias = Callable[[Tensor, Tensor | float], Tensor]
"""``log_poles(A, dt) -> log(Abar)`` for the eigenvalues ``(..., n)`` of a diagonal system."""
