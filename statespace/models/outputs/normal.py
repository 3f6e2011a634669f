"""The normal distribution.

y = μ + s (r_0 + σ ε),   σ = softplus(r_1) + 0.001,   loss = -log density of (y - μ) / s
"""

from math import log, pi

import torch
from torch import Tensor

from statespace.models.outputs.base import Distribution
from statespace.models.outputs.links import before_spread, ratio, spread


class Normal(Distribution):
    """A normal distribution: for values whose errors are symmetric and rarely large."""

    name = "normal"
    parameters = 2

    def loss(self, raw: Tensor, y: Tensor, location: Tensor, scale: Tensor, unit: Tensor | None = None) -> Tensor:
        """Return the negative log-likelihood of the normalised value; see `Output.loss`."""
        sigma = spread(raw[..., 1])
        error = ((y - location) / scale - raw[..., 0]) / sigma
        return error.square() / 2 + sigma.log() + log(2 * pi) / 2 + ratio(scale, unit).log()

    def begin(self, spread: Tensor) -> Tensor:
        """Return what makes zeros a forecast of this spread; see `Output.begin`."""
        found = super().begin(spread)
        found[..., 1] = before_spread(spread)
        return found

    def mean(self, raw: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        """Return the mean; see `Output.mean`."""
        return raw[..., 0] * scale + location

    def sample(self, raw: Tensor, location: Tensor, scale: Tensor, u: Tensor) -> Tensor:
        """Return the quantile at `u`; see `Output.sample`."""
        normal: Tensor = torch.special.ndtri(u).to(raw)
        return (raw[..., 0] + spread(raw[..., 1]) * normal) * scale + location
