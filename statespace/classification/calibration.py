"""From scores to probabilities that are as often right as they say.

    classes:  p = softmax(τ s),     labels:  p = σ(τ s),       τ = argmin  - Σ_i w_i Σ_c t_ic log p_ic

over predictions for cases that the scores were not fitted on. One number for all classes keeps their order. Were the
targets t zeros and ones, τ would grow without end where every case is told right, and the first that is told wrong
later would cost without end as well. So what n cases say is held to be as sure as n cases can be: as if there were one
more, whose class is drawn by chance,

    t = (1 - ε) y + ε / k,      ε = 1 / (n + 1),      k = 2 for each of several labels.

Source: Guo, Pleiss, Sun, Weinberger 2017 (arXiv:1706.04599), section 4.2, on temperature scaling; Platt, Probabilistic
Outputs for Support Vector Machines, Advances in Large Margin Classifiers, 1999, section 2.2, on targets beside zero and
one. Where we deviate: he counts the cases of each class by itself, but there is one τ for all of them.
"""

import torch
from torch import Tensor

from statespace.training import loss_of

_SHARPNESS = torch.logspace(-2, 2, 81)


def probabilities(kind: str, scores: Tensor, sharpness: float = 1.0) -> Tensor:
    """Return the probabilities ``(b, k)`` of scores ``(b, k)``; see the module."""
    return torch.softmax(sharpness * scores, -1) if kind == "classes" else torch.sigmoid(sharpness * scores)


def soft_targets(kind: str, targets: Tensor) -> Tensor:
    """Return the t of the module's equation for zeros and ones ``(b, k)``."""
    unsure = 1 / (len(targets) + 1)
    return (1 - unsure) * targets + unsure / (targets.shape[1] if kind == "classes" else 2)


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
    targets = soft_targets(kind, targets)
    losses = torch.stack([(weights * loss_of(kind, sharpness * scores, targets)).sum() for sharpness in _SHARPNESS])
    return float(_SHARPNESS[losses.argmin()])
