"""A fitted model as a folder: ``model.json`` and ``weights.safetensors``, both plain data, never code.

The folder is written beside its place and moved there when it is whole. A checksum over both files tells a folder
that was cut off or changed; the format number tells one of another version.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from statespace.errors import InputError
from statespace.files import replace_folder_atomically
from statespace.version import __version__

FORMAT = 1
_DESCRIPTION, _WEIGHTS = "model.json", "weights.safetensors"


def _number(value: object) -> object:
    """Turn a number of NumPy, which JSON does not know, into one of Python."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no place in a description")


def _checksum(description: dict[str, Any], weights: bytes) -> str:
    kept = {name: value for name, value in description.items() if name != "checksum"}
    text = json.dumps(kept, sort_keys=True, default=_number)
    return hashlib.sha256(text.encode() + hashlib.sha256(weights).digest()).hexdigest()


def write(where: str, folder: Path | str, kind: str, description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write a model folder, whole or not at all.

    Args:
        where: the function, for messages.
        folder: where to; an earlier model there is replaced.
        kind: what is stored, such as ``"Forecaster"``.
        description: everything but tensors, as JSON takes it.
        tensors: by name.
    Raises:
        InputError: the folder cannot be written.
    """
    weights = save_tensors({name: tensor.contiguous() for name, tensor in tensors.items()})
    full = {"kind": kind, "format": FORMAT, "statespace": __version__, **description}
    full["checksum"] = _checksum(full, weights)
    text = json.dumps(full, indent=1, sort_keys=True, default=_number) + "\n"
    with replace_folder_atomically(where, folder) as fresh:
        (fresh / _DESCRIPTION).write_text(text, encoding="utf-8")
        (fresh / _WEIGHTS).write_bytes(weights)


def read(where: str, folder: Path | str, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a model folder and check that it is whole, unchanged, of this kind and of this format.

    Args:
        where: the function, for messages.
        folder: a folder that `write` made.
        kind: what should be stored there.
    Returns:
        The description and the tensors.
    Raises:
        InputError: the folder is not there, not whole, was changed, or was made by another version.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(f"{where}: {str(folder)!r} {what}, but a folder that save() made is expected.")
    files: dict[str, bytes] = {}
    for name in (_DESCRIPTION, _WEIGHTS):
        try:
            files[name] = (folder / name).read_bytes()
        except OSError as error:
            raise InputError(
                f"{where}: {str(folder / name)!r} cannot be read ({error.strerror}): a model folder holds "
                f"{_DESCRIPTION} and {_WEIGHTS}; save the model again."
            ) from error
    broken = InputError(
        f"{where}: the model in {str(folder)!r} was cut off or changed after it was saved (the checksum does not "
        "match): restore the folder, or fit and save again."
    )
    try:
        description = json.loads(files[_DESCRIPTION])
    except ValueError as error:
        raise broken from error
    if not isinstance(description, dict):
        raise broken
    if description.get("format") != FORMAT:
        raise InputError(
            f"{where}: the model in {str(folder)!r} was saved by statespace {description.get('statespace', '?')} in "
            f"format {description.get('format', '?')}, but this is statespace {__version__}, which reads format "
            f"{FORMAT}: install that version, or fit and save again."
        )
    if description.get("checksum") != _checksum(description, files[_WEIGHTS]):
        raise broken
    if description.get("kind") != kind:
        raise InputError(f"{where}: {str(folder)!r} holds a {description.get('kind')}, but a {kind} is expected.")
    try:
        tensors = load_tensors(files[_WEIGHTS])
    except SafetensorError as error:
        raise broken from error
    return description, {name: torch.as_tensor(tensor) for name, tensor in tensors.items()}
