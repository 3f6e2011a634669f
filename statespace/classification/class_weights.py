"""How much each class counts: alike, as much as the others however rare it is, or as it is told."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from statespace.classification.targets import is_number
from statespace.errors import InputError, choose


def class_weights(where: str, class_weight: object, classes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the weight of each class.

    Args:
        where: the function, for messages.
        class_weight: ``None``, ``"balanced"``, or a weight for each class; what is not named counts once.
        classes: the classes, ``(k,)``.
        counts: how often there is each, ``(k,)``.
    Returns:
        The weights, ``(k,)``, float64.
    Raises:
        InputError: `class_weight` is something else, or names a class that there is not.
    """
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, str):
        choose(where, "class_weight", class_weight, ("balanced",))
        balanced: np.ndarray = counts.sum() / (len(classes) * counts)
        return balanced
    if not isinstance(class_weight, Mapping):
        raise InputError(
            f"{where}: class_weight is {class_weight!r}, but None, 'balanced' or a weight for each class is expected."
        )
    given: Mapping[Any, Any] = class_weight
    wrong = [value for value in given.values() if not (is_number(value) and 0 <= value < 1e100)]
    if wrong:
        raise InputError(f"{where}: class_weight holds {wrong[0]!r}, but numbers from 0 on are expected.")
    names = classes.tolist()
    unknown = set(given) - set(names)
    if unknown:
        raise InputError(
            f"{where}: class_weight names {', '.join(map(repr, unknown))}, but the classes of y are "
            f"{', '.join(map(repr, names))}."
        )
    return np.array([float(given.get(name, 1.0)) for name in names])
