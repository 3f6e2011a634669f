"""A classifier or regressor without training: features of random systems, and a linear readout in closed form."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from statespace.classification.ridge import Readout, fit_readout
from statespace.classification.signals import Signals
from statespace.models import ResponseFeatures

SPAN = 0.25  # of the typical length: the longest time constant
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
        span: the longest time constant, in samples.
        systems: number of systems.
        causal: whether no system runs against time.
        seed: of the systems.
    """

    def __init__(self, channels: int, span: float, systems: int, causal: bool, seed: int) -> None:
        self.options = {"channels": channels, "span": span, "systems": systems, "causal": causal, "seed": seed}
        self.features = ResponseFeatures(channels, span, systems, causal=causal, seed=seed)
        self.readout: Readout | None = None

    def fit(self, signals: Signals, targets: Tensor, weights: Tensor) -> Fitted:
        """Fit thresholds and readout; every case is predicted by a readout that has not seen it."""
        self.features.fit_thresholds(signals.x, signals.lengths, int(self.options["seed"]))
        found = self._features(signals, 1.0)
        self.readout, left_out = fit_readout(found, targets, weights)
        return Fitted(left_out.float(), torch.arange(len(found)))

    def _features(self, signals: Signals, dt_scale: float) -> Tensor:
        found: Tensor = self.features(signals.x, signals.lengths, dt_scale, signals.observed)
        return found

    def scores(self, signals: Signals, dt_scale: float) -> Tensor:
        """Return the scores ``(b, k)`` of signals."""
        assert self.readout is not None
        return self.readout(self._features(signals, dt_scale))

    def tensors(self) -> dict[str, Tensor]:
        """Return what is to be stored beside `options`."""
        assert self.readout is not None
        # Files know no complex numbers: pairs of real ones are written.
        own = {
            _PREFIX + name: torch.view_as_real(value) if value.is_complex() else value
            for name, value in self.features.state_dict().items()
        }
        return own | self.readout._asdict()

    @classmethod
    def restored(cls, options: dict[str, Any], tensors: dict[str, Tensor]) -> "Bank":
        """Return what `options` and `tensors` describe."""
        bank = cls(**options)
        own = {name.removeprefix(_PREFIX): value for name, value in tensors.items() if name.startswith(_PREFIX)}
        like = bank.features.state_dict()
        bank.features.load_state_dict(
            {name: torch.view_as_complex(value) if like[name].is_complex() else value for name, value in own.items()}
        )
        bank.readout = Readout(*(tensors[name] for name in Readout._fields))
        return bank
