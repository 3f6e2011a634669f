"""From continuous to discrete time: one file per method, one list of all of them.

The list is what layers, systems and tests go by. A new method is a file with a dense and a diagonal function, and a
line in ``_ALL``.
"""

from dataclasses import dataclass

from statespace.discretization.bilinear import bilinear, bilinear_diagonal
from statespace.discretization.discrete import Discrete, Discretizer
from statespace.discretization.zoh import zoh, zoh_diagonal

__all__ = ["METHODS", "Discrete", "Discretizer", "Method", "bilinear", "bilinear_diagonal", "zoh", "zoh_diagonal"]


@dataclass(frozen=True)
class Method:
    """A discretization: its name, as in SciPy's ``cont2discrete``, and its two forms.

    Attributes:
        name: the name by which it is chosen.
        dense: takes `A` as ``(..., n, n)``.
        diagonal: takes `A` as its eigenvalues ``(..., n)``.
    """

    name: str
    dense: Discretizer
    diagonal: Discretizer


_ALL = (
    Method("zoh", zoh, zoh_diagonal),
    Method("bilinear", bilinear, bilinear_diagonal),
)

METHODS: dict[str, Method] = {method.name: method for method in _ALL}
