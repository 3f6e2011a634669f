"""A system read from a file: JSON or npz, with matrices, polynomials, or zeros, poles and a gain."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from statespace.errors import InputError
from statespace.systems import StateSpace

FORMS = (("A", "B", "C"), ("num", "den"), ("z", "p", "k"))
_SHAPES = (
    '{"A": [[...]], "B": [[...]], "C": [[...]], "D": [[...]]}, {"num": [...], "den": [...]} '
    'or {"z": [...], "p": [...], "k": ...}'
)


def _contents(path: Path) -> dict[str, Any]:
    where = f"read_system: {str(path)!r}"
    try:
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{where}: there is no such file: check the name and the folder.") from error
    except IsADirectoryError as error:
        raise InputError(f"{where} is a folder: name the file in it.") from error
    except OSError as error:
        raise InputError(f"{where} cannot be read ({error.strerror or error}).") from error
    except (ValueError, UnicodeDecodeError) as error:
        kind = "an npz file of plain arrays" if path.suffix.lower() == ".npz" else "JSON"
        raise InputError(f"{where} is not {kind} ({error}): write {_SHAPES}.") from error
    if not isinstance(found, dict):
        raise InputError(f"{where} holds a {type(found).__name__}, but an object is expected: write {_SHAPES}.")
    return found


def _numbers(path: Path, name: str, value: Any, square: bool) -> np.ndarray:
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iufc":
            array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"read_system: {str(path)!r}: {name} is {value!r:.60}, but rows of real numbers are expected."
        ) from error
    if array.dtype.kind == "c" and square:
        raise InputError(
            f"read_system: {str(path)!r}: {name} is complex, but a real matrix is needed: write a real form."
        )
    if not np.isfinite(array).all():
        raise InputError(f"read_system: {str(path)!r}: {name} holds NaN or infinity: write finite numbers.")
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def read_system(path: Path | str) -> StateSpace:
    """Read a continuous system from a file.

    Args:
        path: ``.json`` or ``.npz`` with the keys ``A, B, C`` and perhaps ``D``, or ``num, den``, or ``z, p, k``.
    Returns:
        The system, float64.
    Raises:
        InputError: the file cannot be read, a key is missing (those that were found are named), or a value is not
            made of real numbers.
        ShapeError: the matrices do not fit one another.
    """
    path = Path(path)
    found = _contents(path)
    # The form that the keys come closest to is the one that was meant.
    form = max(FORMS, key=lambda keys: sum(key in found for key in keys) / len(keys))
    missing = [key for key in form if key not in found]
    if missing:
        given = ", ".join(map(repr, found)) or "no key at all"
        raise InputError(
            f"read_system: {str(path)!r}: the key {missing[0]!r} is missing beside {given}: write {_SHAPES}."
        )
    values = {key: _numbers(path, key, found[key], form[0] == "A") for key in (*form, "D") if key in found}
    if form[0] == "num":
        return StateSpace.from_transfer_function(values["num"].tolist(), values["den"].tolist())
    if form[0] == "z":
        return StateSpace.from_zpk(values["z"].tolist(), values["p"].tolist(), float(values["k"].real))
    matrices = {key: torch.from_numpy(value) for key, value in values.items()}
    system = StateSpace(matrices["A"], matrices["B"], matrices["C"])
    return replace(system, D=matrices["D"]) if "D" in matrices else system
