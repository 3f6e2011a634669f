"""Make training windows harder: noise on the history, and some of it hidden.

A short series gives few windows, which overlap; a network learns them by heart and trusts itself too much. What it
sees twice should not look the same twice. Hidden values are gaps like any other, so it also learns to live with gaps.
"""

from math import log10

import torch
from torch import Tensor

from statespace.models.instance_norm import normalise
from statespace.training.windows import Windows

NOISE = 0.3
HIDDEN = 0.5


def usual_strength(windows: int) -> float:
    """Return the strength that serves a number of training windows: 1 up to 100, 0 from 10 000 on.

    It falls with the logarithm in between. On short series strong augmentation halves the worst errors and widens
    bands that would be far too narrow; on thousands of windows it only costs accuracy.

    Args:
        windows: number of different windows to train on.
    """
    return min(1.0, max(0.0, 2 - log10(max(windows, 1)) / 2))


def augment(batch: Windows, strength: float) -> Windows:
    """Disturb the histories of a batch; targets stay as they are.

    Args:
        batch: windows.
        strength: 0 for none; at 1 the noise is 0.3 scales of the window, and up to half of it is hidden, a share that
            each window draws uniformly.
    Returns:
        A new batch.
    """
    if strength == 0:
        return batch
    noise, hidden = NOISE * strength, min(HIDDEN * strength, 0.9)
    past = batch.past
    share: Tensor = hidden * torch.rand(len(past.x), 1, device=past.x.device)
    observed = past.observed * (torch.rand_like(past.x) >= share)
    scale = normalise(past.x, past.observed).scale
    x = (past.x + noise * scale * torch.randn_like(past.x)) * observed
    return batch._replace(past=past._replace(x=x, observed=observed))
