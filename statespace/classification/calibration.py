"""From scores to probabilities that are as often right as they say.

    classes:  p = softmax(τ s),     labels:  p = σ(τ s),       τ = argmin  - Σ_i w_i log p_i(y_i)

over predictions for cases that the scores were not fitted on. One number for all classes keeps their order.

Source: Guo, Pleiss, Sun, Weinberger 2017 (arXiv:1706.04599), section 4.2, on temperature scaling.
"""

import torch
from torch import Tensor

from statespace.training import loss_of

_SHARPNESS = torch.logspace(-2, 2, 81)


def probabilities(kind: str, scores: Tensor, sharpness: float = 1.0) -> Tensor:
    """Return the probabilities ``(b, k)`` of scores ``(b, k)``; see the module."""
    return torch.softmax(sharpness * scores, -1) if kind == "classes" else torch.sigmoid(sharpness * scores)


def fit_sharpness(kind: str, scores: Tensor, targets: Tensor, weights: Tensor) -> float:
    """Return the τ of the module's equation.

    Args:
        kind: ``"classes"`` or ``"labels"``.
        scores: of cases that were left out, ``(b, k)``.
        targets: zeros and ones, ``(b, k)``.
        weights: of the cases, ``(b,)``.
    Returns:
        The factor, between 1/100 and 100.
    """
    losses = torch.stack([(weights * loss_of(kind, sharpness * scores, targets)).sum() for sharpness in _SHARPNESS])
    return float(_SHARPNESS[losses.argmin()])
