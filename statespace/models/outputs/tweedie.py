"""Tweedie's distribution: zero with some probability, and amounts of any size above, as demand that comes in lots.

    E y = m,   var y = φ m^p,   1 < p < 2;    m = s squareplus(r_0),   φ = s^(2-p) (softplus(r_1) + 0.01)

It is a compound Poisson-gamma distribution (see `compound_poisson`) with

    λ = m^(2-p) / (φ (2 - p)),   α = (2 - p) / (p - 1),   θ = φ (p - 1) m^(p-1)

The loss is λ where y = 0, and minus the logarithm of the exact density of y / s elsewhere.

Source: Dunn and Smyth, Statistics and Computing 15(4), 2005, 267-280, sections 2 and 3.
"""

import torch
from torch import Tensor

from statespace.errors import InputError
from statespace.models.outputs.base import Distribution
from statespace.models.outputs.compound_poisson import log_sum, quantile
from statespace.models.outputs.links import ratio, spread, squareplus
from statespace.models.outputs.precision import arrays, tensor, wide

_LEAST_DISPERSION = 0.01
_POWERS = (1.1, 1.9)  # nearer to 1 the density falls apart into peaks, nearer to 2 it grows beyond bounds at zero


class Tweedie(Distribution):
    """Tweedie's distribution: for amounts from 0 on that are often exactly 0, such as intermittent demand or rain.

    Args:
        power: p, how fast the variance grows with the mean, from 1.1 to 1.9: many small amounts near 1, few large ones
            near 2. ``None`` for a power that the network gives for each step.
    Raises:
        InputError: `power` is out of range.
    """

    name = "tweedie"
    positive = True

    def __init__(self, power: float | None = 1.5) -> None:
        if power is not None and not _POWERS[0] <= power <= _POWERS[1]:
            raise InputError(
                f"Tweedie: power is {power}, but a number from {_POWERS[0]} to {_POWERS[1]} is expected, or None for "
                "one that is learnt."
            )
        self.power = power
        self.parameters = 3 if power is None else 2

    def _numbers(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean, dispersion and power in units of the window's scale."""
        mean, dispersion = squareplus(raw[..., 0]), spread(raw[..., 1], _LEAST_DISPERSION)
        if self.power is not None:
            return mean, dispersion, torch.full_like(mean, self.power)
        low, high = _POWERS
        return mean, dispersion, low + (high - low) * torch.sigmoid(raw[..., 2])

    def loss(self, raw: Tensor, y: Tensor, location: Tensor, scale: Tensor, unit: Tensor | None = None) -> Tensor:
        """Return the negative log-likelihood of ``y / scale``; see `Output.loss`. `location` has no part in it."""
        m, phi, p = (wide(number) for number in self._numbers(raw))
        z = wide(y) / scale
        above = z > 0
        z = torch.where(above, z, 1.0)
        alpha = (2 - p) / (p - 1)
        rate = m ** (2 - p) / (phi * (2 - p))
        # All that the mean has to do with, in closed form: the sum is over what is left.
        L = alpha * (z / (p - 1)).log() - (2 - p).log() - (1 + alpha) * phi.log()
        density = log_sum(L, alpha, z ** (2 - p) / (phi * (2 - p))) - z.log() - z * m ** (1 - p) / (phi * (p - 1))
        return (rate - torch.where(above, density - ratio(scale, unit).log(), 0.0)).to(raw.dtype)

    def mean(self, raw: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        """Return the mean; see `Output.mean`."""
        return squareplus(raw[..., 0]) * scale

    def sample(self, raw: Tensor, location: Tensor, scale: Tensor, u: Tensor) -> Tensor:
        """Return the quantile at `u`; see `Output.sample`."""
        m, phi, p, probability = arrays(*self._numbers(raw), u)
        alpha, rate, theta = (2 - p) / (p - 1), m ** (2 - p) / (phi * (2 - p)), phi * (p - 1) * m ** (p - 1)
        return tensor(quantile(rate, alpha, theta, probability), like=raw) * scale
