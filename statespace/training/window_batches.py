"""Batches of windows for Lightning: endless random ones to train on, and those of a tail to validate on."""

from collections.abc import Iterator
from itertools import islice

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from statespace.training.windows import Windows, WindowSource

VALIDATION_BATCH = 1024


class _RandomBatches(IterableDataset[Windows]):
    """Batches at origins drawn with replacement, for ever, without the `first` of them."""

    def __init__(
        self, source: WindowSource, series: Tensor, origin: Tensor, batch_size: int, seed: int, first: int
    ) -> None:
        self.source, self.series, self.origin = source, series, origin
        self.batch_size, self.seed, self.first = batch_size, seed, first

    def _drawn(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        while True:
            yield torch.randint(len(self.origin), (self.batch_size,), generator=generator)

    def __iter__(self) -> Iterator[Windows]:
        for chosen in islice(self._drawn(), self.first, None):
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
        self.train = self._training(lengths - held_out)
        if len(self.train[0]) == 0:  # all that was observed lies in the tails
            held_out = torch.zeros_like(held_out)
            self.train = self._training(lengths)
        self.val = self._observed(*source.origins(lengths - held_out, torch.where(held_out > 0, lengths - h, -1)))

    def _training(self, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """List the origins in the first `lengths` steps of each series."""
        last = lengths - self.source.h
        # Windows with much padding are left to series that have little else.
        first = torch.minimum(torch.full_like(last, self.source.input_size), (last + 1) // 2).clamp(min=1)
        return self._observed(*self.source.origins(first, last))

    def _observed(self, series: Tensor, origin: Tensor) -> tuple[Tensor, Tensor]:
        """Keep the origins with something observed before, and something after that counts."""
        before = torch.maximum(origin - self.source.input_size, self.source.starts[series])
        after = torch.minimum(origin + self.source.h, self.source.ends[series])
        seen, counted = (
            torch.cat([part.new_zeros(1, dtype=torch.float64), (part > 0).double().cumsum(0)])
            for part in (self.source.observed, self.source.weight)
        )
        keep = (seen[origin] > seen[before]) & (counted[after] > counted[origin])
        return series[keep], origin[keep]

    def train_dataloader(self) -> DataLoader[Windows]:
        """Return endless random batches, from the step that training stands at."""
        done = self.trainer.global_step if self.trainer else 0
        return DataLoader(_RandomBatches(self.source, *self.train, self.batch_size, self.seed, done), batch_size=None)

    def val_dataloader(self) -> DataLoader[Windows]:
        """Return every validation window once."""
        return DataLoader(_AllBatches(self.source, *self.val), batch_size=None)
