"""Linear systems, continuous and discrete: one system, four views.

`StateSpace` is dense, `Diagonal` has eigenvalues only, `DPLR` is diagonal plus low rank. They are immutable, batched
and differentiable, and share all that is done with a system; see `System`.
"""

from statespace.systems.cont2discrete import cont2discrete
from statespace.systems.conversion import from_control, from_scipy, to_control, to_scipy
from statespace.systems.dense import StateSpace
from statespace.systems.diagonal import Diagonal
from statespace.systems.dplr import DPLR
from statespace.systems.simulation import VIEWS, Simulation
from statespace.systems.system import Origin, System
from statespace.systems.transforms import Diagonalised, diagonalise, transform

__all__ = [
    "DPLR",
    "VIEWS",
    "Diagonal",
    "Diagonalised",
    "Origin",
    "Simulation",
    "StateSpace",
    "System",
    "cont2discrete",
    "diagonalise",
    "from_control",
    "from_scipy",
    "to_control",
    "to_scipy",
    "transform",
]
