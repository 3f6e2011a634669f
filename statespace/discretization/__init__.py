"""From continuous to discrete time: one file per method, one list of all of them.

The list is what layers, systems and tests go by. A new method is a file with a dense and a diagonal function, and a
line in ``_ALL``.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from statespace.discretization._arguments import surely_not_finite
from statespace.discretization.backward_diff import backward_diff, backward_diff_diagonal
from statespace.discretization.bilinear import bilinear, bilinear_diagonal, bilinear_log_poles
from statespace.discretization.discrete import Discrete, Discretizer, LogPoles
from statespace.discretization.euler import euler, euler_diagonal
from statespace.discretization.euler_b import euler_b, euler_b_diagonal
from statespace.discretization.exponential_trapezoidal import (
    exponential_trapezoidal,
    exponential_trapezoidal_diagonal,
)
from statespace.discretization.foh import foh, foh_diagonal
from statespace.discretization.gbt import gbt, gbt_diagonal
from statespace.discretization.impulse import impulse, impulse_diagonal
from statespace.discretization.zoh import zoh, zoh_diagonal, zoh_log_poles
from statespace.errors import InputError, choose

__all__ = [
    "ALIASES",
    "METHODS",
    "Discrete",
    "Discretizer",
    "Method",
    "backward_diff",
    "backward_diff_diagonal",
    "bilinear",
    "bilinear_diagonal",
    "discretize",
    "euler",
    "euler_b",
    "euler_b_diagonal",
    "euler_diagonal",
    "exponential_trapezoidal",
    "exponential_trapezoidal_diagonal",
    "find_method",
    "foh",
    "foh_diagonal",
    "gbt",
    "gbt_diagonal",
    "impulse",
    "impulse_diagonal",
    "zoh",
    "zoh_diagonal",
]


@dataclass(frozen=True)
class Method:
    """A discretization: its name, as in SciPy's ``cont2discrete``, and its forms.

    Attributes:
        name: the name by which it is chosen.
        dense: takes `A` as ``(..., n, n)``.
        diagonal: takes `A` as its eigenvalues ``(..., n)``.
        log_poles: takes the eigenvalues and the step, and gives the logarithms of the discrete eigenvalues. Only
            methods with ``Bbar = (Abar - 1) A^-1 B`` have it, exact for a constant input, and only those serve a layer.
        alpha: whether the method takes a weight ``alpha``, and whether it must be given.
        strictly_proper: whether `D` must be 0.
    """

    name: str
    dense: Discretizer
    diagonal: Discretizer
    log_poles: LogPoles | None = None
    alpha: Literal["required", "optional"] | None = None
    strictly_proper: bool = False


_ALL = (
    Method("zoh", zoh, zoh_diagonal, zoh_log_poles),
    Method("foh", foh, foh_diagonal),
    Method("bilinear", bilinear, bilinear_diagonal, bilinear_log_poles),
    Method("gbt", gbt, gbt_diagonal, alpha="required"),
    Method("euler", euler, euler_diagonal),
    Method("backward_diff", backward_diff, backward_diff_diagonal),
    Method("impulse", impulse, impulse_diagonal, strictly_proper=True),
    Method("exponential-trapezoidal", exponential_trapezoidal, exponential_trapezoidal_diagonal, alpha="optional"),
    Method("euler-b", euler_b, euler_b_diagonal),
)

METHODS: dict[str, Method] = {method.name: method for method in _ALL}

ALIASES = {"tustin": "bilinear", "forward_diff": "euler"}
"""Other names that SciPy accepts."""


def find_method(where: str, name: str) -> Method:
    """Return the method of a name, or of one of its other names.

    Args:
        where: the function that was called, for the message.
        name: a key of `METHODS` or of `ALIASES`.
    Returns:
        The method.
    Raises:
        InputError: the name is not known; the message lists those that are.
    """
    choose(where, "method", name, [*METHODS, *ALIASES])
    return METHODS[ALIASES.get(name, name)]


def discretize(
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    dt: Tensor | float,
    method: str = "zoh",
    alpha: float | Tensor | None = None,
    diagonal: bool = False,
) -> Discrete:
    """Discretise a system by the method of a name.

    Args:
        A: state matrix ``(..., n, n)``, or its eigenvalues ``(..., n)`` if `diagonal`, in 1/s.
        B: input matrix, ``(..., n, m)``, in state units per (input unit x s).
        C: output matrix, ``(..., p, n)``, in output units per state unit.
        D: feed-through, ``(..., p, m)``, in output units per input unit.
        dt: step in s, positive; a number, or a tensor that broadcasts with the leading axes.
        method: a key of `METHODS` or of `ALIASES`.
        alpha: weight for the methods that take one; the others ignore it, as in SciPy.
        diagonal: whether `A` holds eigenvalues.
    Returns:
        The discrete system.
    Raises:
        InputError: the method is not known, an argument is not what the method takes, or the result overflows.
    """
    chosen = find_method("discretize", method)
    if isinstance(A, Tensor) and A.shape[-1:] == (0,) and not chosen.strictly_proper:
        chosen = METHODS["euler"]  # a system without a state is its feed-through, whatever the method
    run = chosen.diagonal if diagonal else chosen.dense
    weighs = chosen.alpha == "required" or (chosen.alpha and alpha is not None)
    found = run(A, B, C, D, dt, alpha=alpha) if weighs else run(A, B, C, D, dt)
    if surely_not_finite(*found) and not surely_not_finite(A, B, C, D):
        poles = A.detach() if diagonal else torch.linalg.eigvals(A.detach())
        raise InputError(
            f"discretize: the result of {chosen.name} overflows {found.A.dtype}; the stability margin of the system "
            f"is {-poles.real.max().item():.3g} 1/s and dt is up to {torch.as_tensor(dt).max().item():.3g} s: "
            "choose a smaller dt."
        )
    return found
