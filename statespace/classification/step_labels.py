"""A class for each sample of each signal, as users give them: looked at before use, and numbered.

| y | taken as |
|---|---|
| array ``(n_cases, n_timepoints)`` | a class for each sample |
| list of arrays ``(n_timepoints,)`` | the same, of unequal lengths |

NaN and ``None`` stand for what is not known: nothing is learnt from such a sample, nor is it judged.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statespace.classification.targets import as_given, expect_classes, is_missing
from statespace.errors import InputError

UNKNOWN = -1  # in place of the number of a class


def read_labels(where: str, y: Any, sizes: Sequence[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the classes of the samples of each signal, and which of them are known, ``(n,)`` each.

    Args:
        where: the function, for messages.
        y: see the module.
        sizes: samples of each signal.
    Returns:
        A pair for each signal; where a class is not known, what stands there means nothing.
    Raises:
        InputError: `y` has another form, or does not fit the signals.
    """
    if isinstance(y, str | bytes) or not hasattr(y, "__len__"):
        raise InputError(f"{where}: y is a {type(y).__name__}, but a class for each sample of each signal is expected.")
    rows = list(y.to_numpy() if hasattr(y, "to_numpy") else y)
    if len(rows) != len(sizes):
        raise InputError(
            f"{where}: y has labels for {len(rows)} signals, but X has {len(sizes)}: a row of labels is expected for "
            "each, one for each of its samples."
        )
    found = []
    for case, (row, size) in enumerate(zip(rows, sizes, strict=True)):
        try:
            values = as_given(row)
        except ValueError as error:
            raise InputError(f"{where}: the labels of signal {case} in y are ragged: {error}.") from error
        if values.shape != (size,):
            came = f"{len(values)} labels" if values.ndim == 1 else f"labels of the shape {values.shape}"
            raise InputError(
                f"{where}: signal {case} of X has {size} samples, but y has {came} for it: give one for each, and NaN "
                "or None where it is not known."
            )
        given = values.tolist() if values.dtype == object else []
        kinds = {isinstance(label, str) for label in given if not is_missing(label)}
        if len(kinds) > 1:
            raise InputError(f"{where}: y holds text and numbers side by side: write all classes as text.")
        if values.dtype.kind not in "OfMm":
            found.append((values, np.ones(size, bool)))
            continue
        known = ~np.array([is_missing(value) for value in values.tolist()], bool)
        if values.dtype == object and known.any():
            plain = np.array(values[known].tolist())
            if plain.ndim != 1 or plain.dtype == object:
                raise InputError(f"{where}: y holds {values[known][0]!r}, but numbers or text are expected as classes.")
            values = np.zeros(size, plain.dtype)
            values[known] = plain
        found.append((values, known))
    texts = {values.dtype.kind in "US" for values, known in found if known.any()}
    if len(texts) > 1:
        raise InputError(f"{where}: y holds text and numbers side by side: write all classes as text.")
    return found


def number_labels(where: str, labels: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, Tensor]:
    """Number the classes.

    Args:
        where: the function, for messages.
        labels: what `read_labels` gave.
    Returns:
        The classes in order, ``(k,)``, and the number of that of each sample, ``(b, l)``, int64, `UNKNOWN` where it is
        not known and beyond the end of a signal.
    Raises:
        InputError: fewer than two classes are known, or they are quantities.
    """
    present = [values[known] for values, known in labels if known.any()]
    classes = np.unique(np.concatenate(present)) if present else np.empty(0)
    expect_classes(where, classes)
    if len(classes) < 2:
        raise InputError(
            f"{where}: y holds {len(classes)} class ({', '.join(map(str, classes))}), but at least two are needed to "
            "tell apart."
        )
    numbers = torch.full((len(labels), max(len(values) for values, _ in labels)), UNKNOWN)
    for row, (values, known) in enumerate(labels):
        numbers[row, torch.from_numpy(np.flatnonzero(known))] = torch.from_numpy(
            np.searchsorted(classes, values[known])
        )
    return classes, numbers
