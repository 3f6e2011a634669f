"""Recordings that stay on disk: a sequence of signals, each read when it is asked for, and never kept.

They were all read once when they were listed, so what is broken has been found, and lengths and widths are known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np

from statespace.datasets.arrays import read_array
from statespace.datasets.audio import read_audio
from statespace.datasets.resampling import resample, resampled_length
from statespace.errors import InputError


def read_file(path: Path) -> tuple[np.ndarray, int | None]:
    """Read a ``.wav`` or ``.npy`` file.

    Args:
        path: the file.
    Returns:
        The samples, ``(channels, n)``, float32, and their rate in Hz, ``None`` where it is not stated.
    Raises:
        InputError: it cannot be read; the message names it.
    """
    return (read_array(path), None) if path.suffix.lower() == ".npy" else read_audio(path)


@dataclass(frozen=True)
class StoredFile:
    """A recording on disk, and how it is to be taken.

    Attributes:
        path: the file.
        channels: that it holds.
        length: samples that it holds.
        has_gaps: whether any of them is NaN.
        rates: the rate that it is at, and the one that it is wanted at, in Hz; ``None`` to leave it as it is.
        mono: whether its channels are mixed down to one.
    """

    path: Path
    channels: int
    length: int
    has_gaps: bool
    rates: tuple[float, float] | None = None
    mono: bool = False

    def read(self) -> np.ndarray:
        """Return the samples as they are wanted, ``(channels, n)``, float32."""
        samples, _ = read_file(self.path)
        if samples.shape != (self.channels, self.length):
            raise InputError(
                f"StoredSignals: {str(self.path)!r} has {samples.shape[0]} channels of {samples.shape[1]} samples, but "
                f"had {self.channels} of {self.length} when it was listed: leave files alone while they are in use."
            )
        if self.mono and len(samples) > 1:
            samples = samples.mean(0, keepdims=True)
        return samples if self.rates is None else resample(samples, *self.rates)

    @property
    def wanted_length(self) -> int:
        """Samples that `read` returns."""
        return self.length if self.rates is None else resampled_length(self.length, *self.rates)


class StoredSignals(Sequence[np.ndarray]):
    """Signals on disk, ``(channels, n)`` each; `Classifier` and the others take them in place of a list.

    Args:
        files: one for each signal.
    """

    def __init__(self, files: Sequence[StoredFile]) -> None:
        self.files = list(files)
        self.lengths = np.array([file.wanted_length for file in self.files], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> "StoredSignals": ...
    def __getitem__(self, index: int | slice) -> "np.ndarray | StoredSignals":
        """Read a signal; a slice reads nothing."""
        return StoredSignals(self.files[index]) if isinstance(index, slice) else self.files[index].read()

    def __iter__(self) -> Iterator[np.ndarray]:
        return (file.read() for file in self.files)

    def take(self, rows: Sequence[int] | np.ndarray) -> "StoredSignals":
        """Return some of the signals; nothing is read.

        Args:
            rows: their numbers.
        Returns:
            These, still on disk.
        """
        return StoredSignals([self.files[row] for row in rows])

    @property
    def widths(self) -> list[int]:
        """Channels of each."""
        return [1 if file.mono else file.channels for file in self.files]

    def mixed_down(self) -> "StoredSignals":
        """Return the same, each mixed down to one channel when it is read."""
        return StoredSignals([replace(file, mono=True) for file in self.files])

    def resampled(self, rates: Sequence[float], target: float) -> "StoredSignals":
        """Return the same, each brought to another rate by a polyphase filter when it is read.

        Args:
            rates: of each, in Hz.
            target: the rate that all are wanted at, in Hz.
        Returns:
            These, still on disk.
        Raises:
            InputError: two rates are too far apart, or a recording has gaps.
        """
        return StoredSignals(
            [
                file if rate == target else replace(file, rates=(rate, target))
                for file, rate in zip(self.files, rates, strict=True)
            ]
        )
