"""A linear readout in closed form, whose penalty is chosen by leaving each case out, at the cost of one decomposition.

    W = argmin ‖Y - Ȳ - F W‖² + λ ‖W‖²,     F standardised,    G = F Fᵀ = V diag(e) Vᵀ

The prediction for a case by the readout of all others follows from the residual r and the leverage of that case,

    y_i - ŷ_(-i) = r_i / (1 - H_ii),   r = λ V diag(1 / (e + λ)) Vᵀ (Y - Ȳ),   1 - H_ii = λ Σ_j V_ij² / (e_j + λ)

over the eigenvectors apart from the constant one, which stands for the mean. λ is the one with the smallest sum of
squares. Cases may have weights: the equations then hold for rows multiplied by their square roots.

Source: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., section 7.10.1, equation (7.64);
Dempster, Petitjean, Webb 2020 (ROCKET, arXiv:1910.13051), for a ridge readout with generalised cross-validation.
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


def fit_readout(features: Tensor, targets: Tensor, weights: Tensor | None = None) -> tuple[Readout, Tensor]:
    """Fit a readout, and say what it would have predicted for each case without having seen it.

    Args:
        features: ``(b, f)``.
        targets: ``(b, k)``, such as 1 for the class of a case and -1 for the others.
        weights: of the cases, ``(b,)``, positive; ``None`` for one each.
    Returns:
        The readout, and the predictions for the cases left out, ``(b, k)``, float64.
    """
    count = len(features)
    share = (
        torch.full((count,), 1.0 / count, dtype=torch.float64) if weights is None else weights.double() / weights.sum()
    )
    mean = share @ features.double()
    centred = (features - mean.float()).float()
    deviation = (share @ centred.double().square()).sqrt()
    scale = torch.where(deviation > 1e-6, deviation, torch.inf) * features.shape[1] ** 0.5
    root = (share * count).sqrt()[:, None]
    F = (centred / scale.float()) * root.float()
    Y = targets.double()
    offset = share @ Y
    rows = (Y - offset) * root
    few = count <= features.shape[1]
    e, V = torch.linalg.eigh((F @ F.T if few else F.T @ F).double())
    e = e.clamp(min=0)
    if few:
        # One eigenvector is that of the roots of the weights, with eigenvalue zero: the mean stands for it.
        kept = (V.T @ root[:, 0] / root.norm()).abs() < 0.5
        e, V = e[kept], V[:, kept]
        along = V
        outside = torch.zeros(count, dtype=torch.float64)
    else:
        # Directions of the features; what lies outside of their span is a residual whatever the penalty.
        spread = e > e.max() * 1e-12
        e, V = e[spread], V[:, spread]
        along = (F.double() @ V) / e.sqrt()
        outside = 1 - along.square().sum(1) - (root[:, 0] / root.norm()).square()
    inside = along.T @ rows
    beyond = rows - along @ inside if not few else torch.zeros_like(rows)
    best: tuple[float, Tensor, Tensor] | None = None
    for penalty in PENALTIES:
        shrunk = penalty / (e + penalty)
        residual = along @ (shrunk[:, None] * inside) + beyond
        free = (along.square() @ shrunk + outside).clamp(min=1e-9)
        left_out = residual / free[:, None]
        loss = float((left_out.square()).mean())
        if best is None or loss < best[0]:
            best = loss, penalty, left_out
    assert best is not None
    _, penalty, left_out = best
    if few:
        W = F.T.double() @ (V @ (inside / (e + penalty)[:, None]))
    else:
        W = V @ ((e.sqrt() / (e + penalty))[:, None] * inside)
    readout = Readout(mean.float(), scale.float(), W.float(), offset.float())
    return readout, Y - left_out / root
