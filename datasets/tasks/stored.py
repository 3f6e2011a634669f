"""Tasks whose sequences lie in files: a training set that is shuffled anew in every epoch, and two that are not."""

from collections.abc import Mapping

import numpy as np

from statespace.datasets.tasks.base import Batch, Task
from statespace.errors import InputError, at_least

Part = tuple[np.ndarray, np.ndarray]


class StoredTask(Task):
    """A task with a fixed number of labelled sequences, one label each.

    Args:
        parts: inputs ``(cases, l, channels)`` and labels ``(cases,)`` of each split.
        classes: number of classes.
    """

    tokens = False
    per_sequence = True

    def __init__(self, parts: Mapping[str, Part], classes: int) -> None:
        self.parts = parts
        self.inputs, self.outputs = parts["train"][0].shape[2], classes

    def batches(self, size: int, split: str = "train") -> int | None:
        """Return how many batches of `size` a split has; there is no end to ``"train"``, which is shuffled."""
        super().batches(size, split)
        return None if split == "train" else -(-len(self.parts[split][1]) // size)

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw `size` of the training sequences, without replacement as far as they go."""
        x, y = self.parts["train"]
        chosen = np.resize(rng.permutation(len(y)), size)
        return Batch(self._prepared(x[chosen]), y[chosen])

    def _prepared(self, x: np.ndarray) -> np.ndarray:
        """Turn what is stored into what a model takes."""
        return x.astype(np.float32)

    def _make(self, size: int, index: int, seed: int, split: str) -> Batch:
        x, y = self.parts[split]
        if split != "train":
            count = -(-len(y) // size)
            if index >= count:
                raise InputError(
                    f"{type(self).__name__}.batch: index is {index}, but {split!r} has {count} batches of {size}: take "
                    f"one from 0 to {count - 1}."
                )
            part = slice(index * size, (index + 1) * size)
            return Batch(self._prepared(x[part]), y[part])
        # The stream is one permutation after the other; a batch may end in one and begin in the last.
        places = np.arange(index * size, (index + 1) * size)
        chosen = np.empty(size, np.int64)
        for epoch in np.unique(places // len(y)):
            order = np.random.default_rng([seed, epoch]).permutation(len(y))
            inside = places // len(y) == epoch
            chosen[inside] = order[places[inside] % len(y)]
        return Batch(self._prepared(x[chosen]), y[chosen])


def hold_out(where: str, part: Part, validation: int) -> dict[str, Part]:
    """Split a training set: its last `validation` cases become ``"val"``.

    Raises:
        InputError: nothing would be left on one side.
    """
    at_least(where, 1, validation=validation)
    x, y = part
    at_least(f"{where}: less than all {len(y)} cases can be held out", 1, left=len(y) - validation)
    return {"train": (x[:-validation], y[:-validation]), "val": (x[-validation:], y[-validation:])}
