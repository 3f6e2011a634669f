"""The training of a quantile forecaster: pinball loss on normalised windows, AdamW, a one-cycle schedule.

    loss = mean over windows, steps and levels q of  max(q e, (q - 1) e),   e = (y - quantile_q) / scale of the window

Source: Koenker and Bassett, Econometrica 46(1), 1978, 33-50, for the loss; Smith and Topin 2018 (arXiv:1708.07120).
"""

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from statespace.models import QUANTILES, QuantileForecaster
from statespace.training.augmentation import augment
from statespace.training.parameter_groups import parameter_groups
from statespace.training.windows import Windows


class ForecastModule(LightningModule):
    """Train a `QuantileForecaster`.

    Args:
        model: the network.
        learning_rate: peak of the one-cycle schedule; the dynamics stay at or below 1e-3.
        weight_decay: of the matrices.
        max_steps: length of the schedule, in optimiser steps.
        augmentation: strength of the disturbance of the histories while training; see `training.augmentation`.
    """

    levels: Tensor

    def __init__(
        self,
        model: QuantileForecaster,
        learning_rate: float,
        weight_decay: float,
        max_steps: int,
        augmentation: float = 0.0,
    ) -> None:
        super().__init__()
        self.augmentation = augmentation
        self.model = model
        self.learning_rate, self.weight_decay, self.max_steps = learning_rate, weight_decay, max_steps
        self.register_buffer("levels", torch.tensor(QUANTILES), persistent=False)

    def loss(self, batch: Windows) -> Tensor:
        """Return the pinball loss of a batch, without unit; gaps do not count."""
        quantiles, location, scale = self.model.normalised_quantiles(batch.x, batch.x_observed)
        error = (batch.y[..., None] - location) / scale - quantiles
        pinball = torch.maximum(self.levels * error, (self.levels - 1) * error).mean(-1)
        return (pinball * batch.y_observed).sum() / batch.y_observed.sum().clamp(min=1)

    def training_step(self, batch: Windows, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        loss = self.loss(augment(batch, self.augmentation))
        self.log("loss", loss, batch_size=len(batch.x))
        return loss

    def validation_step(self, batch: Windows, batch_idx: int) -> None:
        """Log the loss of one batch."""
        self.log("val_loss", self.loss(batch), batch_size=len(batch.x))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW over the parameter groups, with a one-cycle schedule."""
        groups = parameter_groups(self.model, self.learning_rate, self.weight_decay)
        optimizer = torch.optim.AdamW([dict(group) for group in groups])
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, [group["lr"] for group in groups], total_steps=max(self.max_steps, 2), pct_start=0.1
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
