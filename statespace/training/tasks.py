"""Training on tasks: batches of `statespace.datasets.tasks` as tensors, cross-entropy or squared error, AdamW.

    loss = mean over judged answers of  -log softmax(y)_target   or of  |y - target|²

The learning rate rises linearly over `warmup` steps and then falls along a half cosine to a hundredth of its peak.
Several processes draw the same batches, and each answers its part of every batch: the mean of their losses, and of
their gradients, is that of the batch.

Source: Loshchilov and Hutter 2016 (arXiv:1608.03983), equation (5), for the cosine.
"""

from collections.abc import Iterator, Sequence
from math import cos, pi
from typing import NamedTuple

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from statespace.datasets.tasks import Batch, Task
from statespace.errors import InputError
from statespace.models import SequenceModel
from statespace.training.parameter_groups import parameter_groups
from statespace.training.random_state import RandomStateModule
from statespace.training.step_sizes import StepSizes

_FLOOR = 0.01  # of the learning rate, at the end


class TaskBatch(NamedTuple):
    """A `Batch` as tensors.

    Attributes:
        x: tokens ``(b, l)`` or samples ``(b, l, channels)``.
        y: targets, one a position or one a sequence.
        mask: true where an answer is judged, ``(b, l)``, or ``None``.
        lengths: samples that count in each sequence, ``(b,)``, or ``None``.
    """

    x: Tensor
    y: Tensor
    mask: Tensor | None
    lengths: Tensor | None

    def every(self, count: int, first: int) -> "TaskBatch":
        """Return one sequence in `count`, from the sequence `first` on."""
        return TaskBatch._make(None if part is None else part[first::count] for part in self)


def as_tensors(batch: Batch) -> TaskBatch:
    """Return a batch as tensors that share its memory.

    Args:
        batch: what a task made.
    Returns:
        The same numbers.
    """
    return TaskBatch(*(None if part is None else torch.from_numpy(part) for part in batch))  # type: ignore[arg-type]


def _kind(task: Task) -> tuple[bool, int, bool, int, bool]:
    return task.tokens, task.inputs, task.classes, task.outputs, task.per_sequence


class _Stream(IterableDataset[TaskBatch]):
    """The training batches of a task from one on, for ever."""

    def __init__(self, data: "TaskDataModule", first: int) -> None:
        self.data, self.first = data, first

    def __iter__(self) -> Iterator[TaskBatch]:
        index = self.first
        while True:
            yield as_tensors(self.data.task_at(index).batch(self.data.batch_size, index, self.data.seed))
            index += 1


class _Counted(IterableDataset[TaskBatch]):
    """A given number of batches of a split; Lightning would share out those of a dataset with a length."""

    def __init__(self, data: "TaskDataModule", split: str, most: int) -> None:
        count = data.task.batches(data.batch_size, split)
        self.data, self.split, self.count = data, split, most if count is None else count

    def __iter__(self) -> Iterator[TaskBatch]:
        for index in range(self.count):
            yield as_tensors(self.data.task.batch(self.data.batch_size, index, self.data.seed, self.split))


class TaskDataModule(LightningDataModule):
    """The batches of a task: an endless stream to train on, and others to be judged by.

    A run that is resumed goes on with the batch that would have come next.

    Args:
        task: one of `statespace.datasets.tasks`.
        batch_size: sequences in a batch.
        val_batches: batches in a validation, for tasks that are drawn; stored ones have a part of their own.
        test_batches: batches in the test, likewise.
        seed: of the stream.
        curriculum: easier tasks to begin with, such as the same at shorter lengths, each with the number of batches
            that are drawn from it, in order; then comes `task`. Validation and test are those of `task` all along.
    Raises:
        InputError: a number is out of range, or an easier task has other inputs or outputs than `task`.
    """

    def __init__(
        self,
        task: Task,
        batch_size: int = 32,
        val_batches: int = 8,
        test_batches: int = 32,
        seed: int = 0,
        curriculum: Sequence[tuple[Task, int]] | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("batch_size", batch_size), ("val_batches", val_batches), ("test_batches", test_batches)):
            if value < 1:
                raise InputError(f"TaskDataModule: {name} is {value}, but at least 1 is expected.")
        if seed < 0:
            raise InputError(f"TaskDataModule: seed is {seed}, but a whole number of at least 0 is expected.")
        self.curriculum = tuple(curriculum or ())
        for entry in self.curriculum:
            if not isinstance(entry, Sequence) or len(entry) != 2 or not isinstance(entry[0], Task):
                raise InputError(
                    f"TaskDataModule: curriculum holds {entry!r}, but pairs of a task and a number of "
                    "batches are expected."
                )
            easier, batches = entry
            if not isinstance(batches, int) or batches < 1:
                raise InputError(
                    f"TaskDataModule: curriculum asks for {batches!r} batches, but a whole number of at "
                    "least 1 is expected."
                )
            if _kind(easier) != _kind(task):
                raise InputError(
                    f"TaskDataModule: curriculum holds a {type(easier).__name__} with (tokens, inputs, classes, "
                    f"outputs, per_sequence) = {_kind(easier)}, but {type(task).__name__} has {_kind(task)}: one model "
                    "must be able to answer both."
                )
        self.task, self.batch_size, self.seed = task, batch_size, seed
        self.val_batches, self.test_batches = val_batches, test_batches

    def task_at(self, index: int) -> Task:
        """Return the task that training batch number `index` is drawn from."""
        for easier, batches in self.curriculum:
            if index < batches:
                return easier
            index -= batches
        return self.task

    def train_dataloader(self) -> DataLoader[TaskBatch]:
        """Return the stream from the step that training stands at."""
        done = self.trainer.global_step * self.trainer.accumulate_grad_batches if self.trainer else 0
        return DataLoader(_Stream(self, done), batch_size=None)

    def val_dataloader(self) -> DataLoader[TaskBatch]:
        """Return the batches of a validation, always the same."""
        return DataLoader(_Counted(self, "val", self.val_batches), batch_size=None)

    def test_dataloader(self) -> DataLoader[TaskBatch]:
        """Return the batches of the test."""
        return DataLoader(_Counted(self, "test", self.test_batches), batch_size=None)


class TaskModule(RandomStateModule):
    """Train a `SequenceModel` on a task.

    Args:
        model: the network; its inputs and outputs are those of the task.
        learning_rate: peak of the schedule; the dynamics stay at or below 1e-3.
        weight_decay: of the matrices.
        warmup: steps until the peak.
        step_penalty: weight of the mean of ``log Δ`` that is added to the loss, for the selective layers of `model`:
            they learn to stand still where nothing asks them to move; see `StepSizes`.
        penalty_after: optimiser steps without it, in which the model learns when to move.
    Raises:
        InputError: a number is out of range, or there is nothing in `model` that `step_penalty` could act on.
    """

    def __init__(
        self,
        model: SequenceModel,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        warmup: int = 100,
        step_penalty: float = 0.0,
        penalty_after: int = 0,
    ) -> None:
        super().__init__()
        if not 0 < learning_rate < float("inf"):
            raise InputError(f"TaskModule: learning_rate is {learning_rate}, but a positive number is expected.")
        if weight_decay < 0 or warmup < 0:
            raise InputError(
                f"TaskModule: weight_decay is {weight_decay} and warmup {warmup}, but neither may be negative."
            )
        if not 0 <= step_penalty < float("inf") or penalty_after < 0:
            raise InputError(
                f"TaskModule: step_penalty is {step_penalty} and penalty_after {penalty_after}, but neither may be "
                "negative or infinite."
            )
        self.model = model
        self.learning_rate, self.weight_decay, self.warmup = learning_rate, weight_decay, warmup
        self.step_penalty, self.penalty_after = step_penalty, penalty_after
        self._steps = StepSizes(model) if step_penalty else None
        self.processes, self.number = 1, 0

    def setup(self, stage: str) -> None:
        """Check that model and task belong together, and ask which of how many processes this is.

        Args:
            stage: Lightning's name of what is done.
        Raises:
            InputError: the model has other inputs or outputs than the task, or a batch has fewer sequences than there
                are devices.
        """
        self.processes, self.number = self.trainer.world_size, self.trainer.global_rank
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, TaskDataModule):
            return
        if data.batch_size < self.processes:
            raise InputError(
                f"TaskModule: data.batch_size is {data.batch_size}, but {self.processes} devices share each batch: "
                "raise it to as many at least, or take fewer devices."
            )
        task, model = data.task, self.model
        name = type(task).__name__
        if (model.tokens, model.inputs, model.outputs) != (task.tokens, task.inputs, task.outputs):
            raise InputError(
                f"TaskModule: the model has tokens {model.tokens}, inputs {model.inputs}, outputs {model.outputs}, but "
                f"{name} has tokens {task.tokens}, inputs {task.inputs}, outputs {task.outputs}: give the model these."
            )
        if task.per_sequence == (model.pooling == "none"):
            expected = (
                '"last" or "mean": it has one target a sequence'
                if task.per_sequence
                else '"none": it has one a position'
            )
            raise InputError(f"TaskModule: the model has pooling {model.pooling!r}, but {name} needs {expected}.")

    def answers(self, batch: TaskBatch) -> tuple[Tensor, Tensor]:
        """Return the judged answers, ``(answers, outputs)``, and their targets."""
        y, _ = self.model(batch.x, lengths=batch.lengths)
        return (y, batch.y) if batch.mask is None else (y[batch.mask], batch.y[batch.mask])

    def _judge(self, batch: TaskBatch, prefix: str) -> Tensor:
        """Log and return the loss of a batch; of several processes, each returns its part, the mean of which it is."""
        wanted = (batch.y if batch.mask is None else batch.y[batch.mask]).numel()
        mine = batch.every(self.processes, self.number) if self.processes > 1 else batch
        if len(mine.x):
            y, target = self.answers(mine)
        else:  # the last of a stored task
            y, target = self.model.head.weight.new_zeros(0, self.model.outputs), mine.y
        share = self.processes / max(1, wanted)

        def log(name: str, value: Tensor) -> None:
            self.log(f"{prefix}{name}", value, batch_size=wanted, sync_dist=self.processes > 1)

        if target.is_floating_point():
            loss = share * torch.nn.functional.mse_loss(y, target, reduction="sum")
        else:
            loss = share * torch.nn.functional.cross_entropy(y, target, reduction="sum")
            log("accuracy", share * (y.argmax(-1) == target).float().sum())
        log("loss", loss)
        return loss

    def training_step(self, batch: TaskBatch, batch_idx: int) -> Tensor:
        """Return the loss of one batch, with the penalty on the steps where there is one."""
        if self._steps is None or self.global_step < self.penalty_after:
            return self._judge(batch, "")
        with self._steps:
            loss = self._judge(batch, "")
            return loss + self.step_penalty * self._steps.mean_log()

    def validation_step(self, batch: TaskBatch, batch_idx: int) -> None:
        """Log loss and accuracy of one batch."""
        self._judge(batch, "val_")

    def test_step(self, batch: TaskBatch, batch_idx: int) -> None:
        """Log loss and accuracy of one batch."""
        self._judge(batch, "test_")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW over the parameter groups, with warm-up and cosine.

        Returns:
            Optimiser and schedule, as Lightning takes them.
        Raises:
            InputError: the trainer does not say when to stop.
        """
        steps = self.trainer.max_steps
        if steps < 1:
            raise InputError(
                f"TaskModule: trainer.max_steps is {steps}, but tasks have no last batch: say how many steps to train."
            )

        def factor(step: int) -> float:
            rise = min(1.0, (step + 1) / max(self.warmup, 1))
            return rise * (_FLOOR + (1 - _FLOOR) * 0.5 * (1 + cos(pi * min(1.0, step / steps))))

        groups = parameter_groups(self.model, self.learning_rate, self.weight_decay)
        optimizer = torch.optim.AdamW([dict(group) for group in groups])
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
