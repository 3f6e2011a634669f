"""Batches from recordings on disk: read as they are needed, of one rate and width, cropped or whole, of like length.

A crop is drawn anew in each pass over the recordings; in a validation it is the middle. The draw follows from the seed,
the pass and the recording alone, so that a training that is resumed, or has other workers, meets the same batches.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from statespace.datasets import StoredSignals, read_recordings
from statespace.errors import InputError
from statespace.training import SignalBatch, SignalDataModule, validation_rows

_TRAIN, _VAL = "train", "val"


class _Recordings:
    """Some of the recordings, with their classes; see `SignalSource`."""

    def __init__(self, signals: StoredSignals, targets: Tensor, crop: int | None, seed: int) -> None:
        self._signals, self._targets, self._crop, self._seed = signals, targets, crop, seed
        lengths = torch.from_numpy(signals.lengths)
        self.lengths = lengths if crop is None else lengths.clamp(max=crop)

    def _stretch(self, row: int, epoch: int | None) -> Tensor:
        samples = self._signals[row]
        beyond = 0 if self._crop is None else max(0, samples.shape[1] - self._crop)
        if epoch is None:
            begin = beyond // 2
        else:
            begin = int(np.random.default_rng((self._seed, epoch, row)).integers(0, beyond + 1))
        return torch.from_numpy(samples[:, begin : begin + samples.shape[1] - beyond].T.copy())

    def take(self, rows: Tensor, epoch: int | None) -> SignalBatch:
        """Read some of the recordings; samples that are missing are zero, and not observed where all channels are."""
        each = [self._stretch(row, epoch) for row in rows.tolist()]
        x = torch.nn.utils.rnn.pad_sequence(each, batch_first=True)
        gaps = x.isnan()
        observed = (~gaps.all(2)).float() if bool(gaps.any()) else None
        lengths = torch.tensor([len(one) for one in each])
        return SignalBatch(x.masked_fill(gaps, 0.0), lengths, observed, self._targets[rows], torch.ones(len(rows)))


class RecordingDataModule(SignalDataModule):
    """Recordings with classes to train on, for ever, and others to validate on, for a `SignalModule`.

    A table's column ``split`` decides which are which, if it names ``train`` and ``val``; else a share of each class is
    set aside, and nobody of a ``group`` is on both sides.

    Args:
        source: ``folder/<label>/*.wav`` or ``.npy``, or a table with the columns path and label; see
            `datasets.read_recordings`.
        batch_size: recordings in a batch, which are of like length.
        rate: samples in a second that all are brought to, in Hz; ``None``: as most of them have.
        crop: samples, at that rate, of the stretch that is taken of a longer recording; ``None`` for all of it.
        val_size: share to validate on, in [0, 1), where no column ``split`` says it.
        channels: what to do with mixed numbers of channels: ``"refuse"``, or mix all down to ``"mono"``.
        rates: what to do with other rates: ``"resample"`` or ``"refuse"``.
        unreadable: what to do with files that are broken: ``"stop"`` or ``"skip"``.
        seed: of the order, the crops, and the choice of what to validate on.
        num_workers: processes that read ahead; 0 for none.
    Attributes:
        classes: names of the classes, in the order of the targets.
        n_channels: channels of the recordings.
        sampling_rate: that of all, in Hz; ``None`` where it is not known.
    Raises:
        InputError: the source or an argument cannot be used.
    """

    def __init__(
        self,
        source: Path | str,
        batch_size: int = 16,
        rate: float | None = None,
        crop: int | None = None,
        val_size: float = 0.2,
        channels: str = "refuse",
        rates: str = "resample",
        unreadable: str = "stop",
        seed: int = 0,
        num_workers: int = 0,
    ) -> None:
        where = "RecordingDataModule"
        whole = {"batch_size": (batch_size, 1), "crop": (crop, 1), "num_workers": (num_workers, 0), "seed": (seed, 0)}
        for name, (value, least) in whole.items():
            if value is None and name == "crop":
                continue
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise InputError(f"{where}: {name} is {value!r}, but a whole number of at least {least} is expected.")
        if not 0 <= val_size < 1:
            raise InputError(f"{where}: val_size is {val_size}, but a share in [0, 1) is expected.")
        found = read_recordings(source, rate, rates, channels, unreadable, rate, in_memory=False)
        if found.labels is None or len(Counter(found.labels)) < 2:
            raise InputError(
                f"{where}: {str(source)!r} does not name at least two classes: put the recordings into a folder for "
                "each class, or write a table with the columns path and label."
            )
        if not isinstance(found.signals, StoredSignals):
            raise InputError(f"{where}: {str(source)!r} is one file: pass a folder or a table of paths.")
        self.classes, numbers = np.unique(found.labels, return_inverse=True)
        self.n_channels, self.sampling_rate = found.channels, found.rate
        train, val = np.arange(len(found)), np.empty(0, np.int64)
        if found.splits is not None:
            train, val = (np.array(found.in_split(name), np.int64) for name in (_TRAIN, _VAL))
            if not len(train):
                known = ", ".join(sorted(set(found.splits)))
                raise InputError(
                    f"{where}: {str(source)!r} has no split {_TRAIN!r}, but {known}: call what is to be trained on "
                    f"{_TRAIN!r}, or leave the column out to take all."
                )
        if not len(val):
            groups = None if found.groups is None else np.array(found.groups)[train]
            val = train[validation_rows(numbers[train], len(train), val_size, groups, seed)]
            train = np.setdiff1d(train, val)
        targets = torch.eye(len(self.classes))[torch.from_numpy(numbers)]

        def some(rows: np.ndarray) -> _Recordings:
            assert isinstance(found.signals, StoredSignals)
            return _Recordings(found.signals.take(rows), targets[torch.from_numpy(rows)], crop, seed)

        super().__init__(some(train), some(val) if len(val) else None, batch_size, seed, num_workers)
