"""A classifier or regressor that is trained: a stack of layers over the signal, pooling, and a linear head."""

from math import floor, log2
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statespace.classification.bank import Fitted
from statespace.classification.signals import Signals
from statespace.layers import LAYERS
from statespace.models import Backbone, SequenceModel
from statespace.training import SignalBatch, SignalDataModule, SignalModule, fit, threads_for

WIDEST = 4096  # steps of the first block: means over windows take longer signals down to less than twice as many
LONGEST = 1024  # steps of the slowest blocks
_CHECKS = 10  # steps between two validations, at least
AT_ONCE = 64  # signals predicted together


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

    def fit(self, signals: Signals, targets: Tensor, weights: Tensor, val: np.ndarray) -> Fitted:
        """Train on all but the cases `val`, and leave the weights in place that did best on these."""
        rows = torch.as_tensor(val, dtype=torch.int64)
        train = torch.as_tensor(np.setdiff1d(np.arange(len(signals)), val), dtype=torch.int64)
        data = SignalDataModule(
            _batch(signals, targets, weights, train),
            _batch(signals, targets, weights, rows) if len(rows) else None,
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
        work = self.training["batch_size"] * signals.x.shape[1] * self.options["d_model"]
        with torch.random.fork_rng(devices=[]), threads_for(work):
            torch.manual_seed(self.training["seed"])
            self.outcome = fit(
                module,
                data,
                max_steps=self.training["max_epochs"] * data.steps,
                has_validation=len(rows) > 0,
                check_every=max(_CHECKS, data.steps),
                patience=self.training["patience"],
                accelerator=self.training["accelerator"],
                verbose=self.training["verbose"],
            )
        self.model.eval()
        return Fitted(self.scores(signals.take(rows), 1.0) if len(rows) else targets[:0].float(), rows)

    def scores(self, signals: Signals, dt_scale: float) -> Tensor:
        """Return the scores ``(b, k)`` of signals."""
        order = signals.lengths.argsort(stable=True)
        found = []
        with torch.inference_mode():
            for rows in order.split(AT_ONCE):
                part = signals.take(rows)
                observed = None if part.observed is None else part.observed.float()
                found.append(self.model(part.x, None, part.lengths, None, dt_scale, observed)[0])
        return torch.cat(found)[order.argsort()].clone()

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


def _batch(signals: Signals, targets: Tensor, weights: Tensor, rows: Tensor) -> SignalBatch:
    part = signals.take(rows)
    observed = None if part.observed is None else part.observed.float()
    return SignalBatch(part.x, part.lengths, observed, targets[rows].float(), weights[rows].float())
