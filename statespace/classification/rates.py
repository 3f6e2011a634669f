"""Signals at another sampling rate, and what was found at that rate back at theirs."""

from dataclasses import replace

import torch
from torch import Tensor

from statespace.classification.signals import Signals
from statespace.datasets.resampling import FURTHEST, resample, resampled_length
from statespace.errors import InputError


def at_rate(signals: Signals, times: float) -> Signals:
    """Return signals with so many times their samples, by a polyphase filter; gaps stay where they were.

    Args:
        signals: ``b`` of them.
        times: new sampling rate over the old one.
    Returns:
        The same where `times` is one.
    Raises:
        InputError: the two rates are too far apart to be meant.
    """
    if times == 1:
        return signals
    if not 1 / FURTHEST <= times <= FURTHEST:
        raise InputError(
            f"dt_scale: the sampling rate would change by a factor of {max(times, 1 / times):g}, but at most "
            f"{FURTHEST} is expected: dt_scale is the time between two samples over that of training, such as 2 for "
            "half the rate."
        )
    lengths = torch.tensor([resampled_length(length, 1.0, times) for length in signals.lengths.tolist()])
    x = signals.x.new_zeros(len(signals), int(lengths.max()), signals.x.shape[2])
    for row, (before, after) in enumerate(zip(signals.lengths.tolist(), lengths.tolist(), strict=True)):
        x[row, :after] = torch.from_numpy(resample(signals.x[row, :before].T.numpy(), 1.0, times).T.copy())
    observed = signals.observed
    if observed is not None:
        nearest = (torch.arange(x.shape[1]) / times).round().long().clamp(max=observed.shape[1] - 1)
        observed = observed[:, nearest] & (torch.arange(x.shape[1]) < lengths[:, None])
    return replace(signals, x=x, lengths=lengths, observed=observed)


def shared_out(found: Tensor, lengths: Tensor, signals: Signals) -> Tensor:
    """Return what stretches of time brought, to the samples of signals that take the same time.

    Args:
        found: by samples at another rate, ``(b, l')``.
        lengths: samples of each at that rate, ``(b,)``.
        signals: those that are wanted.
    Returns:
        ``(b, l)``, with the sums of the rows of `found`.
    """
    shares = found.new_zeros(signals.x.shape[:2])
    for row, (before, after) in enumerate(zip(lengths.tolist(), signals.lengths.tolist(), strict=True)):
        passed = torch.cat([found.new_zeros(1), found[row, :before].cumsum(0)]).double()
        place = torch.linspace(0, before, after + 1, dtype=torch.float64)
        whole = place.long().clamp(max=before - 1)
        passed = passed[whole].lerp(passed[whole + 1], place - whole)
        shares[row, :after] = passed.diff().to(shares.dtype)
    return shares
