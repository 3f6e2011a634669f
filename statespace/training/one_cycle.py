"""AdamW over the parameter groups, whose rates rise and fall once.

Source: Smith and Topin 2018 (arXiv:1708.07120).
"""

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn

from statespace.training.parameter_groups import parameter_groups

_RISE = 0.1  # share of the steps after which the peak is reached


def one_cycle(model: nn.Module, learning_rate: float, weight_decay: float, steps: int) -> OptimizerLRScheduler:
    """Return the optimiser and its schedule, as Lightning takes them.

    Args:
        model: what is trained.
        learning_rate: peak of the schedule; the dynamics stay at or below 1e-3.
        weight_decay: of the matrices.
        steps: length of the schedule.
    """
    groups, steps = parameter_groups(model, learning_rate, weight_decay), max(steps, 2)
    optimizer = torch.optim.AdamW([dict(group) for group in groups])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        [group["lr"] for group in groups],
        total_steps=steps,
        pct_start=max(_RISE, 1.1 / steps),  # torch divides by how many steps it rises beyond one, of ten steps by none
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
