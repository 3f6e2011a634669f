"""The negative binomial distribution of counts.

    E y = m = s squareplus(r_0),   var y = m + α m²,   α = softplus(r_1) + 0.0001

so that α = 0 would be Poisson's; counts scatter more than that as a rule. The loss is -log P(y), which has no unit.
"""

import numpy as np
import torch
from torch import Tensor

from statespace.models.outputs.base import Distribution
from statespace.models.outputs.links import spread, squareplus
from statespace.models.outputs.precision import arrays, special, tensor, wide

_LEAST = 1e-4  # α: a standard deviation of 1 in 100 beside Poisson's


def _quantile(m: np.ndarray, alpha: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return the smallest count k with ``P(y ≤ k) = I_p(1/α, k + 1) ≥ u``, by bisection; ``p = 1 / (1 + α m)``."""
    betainc, r, p = special().betainc, 1 / alpha, 1 / (1 + alpha * m)
    low, high = np.full(m.shape, -1.0), np.maximum(np.ceil(m), 1.0)
    while (short := betainc(r, high + 1, p) < u).any():
        low, high = np.where(short, high, low), np.where(short, 2 * high, high)
    while (open_ := high - low > np.maximum(1.0, 1e-15 * high)).any():  # counts beyond 2**53 have no neighbours
        middle = np.floor((low + high) / 2)
        enough = betainc(r, middle + 1, p) >= u
        low, high = np.where(open_ & ~enough, middle, low), np.where(open_ & enough, middle, high)
    return np.asarray(high)


class NegativeBinomial(Distribution):
    """The negative binomial distribution: for counts, whole numbers from 0 on, many zeros included."""

    name = "negative-binomial"
    parameters = 2
    positive = True
    whole = True

    def loss(self, raw: Tensor, y: Tensor, location: Tensor, scale: Tensor, unit: Tensor | None = None) -> Tensor:
        """Return the negative log-probability of the count; see `Output.loss`. Counts have no other unit."""
        m, r, count = wide(squareplus(raw[..., 0]) * scale), 1 / wide(spread(raw[..., 1], _LEAST)), wide(y)
        ways = torch.lgamma(count + r) - torch.lgamma(r) - torch.lgamma(count + 1)
        return (r * torch.log1p(m / r) + count * torch.log1p(r / m) - ways).to(raw.dtype)

    def mean(self, raw: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        """Return the mean; see `Output.mean`."""
        return squareplus(raw[..., 0]) * scale

    def sample(self, raw: Tensor, location: Tensor, scale: Tensor, u: Tensor) -> Tensor:
        """Return the quantile at `u`, a count; see `Output.sample`."""
        alpha = spread(raw[..., 1], _LEAST)
        return tensor(_quantile(*arrays(self.mean(raw, location, scale), alpha, u)), like=raw)
