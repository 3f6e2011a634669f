"""How sure to be of a signal of which little was heard: nearer to what is known before it begins.

    z(n) = t(n) τ s(n) + (1 - t(n)) log π,      p = softmax(z),      π the shares of the classes in training

after n samples, t from 0 to 1. Scores s of a few samples are as large as those of whole signals, but say much less. t
is the one with the least  - log p  over training signals that are cut off after n, for n that halves from the usual
length on; it never falls with n, and goes along a line between two of them, by the logarithm of n. What a readout that
did not know a signal would say of its beginning is taken to be off from what it says of the whole as the readout at
hand is,

    s_left_out(n) ≈ s_left_out + s(n) - s.

Source: the choice is ours; Guo, Pleiss, Sun, Weinberger 2017 (arXiv:1706.04599), section 4.2, on temperature scaling.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from statespace.classification.bank import Bank
from statespace.classification.calibration import soft_targets
from statespace.classification.network import Network
from statespace.classification.on_disk import AnySignals
from statespace.classification.signals import Signals
from statespace.training import loss_of

_JUDGED_BY = 200  # signals
_SHARES = torch.linspace(0, 1, 41)


class Confidence(NamedTuple):
    """What was found.

    Attributes:
        heard: samples n, ascending, ``(m,)``.
        share: t, ``(m,)``, and one beyond the last n.
        known: log π, ``(k,)``; of each of several labels, log π / (1 - π).
    """

    heard: Tensor
    share: Tensor
    known: Tensor

    def __call__(self, scores: Tensor, heard: Tensor) -> Tensor:
        """Return z of the module's equation, ``(b, k)``, of sharp scores after `heard` samples ``(b,)``."""
        n = torch.cat([self.heard, 2 * self.heard[-1:]]).log2()
        t = torch.cat([self.share, torch.ones(1)])
        at = heard.double().clamp(min=1).log2()
        above = torch.searchsorted(n, at).clamp(1, len(n) - 1)
        along = ((at - n[above - 1]) / (n[above] - n[above - 1])).clamp(0, 1)
        share = torch.lerp(t[above - 1].double(), t[above].double(), along).float()[:, None]
        return share * scores + (1 - share) * self.known


def heard_of(signals: Signals) -> Tensor:
    """Return how many samples of each signal were measured, ``(b,)``."""
    if signals.observed is None:
        return signals.lengths
    inside = torch.arange(signals.observed.shape[1]) < signals.lengths[:, None]
    return (signals.observed & inside).sum(1)


def fit_confidence(
    kind: str,
    model: Bank | Network,
    signals: AnySignals,
    scores: Tensor,
    targets: Tensor,
    weights: Tensor,
    sharpness: float,
) -> Confidence:
    """Return how sure to be after how many samples.

    Args:
        kind: ``"classes"`` or ``"labels"``.
        model: causal, fitted.
        signals: training signals that were left out when they were judged.
        scores: what was said of them then, ``(b, k)``.
        targets: zeros and ones, ``(b, k)``.
        weights: of the signals, ``(b,)``.
        sharpness: τ.
    """
    count, k = targets.shape
    shares = ((weights @ targets) + 1 / k) / (weights.sum() + 1)
    known = shares.log() if kind == "classes" else torch.logit(shares.clamp(1e-6, 1 - 1e-6))
    some = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:_JUDGED_BY].sort().values
    longest = int(signals.lengths.float().median()) // 2
    least = max(model.options["stride"]) if isinstance(model, Network) else 1  # before, it has nothing to say
    lengths = [longest >> number for number in range(longest.bit_length()) if longest >> number >= least][::-1]
    lengths = lengths or [least]
    said: list[list[Tensor]] = [[] for _ in [*lengths, 0]]
    for part in signals.only(some.numpy()).parts():
        for each, length in zip(said, [*lengths, int(part.lengths.max())], strict=True):
            each.append(model.scores(_first(part, length), 1.0))
    *begun, whole = (torch.cat(each) for each in said)
    y, w = soft_targets(kind, targets[some]), weights[some]
    found = []
    for beginning in begun:
        z = sharpness * (scores[some] + beginning - whole)
        losses = [(w * loss_of(kind, t * z + (1 - t) * known, y)).sum() for t in _SHARES]
        found.append(_SHARES[torch.stack(losses).argmin()])
    return Confidence(torch.tensor(lengths).double(), torch.stack(found).cummax(0).values, known)


def _first(signals: Signals, length: int) -> Signals:
    """Return the first samples of signals."""
    observed = None if signals.observed is None else signals.observed[:, :length]
    lengths, sizes = signals.lengths.clamp(max=length), signals.sizes.clamp(max=length)
    return replace(signals, x=signals.x[:, :length], lengths=lengths, sizes=sizes, observed=observed)
