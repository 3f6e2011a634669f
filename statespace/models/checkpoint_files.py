"""A folder with a model as others publish it: ``config.json`` and weights, as plain data, never code.

Weights are looked for in this order: ``model.safetensors``, its shards by ``model.safetensors.index.json``,
``pytorch_model.bin``, and its shards by ``pytorch_model.bin.index.json``; a ``.bin`` is read as weights only.

Source: huggingface.co/docs/safetensors, "Format"; the documentation of ``transformers.PreTrainedModel.from_pretrained``
for the names of the files.
"""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from statespace.errors import InputError
from statespace.files import replace_folder_atomically

CONFIG, VOCABULARY, WEIGHTS = "config.json", "vocabulary.json", "model.safetensors"


def read_json(where: str, path: Path) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Args:
        where: the function, for messages.
        path: the file.
    Returns:
        The object.
    Raises:
        InputError: the file is not there, is not JSON, or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{where}: {str(path)!r} cannot be read ({error.strerror}): pass the folder of a checkpoint, which holds "
            f"{CONFIG} and its weights."
        ) from error
    except ValueError as error:
        raise InputError(f"{where}: {str(path)!r} is not JSON ({error}): fetch the checkpoint again.") from error
    if not isinstance(found, dict):
        raise InputError(f"{where}: {str(path)!r} holds no JSON object, but one is expected: fetch it again.")
    return found


# Beside an error of its own, the unpickler lets those of Python out when the bytes make no sense.
_BROKEN_PICKLE = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def _safetensors(where: str, path: Path) -> dict[str, Tensor]:
    try:
        found: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{where}: {str(path)!r} cannot be read as safetensors ({error}): fetch the file again."
        ) from error
    return found


def _weights_only(where: str, path: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except _BROKEN_PICKLE as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{where}: {str(path)!r} cannot be read as weights only ({reason}): fetch the file again; one that needs "
            "code to be run is not read."
        ) from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise InputError(f"{where}: {str(path)!r} holds more than tensors by name: pass a file with the weights alone.")
    return found


_READERS: dict[str, Callable[[str, Path], dict[str, Tensor]]] = {
    WEIGHTS: _safetensors,
    "pytorch_model.bin": _weights_only,
}


def _shards(where: str, index: Path, read: Callable[[str, Path], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Read the files that an index names, each once, and take from each what it is said to hold."""
    places = read_json(where, index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise InputError(f"{where}: {str(index)!r} has no weight_map of tensors to files: fetch it again.")
    found: dict[str, Tensor] = {}
    for name in sorted(set(places.values())):
        if Path(name).name != name:
            raise InputError(f"{where}: {str(index)!r} names {name!r}, which is not a file beside it: fetch it again.")
        if not (index.parent / name).is_file():
            raise InputError(f"{where}: {str(index)!r} names {name!r}, which is not there: fetch that file too.")
        shard = read(where, index.parent / name)
        promised = [tensor for tensor, file in places.items() if file == name]
        absent = [tensor for tensor in promised if tensor not in shard]
        if absent:
            raise InputError(f"{where}: {name!r} lacks {absent[0]!r}, which {index.name} promises: fetch it again.")
        found |= {tensor: shard[tensor] for tensor in promised}
    return found


def read_tensors(where: str, folder: Path) -> dict[str, Tensor]:
    """Read the weights in a folder.

    Args:
        where: the function, for messages.
        folder: the checkpoint.
    Returns:
        Tensors by name, on the CPU, in the types in which they were stored.
    Raises:
        InputError: there are none, or they cannot be read.
    """
    for name, read in _READERS.items():
        if (folder / name).is_file():
            return read(where, folder / name)
        if (folder / f"{name}.index.json").is_file():
            return _shards(where, folder / f"{name}.index.json", read)
    there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
    raise InputError(
        f"{where}: {str(folder)!r} holds no weights: {' or '.join(_READERS)}, or an index of one of them, is expected "
        f"(there is {there})."
    )


def write_checkpoint(
    where: str,
    folder: Path | str,
    config: dict[str, Any],
    tensors: dict[str, Tensor],
    vocabulary: dict[str, Any] | None,
) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        where: the function, for messages.
        folder: where to; an earlier checkpoint there is replaced.
        config: what becomes ``config.json``.
        tensors: weights by name.
        vocabulary: what becomes ``vocabulary.json``, or None.
    Raises:
        InputError: the folder cannot be written.
    """
    with replace_folder_atomically(where, folder, stale=[VOCABULARY]) as fresh:
        for name, content in ((CONFIG, config), (VOCABULARY, vocabulary)):
            if content is not None:
                text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
                (fresh / name).write_text(text, encoding="utf-8")
        whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(whole, fresh / WEIGHTS, metadata={"format": "pt"})  # transformers asks for the format
