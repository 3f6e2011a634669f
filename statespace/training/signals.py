"""The training of a network on whole signals: batches of like length, cross-entropy or squared error, AdamW, one cycle.

    loss = Σ_i w_i ℓ(y_i, f(x_i)) / Σ_i w_i,      ℓ:  - Σ_k y_k log softmax(f)_k    one class for each signal
                                                     - Σ_k y_k log σ(f_k) + (1 - y_k) log σ(-f_k)    several labels
                                                     ‖y - f‖²    numbers

and where each sample has a class of its own, the same over all samples t of all signals, w_it in place of w_i.

Source: Smith and Topin 2018 (arXiv:1708.07120), for the schedule.
"""

from collections.abc import Iterator
from typing import Protocol

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from statespace.errors import InputError
from statespace.models import SequenceModel
from statespace.training.losses import loss_of
from statespace.training.one_cycle import one_cycle
from statespace.training.random_state import RandomStateModule
from statespace.training.signal_augmentation import SignalBatch, disturb

_AHEAD = 16  # batches that are sorted by length at a time


def batches_of(lengths: Tensor, size: int, rng: torch.Generator | None = None) -> list[Tensor]:
    """Cut the numbers of signals into batches of like length, in random order where `rng` is given.

    Args:
        lengths: samples of each signal, ``(b,)``.
        size: signals in a batch; the last may have fewer.
        rng: for the order.
    Returns:
        The numbers in each batch; every signal is in one of them.
    """
    if rng is None:
        return list(lengths.argsort(stable=True).split(size))
    order = torch.randperm(len(lengths), generator=rng)
    batches: list[Tensor] = []
    for part in order.split(size * _AHEAD):
        near = part[lengths[part].argsort(stable=True)].split(size)
        batches += [near[i] for i in torch.randperm(len(near), generator=rng)]
    return batches


class SignalSource(Protocol):
    """Signals with what is to be said of them, in memory or not.

    Attributes:
        lengths: samples of each signal, ``(b,)``, int64.
    """

    lengths: Tensor

    def take(self, rows: Tensor, epoch: int | None) -> SignalBatch:
        """Return some of the signals, no longer than the longest of them.

        Args:
            rows: their numbers.
            epoch: which pass over the signals it is, for what is drawn anew in each; ``None`` in a validation.
        Returns:
            The batch.
        """


class _Forever(IterableDataset[SignalBatch]):
    """Epoch after epoch, in batches of like length; of several workers each makes its share, in turn."""

    def __init__(self, signals: SignalSource, size: int, seed: int, first: int) -> None:
        self.signals, self.size, self.seed, self.first = signals, size, seed, first

    def __iter__(self) -> Iterator[SignalBatch]:
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        each = -(-len(self.signals.lengths) // self.size)
        epoch, skip = divmod(self.first, each)
        turn = 0
        while True:
            rng = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            for rows in batches_of(self.signals.lengths, self.size, rng)[skip:]:
                if turn % workers == number:
                    yield self.signals.take(rows, epoch)
                turn += 1
            epoch, skip = epoch + 1, 0


class _Once(Dataset[SignalBatch]):
    """Each signal once, in batches of like length; nothing where there are no signals."""

    def __init__(self, signals: SignalSource | None, size: int) -> None:
        self.signals, self.batches = signals, [] if signals is None else batches_of(signals.lengths, size)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> SignalBatch:
        assert self.signals is not None
        return self.signals.take(self.batches[index], None)


class SignalDataModule(LightningDataModule):
    """Signals to train on, for ever, and signals to validate on.

    Args:
        train: signals to train on.
        val: signals to validate on, or ``None``.
        batch_size: signals in a batch.
        seed: of the order.
        num_workers: processes that make batches ahead; 0 for none. The batches are the same, and in the same order.
    """

    def __init__(
        self, train: SignalSource, val: SignalSource | None, batch_size: int, seed: int, num_workers: int = 0
    ) -> None:
        super().__init__()
        self.train, self.val, self.batch_size, self.seed = train, val, batch_size, seed
        self.num_workers = num_workers

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.train.lengths) // self.batch_size)

    def train_dataloader(self) -> DataLoader[SignalBatch]:
        """Return the batches from the step that training stands at."""
        done = self.trainer.global_step if self.trainer else 0
        return DataLoader(
            _Forever(self.train, self.batch_size, self.seed, done), batch_size=None, num_workers=self.num_workers
        )

    def val_dataloader(self) -> DataLoader[SignalBatch]:
        """Return the batches of a validation; none where there is nothing to validate on."""
        return DataLoader(_Once(self.val, self.batch_size), batch_size=None, num_workers=self.num_workers)


class SignalModule(RandomStateModule):
    """Train a `SequenceModel` on signals: with pooling on what they are as a whole, without on their samples.

    Args:
        model: the network.
        kind: of the loss, one of `LOSSES`.
        learning_rate: peak of the one-cycle schedule; the dynamics stay at or below 1e-3.
        weight_decay: of the matrices.
        augmentation: strength of the disturbances; see `training.signal_augmentation`.
        any_rate: whether the layers take another `dt_scale`.
    """

    def __init__(
        self,
        model: SequenceModel,
        kind: str,
        learning_rate: float,
        weight_decay: float,
        augmentation: float,
        any_rate: bool = True,
    ) -> None:
        super().__init__()
        self.model, self.kind = model, kind
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.augmentation, self.any_rate = augmentation, any_rate

    def setup(self, stage: str) -> None:
        """Refuse what this training does not do.

        Args:
            stage: Lightning's name of what is done.
        Raises:
            InputError: there is more than one process, each of which would draw the same batches.
        """
        if self.trainer.world_size > 1:
            raise InputError(
                f"SignalModule: the trainer has {self.trainer.world_size} processes, but all of them would train on "
                "the same batches: pass devices=1."
            )

    def _loss(self, batch: SignalBatch, dt_scale: float) -> Tensor:
        scores, _ = self.model(batch.x, None, batch.lengths, None, dt_scale, batch.observed)
        total = batch.weight.sum().clamp(min=1e-6)  # a disturbance may have moved all that is known out of sight
        return (batch.weight * loss_of(self.kind, scores, batch.y)).sum() / total

    def training_step(self, batch: SignalBatch, batch_idx: int) -> Tensor:
        """Return the loss of one batch, disturbed."""
        batch, rate = disturb(batch, self.augmentation)
        loss = self._loss(batch, rate if self.any_rate else 1.0)
        self.log("loss", loss, batch_size=len(batch.x))
        return loss

    def validation_step(self, batch: SignalBatch, batch_idx: int) -> None:
        """Log the loss of one batch."""
        self.log("val_loss", self._loss(batch, 1.0), batch_size=len(batch.x))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW over the parameter groups, with a one-cycle schedule over the steps of the trainer."""
        return one_cycle(self.model, self.learning_rate, self.weight_decay, self.trainer.max_steps)
