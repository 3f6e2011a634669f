"""Silence at both ends of a signal, which is not to count: recordings begin before what they are of, and end after it.

    E_t = Σ over samples up to t, and over channels, of ((u - median of u) / deviation of the channel in training)²;
    what counts is from where E_t passes 0.1 % of all of it to where 99.9 % are passed.

The median is where a signal rests that is silent for half of the time or more; a click in the silence ends it. What is
left out stays in the signal, and systems run over it, but no share of time and no part is made of it.

Source: Rabiner and Sambur, An algorithm for determining the endpoints of isolated utterances, Bell System Technical
Journal 54(2), 1975, 297-315, for taking them from energies. Where we deviate: shares of the energy of the signal
itself, so that neither a level of noise nor a sampling rate has to be known.
"""

from dataclasses import replace

import torch
from torch import Tensor

from statespace.classification.signals import Signals

_SHARE = 1e-3  # of the energy, at either end


def without_silence(signals: Signals, scale: Tensor) -> Signals:
    """Return the signals with silence at both ends marked as not observed; a constant signal stays as it is.

    Args:
        signals: as they came.
        scale: by which channels are divided, ``(channels,)``.
    """
    counted = torch.arange(signals.x.shape[1]) < signals.lengths[:, None]
    if signals.observed is not None:
        counted &= signals.observed
    present = signals.x.double().masked_fill(~counted[..., None], torch.nan)
    rest = present.nanmedian(1, keepdim=True).values
    energy = ((present - rest) / scale).square().nan_to_num(0.0).sum(2)
    passed = energy.cumsum(1)
    total = passed[:, -1:]
    sounding = (passed > _SHARE * total) & (passed - energy < (1 - _SHARE) * total)
    return replace(signals, observed=torch.where(total > 0, counted & sounding, counted))


def sounding_part(signals: Signals) -> Tensor:
    """Return the samples of a single signal from the first to the last that is observed, ``(l, channels)``."""
    x = signals.x[0, : signals.lengths[0]]
    if signals.observed is None:
        return x
    places = signals.observed[0, : len(x)].nonzero()[:, 0]
    return x[int(places[0]) : int(places[-1]) + 1] if len(places) else x
