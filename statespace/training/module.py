"""The training of a forecaster: the loss of its output on normalised windows, AdamW, a one-cycle schedule.

    loss = Σ w_t loss_t / Σ w_t    over windows and steps, w the weight of a target, 0 where nothing was observed

Several processes draw the same batches, and each trains on its part of every batch: the mean of their losses, and of
their gradients, is that of the batch.

Source: Smith and Topin 2018 (arXiv:1708.07120) for the schedule; `statespace.models.outputs` for the losses.
"""

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from statespace.models import ForecastNetwork
from statespace.training.augmentation import augment
from statespace.training.one_cycle import one_cycle
from statespace.training.random_state import RandomStateModule
from statespace.training.windows import Windows


class ForecastModule(RandomStateModule):
    """Train a `ForecastNetwork`.

    Args:
        model: the network.
        learning_rate: peak of the one-cycle schedule; the dynamics stay at or below 1e-3.
        weight_decay: of the matrices.
        max_steps: length of the schedule, in optimiser steps.
        augmentation: strength of the disturbance of the histories while training; see `training.augmentation`.
    """

    def __init__(
        self,
        model: ForecastNetwork,
        learning_rate: float,
        weight_decay: float,
        max_steps: int,
        augmentation: float = 0.0,
    ) -> None:
        super().__init__()
        self.augmentation = augmentation
        self.model = model
        self.learning_rate, self.weight_decay, self.max_steps = learning_rate, weight_decay, max_steps
        self.processes, self.number = 1, 0

    def setup(self, stage: str) -> None:
        """Ask which of how many processes this is."""
        self.processes, self.number = self.trainer.world_size, self.trainer.global_rank

    def loss(self, batch: Windows) -> Tensor:
        """Return the loss of a batch, without unit; gaps do not count.

        Of several processes, each returns its part of the sum, so that the mean over all is the loss.
        """
        weight = batch.weight.sum()
        batch = batch.every(self.processes, self.number) if self.processes > 1 else batch
        if len(batch.y) == 0:
            return weight.new_zeros(())
        raw = self.model.raw(batch.past)
        location, scale = raw.location.expand_as(batch.y), raw.scale.expand_as(batch.y)
        unit = None if raw.unit is None else raw.unit.expand_as(batch.y)
        each = self.model.output.loss(raw.raw, batch.y, location, scale, unit)
        least = torch.finfo(each.dtype).tiny
        return (each * batch.weight).sum() / weight.clamp(min=least) * self.processes

    def training_step(self, batch: Windows, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        loss = self.loss(augment(batch, self.augmentation))
        self.log("loss", loss, batch_size=len(batch.y))
        return loss

    def validation_step(self, batch: Windows, batch_idx: int) -> None:
        """Log the loss of one batch."""
        self.log("val_loss", self.loss(batch), batch_size=len(batch.y), sync_dist=self.processes > 1)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW over the parameter groups, with a one-cycle schedule."""
        return one_cycle(self.model, self.learning_rate, self.weight_decay, self.max_steps)
