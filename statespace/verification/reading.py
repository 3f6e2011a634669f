"""A system read from a file: JSON or npz, with matrices, polynomials, or zeros, poles and a gain."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch

from statespace.errors import InputError
from statespace.systems import StateSpace

FORMS = (("A", "B", "C"), ("num", "den"), ("z", "p", "k"))
_SHAPES = (
    '{"A": [[...]], "B": [[...]], "C": [[...]], "D": [[...]]}, {"num": [...], "den": [...]} '
    'or {"z": [...], "p": [...], "k": 1}'
)


def _contents(path: Path) -> dict[str, Any]:
    where = f"read_system: {str(path)!r}"
    if path.suffix.lower() not in (".json", ".npz") and not path.is_dir():
        raise InputError(f"{where} ends in {path.suffix!r}, but .json or .npz is read: write {_SHAPES}.")
    try:
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise InputError(f"{where}: there is no such file: check the name and the folder.") from error
    except IsADirectoryError as error:
        raise InputError(f"{where} is a folder: name the file in it.") from error
    except OSError as error:
        raise InputError(f"{where} cannot be read ({error.strerror or error}).") from error
    except (ValueError, RecursionError, BadZipFile) as error:
        if path.suffix.lower() == ".npz":
            raise InputError(
                f"{where} is no npz file of plain arrays: write it by numpy.savez(path, A=A, ...)."
            ) from error
        raise InputError(f"{where} is not JSON ({error}): write {_SHAPES}.") from error
    if not isinstance(found, dict):
        raise InputError(f"{where} holds a {type(found).__name__}, but an object is expected: write {_SHAPES}.")
    return found


def _numbers(path: Path, name: str, value: Any) -> np.ndarray:
    where = f"read_system: {str(path)!r}: {name}"
    roots = name in ("z", "p")
    expected = "a list of numbers, complex ones as '-1+2j'," if roots else "rows of real numbers"
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iufc":
            array = np.array([complex(one) for one in value]) if roots else np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{where} is {value!r:.60}, but {expected} are expected.") from error
    if array.dtype.kind == "c" and not roots:
        if (array.imag != 0).any():
            raise InputError(f"{where} is complex, but a real system is needed: write it in a real form.")
        array = array.real
    if value is None or not np.isfinite(array).all():
        came = "null" if value is None else "NaN or infinity"
        raise InputError(f"{where} holds {came}: write finite numbers.")
    if (roots and array.ndim != 1) or (name == "k" and array.size != 1):
        wanted = "one list" if roots else "one number"
        raise InputError(f"{where} is of shape {array.shape}, but {wanted} is expected: complex roots go as '-1+2j'.")
    return array.astype(np.complex128 if roots else np.float64)


def read_system(path: Path | str) -> StateSpace:
    """Read a continuous system from a file.

    Args:
        path: ``.json`` or ``.npz`` with the keys ``A, B, C`` and perhaps ``D``, or ``num, den``, or ``z, p, k``.
    Returns:
        The system, float64.
    Raises:
        InputError: the file cannot be read, a key is missing (those that were found are named) or not known, or a
            value is not made of numbers.
        ShapeError: the matrices do not fit one another.
    """
    path = Path(path)
    found = _contents(path)
    # The form that the keys come closest to is the one that was meant.
    form = max(FORMS, key=lambda keys: sum(key in found for key in keys) / len(keys))
    missing = [key for key in form if key not in found]
    given = ", ".join(map(repr, found)) or "no key at all"
    if missing:
        raise InputError(
            f"read_system: {str(path)!r}: the key {missing[0]!r} is missing beside {given}: write {_SHAPES}."
        )
    if "dt" in found:
        raise InputError(
            f"read_system: {str(path)!r}: the key 'dt' makes the system discrete, and nothing is left to discretise: "
            "leave it out if the matrices are continuous, and write the step as --dt."
        )
    optional = ("D",) if form[0] == "A" else ()
    unknown = [key for key in found if key not in (*form, *optional)]
    if unknown:
        raise InputError(f"read_system: {str(path)!r}: the key {unknown[0]!r} is not known: write {_SHAPES}.")
    values = {
        key: _numbers(path, key, found[key]) for key in (*form, *optional) if key != "D" or found.get("D") is not None
    }
    if form[0] == "num":
        return StateSpace.from_transfer_function(values["num"].tolist(), values["den"].tolist())
    if form[0] == "z":
        return StateSpace.from_zpk(values["z"], values["p"], float(values["k"].item()))
    A, B, C = (torch.from_numpy(values[key]) for key in form)
    system = StateSpace(A, B, C)
    return replace(system, D=torch.from_numpy(values["D"])) if "D" in values else system
