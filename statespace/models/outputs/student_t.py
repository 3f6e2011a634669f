"""Student's t distribution, whose degrees of freedom are learnt: normal, but for values far out now and then.

    y = μ + s (r_0 + σ t_ν),   σ = softplus(r_1) + 0.001,   ν = 2 + 98 sigmoid(r_2 - 2.4)

so that there is always a mean, and beyond ν = 100 nothing that could be told from the normal distribution. Training
starts at ν = 10.
"""

from math import pi

import torch
from torch import Tensor

from statespace.models.outputs.base import Distribution
from statespace.models.outputs.links import before_spread, ratio, spread
from statespace.models.outputs.precision import arrays, special, tensor, wide

_LEAST, _MOST, _START = 2.0, 100.0, -2.4


def _degrees(x: Tensor) -> Tensor:
    return _LEAST + (_MOST - _LEAST) * torch.sigmoid(x + _START)


class StudentT(Distribution):
    """Student's t distribution: for values with outliers on either side."""

    name = "student-t"
    parameters = 3

    def loss(self, raw: Tensor, y: Tensor, location: Tensor, scale: Tensor, unit: Tensor | None = None) -> Tensor:
        """Return the negative log-likelihood of the normalised value; see `Output.loss`."""
        sigma = spread(raw[..., 1])
        error = ((y - location) / scale - raw[..., 0]) / sigma
        nu = wide(_degrees(raw[..., 2]))
        constant = torch.lgamma(nu / 2) - torch.lgamma((nu + 1) / 2) + (nu * pi).log() / 2
        wrong = (constant + (nu + 1) / 2 * torch.log1p(wide(error).square() / nu)).to(raw.dtype)
        return sigma.log() + wrong + ratio(scale, unit).log()

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
        t = tensor(special().stdtrit(*arrays(_degrees(raw[..., 2]), u)), like=raw)
        return (raw[..., 0] + spread(raw[..., 1]) * t) * scale + location
