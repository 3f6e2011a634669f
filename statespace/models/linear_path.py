"""The linear path of a forecaster: one matrix from the window to the horizon, on the grid that it was trained on.

    ŷ_n = Σ_k W_n,k x̂(t - k) + v_n μ/s + U_n φ(x̂) + b_n      n = 1 … h steps ahead, k = 0 … l - 1 steps back

x̂ is the window normalised by its location μ and scale s; φ are features of random systems, where there are enough
windows to fit their weights.

A window at another rate is read at the same times: for a time τ ahead between two steps n - 1 and n, the row n is
applied to the window that ended n - τ earlier, by linear interpolation where no sample lies there.

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
    Attributes:
        groups: what each input is, ``(in_features,)``: `WINDOW`, `LEVEL` or `FEATURES`.
    """

    groups: Tensor

    def __init__(self, input_size: int, h: int, season_length: int = 1, drift: float = 0.0, features: int = 0) -> None:
        super().__init__(input_size + 1 + features, h)
        self.input_size = input_size
        self.bank = SystemBank(input_size, features) if features else None
        with torch.no_grad():
            self.weight.zero_()
            self.weight[:, :input_size] = seasonal_naive(input_size, h, season_length, drift)
            self.bias.zero_()
        groups = torch.tensor([WINDOW] * input_size + [LEVEL] + [FEATURES] * features)
        self.register_buffer("groups", groups, persistent=False)

    def known(self, window: Normalised) -> Tensor:
        """Return what is read of windows of `input_size` steps, ``(b, in_features)``."""
        parts = [window.x, window.location / window.scale]
        if self.bank is not None:
            parts.append(self.bank(window.x))
        return torch.cat(parts, 1)

    def read(self, window: Normalised, dt_scale: float = 1.0, steps: int | None = None) -> Tensor:
        """Forecast from windows.

        Args:
            window: normalised windows of ``l`` steps, where ``(l - 1) dt_scale`` is about ``input_size - 1``; what is
                beyond is zero.
            dt_scale: time between two samples in steps of the grid.
            steps: how many to forecast; by default all up to ``h``.
        Returns:
            ``(b, steps)``, at the times ``dt_scale, 2 dt_scale, …``, normalised as the windows.
        """
        if dt_scale == 1:
            return F.linear(self.known(window), self.weight[:steps], self.bias[:steps])
        x = window.x
        steps = math.floor(self.out_features / dt_scale + 1e-9) if steps is None else steps
        ahead = dt_scale * torch.arange(1, steps + 1, dtype=torch.float64)
        row = torch.ceil(ahead - 1e-9)
        back = torch.arange(self.input_size - 1, -1, -1, dtype=torch.float64)
        parts = []
        for n, tau in zip(row.long().tolist(), ahead.tolist(), strict=True):
            place = x.shape[1] - 1 - (back + n - tau) / dt_scale  # of each step back among the samples
            low = place.floor()
            share = (place - low).to(x.dtype)
            first, second = (
                torch.where(at >= 0, x[:, at.clamp(min=0).long()], 0)
                for at in (low, (low + 1).clamp(max=x.shape[1] - 1))
            )
            known = self.known(window._replace(x=(1 - share) * first + share * second))
            parts.append(known @ self.weight[n - 1] + self.bias[n - 1])
        return torch.stack(parts, 1)
