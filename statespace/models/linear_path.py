"""The linear path of a forecaster: one matrix from the window to the horizon, on the grid that it was trained on.

    ŷ_n = Σ_k (W + W⁽ⁱ⁾)_n,k x̂(t - k) + v_n μ/s + U_n φ(x̂) + (b + b⁽ⁱ⁾)_n    n = 1 … h ahead, k = 0 … l - 1 back

x̂ is the window normalised by its location μ and scale s; φ are features of random systems, where there are enough
windows to fit their weights. W⁽ⁱ⁾ and b⁽ⁱ⁾ are what a series i that was trained on has of its own; others are forecast
by what all have in common.

A window at another rate is read at the same times, by linear interpolation where no sample lies there. For a time τ
ahead between two steps n - 1 and n there are two readings, of which the mean is taken: row n of the window that ended
n - τ earlier, and what lies on the straight line between rows n - 1 and n of the window as it is, row 0 being the last
value. The first knows nothing of the newest samples, the second nothing of what happens between two steps.

Source: Zeng et al. 2023 (arXiv:2205.13504), section 4, for one matrix from window to horizon.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from statespace.models.bank import SystemBank
from statespace.models.instance_norm import Normalised


def seasonal_naive(input_size: int, h: int, season_length: int, drift: float) -> Tensor:
    """Return the weights ``(h, input_size)`` of the seasonal naive forecast with a damped seasonal drift.

    The last season goes on, and k seasons ahead the mean change from season to season is added Σ β^j times, j = 1 … k.

    Args:
        input_size: length of the window, in steps.
        h: horizon, in steps.
        season_length: steps in a season.
        drift: β, the share of a change that goes on for another season, 0 to 1.
    Source:
        Gardner and McKenzie, Management Science 31(10), 1985, 1237-1246, for damped trends.
    """
    weight = torch.zeros(h, input_size)
    season = min(season_length, input_size)
    steps = torch.arange(h)
    weight[steps, input_size - season + steps % season] = 1.0
    if input_size >= 2 * season and season > 1:
        # The mean change from season to season over the window, damped once more for each season ahead.
        changes = input_size // season - 1
        first = input_size - (changes + 1) * season
        damped = drift ** torch.arange(1.0, (h - 1) // season + 2)
        ahead = damped.cumsum(0)[steps // season][:, None] / (season * changes)
        weight[:, input_size - season :] += ahead
        weight[:, first : first + season] -= ahead
    return weight


MOST_OWN = 2**25  # weights of single series together, 128 MiB: of more series none has its own
_AT_ONCE = 2**24  # weights of single series that are gathered for a batch
_WINDOWS = 256  # whose features stay in the second cache


def _at(window: Normalised, earlier: float, dt_scale: float, input_size: int) -> Normalised:
    """Return the window that ended some time `earlier`, at the steps that were trained on."""
    x = window.x
    back = torch.arange(input_size - 1, -1, -1, dtype=torch.float64)
    place = x.shape[1] - 1 - (back + earlier) / dt_scale  # of each step back among the samples
    low = place.floor()
    share = (place - low).to(x.dtype)
    first, second = (
        torch.where(at >= 0, x[:, at.clamp(min=0).long()], 0) for at in (low, (low + 1).clamp(max=x.shape[1] - 1))
    )
    return window._replace(x=(1 - share) * first + share * second)


def filled(x: Tensor, observed: Tensor, season: int) -> Tensor:
    """Fill the gaps of windows.

    A gap takes the season before it, moved to the level of the last value that is there; without a season it is a
    straight line between its ends. Before the first value the same is done from the other side; behind the last one
    without a season its value is held.

    Args:
        x: ``(b, l)``.
        observed: 1 where a value was observed, 0 in a gap, ``(b, l)``.
        season: steps in a season, 1 for none.
    """
    seen = observed > 0
    if bool(seen.all()):
        return x
    steps = torch.arange(x.shape[1], device=x.device)
    before = torch.where(seen, steps, -1).cummax(1).values
    after = torch.where(seen, steps, x.shape[1]).flip(1).cummin(1).values.flip(1)
    if season == 1 or x.shape[1] <= season:
        some = seen.any(1, keepdim=True)
        first, last = (torch.where(some, at, 0) for at in (after[:, :1], before[:, -1:]))
        left, right = before.maximum(first), after.minimum(last)  # at the ends, the only side there is
        share = (steps - left).to(x.dtype) / (right - left).clamp(min=1)
        return torch.lerp(x.gather(1, left), x.gather(1, right), share.clamp(0, 1))
    x = _season_on(x, before, season)
    # What lies before the first value is what comes after the last one, with the time turned round.
    known_after = torch.where(before < 0, x.shape[1] - 1 - after, x.shape[1] - 1 - steps)
    return _season_on(x.flip(1), known_after.flip(1), season).flip(1)


def _season_on(x: Tensor, before: Tensor, season: int) -> Tensor:
    """Fill gaps from the season before them; `before` is the place of the last value that is there, or negative."""
    first = (before < 0).sum(1, keepdim=True)
    held = torch.where(before < 0, x, x.gather(1, before.clamp(min=0)))
    blocks = [held[:, :season]]  # with no season before it
    for begin in range(season, x.shape[1], season):
        here = slice(begin, min(begin + season, x.shape[1]))
        known, last, steps = torch.cat(blocks, 1), before[:, here], torch.arange(here.start, here.stop, device=x.device)
        moved = held[:, here] - known.gather(1, (last - season).clamp(0, begin - 1))
        again = known[:, begin - season : here.stop - season] + torch.where(last - season >= first, moved, 0.0)
        there = (last == steps) | (steps - season < first)
        blocks.append(torch.where(there, held[:, here], again))
    return torch.cat(blocks, 1)


WINDOW, LEVEL, FEATURES = range(3)
"""The groups of inputs of a linear path."""


class LinearPath(nn.Linear):
    """One matrix from the window, its level, and features of it, to the horizon.

    Args:
        input_size: length of the window, in steps.
        h: horizon, in steps.
        season_length: steps in a season, for its start as the seasonal naive forecast.
        drift: share of the change from season to season in it, 0 to 1.
        features: number of features of random systems beside the window, 0 for none.
        series: number of series with a part of their own, 0 for none.
    Attributes:
        season: steps in a season, by which gaps are filled.
        groups: what each input is, ``(in_features,)``: `WINDOW`, `LEVEL` or `FEATURES`.
        starts: what its weights of the window may be drawn to, ``(starts, h, input_size)``; it starts at the first.
        own: what each series has of its own, ``(series, h, input_size + 1)``, the offset last.
    """

    season: Tensor
    groups: Tensor
    starts: Tensor
    own: Tensor

    def __init__(
        self,
        input_size: int,
        h: int,
        season_length: int = 1,
        drift: float = 0.0,
        features: int = 0,
        series: int = 0,
    ) -> None:
        super().__init__(input_size + 1 + features, h)
        self.input_size = input_size
        self.register_buffer("season", torch.tensor(season_length))
        self.bank = SystemBank(input_size, features) if features else None
        with torch.no_grad():
            self.weight.zero_()
            self.bias.zero_()
        groups = torch.tensor([WINDOW] * input_size + [LEVEL] + [FEATURES] * features)
        self.register_buffer("groups", groups, persistent=False)
        self.register_buffer("own", torch.zeros(series, h, input_size + 1))
        naive = seasonal_naive(input_size, h, season_length, drift)
        self.register_buffer("starts", torch.empty(0, h, input_size), persistent=False)
        self.begin_at(naive)

    @torch.no_grad()
    def begin_at(self, weight: Tensor) -> None:
        """Start at weights of the window, ``(h, input_size)``; those of before stay known as another start."""
        weight = weight.to(self.weight)
        self.starts = torch.cat([weight[None], self.starts])
        self.weight[:, : self.input_size] = weight

    def belong_to(self, series: int) -> None:
        """Make room for what so many series have of their own: none for a single one, or for too many."""
        weights = series * self.own.shape[1] * self.own.shape[2]
        self.own = self.own.new_zeros(series if 1 < series and weights <= MOST_OWN else 0, *self.own.shape[1:])

    def filled(self, window: Normalised, dt_scale: float = 1.0) -> Normalised:
        """Return windows without gaps; see `filled`."""
        if window.observed is None:
            return window
        season = int(self.season)
        season = max(1, round(season / dt_scale)) if season > 1 else 1  # which stands for none at any rate
        return window._replace(x=filled(window.x, window.observed, season), observed=None)

    def known(self, window: Normalised) -> Tensor:
        """Return what is read of windows of `input_size` steps, ``(b, in_features)``."""
        window = self.filled(window)
        parts = [window.x, window.location / window.scale]
        if self.bank is not None:
            parts.append(self.bank(window.x))
        return torch.cat(parts, 1)

    def _of_its_own(self, x: Tensor, series: Tensor | None, steps: slice) -> Tensor:
        """Return what each series adds of its own, ``(b, steps)``; zero for series without such a part."""
        found = x.new_zeros(len(x), len(range(*steps.indices(self.out_features))))
        if series is None or not len(self.own):
            return found
        x, runs = x.unflatten(0, (len(series), -1)), found.unflatten(0, (len(series), -1))  # (series, n, ...)
        known, weight = torch.nonzero(series >= 0)[:, 0], self.own[:, steps]
        if len(known) < len(x):
            x, series = x[known], series[known]
        if len(series) * weight[0].numel() <= _AT_ONCE:
            each = weight[series]
            added = x @ each[..., :-1].mT + each[:, None, :, -1]
        else:
            added = x.new_zeros(*x.shape[:2], found.shape[1])
            for one in series.unique():
                here = series == one
                added[here] = F.linear(x[here], weight[one, :, :-1], weight[one, :, -1])
        of_all: Tensor = runs.index_copy(0, known, added).flatten(0, 1)
        return of_all

    def read(
        self, window: Normalised, dt_scale: float = 1.0, steps: int | None = None, series: Tensor | None = None
    ) -> Tensor:
        """Forecast from windows.

        Args:
            window: normalised windows of ``l`` steps, where ``(l - 1) dt_scale`` is about ``input_size - 1``; what is
                beyond is zero.
            dt_scale: time between two samples in steps of the grid.
            steps: how many to forecast; by default all up to ``h``.
            series: number of the series of each window, ``(b,)``, -1 for one that is not known; None for none known.
                Fewer than windows: each is that of as many windows, one behind the other.
        Returns:
            ``(b, steps)``, at the times ``dt_scale, 2 dt_scale, …``, normalised as the windows.
        """
        window = self.filled(window, dt_scale)
        if dt_scale == 1:
            return self._rows(window, series, slice(steps))
        steps = math.floor(self.out_features / dt_scale + 1e-9) if steps is None else steps
        ahead = dt_scale * torch.arange(1, steps + 1, dtype=torch.float64)
        row = torch.ceil(ahead - 1e-9)
        now = self._rows(_at(window, 0.0, dt_scale, self.input_size), series, slice(None))
        parts = []
        for n, tau in zip(row.long().tolist(), ahead.tolist(), strict=True):
            if n - tau < 1e-9:
                parts.append(now[:, n - 1])
                continue
            earlier = self._rows(_at(window, n - tau, dt_scale, self.input_size), series, slice(n - 1, n))[:, 0]
            before = window.x[:, -1] if n == 1 else now[:, n - 2]
            share = tau - (n - 1)
            parts.append((earlier + (1 - share) * before + share * now[:, n - 1]) / 2)
        return torch.stack(parts, 1)

    def _rows(self, window: Normalised, series: Tensor | None, rows: slice) -> Tensor:
        """Return some steps of the horizon of windows on the grid that was trained on, ``(b, rows)``."""
        # Part by part: features are many, and one table of all that is known would be a copy of them.
        parts = self.weight[rows].split([self.input_size, 1, self.in_features - self.input_size - 1], 1)
        common = F.linear(window.x, parts[0], self.bias[rows]) + F.linear(window.location / window.scale, parts[1])
        if self.bank is not None:
            features = [F.linear(self.bank(x), parts[2]) for x in window.x.split(_WINDOWS)]
            common = common + torch.cat(features)
        return common + self._of_its_own(window.x, series, rows)
