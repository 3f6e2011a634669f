"""The levels at which forecasts are given, what lies between two of them, and where among them a value lies.

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
_FARTHEST = 4.0  # 1 value in 30 000 lies farther out; what is said of those comes from two quantiles alone


def between(quantiles: Tensor, u: Tensor) -> Tensor:
    """Return the quantile at any probability from those at the levels `QUANTILES`.

    Args:
        quantiles: ``(..., len(QUANTILES))``, ascending.
        u: probabilities in (0, 1), ``(...)``, broadcast against the quantiles.
    Returns:
        Quantiles at `u`, ``(...)``.
    """
    scores = quantiles.new_tensor(SCORES)
    score = torch.special.ndtri(u).to(quantiles).contiguous()
    after = torch.searchsorted(scores, score).clamp(1, len(QUANTILES) - 1)
    share = (score - scores[after - 1]) / (scores[after] - scores[after - 1])
    if u.ndim == 1 and quantiles.shape[-2:-1] == (1,):  # the same ones of all: nothing is looked up for each
        low, high = (quantiles[..., 0, :].index_select(-1, index) for index in (after - 1, after))
    else:
        shape = torch.broadcast_shapes(quantiles.shape[:-1], u.shape)
        quantiles, after = quantiles.expand(*shape, len(QUANTILES)), after.expand(shape)
        low, high = (quantiles.gather(-1, index[..., None])[..., 0] for index in (after - 1, after))
    # Rounding must not carry it past its neighbours, which are equal where a series is constant.
    inside = torch.minimum(torch.maximum((1 - share) * low + share * high, low), high)
    outside = torch.where(share < 0, low + share * (high - low), high + (share - 1) * (high - low))
    return torch.where((share < 0) | (share > 1), outside, inside)


def normal_score(quantiles: Tensor, y: Tensor, farthest: float = _FARTHEST) -> Tensor:
    """Return where a value lies among quantiles, as the normal score ``Φ⁻¹(P(Y ≤ y))``: the inverse of `between`.

    A value that several quantiles share, such as 0 in a series of counts, gets the middle of their levels.

    Args:
        quantiles: at the levels `QUANTILES`, ``(..., len(QUANTILES))``, ascending.
        y: values, ``(...)``; NaN stays NaN.
        farthest: the largest score; beyond the outermost quantiles the last line goes on up to there.
    Returns:
        Scores within ±`farthest`, ``(...)``: standard normal where the forecast is right.
    """
    below, equal = (quantiles < y[..., None]).sum(-1), quantiles == y[..., None]
    after = below.clamp(1, len(QUANTILES) - 1)
    scores = quantiles.new_tensor(SCORES)
    low, high = (quantiles.gather(-1, index[..., None])[..., 0] for index in (after - 1, after))
    share = (y - low) / (high - low).clamp(min=torch.finfo(y.dtype).tiny)
    score = scores[after - 1] + share * (scores[after] - scores[after - 1])
    if not bool(equal.any()):
        return score.clamp(-farthest, farthest)
    up_to = below + equal.sum(-1)
    first, last = quantiles.new_tensor((0.0, *QUANTILES[1:], 1.0)), quantiles.new_tensor((0.0, *QUANTILES[:-1], 1.0))
    shared = torch.special.ndtri((first[below] + last[up_to]) / 2)
    return torch.where(up_to > below + 1, shared, score).clamp(-farthest, farthest)
