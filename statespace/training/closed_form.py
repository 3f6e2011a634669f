"""The readout of a window in closed form: ridge regression towards where it starts, over all training windows.

    ΔW = argmin Σ s²/u² ‖(y - μ)/s - W₀ φ - ΔW φ‖² + Σ_g λ_g ‖ΔW_g‖² = (G + Λ)⁻¹ M,

    G = Σ s²/u² φ φᵀ,   M = Σ s²/u² φ eᵀ

φ holds the normalised window, features of it, and 1; μ and s are location and scale of the window, and u is the unit in
which errors of its series count. A large penalty λ leaves a group of weights where it starts, W₀. Where to start, and
the penalties, relative to the mean of their part of the diagonal of G, are chosen by blocked cross-validation: the
error on a stretch of time follows from its own G and M, so that each costs one factorisation and no pass over the
data.

Source: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., section 3.4.1, for ridge
regression; Bergmeir and Benítez, Information Sciences 191, 2012, 192-213, for blocks of time.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from statespace.models.history import History
from statespace.models.instance_norm import Normalised, Reversible, normalise
from statespace.training.windows import WindowSource

PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0, float("inf"))
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
        windows: number of windows.
    """

    G: Tensor
    M: Tensor
    square: Tensor
    windows: int

    @classmethod
    def of(cls, phi: Tensor, error: Tensor) -> "Moments":
        """Return the moments of features ``(windows, f)`` and errors ``(windows, h)``."""
        return cls((phi.T @ phi).double(), (phi.T @ error).double(), error.double().square().sum(0), len(phi))

    def plus(self, other: "Moments", sign: int = 1) -> "Moments":
        """Return the moments of both sets together, or with ``sign=-1`` of what is left of a set without a part."""
        return Moments(
            self.G + sign * other.G,
            self.M + sign * other.M,
            self.square + sign * other.square,
            self.windows + sign * other.windows,
        )

    def moved(self, change: Tensor) -> "Moments":
        """Return the moments as they are when the weights start elsewhere, by a change ``(f, h)``."""
        G_change = self.G @ change
        square = self.square + (change * (G_change - 2 * self.M)).sum(0)
        return self._replace(M=self.M - G_change, square=square)

    def every(self, steps: int) -> "Moments":
        """Return the moments of one step of the horizon in so many."""
        return self._replace(M=self.M[:, ::steps], square=self.square[::steps])


@torch.no_grad()
def moments(
    readout: nn.Linear,
    features: Features,
    source: WindowSource,
    origins: Origins,
    scaler: str | Reversible = "standard",
) -> Moments:
    """Sum over windows; those with less than half of their targets are left out."""
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
        y, enough = batch.targets()
        unit = source.unit[series][:, None]
        error = ((y - window.location - readout(known) * window.scale) / unit)[enough]
        phi = (torch.cat([known, torch.ones_like(window.scale)], dim=1) * window.scale / unit)[enough]
        found = found.plus(Moments.of(phi, error))
    return found


def solve(of: Moments, groups: Tensor, unit: Tensor, penalties: Sequence[float]) -> Tensor:
    """Return the change of the weights ``(f, h)``; groups of infinite penalty stay."""
    penalty = torch.tensor(penalties, dtype=torch.float64)[groups]
    free = torch.isfinite(penalty).nonzero()[:, 0]
    change = torch.zeros_like(of.M)
    if len(free):
        G = of.G[free][:, free] + of.windows * torch.diag(penalty[free] * unit[groups[free]])
        change[free] = torch.cholesky_solve(of.M[free], torch.linalg.cholesky(G))
    return change


def drawn(of: Moments, penalty: float) -> Tensor:
    """Return weights that are drawn to nothing, by one penalty for all, ``(f, h)``; zero where nothing is told."""
    unit = torch.diagonal(of.G).mean()[None] / max(of.windows, 1)
    return solve(of, torch.zeros(len(of.G), dtype=torch.int64), unit, [penalty if unit > 0 else float("inf")])


def squared_error(of: Moments, change: Tensor) -> float:
    """Return the sum of squared errors over windows whose moments are known."""
    return float(of.moved(change).square.sum())


class Choice(NamedTuple):
    """What was chosen.

    Attributes:
        penalties: for each group.
        start: what the weights were drawn to: 0 for where they are, k for the kth other start, the last of them zero,
            the mean of the window.
        error: mean squared error of windows left out, in the units of each series; NaN where none could be.
        start_error: the same of the weights as they are.
    """

    penalties: tuple[float, ...]
    start: int
    error: float
    start_error: float


class Fit(NamedTuple):
    """What came out.

    Attributes:
        choice: the penalties, and what they are worth.
        change: of the weights, ``(f, h)``, the offset last.
        left_out: the change where each block of windows is left out.
    """

    choice: Choice
    change: Tensor
    left_out: tuple[Tensor, ...]


class _Judge:
    """The error of penalties on blocks that are left out."""

    def __init__(self, parts: Sequence[Moments], groups: Tensor, unit: Tensor) -> None:
        self.parts, self.groups, self.unit = parts, groups, unit
        self.all = _together(parts)
        self.rest = [self.all.plus(part, -1) for part in parts]

    def __call__(self, penalties: Sequence[float]) -> float:
        """Return the mean squared error."""
        known = (solve(others, self.groups, self.unit, penalties) for others in self.rest)
        errors = sum(squared_error(part, change) for part, change in zip(self.parts, known, strict=True))
        return errors / (self.all.windows * self.all.M.shape[1])

    def best(self, penalties: Sequence[float], group: int) -> tuple[float, list[float]]:
        """Return the least error that one group's penalty can reach, and all penalties then."""
        tried = [[*penalties[:group], penalty, *penalties[group + 1 :]] for penalty in PENALTIES]
        return min((self(each), each) for each in tried)


def _together(parts: Sequence[Moments]) -> Moments:
    found = parts[0]
    for part in parts[1:]:
        found = found.plus(part)
    return found


def fit_readout(
    readout: nn.Linear,
    features: Features,
    groups: Tensor,
    source: WindowSource,
    blocks: Sequence[Origins],
    between: Origins,
    spare: Sequence[int] = (),
    scaler: str | Reversible = "standard",
    choice: Choice | None = None,
    starts: Sequence[Tensor] = (),
) -> Fit:
    """Fit a linear readout to windows, with penalties that serve stretches of time it has not seen.

    The penalty of the first group is chosen with all others infinite, drawn to each start and to zero in turn; those of
    the other groups follow one by one, and then the first again.

    Args:
        readout: where it starts, and what is changed.
        features: what it reads.
        groups: to which group each feature belongs, ``(in_features,)``, from 0 on; the offset belongs to the first.
        source: the series.
        blocks: windows of each stretch of time; no target lies in two of them.
        between: windows with targets in two of them: fitted in the end, but never judged.
        spare: groups to be used only where the first one has taught nothing, such as the level of a random walk.
        scaler: how windows are normalised.
        choice: what was chosen before, to be taken again.
        starts: weights to draw to instead, ``(h, in_features)`` each.
    Returns:
        The fit. With fewer than two blocks to judge by, the start is left alone.
    """
    groups = torch.cat([groups, groups.new_zeros(1)])
    count = int(groups.max()) + 1
    nothing = [float("inf")] * count
    each = [moments(readout, features, source, origins, scaler) for origins in blocks]
    parts = [part for part in each if part.windows]
    if len(parts) < 2:
        none = torch.zeros(readout.in_features + 1, readout.out_features, dtype=torch.float64)
        return Fit(Choice(tuple(nothing), 0, float("nan"), float("nan")), none, (none,) * len(blocks))
    judged = _together(parts)
    everything = judged.plus(moments(readout, features, source, between, scaler))
    diagonal = torch.diagonal(everything.G) / everything.windows
    unit = torch.stack([diagonal[groups == group].mean() for group in range(count)])
    unit = torch.where(unit > 0, unit, 1.0)  # of a constant series nothing is to be told
    here = torch.cat([readout.weight.T, readout.bias[None]]).detach().double()
    others = [F.pad(start.T.double(), (0, 0, 0, 1)) for start in starts]  # without an offset
    moves = [torch.zeros_like(here), *(other - here for other in others), -here]
    if choice is None:
        choice = _choose(parts, groups, unit, moves, spare)
    move = moves[choice.start]
    change = move + solve(everything.moved(move), groups, unit, choice.penalties)
    left_out = [
        move + solve(judged.plus(part, -1).moved(move), groups, unit, choice.penalties) if part.windows else change
        for part in each
    ]
    with torch.no_grad():
        readout.weight.add_(change[:-1].T)
        readout.bias.add_(change[-1])
    return Fit(choice, change, tuple(left_out))


def _choose(
    parts: Sequence[Moments], groups: Tensor, unit: Tensor, moves: Sequence[Tensor], spare: Sequence[int]
) -> Choice:
    """Choose penalties, and which move to draw to, by leaving out each part in turn."""
    nothing = [float("inf")] * len(unit)
    # Some steps of a long horizon speak for all of them.
    every = max(1, moves[0].shape[1] // _STEPS_JUDGED)
    judges = [_Judge([part.moved(move).every(every) for part in parts], groups, unit) for move in moves]
    firsts = [judge.best(nothing, 0) for judge in judges]
    start = min(range(len(moves)), key=firsts.__getitem__)
    error, best = firsts[start]
    for group in [*range(1, len(unit)), 0]:
        if group not in spare or best[0] == float("inf"):
            error, best = judges[start].best(best, group)
    return Choice(tuple(best), start, error, judges[0](nothing))
