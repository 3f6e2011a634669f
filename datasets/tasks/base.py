"""What every task is: batches of inputs and targets, drawn from a seed and an index, and never stored.

Batch number ``index`` of a split is drawn by a generator of its own, seeded with ``(seed, split, index)``: any batch
can be made again, in any order and by any process, and the splits never share one.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np

from statespace.errors import InputError, at_least, choose

SPLITS = ("train", "val", "test")


class Batch(NamedTuple):
    """Inputs and targets of several sequences of one task.

    Attributes:
        x: tokens ``(b, l)``, int64, or samples ``(b, l, channels)``, float32.
        y: targets: classes, int64, or values with an axis more, float32; one a position, ``(b, l)`` or ``(b, l, k)``,
            where there is a `mask`, and one a sequence, ``(b,)`` or ``(b, k)``, where there is none.
        mask: true where an answer is judged, ``(b, l)``, or ``None``: the sequence as a whole has one target.
        lengths: samples that count in each sequence, ``(b,)``, int64, or ``None``: all of them.
    """

    x: np.ndarray
    y: np.ndarray
    mask: np.ndarray | None = None
    lengths: np.ndarray | None = None


class Task(ABC):
    """A task for sequence models.

    Attributes:
        tokens: whether the inputs are tokens; else they are real samples.
        inputs: size of the vocabulary, or number of channels.
        classes: whether the targets are classes; else they are real values.
        outputs: number of classes, or of values.
        per_sequence: whether a sequence as a whole has one target; else positions have theirs.
    """

    tokens: ClassVar[bool] = True
    classes: ClassVar[bool] = True
    per_sequence: ClassVar[bool] = False
    inputs: int
    outputs: int

    def batch(self, size: int, index: int = 0, seed: int = 0, split: str = "train") -> Batch:
        """Make one batch, the same for the same arguments.

        Args:
            size: number of sequences.
            index: number of the batch in its split, from 0.
            seed: of the whole stream of batches.
            split: ``"train"``, ``"val"`` or ``"test"``: streams that share nothing.
        Returns:
            The batch; tasks with stored data have fewer sequences in the last batch of ``"val"`` and ``"test"``.
        Raises:
            InputError: `size`, `index` or `seed` is out of range, or `split` is not known.
        """
        name = type(self).__name__
        at_least(f"{name}.batch", 1, size=size)
        at_least(f"{name}.batch", 0, index=index, seed=seed)
        return self._make(size, index, seed, choose(f"{name}.batch", "split", split, SPLITS))

    def batches(self, size: int, split: str = "train") -> int | None:
        """Return how many batches of `size` a split has, or ``None`` where there is no end.

        Args:
            size: number of sequences in a batch.
            split: ``"train"``, ``"val"`` or ``"test"``.
        Returns:
            The number; ``None`` for tasks that are drawn, and for every ``"train"``.
        """
        at_least(f"{type(self).__name__}.batches", 1, size=size)
        choose(f"{type(self).__name__}.batches", "split", split, SPLITS)
        return None

    def _make(self, size: int, index: int, seed: int, split: str) -> Batch:
        return self.draw(np.random.default_rng([seed, SPLITS.index(split), index]), size)

    @abstractmethod
    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw `size` sequences with `rng`."""


def positive(where: str, **given: float) -> None:
    """Check that each argument is a positive finite number.

    Raises:
        InputError: one is not; the message names it.
    """
    for name, value in given.items():
        if not 0 < value < np.inf:
            raise InputError(f"{where}: {name} is {value!r}, but a positive finite number is expected.")
