"""The error of an estimator that is asked before it was fitted: ours, and scikit-learn's where that is in use."""

import sys
from functools import cache

from statespace.errors import InputError


@cache
def _both(theirs: type[Exception]) -> type[InputError]:
    class NotFittedError(InputError, theirs):  # type: ignore[valid-type,misc]
        """Ours, and scikit-learn's."""

        def __reduce__(self) -> tuple[object, ...]:
            return not_fitted, self.args  # pickle finds no class that is made within a function

    return NotFittedError


def not_fitted(message: str) -> InputError:
    """Return the error to raise.

    Args:
        message: what it says.
    Returns:
        An `InputError` that is scikit-learn's ``NotFittedError`` as well, if scikit-learn was imported: nobody else can
        name that class to catch it, and nobody else should have to import scikit-learn.
    """
    exceptions = sys.modules.get("sklearn.exceptions")
    return InputError(message) if exceptions is None else _both(exceptions.NotFittedError)(message)
