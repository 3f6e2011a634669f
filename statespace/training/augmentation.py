"""Make training windows harder: noise on the history, and some of it hidden.

A short series gives few windows, which overlap; a network learns them by heart and trusts itself too much. What it
sees twice should not look the same twice. Hidden values are gaps like any other, so it also learns to live with gaps.
"""

import torch
from torch import Tensor

from statespace.models.normalization import normalise
from statespace.training.windows import Windows


def augment(batch: Windows, noise: float, hidden: float) -> Windows:
    """Disturb the histories of a batch; targets stay as they are.

    Args:
        batch: windows.
        noise: standard deviation of the noise, in scales of the window.
        hidden: largest share of a history that is hidden; each window draws its own share, uniformly from 0.
    Returns:
        A new batch.
    """
    x, observed = batch.x, batch.x_observed
    share: Tensor = hidden * torch.rand(len(x), 1, device=x.device)
    observed = observed * (torch.rand_like(x) >= share)
    scale = normalise(x, batch.x_observed).scale
    return Windows((x + noise * scale * torch.randn_like(x)) * observed, observed, batch.y, batch.y_observed)
