"""State space models for signals and time series: continuous systems first.

``import statespace`` is light: it loads neither pandas nor Lightning nor matplotlib. The estimators are loaded when
they are first asked for.
"""

from typing import TYPE_CHECKING

from statespace.errors import InputError, ShapeError
from statespace.lazy import when_asked_for
from statespace.version import __version__

if TYPE_CHECKING:
    from statespace.classification import Classifier, Labeler, Regressor
    from statespace.forecasting import Forecaster
    from statespace.systems import DPLR, Diagonal, StateSpace, cont2discrete
    from statespace.verification import verify

__all__ = [
    "DPLR",
    "Classifier",
    "Diagonal",
    "Forecaster",
    "InputError",
    "Labeler",
    "Regressor",
    "ShapeError",
    "StateSpace",
    "__version__",
    "cont2discrete",
    "verify",
]

_LOADED_WHEN_ASKED_FOR = {
    "Classifier": "statespace.classification",
    "Labeler": "statespace.classification",
    "Regressor": "statespace.classification",
    "Forecaster": "statespace.forecasting",
    "DPLR": "statespace.systems",
    "Diagonal": "statespace.systems",
    "StateSpace": "statespace.systems",
    "cont2discrete": "statespace.systems",
    "verify": "statespace.verification",
}
__getattr__, __dir__ = when_asked_for(__name__, _LOADED_WHEN_ASKED_FOR)
