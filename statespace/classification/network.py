"""A model of signals that is trained: a stack of layers, pooling or none, and a linear head."""

from collections.abc import Iterator
from itertools import chain
from math import floor, log2
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from statespace.classification.bank import Fitted
from statespace.classification.on_disk import AnySignals
from statespace.classification.signals import Signals
from statespace.errors import InputError
from statespace.layers import LAYERS
from statespace.models import Backbone, SequenceModel
from statespace.training import SignalBatch, fingerprint, threads_for

WIDEST = 4096  # steps of the first block: means over windows take longer signals down to less than twice as many
LONGEST = 1024  # steps of the slowest blocks
_CHECKS = 10  # steps between two validations, at least
AT_ONCE = 64  # signals predicted together
_POOLED, _LABELLED = 2**19, 2**16  # samples that these have at most, where the stack ends at a slow rate and at full
_PATH = 32  # steps on the way from zero to a signal


def strides(length: float, n_layers: int) -> list[int]:
    """Return the stride of each block: that of the stem, then in steps of at most 8 down to some 1000 samples.

    Args:
        length: of a typical signal, in samples.
        n_layers: number of blocks.
    Returns:
        Samples of the signal to one of each block, powers of two.
    """
    stride = 2 ** max(0, floor(log2(length / WIDEST)))
    found = [stride]
    for _ in range(n_layers - 1):
        while length / stride > LONGEST and stride < 8 * found[-1]:
            stride *= 2
        found.append(stride)
    return found


def strides_to_samples(length: float, n_layers: int) -> list[int]:
    """Return the stride of each block of a stack that answers at each sample: as `strides`, the last at full rate."""
    return [*strides(length, n_layers - 1), 1] if n_layers > 1 else [1]


def _order(lengths: Tensor) -> Tensor:
    return lengths.argsort(descending=True, stable=True)


def _together(lengths: Tensor, samples: int) -> Iterator[Tensor]:
    """Give the numbers of signals that are predicted together: of like length, and of so many samples, or one."""
    order = _order(lengths)
    while len(order):
        count = max(1, min(AT_ONCE, samples // max(1, int(lengths[order[0]]))))
        yield order[:count]
        order = order[count:]


class _Taught:
    """Some of the signals, with what is to be said of them; see `SignalSource`."""

    def __init__(self, signals: AnySignals, targets: Tensor, weights: Tensor, rows: Tensor) -> None:
        self._signals, self._targets, self._weights, self._rows = signals, targets, weights, rows
        self.lengths = signals.lengths[rows]

    def take(self, rows: Tensor, epoch: int | None) -> SignalBatch:  # noqa: ARG002  nothing is drawn
        rows = self._rows[rows]
        part = self._signals.take(rows)
        observed = None if part.observed is None else part.observed.float()
        y, weight = self._targets[rows], self._weights[rows].float()
        if weight.ndim == 2:
            y, weight = y[:, : part.x.shape[1]], weight[:, : part.x.shape[1]]
        return SignalBatch(part.x, part.lengths, observed, y, weight)


class Network:
    """A stack over signals, trained through Lightning.

    Args:
        model: arguments of the stack and its head; see `make`.
        training: `max_epochs`, `batch_size`, `learning_rate`, `weight_decay`, `augmentation`, `patience`, `seed`,
            `accelerator` and `verbose`.
        kind: of the loss.
    """

    def __init__(self, model: dict[str, Any], training: dict[str, Any], kind: str) -> None:
        self.options, self.training, self.kind = model, training, kind
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training["seed"])
            self.model = make(**model)

    def fit(
        self, signals: AnySignals, targets: Tensor, weights: Tensor, val: np.ndarray, checkpoint: Path | None
    ) -> Fitted:
        """Train, and return what is said of the cases `val`; see `train`."""
        rows = torch.as_tensor(val, dtype=torch.int64)
        self.train(signals, targets.float(), weights, rows, checkpoint)
        return Fitted(self.scores(signals.only(rows), 1.0) if len(rows) else targets[:0].float(), rows)

    def train(
        self, signals: AnySignals, targets: Tensor, weights: Tensor, rows: Tensor, checkpoint: Path | None
    ) -> None:
        """Train on all but the cases `rows`, and leave the weights in place that did best on these.

        Args:
            signals: ``b`` of them.
            targets: as `SignalBatch.y`.
            weights: as `SignalBatch.weight`.
            rows: cases to validate on.
            checkpoint: file that is written again and again, gone on from where it is there, and taken away at the
                end; or ``None``.
        Raises:
            InputError: training has diverged.
        """
        from statespace.training import RunCheckpoint, SignalDataModule, SignalModule, fit

        train = torch.as_tensor(np.setdiff1d(np.arange(len(signals)), rows), dtype=torch.int64)
        data = SignalDataModule(
            _Taught(signals, targets, weights, train),
            _Taught(signals, targets, weights, rows) if len(rows) else None,
            self.training["batch_size"],
            self.training["seed"],
        )
        module = SignalModule(
            self.model,
            self.kind,
            self.training["learning_rate"],
            self.training["weight_decay"],
            self.training["augmentation"],
            all(LAYERS[name].capabilities.any_rate for name in np.atleast_1d(self.options["layer"])),
        )
        check_every = max(_CHECKS, data.steps)
        kept = None
        if checkpoint is not None:
            told = {name: value for name, value in self.training.items() if name != "verbose"} | self.options
            given = chain.from_iterable((part.x, part.lengths, part.observed) for part in signals.parts())
            run = fingerprint(told, chain(given, (targets, weights, rows)))
            kept = RunCheckpoint(checkpoint, run, None if len(rows) else check_every)
        work = self.training["batch_size"] * int(signals.lengths.max()) * self.options["d_model"]
        with torch.random.fork_rng(devices=[]), threads_for(work):
            torch.manual_seed(self.training["seed"])
            self.outcome = fit(
                module,
                data,
                max_steps=self.training["max_epochs"] * data.steps,
                has_validation=len(rows) > 0,
                check_every=check_every,
                patience=self.training["patience"],
                accelerator=self.training["accelerator"],
                verbose=self.training["verbose"],
                callbacks=[kept] if kept else [],
                resume_from=kept.found if kept else None,
            )
        if kept and not self.outcome.interrupted:
            kept.path.unlink(missing_ok=True)
        self.model.eval()
        self._expect_finite(signals)

    def _expect_finite(self, signals: AnySignals) -> None:
        """Raise an `InputError` where training has made NaN or infinity of what is said of the longest signals."""
        with torch.inference_mode():
            said = self._run(signals.take(next(_together(signals.lengths, _LABELLED))), 1.0)
        if not bool(said.isfinite().all()):
            raise InputError(
                f"fit: training has diverged, what the network says is NaN or infinite: lower learning_rate, which is "
                f"{self.training['learning_rate']:g}."
            )

    def scores(self, signals: AnySignals, dt_scale: float) -> Tensor:
        """Return the scores ``(b, k)`` of signals."""
        with torch.inference_mode():
            found = [self._run(signals.take(rows), dt_scale) for rows in _together(signals.lengths, _POOLED)]
        return torch.cat(found)[_order(signals.lengths).argsort()].clone()

    def at_samples(self, signals: AnySignals, dt_scale: float) -> list[Tensor]:
        """Return the scores of each sample as it came, ``(n, k)`` for each signal, of a stack without pooling.

        After the last measured sample a causal stack runs on, as it does live; of one that looks at the whole signal,
        which ends there, what was said last holds.
        """
        found: list[Tensor] = []
        with torch.inference_mode():
            for rows in _together(signals.sizes, _LABELLED):
                part = signals.take(rows)
                part = part.padded() if self.options["causal"] else part
                ends = zip(self._run(part, dt_scale), part.lengths.tolist(), part.sizes.tolist(), strict=True)
                found += [row[torch.arange(size).clamp(max=length - 1)] for row, length, size in ends]
        return [found[place] for place in _order(signals.sizes).argsort().tolist()]

    def _run(self, part: Signals, dt_scale: float) -> Tensor:
        observed = None if part.observed is None else part.observed.float()
        scores: Tensor = self.model(part.x, None, part.lengths, None, dt_scale, observed)[0]
        return scores

    def over_time(self, signals: Signals, targets: Tensor, dt_scale: float) -> Tensor:
        """Return how much each sample brings to a score, beyond that of a signal that is zero, by integrated gradients.

            a_t = Σ_c x_tc · mean over α of  ∂ score(α x) / ∂ x_tc,      α = 1/2n, 3/2n … 1 - 1/2n

        Args:
            signals: ``b`` of them.
            targets: number of the score of each, ``(b,)``.
            dt_scale: time between two samples, in units of that of training.
        Returns:
            ``(b, l)``; over time it sums to the score less that of zero, nearly.
        Source:
            Sundararajan, Taly, Yan 2017 (arXiv:1703.01365), equations (1) and (3).
        """
        found = []
        for row, target in enumerate(targets.tolist()):
            part = signals.take(torch.tensor([row]))
            observed = None if part.observed is None else part.observed.float()
            slope = torch.zeros_like(part.x)
            for step in range(_PATH):
                x = ((step + 0.5) / _PATH * part.x).requires_grad_()
                with torch.enable_grad():
                    scores, _ = self.model(x, None, part.lengths, None, dt_scale, observed)
                    slope += torch.autograd.grad(scores[0, target], x)[0] / _PATH
            brought = (slope * part.x).sum(2)[0]
            found.append(nn.functional.pad(brought, (0, signals.x.shape[1] - len(brought))))
        return torch.stack(found)

    def tensors(self) -> dict[str, Tensor]:
        """Return what is to be stored beside `options`."""
        return dict(self.model.state_dict())

    def restore(self, tensors: dict[str, Tensor]) -> "Network":
        """Take stored weights."""
        self.model.load_state_dict(tensors)
        self.model.eval()
        return self


def make(
    channels: int,
    outputs: int,
    layer: str | list[str],
    d_model: int,
    n_layers: int,
    d_state: int,
    dropout: float,
    pooling: str,
    stride: list[int],
    causal: bool,
) -> SequenceModel:
    """Make the network: both directions and windows of the whole signal, unless it has to be causal."""
    backbone = Backbone(
        d_model,
        n_layers,
        layer,
        d_state,
        dropout=dropout,
        stride=stride,
        pooling="causal" if causal else "whole",
        bidirectional=not causal,
    )
    return SequenceModel(backbone, channels, outputs, tokens=False, pooling=pooling)
