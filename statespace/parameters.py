"""Parameters of an estimator by name, as scikit-learn gets, sets and clones them.

An estimator is a dataclass whose fields of the constructor are its parameters, kept as they came.
"""

import inspect
from typing import Any, Self

from statespace.errors import choose


class Parameters:
    """The parameters of a dataclass by name; a base class."""

    @classmethod
    def _names(cls) -> list[str]:
        return list(inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; there are none within others, whatever `deep` says."""
        del deep
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, for the next `fit`: all of them, or none if one of them is refused.

        Raises:
            InputError: a name is not known, or the estimator checks its parameters when it is made and refuses a value.
        """
        for name in params:
            choose(f"{type(self).__name__}.set_params", "parameter", name, self._names())
        type(self)(**self.get_params() | params)
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = {name: parameter.default for name, parameter in inspect.signature(type(self)).parameters.items()}
        given = (f"{name}={value!r}" for name, value in self.get_params().items() if value != defaults[name])
        return f"{type(self).__name__}({', '.join(given)})"
