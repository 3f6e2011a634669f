"""The levels at which forecasts are given, and what lies between two of them.

Between two given quantiles the forecast is linear in the normal score Φ⁻¹(q), in which the quantiles of a normal
distribution lie on a line; beyond the outermost ones the last line goes on.
"""

from statistics import NormalDist

import torch
from torch import Tensor

_TAIL = (0.005, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4)
QUANTILES = (*_TAIL, 0.5, *(round(1 - q, 6) for q in reversed(_TAIL)))
MIDDLE = len(QUANTILES) // 2
SCORES = tuple(NormalDist().inv_cdf(q) for q in QUANTILES)


def between(quantiles: Tensor, u: Tensor) -> Tensor:
    """Return the quantile at any probability from those at the levels `QUANTILES`.

    Args:
        quantiles: ``(..., len(QUANTILES))``, ascending.
        u: probabilities in (0, 1), ``(...)``, broadcast against the quantiles.
    Returns:
        Quantiles at `u`, ``(...)``.
    """
    scores = quantiles.new_tensor(SCORES)
    quantiles = quantiles.expand(*torch.broadcast_shapes(quantiles.shape[:-1], u.shape), len(QUANTILES))
    score = torch.special.ndtri(u).to(quantiles).expand(quantiles.shape[:-1])
    after = torch.searchsorted(scores, score.contiguous()).clamp(1, len(QUANTILES) - 1)
    share = (score - scores[after - 1]) / (scores[after] - scores[after - 1])
    low, high = (quantiles.gather(-1, index[..., None])[..., 0] for index in (after - 1, after))
    # Rounding must not carry it past its neighbours, which are equal where a series is constant.
    inside = torch.minimum(torch.maximum((1 - share) * low + share * high, low), high)
    outside = torch.where(share < 0, low + share * (high - low), high + (share - 1) * (high - low))
    return torch.where((share < 0) | (share > 1), outside, inside)
