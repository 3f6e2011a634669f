"""Language models to and from folders: the published layouts, and one of our own for what they have no words for.

Nothing is fetched from anywhere, and no code in a folder is run.

Source: see `statespace.models.published`.
"""

from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from statespace.errors import InputError
from statespace.models import published
from statespace.models.checkpoint_files import CONFIG, VOCABULARY, read_json, read_tensors, write_checkpoint
from statespace.models.matching import expect_the_same
from statespace.models.vocabulary import Vocabulary, vocabulary_from

_OURS = "statespace"  # the model_type of what has no published layout

ModelT = TypeVar("ModelT", bound=nn.Module)


def arguments_from(where: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `MambaLM` that a configuration tells of.

    Args:
        where: the function, for messages.
        config: what stands in ``config.json``, in any of the three layouts.
    Returns:
        The arguments.
    Raises:
        InputError: an entry is missing, of another type, or tells of something that there is no layer for.
    """
    if config.get("model_type") != _OURS:
        return published.read_config(where, config)
    if not isinstance(config.get("arguments"), dict):
        raise InputError(f"{where}: config.json has no arguments, which say how the model is made: save it again.")
    return dict(config["arguments"])


def made(where: str, make: Callable[..., ModelT], arguments: Mapping[str, Any]) -> ModelT:
    """Make a model of the arguments that `arguments_from` returned.

    Args:
        where: the function, for messages.
        make: `MambaLM`, or a class derived from it.
        arguments: its arguments.
    Returns:
        The model.
    Raises:
        InputError: an argument is out of range, or not one of the model's.
    """
    known = signature(make).parameters
    strange = [name for name in arguments if name not in known]
    if strange:
        raise InputError(
            f"{where}: config.json has the argument {strange[0]!r}, but a model takes {', '.join(known)}: correct it."
        )
    return make(**arguments)


def _usable(where: str, dtype: torch.dtype | None, device: torch.device | str) -> torch.device:
    """Return a device that is there, and refuse what is no type of weights."""
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise InputError(f"{where}: dtype is {dtype!r}, but a real floating type is expected, such as torch.float16.")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise InputError(f"{where}: device is {str(device)!r}, which cannot be used here: {reason}.") from error


def _names(model: nn.Module, layer: str | None) -> dict[str, str]:
    """Return the name of each tensor in a checkpoint by our own; `layer` is that of a published layout."""
    return {ours: ours if layer is None else published.published_name(ours, layer) for ours in model.state_dict()}


def load(
    where: str, make: Callable[..., ModelT], folder: Path, dtype: torch.dtype | None, device: torch.device | str
) -> ModelT:
    """Make a model as a folder describes it, with the weights that are there.

    Args:
        where: the function, for messages.
        make: `MambaLM`, or a class derived from it.
        folder: the checkpoint.
        dtype: of the weights, or None for the types in which they were stored.
        device: where to put the weights.
    Returns:
        The model.
    Raises:
        InputError: files are missing or broken, the weights are not those of the model that is described, or there is
            no such type or device.
    """
    device = _usable(where, dtype, device)
    config = read_json(where, folder / CONFIG)
    arguments = arguments_from(where, config)
    if (folder / VOCABULARY).is_file():
        arguments["vocabulary"] = vocabulary_from(where, read_json(where, folder / VOCABULARY))
    layer: str | None = None if config.get("model_type") == _OURS else arguments["layer"]
    found = read_tensors(where, folder)
    blocks = arguments.get("n_layers", 0)
    if isinstance(blocks, int) and blocks > len(found):  # which would take long to make, and longer to compare
        raise InputError(
            f"{where}: config.json tells of {blocks} blocks, but the checkpoint has {len(found)} tensors in all: "
            "correct the configuration, or fetch weights that belong to it."
        )
    # Every tensor of the published layers is in a checkpoint: none is made twice.
    with torch.device("cpu" if layer is None else "meta"):
        model = made(where, make, arguments)
    if layer is not None:
        found = published.in_transformers_names(where, found, arguments["tie_embeddings"])
    names, own = _names(model, layer), model.state_dict()
    expect_the_same(
        where, found, {theirs: published.with_its_axes(theirs, own[ours]) for ours, theirs in names.items()}
    )
    for ours, theirs in names.items():
        if own[ours].is_floating_point() and not found[theirs].is_floating_point():
            raise InputError(
                f"{where}: {theirs!r} is {found[theirs].dtype} in the checkpoint, but weights are real floating "
                "numbers: fetch a checkpoint that is not quantised."
            )
    model.load_state_dict({ours: found[theirs].reshape(own[ours].shape) for ours, theirs in names.items()}, assign=True)
    return model.to(device, dtype)


def save(
    where: str, folder: Path | str, model: nn.Module, arguments: Mapping[str, Any], vocabulary: Vocabulary | None
) -> None:
    """Write a model: in transformers' layout if that has words for it, in our own if not.

    Args:
        where: the function, for messages.
        folder: where to; an earlier model there is replaced.
        model: the model, with an ``embedding``.
        arguments: what `MambaLM` was made from.
        vocabulary: saved beside it, or None.
    Raises:
        InputError: the folder cannot be written.
    """
    tensors: dict[str, Tensor] = model.state_dict()
    config = published.write_config(arguments, len(tensors["embedding.weight"]))
    names = _names(model, None if config is None else arguments["layer"][0])
    if config is None:
        config = {"model_type": _OURS, "arguments": dict(arguments)}
    config["dtype"] = str(tensors["embedding.weight"].dtype).removeprefix("torch.")
    weights = {theirs: published.with_its_axes(theirs, tensors[ours]) for ours, theirs in names.items()}
    write_checkpoint(where, folder, config, weights, None if vocabulary is None else vocabulary.describe())
