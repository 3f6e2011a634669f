"""What is to be said of signals, as users give it: classes, numbers, weights and groups, looked at before use.

Whatever cannot be used raises an `InputError` that names the argument.
"""

import warnings
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from statespace.errors import InputError

_NAMED = 5  # classes named in a warning


def is_number(value: object) -> bool:
    """Return whether `value` is a real number, and not a truth value."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def is_missing(value: object) -> bool:
    """Return whether `value` stands for a class that is not known: ``None``, NaN, or what pandas has for it."""
    return value is None or type(value).__name__ == "NAType" or value != value


def expect_classes(where: str, classes: np.ndarray) -> None:
    """Refuse classes that are numbers between whole ones: they are quantities.

    Args:
        where: the function, for messages.
        classes: each once, ``(k,)``.
    Raises:
        InputError: one is no whole number, in the words of scikit-learn.
    """
    between = [name for name in classes.tolist() if isinstance(name, float) and not name.is_integer()]
    if between:
        raise InputError(
            f"{where}: Unknown label type: continuous; y holds {between[0]!r}, but text or whole numbers are expected "
            "as classes: take Regressor for quantities, or write classes as text."
        )


def as_given(y: Any) -> np.ndarray:
    """Return `y` as an array in which all is what it was: of NaN and numbers beside text NumPy makes text."""
    found = np.asarray(y)
    return np.array(y, dtype=object) if found.dtype.kind in "US" and not hasattr(y, "dtype") else found


def described(classes: np.ndarray) -> dict[str, Any]:
    """Return classes as a description that JSON holds; see `classes_in`."""
    return {"classes": [plain_label(name) for name in classes], "dtype": classes.dtype.str}


def classes_in(description: Mapping[str, Any]) -> np.ndarray:
    """Undo `described`."""
    return np.array(description["classes"], dtype=description["dtype"])


def plain_label(value: Any) -> Any:
    """Return a label as JSON can hold it."""
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, str | bool | int | float):
        raise InputError(
            f"save: the class {value!r} is a {type(value).__name__}, which cannot be stored: fit with text or numbers."
        )
    return value


def groups_of(where: str, groups: Any, count: int) -> np.ndarray | None:
    """Return the name of the group of each of `count` signals, or ``None``."""
    if groups is None:
        return None
    named = as_given(groups)
    if named.shape != (count,):
        raise InputError(f"{where}: groups is {named.shape}, but one name for each of {count} signals is expected.")
    missing = [is_missing(name) for name in named.tolist()]
    if any(missing):
        raise InputError(f"{where}: groups has no name for signal {missing.index(True)}: give it one of its own.")
    return named.astype(str) if named.dtype == object else named


def note_lone_classes(where: str, classes: np.ndarray, groups: np.ndarray) -> None:
    """Warn of classes whose signals all come from one group: nothing that is left out with it can tell them.

    Args:
        where: the function, for messages.
        classes: of each signal, ``(b,)``.
        groups: of each signal, ``(b,)``.
    """
    if len(np.unique(groups)) < 2:
        return
    known = np.unique(classes)
    whom = [np.unique(groups[classes == name]).tolist() for name in known]
    lone = [f"{name!r} from {one[0]!r}" for name, one in zip(known.tolist(), whom, strict=True) if len(one) == 1]
    if lone:
        warnings.warn(
            f"{where}: classes of y come from one of the groups alone: {', '.join(lone[:_NAMED])}"
            f"{' …' if len(lone) > _NAMED else ''}. Left out with that group, such a class is never told by "
            "'responses', and a network is not validated on it: give signals of it from a second group, or leave "
            "groups out.",
            stacklevel=5,
        )


def numbers_of(where: str, name: str, y: Any) -> np.ndarray:
    """Return the numbers of the argument `name` in float64."""
    try:
        given = np.asarray(y)
        values = given.astype(np.float64) if given.dtype.kind in "fiubO" else None
    except (TypeError, ValueError):
        values = None
    if values is None:
        raise InputError(f"{where}: {name} holds something that is not a real number: numbers are expected.")
    if not (np.abs(values) < 1e100).all():
        raise InputError(f"{where}: {name} holds NaN, infinity, or numbers too large to compute with.")
    return values


def weights_of(where: str, sample_weight: Any, count: int) -> np.ndarray:
    """Return the weight of each of `count` signals, one each by default."""
    if sample_weight is None:
        return np.ones(count)
    weights = numbers_of(where, "sample_weight", sample_weight)
    if weights.shape == (count,) and not weights.any():
        raise InputError(f"{where}: sample_weight is 0 for every signal, so none counts: leave it out.")
    if weights.shape != (count,) or (weights < 0).any():
        raise InputError(
            f"{where}: sample_weight is {weights.shape}, but one number from 0 on for each signal is expected."
        )
    return weights


def labels_of(where: str, y: Any) -> np.ndarray:
    """Return the classes as an array without anything missing."""
    try:
        named = as_given(y)
    except ValueError as error:
        raise InputError(f"{where}: y is ragged, but one class for each signal is expected.") from error
    if named.ndim == 0:
        raise InputError(f"{where}: y is {y!r}, but one class for each signal is expected.")
    if named.dtype.kind not in "OfMm":
        return named
    flat = named.reshape(-1).tolist()
    odd = next((name for name in flat if isinstance(name, Collection) and not isinstance(name, str | bytes)), None)
    if odd is not None:
        raise InputError(
            f"{where}: y holds {odd!r}, a {type(odd).__name__}, but text or numbers are expected: write each class as "
            "one text."
        )
    missing = [is_missing(name) for name in flat]
    if any(missing):
        signal = missing.index(True) * len(named) // len(flat)
        raise InputError(f"{where}: y has no class for signal {signal}: leave it out.")
    if named.dtype != object or len(flat) > len(named):
        return named
    if len({isinstance(name, str) for name in flat}) > 1:
        raise InputError(f"{where}: y holds text and numbers side by side: write all classes as text.")
    return np.array(flat)
