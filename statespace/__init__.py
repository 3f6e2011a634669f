"""State space models for signals and time series: continuous systems first.

``import statespace`` is light: it loads neither pandas nor Lightning nor matplotlib. The estimators are loaded when
they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from statespace.errors import InputError, ShapeError
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


def __getattr__(name: str) -> object:
    if name in _LOADED_WHEN_ASKED_FOR:
        return getattr(import_module(_LOADED_WHEN_ASKED_FOR[name]), name)
    raise AttributeError(f"module 'statespace' has no attribute {name!r}: it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LOADED_WHEN_ASKED_FOR])
