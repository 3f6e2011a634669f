"""Quantiles without a distribution, trained by the pinball loss, and a mean beside them, trained by squared error.

    median  = r_0,    q_±k = r_0 ± Σ_{i ≤ k} softplus(r_±i - 2)      widths add up outwards: no crossing
    mean    = r_0 + r_last
    loss    = mean over levels of max(q e_q, (q - 1) e_q) + w (e_mean)²,    e = (y - μ) / s - forecast

Source: Koenker and Bassett, Econometrica 46(1), 1978, 33-50, for the pinball loss.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from statespace.errors import InputError
from statespace.models.outputs.base import Output
from statespace.models.outputs.levels import MIDDLE, QUANTILES, SCORES, between
from statespace.models.outputs.links import before_softplus, ratio

_NARROWER = 2.0  # so that training starts with bands of about one scale, where nothing tells how wide
_LEAST = 1e-4  # width between two quantiles to start with, in scales


def fan(raw: Tensor) -> Tensor:
    """Spread quantiles around a median.

    Args:
        raw: the median, the widths below it and the widths above it, both from the median outwards, before the
            softplus, ``(..., len(QUANTILES))``.
    Returns:
        Quantiles at the levels `QUANTILES`, ``(..., len(QUANTILES))``, ascending.
    """
    median = raw[..., :1]
    width = F.softplus(raw[..., 1:] - _NARROWER)
    below = median - width[..., :MIDDLE].cumsum(-1).flip(-1)
    above = median + width[..., MIDDLE:].cumsum(-1)
    return torch.cat([below, median, above], dim=-1)


class Quantile(Output):
    """Quantiles of no particular distribution; the default.

    Args:
        mean_weight: weight of the squared error of the mean beside the pinball loss, both in units of the window's
            scale; 0 trains quantiles alone, and the mean is then that of a distribution with these quantiles.
    Raises:
        InputError: `mean_weight` is negative or not finite.
    """

    name = "quantile"

    def __init__(self, mean_weight: float = 0.1) -> None:
        if not 0 <= mean_weight < float("inf"):
            raise InputError(f"Quantile: mean_weight is {mean_weight}, but a finite number from 0 on is expected.")
        self.mean_weight = mean_weight
        self.parameters = len(QUANTILES) + (mean_weight > 0)

    def loss(self, raw: Tensor, y: Tensor, location: Tensor, scale: Tensor, unit: Tensor | None = None) -> Tensor:
        """Return the pinball loss, averaged over levels, and the weighted squared error; see `Output.loss`."""
        z, times = (y - location) / scale, ratio(scale, unit)
        error = (z[..., None] - fan(raw[..., : len(QUANTILES)])) * times[..., None]
        levels = raw.new_tensor(QUANTILES)
        loss = torch.maximum(levels * error, (levels - 1) * error).mean(-1)
        if self.mean_weight > 0:
            loss = loss + self.mean_weight * ((z - self._mean(raw)) * times).square()
        return loss

    def _mean(self, raw: Tensor) -> Tensor:
        """Return the mean in units of the normalised window."""
        if self.mean_weight > 0:
            return raw[..., 0] + raw[..., -1]
        # The area under the quantile function: the middles of 200 equal parts of (0, 1).
        quantiles = fan(raw)
        u = (torch.arange(200, device=raw.device, dtype=raw.dtype) + 0.5) / 200
        return between(quantiles[..., None, :], u).mean(-1)

    def begin(self, spread: Tensor) -> Tensor:
        """Return what makes zeros the quantiles of a normal distribution; see `Output.begin`."""
        found = super().begin(spread)
        scores = spread.new_tensor(SCORES)
        width = scores.diff()
        outwards = torch.cat([width[:MIDDLE].flip(0), width[MIDDLE:]]) * spread[..., None]
        found[..., 1 : len(QUANTILES)] = before_softplus(outwards.clamp(min=_LEAST)) + _NARROWER
        return found

    def mean(self, raw: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        """Return the mean; see `Output.mean`."""
        return self._mean(raw) * scale + location

    def quantiles(self, raw: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        """Return the quantiles; see `Output.quantiles`."""
        return fan(raw[..., : len(QUANTILES)]) * scale[..., None] + location[..., None]

    def sample(self, raw: Tensor, location: Tensor, scale: Tensor, u: Tensor) -> Tensor:
        """Return the quantile at `u` between the trained ones and beyond; see `Output.sample`."""
        return between(self.quantiles(raw, location, scale), u)
