"""Whether the tensors of a checkpoint are those of a model, and what was probably meant where they are not."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches

from torch import Tensor

from statespace.errors import InputError, ShapeError

_TOLD = 3  # names in a message; the rest is counted


def _list(names: Collection[str], among: Collection[str]) -> str:
    """Name the first few, each with what it may have been called on the other side."""
    told = []
    for name in list(names)[:_TOLD]:
        close = get_close_matches(name, among, n=1, cutoff=0.8)
        told.append(f"{name!r} (near {close[0]!r})" if close else repr(name))
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(told) + more


def expect_the_same(where: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Check that a checkpoint holds what a model needs, and nothing else.

    Args:
        where: the function, for messages.
        found: the tensors of the checkpoint, by name.
        expected: tensors of the shapes that the model needs, by name.
    Raises:
        InputError: tensors are missing or left over; the message names the first of them, and near matches.
        ShapeError: a tensor has another shape.
    """
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    if missing or extra:
        lacks = f"it lacks {_list(missing, extra)}" if missing else ""
        has = f"it has {_list(extra, missing)}, which the model has no place for" if extra else ""
        raise InputError(
            f"{where}: the checkpoint is not of the model that config.json tells of: "
            f"{'; '.join(filter(None, (lacks, has)))}. Correct the configuration, or fetch weights that belong to it."
        )
    for name, tensor in found.items():
        if tensor.shape != expected[name].shape:
            raise ShapeError(
                f"{where}: {name!r} is {tuple(tensor.shape)} in the checkpoint, but {tuple(expected[name].shape)} by "
                "config.json: correct the configuration, or fetch weights that belong to it."
            )
