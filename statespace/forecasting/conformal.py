"""Conformal intervals: trained quantiles moved until they cover held-out windows as often as they should.

For the interval between the quantiles q and 1 - q, each held-out value y has the score

    E = max(lo - y, y - hi) / s,    s the scale of its window,

and both ends move outward by the ⌈(n + 1)(1 - 2q)⌉-th smallest of the n scores, inward if that is negative.

Source: Romano, Patterson, Candès 2019 (arXiv:1905.03222), algorithm 1.
Where we deviate: scores are in units of the window's scale, so that windows of all series count alike; they are taken
for each step of the horizon where there are enough windows, and over all steps together where there are not. The
windows are those that early stopping looked at, and neighbours in time: coverage is not guaranteed but measured.
"""

import torch
from torch import Tensor

from statespace.models import QUANTILES, ForecastNetwork
from statespace.training import Windows

_ENOUGH = 100  # windows, so that the 0.005 quantile is not far outside of what was seen


def _order_statistic(scores: Tensor, share: float) -> Tensor:
    """Return the ⌈(n + 1) share⌉-th smallest score along the first axis; NaN scores do not count."""
    count = (~scores.isnan()).sum(0)
    rank = torch.ceil((count + 1) * share).long().clamp(min=1)
    ordered = scores.nan_to_num(nan=torch.inf).sort(0).values
    picked = ordered.gather(0, torch.minimum(rank, count).clamp(min=1)[None] - 1)[0]
    return torch.where(count > 0, picked, 0.0)


@torch.no_grad()
def calibrate(model: ForecastNetwork, windows: Windows) -> None:
    """Set the offsets of `model` so that its intervals cover the given windows.

    Args:
        model: a trained forecaster; its `offsets` are replaced.
        windows: windows that it was not trained on.
    """
    model.offsets.zero_()
    raw = model.raw(windows.past)
    location, scale = raw.location, raw.scale
    quantiles = (model.read(raw).quantiles - location[..., None]) / scale[..., None]
    y = torch.where(windows.y_observed > 0, (windows.y - location) / scale, torch.nan)
    offsets = torch.zeros_like(model.offsets)
    for low, q in enumerate(QUANTILES[: len(QUANTILES) // 2]):
        high = len(QUANTILES) - 1 - low
        scores = torch.maximum(quantiles[..., low] - y, y - quantiles[..., high])  # (windows, h)
        if len(scores) < _ENOUGH:
            scores = scores.reshape(-1, 1)
        move = _order_statistic(scores, 1 - 2 * q)
        offsets[:, low], offsets[:, high] = -move, move
    model.offsets.copy_(offsets)
