"""The readout of a window in closed form: ridge regression towards where it starts, over all training windows.

    ΔW = argmin Σ s² ‖(y - μ)/s - W₀ φ - ΔW φ‖² + Σ_g λ_g ‖ΔW_g‖² = (G + Λ)⁻¹ M,   G = Σ s² φ φᵀ,   M = Σ s² φ eᵀ

φ holds the normalised window, features of it, and 1; μ and s are location and scale of the window: errors count in the
units of the series. A large penalty λ leaves a group of weights where it starts, at the seasonal naive forecast.
Penalties, relative to the mean of their part of the diagonal of G, are chosen by blocked cross-validation: the error on
a stretch of time follows from its own G and M, so that each costs one factorisation, and no pass over the data.

Source: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., section 3.4.1, for ridge
regression; Bergmeir and Benítez, Information Sciences 191, 2012, 192-213, for blocks of time.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from statespace.models.history import History
from statespace.models.instance_norm import Normalised, normalise
from statespace.training.windows import WindowSource

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, float("inf"))
_BATCH = 4096  # windows at once
_STEPS_JUDGED = 24

Features = Callable[[History, Normalised], Tensor]  # of windows as they are and normalised, (b, f)
Origins = tuple[Tensor, Tensor]  # series and positions of windows, as `WindowSource.origins` gives them


class Moments(NamedTuple):
    """What is to be known of a set of windows.

    Attributes:
        G: second moments of the features, ``(f, f)``, float64.
        M: moments of features and errors of the start, ``(f, h)``, float64.
        square: sums of squares of these errors, ``(h,)``, float64.
        count: number of windows.
    """

    G: Tensor
    M: Tensor
    square: Tensor
    count: int

    def plus(self, other: "Moments", sign: int = 1) -> "Moments":
        """Return the moments of both sets together, or with ``sign=-1`` of what is left of a set without a part."""
        return Moments(
            self.G + sign * other.G,
            self.M + sign * other.M,
            self.square + sign * other.square,
            self.count + sign * other.count,
        )

    def without(self, start: Tensor) -> "Moments":
        """Return the moments of the errors of nothing, where these are of a start, ``(f, h)``."""
        moved = self.G @ start
        square = self.square + (start * (2 * self.M + moved)).sum(0)
        return self._replace(M=self.M + moved, square=square)

    def every(self, steps: int) -> "Moments":
        """Return the moments of one step of the horizon in so many."""
        return self._replace(M=self.M[:, ::steps], square=self.square[::steps])


@torch.no_grad()
def moments(
    readout: nn.Linear, features: Features, source: WindowSource, origins: Origins, scaler: str = "standard"
) -> Moments:
    """Sum over windows; those with a gap among their targets, or one that does not count, are left out."""
    f, h = readout.in_features + 1, readout.out_features
    found = Moments(
        torch.zeros(f, f, dtype=torch.float64),
        torch.zeros(f, h, dtype=torch.float64),
        torch.zeros(h, dtype=torch.float64),
        0,
    )
    for series, origin in zip(*(part.split(_BATCH) for part in origins), strict=True):
        batch = source.cut(series, origin)
        window = normalise(batch.past.x, batch.past.observed, scaler)
        known = features(batch.past, window)
        error = batch.y - window.location - readout(known) * window.scale
        whole = (batch.weight > 0).all(1)
        phi = (torch.cat([known, torch.ones_like(window.scale)], dim=1) * window.scale)[whole]
        error = error[whole]
        found = found.plus(
            Moments((phi.T @ phi).double(), (phi.T @ error).double(), error.double().square().sum(0), len(error))
        )
    return found


def _solve(of: Moments, groups: Tensor, unit: Tensor, penalties: Sequence[float]) -> Tensor:
    """Return the change of the weights ``(f, h)``; groups of infinite penalty stay."""
    penalty = torch.tensor(penalties, dtype=torch.float64)[groups]
    free = torch.isfinite(penalty).nonzero()[:, 0]
    change = torch.zeros_like(of.M)
    if len(free):
        G = of.G[free][:, free] + of.count * torch.diag(penalty[free] * unit[groups[free]])
        change[free] = torch.cholesky_solve(of.M[free], torch.linalg.cholesky(G))
    return change


def _error(of: Moments, change: Tensor) -> float:
    """Return the sum of squared errors over windows whose moments are known."""
    return float(of.square.sum()) + float((change * (of.G @ change - 2 * of.M)).sum())


class Choice(NamedTuple):
    """What came out.

    Attributes:
        penalties: for each group.
        from_zero: whether the weights are drawn towards zero instead of where they started.
        error: mean squared error of windows left out, in the units of the series.
        start_error: the same of the start.
    """

    penalties: tuple[float, ...]
    from_zero: bool
    error: float
    start_error: float


def fit_readout(
    readout: nn.Linear,
    features: Features,
    groups: Tensor,
    source: WindowSource,
    blocks: Sequence[Origins],
    between: Origins,
    scaler: str = "standard",
    choice: "Choice | None" = None,
    gated: Sequence[int] = (),
) -> Choice:
    """Fit a linear readout to windows, with penalties that serve stretches of time it has not seen.

    Penalties are chosen group by group, each with those before it as chosen and those after it infinite; then the
    first one again. What the weights are drawn towards, the start or zero, is chosen the same way.

    Args:
        readout: where it starts, and what is changed.
        features: what it reads.
        groups: to which group each feature belongs, ``(in_features,)``, from 0 on; the offset belongs to the first.
        source: the series.
        blocks: windows of each stretch of time; no target lies in two of them.
        between: windows with targets in two of them: fitted in the end, but never judged.
        scaler: how windows are normalised.
        choice: where penalties and start are chosen already.
        gated: groups that are tried only where the first one stays at the start: the level of a random walk says
            something, but elsewhere the level of a stretch of time says more of that stretch than of the next.
    Returns:
        The penalties, and what they are worth.
    """
    groups = torch.cat([groups, groups.new_zeros(1)])
    count = int(groups.max()) + 1
    parts = [part for origins in blocks if (part := moments(readout, features, source, origins, scaler)).count]
    if len(parts) < 2:
        return Choice((float("inf"),) * count, False, float("nan"), float("nan"))
    judged = parts[0]
    for part in parts[1:]:
        judged = judged.plus(part)
    everything = judged.plus(moments(readout, features, source, between, scaler))
    diagonal = torch.diagonal(everything.G) / everything.count
    unit = torch.stack([diagonal[groups == group].mean() for group in range(count)])
    unit = torch.where(unit > 0, unit, 1.0)  # of a constant series nothing is to be told
    start = torch.cat([readout.weight.detach().T, readout.bias.detach()[None]]).double()
    if choice is None:
        # Some steps of a long horizon speak for all of them.
        every = max(1, readout.out_features // _STEPS_JUDGED)
        thin = [part.every(every) for part in parts]
        choice = _choose(thin, groups, unit, gated)
        other = _choose([part.without(start[:, ::every]) for part in thin], groups, unit, gated)
        if other.error < choice.error:
            choice = other._replace(from_zero=True, start_error=choice.start_error)
    if choice.from_zero:
        everything, start = everything.without(start), torch.zeros_like(start)
    found = (start + _solve(everything, groups, unit, choice.penalties)).to(readout.weight.dtype)
    with torch.no_grad():
        readout.weight.copy_(found[:-1].T)
        readout.bias.copy_(found[-1])
    return choice


def _choose(parts: Sequence[Moments], groups: Tensor, unit: Tensor, gated: Sequence[int]) -> Choice:
    """Choose penalties by leaving out each part in turn."""
    judged = parts[0]
    for part in parts[1:]:
        judged = judged.plus(part)
    rest = [judged.plus(part, -1) for part in parts]
    values = judged.count * judged.M.shape[1]
    start = least = float(judged.square.sum()) / values
    best = [float("inf")] * len(unit)
    for group in [*range(len(unit)), 0]:
        if group in gated and best[0] < float("inf"):
            continue
        tried = [[*best[:group], penalty, *best[group + 1 :]] for penalty in PENALTIES]
        errors = [
            sum(_error(part, _solve(others, groups, unit, each)) for part, others in zip(parts, rest, strict=True))
            / values
            for each in tried
        ]
        least, best = min(zip(errors, tried, strict=True))
    return Choice(tuple(best), False, least, start)
