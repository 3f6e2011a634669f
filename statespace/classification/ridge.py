"""A linear readout in closed form, whose penalty is chosen by leaving each case out, at the cost of one decomposition.

    W = argmin ‖Y - Ȳ - F W‖² + λ ‖W‖²,     F standardised,    G = F Fᵀ = V diag(e) Vᵀ

The prediction for a case by the readout of all others follows from the residual r and the leverage of that case,

    y_i - ŷ_(-i) = r_i / (1 - H_ii),   r = λ V diag(1 / (e + λ)) Vᵀ (Y - Ȳ),   1 - H_ii = λ Σ_j V_ij² / (e_j + λ)

over the eigenvectors apart from the constant one, which stands for the mean. With groups, such as cases of a speaker,
the prediction for those of one by the readout of all other groups is  Y_g - (I - H)_gg⁻¹ r_g.  λ is the one with the
smallest sum of squares. Cases may have weights: the equations then hold for rows multiplied by their square roots.

Source: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., section 7.10.1, equation (7.64);
Dempster, Petitjean, Webb 2020 (ROCKET, arXiv:1910.13051), for a ridge readout with generalised cross-validation; Cook,
Weisberg, Residuals and Influence in Regression, 1982, section 3.6, for several cases left out at once.
"""

from typing import NamedTuple

import torch
from torch import Tensor

PENALTIES = torch.logspace(-6, 3, 28, dtype=torch.float64)


class Readout(NamedTuple):
    """A fitted readout.

    Attributes:
        mean: of the features, ``(f,)``.
        scale: by which they are divided, ``(f,)``; infinite for a feature that never changed.
        weights: ``(f, k)``.
        offset: ``(k,)``.
    """

    mean: Tensor
    scale: Tensor
    weights: Tensor
    offset: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Return the scores ``(b, k)`` of features ``(b, f)``."""
        return ((features - self.mean) / self.scale) @ self.weights + self.offset

    def mixed(self, weights: Tensor, offset: Tensor) -> "Readout":
        """Return the readout whose scores are those of this one by `weights` ``(k, k)``, and `offset` ``(k,)``."""
        own, its = self.weights.double(), self.offset.double()
        return self._replace(weights=(own @ weights).float(), offset=(its @ weights + offset).float())


class Fit(NamedTuple):
    """What a fit gives.

    Attributes:
        readout: fitted to all cases.
        left_out: what it would have predicted for each case without it, or its group, ``(b, k)``, float64.
        loss: mean square of what these are off by.
    """

    readout: Readout
    left_out: Tensor
    loss: float


def _standardise(features: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and scale of features, which are brought to these in place, a few at a time: there may be many."""
    mean, scale = features.new_empty(features.shape[1]), features.new_empty(features.shape[1])
    for columns in torch.arange(features.shape[1]).split(2048):
        part = slice(int(columns[0]), int(columns[-1]) + 1)
        mean[part] = (share @ features[:, part].double()).float()
        centred = features[:, part] - mean[part]
        deviation = (share @ centred.double().square()).sqrt()
        scale[part] = torch.where(deviation > 1e-6, deviation, torch.inf).float() * features.shape[1] ** 0.5
        features[:, part] = centred / scale[part]
    return mean, scale


def fit_readout(features: Tensor, targets: Tensor, weights: Tensor | None = None, groups: Tensor | None = None) -> Fit:
    """Fit a readout, and say what it would have predicted for each case without having seen it.

    Args:
        features: ``(b, f)``; there may be many, so they are standardised where they are, and lost.
        targets: ``(b, k)``, such as 1 for the class of a case and -1 for the others.
        weights: of the cases, ``(b,)``, positive; ``None`` for one each.
        groups: number of the group of each case, ``(b,)``, which is left out as a whole; ``None``: each is alone.
    Returns:
        The readout, predictions for what was left out, and how far they are off.
    """
    count = len(features)
    share = (
        torch.full((count,), 1.0 / count, dtype=torch.float64) if weights is None else weights.double() / weights.sum()
    )
    mean, scale = _standardise(features, share)
    F = features
    root = (share * count).sqrt()[:, None]
    F *= root.float()
    Y = targets.double()
    offset = share @ Y
    rows = (Y - offset) * root
    constant = root[:, 0] / root.norm()
    few = count <= features.shape[1]
    e, V = torch.linalg.eigh((F @ F.T if few else F.T @ F).double())
    e = e.clamp(min=0)
    if few:
        # One eigenvector is that of the roots of the weights, with eigenvalue zero: the mean stands for it.
        kept = (V.T @ constant).abs() < 0.5
        e, V = e[kept], V[:, kept]
        along = V
    else:
        # Directions of the features; what lies outside of their span is a residual whatever the penalty.
        spread = e > e.max() * 1e-12
        e, V = e[spread], V[:, spread]
        along = (F.double() @ V) / e.sqrt()
    inside = along.T @ rows
    beyond = torch.zeros_like(rows) if few else rows - along @ inside
    outside = None if few else constant
    best: tuple[float, Tensor, Tensor] | None = None
    for penalty in PENALTIES:
        shrunk = penalty / (e + penalty)
        residual = along @ (shrunk[:, None] * inside) + beyond
        left_out = _without(residual, along, shrunk, outside, groups)
        loss = float((left_out.square()).mean())
        if best is None or loss < best[0]:
            best = loss, penalty, left_out
    assert best is not None
    loss, penalty, left_out = best
    if few:
        W = F.T.double() @ (V @ (inside / (e + penalty)[:, None]))
    else:
        W = V @ ((e.sqrt() / (e + penalty))[:, None] * inside)
    return Fit(Readout(mean, scale, W.float(), offset.float()), Y - left_out / root, loss)


def _without(residual: Tensor, along: Tensor, shrunk: Tensor, constant: Tensor | None, groups: Tensor | None) -> Tensor:
    """Return what predictions are off by where a case, or its group, is left out; see the module.

    Args:
        residual: of the fit to all, ``(b, k)``.
        along: orthonormal directions, ``(b, r)``.
        shrunk: what the penalty leaves of each in I - H, ``(r,)``.
        constant: direction of the mean, ``(b,)``, where I - H leaves what is beyond all of these as it is; or ``None``
            where there is nothing beyond.
        groups: number of the group of each case, ``(b,)``, or ``None``.
    """
    if groups is None:
        free = along.square() @ shrunk
        if constant is not None:
            free = free + 1 - along.square().sum(1) - constant.square()
        return residual / free.clamp(min=1e-9)[:, None]
    found = torch.empty_like(residual)
    for group in groups.unique():
        own = torch.nonzero(groups == group)[:, 0]
        part = along[own]
        free = (part * shrunk) @ part.T
        if constant is not None:
            free = free + torch.eye(len(own)) - part @ part.T - torch.outer(constant[own], constant[own])
        found[own] = torch.linalg.solve(free + 1e-9 * torch.eye(len(own)), residual[own])
    return found
