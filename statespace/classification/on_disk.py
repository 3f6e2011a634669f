"""Signals that stay on disk: read, brought to the form of `Signals` and scaled when they are needed, a part at a time.

What is held is one part: of any number of recordings, no more is in memory than of a few.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from statespace.classification.signals import Signals, read_signals
from statespace.datasets import StoredSignals
from statespace.errors import InputError

_PART = 2**19  # numbers in a part, or one recording


class OnDisk:
    """What `Signals` holds, yet to be read.

    Attributes:
        lengths: samples of each, ``(b,)``, int64; where a file ends with gaps, more than are counted in the end.
        sizes: the same.
        channels: of each signal.
        names: ``None``: files do not name their channels, nor do they tell times: `step` is ``None`` as well.

    Args:
        where: the function, for messages.
        files: the signals.
        prepare: what is done to those that were read, such as scaling.
    """

    def __init__(self, where: str, files: StoredSignals, prepare: Callable[[Signals], Signals] | None = None) -> None:
        self._where, self._files, self._prepare = where, files, prepare
        self.lengths = torch.from_numpy(files.lengths)
        self.sizes, self.names, self.step, self.channels = self.lengths, None, None, files.widths[0]

    def __len__(self) -> int:
        return len(self._files)

    def take(self, rows: Tensor | np.ndarray) -> Signals:
        """Read some of the signals."""
        if len(rows) == 0:
            return Signals(torch.zeros(0, 0, self.channels), self.lengths[:0], None, self.lengths[:0])
        read = read_signals(self._where, [self._files[int(row)] for row in rows], self.channels)
        return read if self._prepare is None else self._prepare(read)

    def only(self, rows: Tensor | np.ndarray) -> "OnDisk":
        """Return some of the signals, still on disk."""
        return OnDisk(self._where, self._files.take([int(row) for row in rows]), self._prepare)

    def parts(self) -> Iterator[Signals]:
        """Read all signals, in order, a few at a time."""
        rows: list[int] = []
        longest = 0
        for row, length in enumerate(self.lengths.tolist()):
            longest = max(longest, length)
            if rows and (len(rows) + 1) * longest * self.channels > _PART:
                yield self.take(np.array(rows))
                rows, longest = [], length
            rows.append(row)
        if rows:
            yield self.take(np.array(rows))

    def prepared(self, prepare: Callable[[Signals], Signals]) -> "OnDisk":
        """Return the same, with something done to what is read."""
        return OnDisk(self._where, self._files, prepare)


AnySignals: TypeAlias = Signals | OnDisk


def read_any(where: str, X: Any, channels: int | None = None, names: tuple[str, ...] | None = None) -> AnySignals:
    """Bring signals to one form, or leave them on disk if they are there; see `read_signals`.

    Args:
        where: the function, for messages.
        X: as in `read_signals`, or `StoredSignals`.
        channels: how many there must be; ``None``: as many as the first signal has.
        names: of the channels, in order, if they were told before.
    Returns:
        The signals.
    Raises:
        InputError: as in `read_signals`.
    """
    if not isinstance(X, StoredSignals):
        return read_signals(where, X, channels, names)
    if not len(X):
        raise InputError(f"{where}: X has no signals: at least one is expected.")
    widths = X.widths
    first = channels or widths[0]
    odd = [case for case, width in enumerate(widths) if width != first]
    if odd:
        raise InputError(
            f"{where}: signal {odd[0]} of X has {widths[odd[0]]} channels, but {first} are expected: give all the same."
        )
    longest = int(X.lengths.max())
    if channels is None and first > longest and len(X) > 1:
        warnings.warn(
            f"{where}: X has {first} channels of at most {longest} samples, such as {str(X.files[0].path)!r}. If it is "
            "transposed, save signals as (channels, n), such as by numpy.save(path, signal.T): time is the last axis.",
            stacklevel=3,
        )
    return OnDisk(where, X)
