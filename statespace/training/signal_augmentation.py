"""Disturbances of signals that leave their class as it is, for training on few of them.

    noise       x + σ ε                         shift    x_{t - k}, zero where nothing was
    loudness    x e^{s}                         mixup    λ x + (1 - λ) x',  and the targets likewise
    rate        another `dt_scale`: the systems run a little faster or slower, and the signal need not be resampled

Source: Um et al. 2017 (arXiv:1706.00527), for noise, loudness and warping of sensor signals; Zhang et al. 2018 (mixup,
arXiv:1710.09412), equation (1).
"""

from typing import NamedTuple

import torch
from torch import Tensor

NOISE, LOUDNESS, SHIFT, RATE, MIXUP = 0.1, 0.1, 0.1, 0.1, 0.2  # at strength 1; shift is a share of the length


class SignalBatch(NamedTuple):
    """Signals and what is to be said of them.

    Attributes:
        x: samples, ``(b, l, channels)``.
        lengths: samples of each, ``(b,)``.
        observed: one where a sample was measured, ``(b, l)``, or ``None``.
        y: targets, ``(b, k)``, or the number of the class of each sample, ``(b, l)``, int64.
        weight: of each signal in the loss, ``(b,)``, or of each sample, ``(b, l)``, zero where nothing is known.
    """

    x: Tensor
    lengths: Tensor
    observed: Tensor | None
    y: Tensor
    weight: Tensor


def disturb(batch: SignalBatch, strength: float) -> tuple[SignalBatch, float]:
    """Disturb a batch; targets of samples move with these, and are not mixed.

    Args:
        batch: signals.
        strength: 0 for none.
    Returns:
        A new batch, and the `dt_scale` that it is to be run with.
    """
    if strength == 0:
        return batch, 1.0
    x, lengths, observed, y, weight = batch
    count, length, _ = x.shape
    real = (torch.arange(length, device=x.device) < lengths[:, None])[..., None]
    x = x * torch.exp(LOUDNESS * strength * torch.randn(count, 1, 1, device=x.device))
    x = x + NOISE * strength * torch.randn_like(x)
    moved = (torch.rand(count, device=x.device) * 2 - 1) * SHIFT * min(strength, 1.0) * lengths
    source = torch.arange(length, device=x.device) - moved.long()[:, None]
    inside = (source >= 0) & (source < lengths[:, None])
    source = source.clamp(0, length - 1)
    x = x.gather(1, source[..., None].expand_as(x)).masked_fill(~(inside[..., None] & real), 0)
    if observed is not None:
        observed = observed.gather(1, source) * inside
    if weight.ndim == 2:
        y, weight = y.gather(1, source), weight.gather(1, source) * inside
    elif count > 1:
        share = float(torch.distributions.Beta(MIXUP * strength, MIXUP * strength).sample())
        share = max(share, 1 - share)
        # Only signals of one length mix without telling where the shorter ended.
        other = torch.randperm(count, device=x.device)
        other = torch.where(lengths[other] == lengths, other, torch.arange(count, device=x.device))
        x, y = share * x + (1 - share) * x[other], share * y + (1 - share) * y[other]
        observed = None if observed is None else torch.minimum(observed, observed[other])
    rate = float(torch.exp(RATE * strength * torch.randn(())))
    return SignalBatch(x, lengths, observed, y, weight), rate
