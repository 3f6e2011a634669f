"""The errors that the library raises for input it cannot take.

Each message names the function or option, the argument, what was expected, what came, and how to mend it. Both
classes are ``ValueError``s, so that code which knows nothing of this library catches them; the command line turns
them into one line on stderr and exit code 2.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral


class InputError(ValueError):
    """An argument, a file or a table that cannot be used as it is."""


class ShapeError(InputError):
    """A tensor whose shape does not fit the others, or the documented axes."""


def at_least(where: str, least: int, **given: object) -> None:
    """Check that each argument is a whole number from `least` on.

    Args:
        where: the function that was called, for the message.
        least: the smallest number that is accepted.
        given: the arguments by name.
    Raises:
        InputError: one is not; the message names it.
    """
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise InputError(f"{where}: {name} is {value!r}, but a whole number of at least {least} is expected.")


def choose(where: str, argument: str, value: object, known: Iterable[str]) -> str:
    """Return `value` if it is one of the `known` names, else raise an error that lists them.

    Args:
        where: the function that was called, for the message.
        argument: the argument that carries the name.
        value: what came.
        known: the names that are accepted.
    Returns:
        `value`, unchanged.
    Raises:
        InputError: `value` is not among `known`; the message lists them and the closest one.
    """
    names = list(known)
    if isinstance(value, str) and value in names:
        return value
    close = get_close_matches(str(value), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise InputError(f"{where}: {argument} is {value!r}, which is not known: choose one of {', '.join(names)}.{hint}")
