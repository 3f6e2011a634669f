"""Scores of classes mixed with each other, where a readout by least squares loses one between its neighbours.

    p = softmax(s W + b),     W, b = argmin  - Σ_i w_i Σ_c t_ic log p_ic + λ (‖W - τ I‖² / τ² + ‖b‖²)

A readout that is fitted to zeros and ones masks a class that lies between two others, such as the middle one of three
loudnesses: the score of the middle one is hardly ever the highest, however well those of its neighbours tell it. Nor
is that of a rare class. W and b, beside τ, the sharpness of `calibration`, mend both, and what is linear in what the
scores are linear in stays so. They are fitted to predictions for cases that the readout had left out, and stay only
where they tell cases that were left out once more, a tenth at a time, better by two standard errors; so does λ.

Source: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., section 4.2, on masking; Guo,
Pleiss, Sun, Weinberger 2017 (arXiv:1706.04599), section 4.2, on matrix scaling. Where we deviate: the penalty, which
holds W near to a single sharpness, and the choice.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from statespace.classification.calibration import fit_sharpness, soft_targets

_PENALTIES = (0.1, 1.0, 10.0)
_FOLDS = 10
_SURE = 2.0  # standard errors
_MOST = 100  # classes: W has the square of it
_STEPS = 100  # of the search, at most


class Mixing(NamedTuple):
    """How scores are mixed.

    Attributes:
        weights: W, ``(k, k)``, float64.
        offset: b, ``(k,)``.
        left_out: mixed scores of each case by a mixing that was not fitted to it, ``(b, k)``.
    """

    weights: Tensor
    offset: Tensor
    left_out: Tensor


def fit_mixing(scores: Tensor, targets: Tensor, weights: Tensor, groups: Tensor | None = None) -> Mixing | None:
    """Return how to mix scores; None where mixing does not tell more.

    Args:
        scores: of cases that were left out, ``(b, k)``.
        targets: zeros and ones, ``(b, k)``.
        weights: of the cases, ``(b,)``.
        groups: number of the group of each case, which is left out as a whole; None: each is alone.
    """
    count, k = scores.shape
    if k > _MOST:
        return None
    s, y, w = scores.double(), targets.double(), weights.double()
    folds = _alike(y.argmax(1)) if groups is None else _whole(groups)
    apart = [(folds != fold, folds == fold) for fold in folds.unique()]
    sharpness = [fit_sharpness("classes", s[known], y[known], w[known]) for known, _ in apart]

    def losses(found: Tensor) -> Tensor:
        return -w * (soft_targets("classes", y) * torch.log_softmax(found, 1)).sum(1)

    plain = torch.empty_like(s)
    for (_, left_out), sharp in zip(apart, sharpness, strict=True):
        plain[left_out] = sharp * s[left_out]
    best: tuple[float, float, Tensor] | None = None
    for penalty in _PENALTIES:
        mixed = torch.empty_like(s)
        for (known, left_out), sharp in zip(apart, sharpness, strict=True):
            W, b = _fitted(s[known], y[known], w[known], sharp, penalty)
            mixed[left_out] = s[left_out] @ W + b
        found = losses(mixed)
        fall = losses(plain) - found
        if fall.mean() > _SURE * fall.std() / count**0.5 and (best is None or found.mean() < best[0]):
            best = float(found.mean()), penalty, mixed
    if best is None:
        return None
    return Mixing(*_fitted(s, y, w, fit_sharpness("classes", s, y, w), best[1]), best[2])


def _whole(groups: Tensor) -> Tensor:
    """Return to which of the folds each case belongs, those of a group to one."""
    return torch.randperm(int(groups.max()) + 1, generator=torch.Generator().manual_seed(0))[groups] % _FOLDS


def _alike(classes: Tensor) -> Tensor:
    """Return to which of the folds each case belongs, those of a class to all alike."""
    order = torch.randperm(len(classes), generator=torch.Generator().manual_seed(0))
    order = order[classes[order].sort(stable=True).indices]
    found = torch.empty_like(classes)
    found[order] = torch.arange(len(classes)) % _FOLDS
    return found


def _fitted(s: Tensor, y: Tensor, w: Tensor, sharpness: float, penalty: float) -> tuple[Tensor, Tensor]:
    """Return W and b of the module's equation; the sum is convex."""
    start = sharpness * torch.eye(s.shape[1], dtype=s.dtype)
    W, b = start.clone().requires_grad_(), s.new_zeros(s.shape[1]).requires_grad_()
    t = soft_targets("classes", y)
    search = torch.optim.LBFGS([W, b], max_iter=_STEPS, tolerance_grad=1e-6, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        said = -(w * (t * torch.log_softmax(s @ W + b, 1)).sum(1)).sum()
        found = (said + penalty * (((W - start) / sharpness).square().sum() + b.square().sum())) / len(s)
        found.backward()
        return found

    with torch.enable_grad():
        search.step(loss)
    return W.detach(), b.detach()
