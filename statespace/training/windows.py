"""Windows of many series of unequal length, cut from one flat tensor: no copy of the data, no loop over series.

All series lie one behind the other in one tensor. A window is named by its origin, the position of its first target:
its history is what comes before it in the same series, padded in front where the series is shorter.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

VALIDATION_BATCH = 1024


class Windows(NamedTuple):
    """A batch of windows.

    Attributes:
        x: history, ``(b, input_size)``, zero where nothing was observed.
        x_observed: 1 where the history was observed, else 0.
        y: targets, ``(b, h)``, zero where nothing was observed.
        y_observed: 1 where the target was observed, else 0.
    """

    x: Tensor
    x_observed: Tensor
    y: Tensor
    y_observed: Tensor


class WindowSource:
    """Series as one flat tensor, and the cutting of windows from it.

    Args:
        values: all series one behind the other, ``(total,)``; NaN where nothing was observed.
        lengths: number of steps of each series, ``(series,)``, in the same order.
        input_size: length of the history of a window.
        h: number of targets.
    """

    def __init__(self, values: Tensor, lengths: Tensor, input_size: int, h: int) -> None:
        self.observed = (~values.isnan()).to(values.dtype)
        self.values = values.nan_to_num(0.0)
        self.ends = lengths.cumsum(0)
        self.starts = self.ends - lengths
        self.input_size, self.h = input_size, h
        self.offsets = torch.arange(-input_size, h)

    def origins(self, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """List the origins from `first` to `last`, both included, of every series, relative to its start.

        Args:
            first: first origin of each series, ``(series,)``.
            last: last origin of each series, ``(series,)``; below `first` where a series has none.
        Returns:
            The series of each origin, ``(windows,)``, and the origins as positions in the flat tensor, ``(windows,)``.
        """
        count = (last - first + 1).clamp(min=0)
        series = torch.repeat_interleave(torch.arange(len(count)), count)
        rank = torch.arange(len(series)) - (count.cumsum(0) - count)[series]
        return series, self.starts[series] + first[series] + rank

    def cut(self, series: Tensor, origin: Tensor) -> Windows:
        """Cut the windows at the given origins; positions outside the series are unobserved."""
        position = origin[:, None] + self.offsets
        inside = (position >= self.starts[series, None]) & (position < self.ends[series, None])
        position = position.clamp(0, max(len(self.values) - 1, 0))
        observed = self.observed[position] * inside
        values = self.values[position] * inside
        split = self.input_size
        return Windows(values[:, :split], observed[:, :split], values[:, split:], observed[:, split:])


class _RandomBatches(IterableDataset[Windows]):
    """Batches at origins drawn with replacement, for ever."""

    def __init__(self, source: WindowSource, series: Tensor, origin: Tensor, batch_size: int, seed: int) -> None:
        self.source, self.series, self.origin = source, series, origin
        self.batch_size, self.seed = batch_size, seed

    def __iter__(self) -> Iterator[Windows]:
        generator = torch.Generator().manual_seed(self.seed)
        while True:
            chosen = torch.randint(len(self.origin), (self.batch_size,), generator=generator)
            yield self.source.cut(self.series[chosen], self.origin[chosen])


class _AllBatches(Dataset[Windows]):
    """Every origin once, in order."""

    def __init__(self, source: WindowSource, series: Tensor, origin: Tensor) -> None:
        self.source = source
        self.series = series.split(VALIDATION_BATCH)
        self.origin = origin.split(VALIDATION_BATCH)

    def __len__(self) -> int:
        return len(self.origin) if len(self.origin[0]) else 0

    def __getitem__(self, index: int) -> Windows:
        return self.source.cut(self.series[index], self.origin[index])


class WindowDataModule(LightningDataModule):
    """Random windows to train on, and the windows of a tail of each series to validate on.

    Targets of training windows end where the targets of the validation windows begin, so nothing that is validated
    on has been trained on.

    Args:
        source: the series.
        lengths: number of steps of each series, ``(series,)``.
        val_size: steps at the end of each series that are validated on; 0 for none. A series that would have no
            window left to train on gives no window to validate on.
        batch_size: windows in a training batch.
        seed: of the order in which windows are drawn.
    """

    def __init__(self, source: WindowSource, lengths: Tensor, val_size: int, batch_size: int, seed: int) -> None:
        super().__init__()
        self.source, self.batch_size, self.seed = source, batch_size, seed
        h = source.h
        # An origin has at least one value before it, and all its targets inside the series.
        held_out = torch.where(lengths - val_size - h >= 1, val_size, 0)
        last = lengths - held_out - h
        # Windows with much padding are left to series that have little else.
        first = torch.minimum(torch.full_like(last, source.input_size), (last + 1) // 2).clamp(min=1)
        self.train = self._observed(*source.origins(first, last))
        self.val = self._observed(*source.origins(lengths - held_out, torch.where(held_out > 0, lengths - h, -1)))

    def _observed(self, series: Tensor, origin: Tensor) -> tuple[Tensor, Tensor]:
        """Keep the origins with something observed both before and after."""
        seen = torch.cat(
            [self.source.observed.new_zeros(1, dtype=torch.float64), self.source.observed.double().cumsum(0)]
        )
        before = torch.maximum(origin - self.source.input_size, self.source.starts[series])
        after = torch.minimum(origin + self.source.h, self.source.ends[series])
        keep = (seen[origin] > seen[before]) & (seen[after] > seen[origin])
        return series[keep], origin[keep]

    def train_dataloader(self) -> DataLoader[Windows]:
        """Return endless random batches."""
        return DataLoader(_RandomBatches(self.source, *self.train, self.batch_size, self.seed), batch_size=None)

    def val_dataloader(self) -> DataLoader[Windows]:
        """Return every validation window once."""
        return DataLoader(_AllBatches(self.source, *self.val), batch_size=None)
