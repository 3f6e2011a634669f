"""From continuous to discrete time: one file per method, one list of all of them.

The list is what layers, systems and tests go by. A new method is a file with a dense and a diagonal function, and a
line in ``_ALL``.
"""

from dataclasses import dataclass

from statespace.discretization.bilinear import bilinear, bilinear_diagonal, bilinear_log_poles
from statespace.discretization.discrete import Discrete, Discretizer, LogPoles
from statespace.discretization.zoh import zoh, zoh_diagonal, zoh_log_poles

__all__ = ["METHODS", "Discrete", "Discretizer", "Method", "bilinear", "bilinear_diagonal", "zoh", "zoh_diagonal"]


@dataclass(frozen=True)
class Method:
    """A discretization: its name, as in SciPy's ``cont2discrete``, and its forms.

    Attributes:
        name: the name by which it is chosen.
        dense: takes `A` as ``(..., n, n)``.
        diagonal: takes `A` as its eigenvalues ``(..., n)``.
        log_poles: takes the eigenvalues and the step, and gives the logarithms of the discrete eigenvalues.
    """

    name: str
    dense: Discretizer
    diagonal: Discretizer
    log_poles: LogPoles


_ALL = (
    Method("zoh", zoh, zoh_diagonal, zoh_log_poles),
    Method("bilinear", bilinear, bilinear_diagonal, bilinear_log_poles),
)

METHODS: dict[str, Method] = {method.name: method for method in _ALL}
