"""Silence at both ends of a signal, which is not to count: recordings begin before what they are of, and end after it.

    E_t = Σ over samples up to t, and over channels, of (u - mean of u)² / variance of u;
    what counts is from where E_t passes 0.1 % of all of it to where 99.9 % are passed.

What is left out stays in the signal, and systems run over it, but no share of time and no part is made of it.

Source: Rabiner and Sambur, An algorithm for determining the endpoints of isolated utterances, Bell System Technical
Journal 54(2), 1975, 297-315, for taking them from energies. Where we deviate: shares of the energy of the signal
itself, so that neither a level of noise nor a sampling rate has to be known.
"""

from dataclasses import replace

import torch
from torch import Tensor

from statespace.classification.signals import Signals

_SHARE = 1e-3  # of the energy, at either end


def without_silence(signals: Signals) -> Signals:
    """Return the signals with silence at both ends marked as not observed; a constant signal stays as it is."""
    counted = torch.arange(signals.x.shape[1]) < signals.lengths[:, None]
    if signals.observed is not None:
        counted &= signals.observed
    present = signals.x.double().masked_fill(~counted[..., None], torch.nan)
    centred = (present - present.nanmean(1, keepdim=True)).square()
    power = centred.nanmean(1, keepdim=True)
    energy = (centred / torch.where(power > 0, power, 1.0)).nan_to_num(0.0).sum(2)
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
