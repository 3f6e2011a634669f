"""A classifier or regressor without training: features of random systems, and a linear readout in closed form.

What is looked at is chosen by the readout's loss on training cases that are left out: shares of the whole signal; these
and shares of its quarters; or, of long signals, both, and what is `heard` in them. A causal one knows neither when a
quarter is over nor what is to come in a frame, and looks at the whole.

At half the sampling rate half of the band is missing. A second readout is fitted to training signals that were brought
there, and serves wherever `dt_scale` is nearer to 2 than to 1.
"""

from copy import copy
from dataclasses import replace
from math import sqrt
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from statespace.classification.heard import SHORTEST, Heard
from statespace.classification.on_disk import AnySignals
from statespace.classification.ridge import Fit, Readout, fit_readout
from statespace.classification.signals import Signals
from statespace.classification.silence import sounding_part
from statespace.datasets import resample
from statespace.models import ResponseFeatures
from statespace.models.responses import threshold_signals

VIEWS = ("whole", "quarters", "heard")  # each with those before
_SPAN = 0.25  # of the typical length: the longest time constant
_QUARTERS = 4
_MOST = 5000  # cases up to which there is a choice: its time grows with their third power
_HALVED = 16  # samples of a signal from which there is something left at half the rate
_PREFIX = "features."


class Fitted(NamedTuple):
    """What came out of a fit.

    Attributes:
        scores: for cases that were not fitted on, ``(b, k)``.
        rows: which of the cases these are, ``(b,)``.
    """

    scores: Tensor
    rows: Tensor


class Bank:
    """Random systems with a readout.

    Args:
        channels: of the signals.
        typical: length of a signal, in samples.
        systems: number of systems.
        causal: whether no system runs against time.
        seed: of the systems.
        view: the most that is looked at, one of `VIEWS`; `fit` chooses.
    """

    def __init__(
        self, channels: int, typical: float, systems: int, causal: bool, seed: int, view: str = "whole"
    ) -> None:
        self.options: dict[str, Any] = {
            "channels": channels,
            "typical": typical,
            "systems": systems,
            "causal": causal,
            "seed": seed,
        }
        span = max(_SPAN * typical, 2.0)
        self.features = ResponseFeatures(channels, span, systems, causal=causal, seed=seed)
        self.heard = Heard(channels, typical, span, -(-systems // 2), _QUARTERS, seed) if view == "heard" else None
        self._look(view)
        self._readouts: list[Readout] = []

    def _look(self, view: str) -> None:
        """Look at no more than `view`."""
        self.options["view"] = view
        self.features.parts = 1 if view == "whole" else _QUARTERS
        self.heard = self.heard if view == "heard" else None

    def readout(self, dt_scale: float) -> Readout:
        """Return the readout for signals with this time between two samples."""
        return self._readouts[-1 if dt_scale > sqrt(2) else 0]

    def fit(self, signals: AnySignals, targets: Tensor, weights: Tensor, groups: Tensor | None = None) -> Fitted:
        """Fit thresholds and readouts; every case is predicted by a readout that has not seen it, or its group."""
        seed = int(self.options["seed"])
        chosen = threshold_signals(len(signals), seed)
        one_by_one = (sounding_part(part) for part in map(signals.take, chosen.split(1)))
        self.features.fit_thresholds_to(one_by_one, len(signals), seed)
        if self.heard is not None:
            self.heard.fit_thresholds(signals, seed)
        found = self._of_all(signals, 1.0)
        best: tuple[Fit, str] | None = None
        for view, width in self._widths(len(found)).items():
            fitted = fit_readout(found[:, :width], targets, weights, groups)
            if best is None or fitted.loss < best[0].loss:
                best = fitted, view
        assert best is not None
        fitted, view = best
        self._look(view)
        self._readouts = [fitted.readout]
        if float(signals.lengths.float().median()) >= _HALVED:
            halved = torch.cat([self._features(_halved(part), 2.0) for part in signals.parts()])
            self._readouts.append(fit_readout(halved, targets, weights, groups).readout)
        return Fitted(fitted.left_out.float(), torch.arange(len(found)))

    def _widths(self, cases: int) -> dict[str, int]:
        """Return how many of the features belong to each view that may be chosen."""
        whole = self.features.thresholds.numel()
        widths = {"whole": whole}
        if self.options["view"] != "whole" and cases <= _MOST:
            widths["quarters"] = self.features.features
            if self.heard is not None:
                widths["heard"] = self.features.features + self.heard.responses.features
        return widths

    def _features(self, signals: Signals, dt_scale: float) -> Tensor:
        found: Tensor = self.features(signals.x, signals.lengths, dt_scale, signals.observed)
        return found if self.heard is None else torch.cat([found, self.heard(signals, dt_scale)], 1)

    def _of_all(self, signals: AnySignals, dt_scale: float) -> Tensor:
        return torch.cat([self._features(part, dt_scale) for part in signals.parts()])

    def scores(self, signals: AnySignals, dt_scale: float) -> Tensor:
        """Return the scores ``(b, k)`` of signals."""
        readout = self.readout(dt_scale)
        return torch.cat([readout(self._features(part, dt_scale)) for part in signals.parts()])

    def adapted(self, signals: AnySignals, dt_scale: float) -> "Bank":
        """Return one whose readout for this rate compares features with their means over these signals."""
        other = copy(self)
        mean = self._of_all(signals, dt_scale).double().mean(0).float()
        used = self.readout(dt_scale)
        other._readouts = [one._replace(mean=mean) if one is used else one for one in self._readouts]
        return other

    def over_time(self, signals: Signals, targets: Tensor, dt_scale: float) -> Tensor:
        """Return how much each sample brings to a score, beyond that of an average signal.

        Args:
            signals: ``b`` of them.
            targets: number of the score of each, ``(b,)``.
            dt_scale: time between two samples, in units of that of training.
        Returns:
            ``(b, l)``; over time it sums to the score less the readout's offset.
        """
        readout = self.readout(dt_scale)
        worth, means = (readout.weights / readout.scale[:, None]).T[targets], readout.mean
        width = self.features.features
        found = self.features.over_time(
            signals.x, signals.lengths, worth[:, :width], means[:width], dt_scale, signals.observed
        )
        if self.heard is not None:
            found += self.heard.over_time(signals, worth[:, width:], means[width:], dt_scale)
        return found

    def _modules(self) -> nn.ModuleDict:
        heard = {} if self.heard is None else {"heard": self.heard}
        return nn.ModuleDict({"own": self.features, **heard})

    def tensors(self) -> dict[str, Tensor]:
        """Return what is to be stored beside `options`."""
        # Files know no complex numbers: pairs of real ones are written.
        own = {
            _PREFIX + name: torch.view_as_real(value) if value.is_complex() else value
            for name, value in self._modules().state_dict().items()
        }
        readouts = {
            f"{number}.{name}": value
            for number, readout in enumerate(self._readouts)
            for name, value in readout._asdict().items()
        }
        return own | readouts

    @classmethod
    def restored(cls, options: dict[str, Any], tensors: dict[str, Tensor]) -> "Bank":
        """Return what `options` and `tensors` describe."""
        bank = cls(**options)
        own = {name.removeprefix(_PREFIX): value for name, value in tensors.items() if name.startswith(_PREFIX)}
        modules = bank._modules()
        like = modules.state_dict()
        modules.load_state_dict(
            {name: torch.view_as_complex(value) if like[name].is_complex() else value for name, value in own.items()}
        )
        count = sum(name.endswith(".offset") for name in tensors if not name.startswith(_PREFIX))
        bank._readouts = [Readout(*(tensors[f"{i}.{name}"] for name in Readout._fields)) for i in range(count)]
        return bank


def richest(typical: float, causal: bool) -> str:
    """Return the most that may be looked at in signals of this length."""
    if causal:
        return "whole"
    return "heard" if typical >= SHORTEST else "quarters"


def _halved(signals: Signals) -> Signals:
    """Return the signals at half their sampling rate, by a polyphase filter."""
    lengths = (signals.lengths + 1) // 2
    x = signals.x.new_zeros(len(signals), int(lengths.max()), signals.x.shape[2])
    for row, (length, half) in enumerate(zip(signals.lengths.tolist(), lengths.tolist(), strict=True)):
        x[row, :half] = torch.from_numpy(resample(signals.x[row, :length].T.numpy(), 2.0, 1.0).T.copy())
    observed = None if signals.observed is None else signals.observed[:, ::2][:, : x.shape[1]].clone()
    return replace(signals, x=x, lengths=lengths, observed=observed)
