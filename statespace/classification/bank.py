"""A classifier or regressor without training: features of random systems, and a linear readout in closed form.

What is looked at is chosen by the readout's loss on training cases that are left out, one after another:

    levels     half as many systems more that see levels, beside those that see changes
    contests   which system of a group answers most
    sharp      half as many systems more that ring for many cycles, and tell one pitch from the next; or these alone
    parts      quarters of a signal, and eighths as well
    heard      the energies of bands of long signals, in frames that tell words apart, and in short ones that tell how
               fast a band beats

The first three cost time for each sample, and stay only where the loss falls by three times its own standard error; so
much it takes as well to leave out the systems that ring for a few cycles. A causal model knows neither when a quarter
is over nor what is to come in a frame.

At half the sampling rate half of the band is missing. A second readout is fitted to training signals that were brought
there, and serves wherever `dt_scale` is nearer to 2 than to 1. Signals at any other rate are brought to the nearer of
the two by a polyphase filter; a causal model runs its systems at the rate itself, as its streams do.
"""

from copy import copy
from math import sqrt
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from statespace.classification.heard import Heard, frames_in
from statespace.classification.mixing import Mixing
from statespace.classification.on_disk import AnySignals
from statespace.classification.rates import at_rate, shared_out
from statespace.classification.ridge import Readout, fit_readout
from statespace.classification.signals import Signals
from statespace.classification.silence import sounding_part
from statespace.models import ResponseFeatures
from statespace.models.responses import threshold_signals

PARTS = (4, 8)
_SPAN = 0.25  # of the typical length: the longest time constant
_JUDGED_BY = 1000  # cases by which is chosen what is looked at, at most
_MOST = 5000  # cases up to which parts are looked at: the time of the readout grows with its square, or with its cube
_NUMBERS = 2**27  # features of all cases, at most, while there are parts to leave out: half a gigabyte
_SURE = 3.0  # standard errors by which what costs time must be better: several are tried, on a few dozen cases at times
_TOLD = 128  # samples of a signal from which pitches are told: its longest time constant has room for a few cycles
_HALVED = 16  # samples of a signal from which there is something left at half the rate
_PREFIX = "features."
_SYSTEMS = ("changes", "levels", "sharp")  # kinds of them: what each sees, or how it rings


class View(NamedTuple):
    """What is looked at.

    Attributes:
        levels: whether some of the systems see levels.
        contests: whether systems compete.
        parts: numbers of equal parts; see `ResponseFeatures`.
        heard: samples in a frame in which the energies of bands are listened to; several numbers for several frames.
        sharp: whether some of the systems ring for many cycles.
        changes: whether some of the systems see changes, and ring for a few cycles at most.
    """

    levels: bool = False
    contests: bool = False
    parts: tuple[int, ...] = ()
    heard: tuple[int, ...] = ()
    sharp: bool = False
    changes: bool = True

    @property
    def systems(self) -> list[str]:
        """Names of the kinds of systems."""
        return [name for name in _SYSTEMS if getattr(self, name)]


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
        systems: number of systems that see changes.
        causal: whether no system runs against time.
        seed: of the systems.
        view: the most that is looked at; `fit` chooses.
    """

    def __init__(self, channels: int, typical: float, systems: int, causal: bool, seed: int, view: View) -> None:
        self.options: dict[str, Any] = {
            "channels": channels,
            "typical": typical,
            "systems": systems,
            "causal": causal,
            "seed": seed,
        }
        span, half = max(_SPAN * typical, 2.0), -(-systems // 2)
        self.systems = {
            name: ResponseFeatures(
                channels,
                span,
                systems if name == "changes" else half,
                causal=causal,
                seed=seed + _SYSTEMS.index(name),
                levels=name == "levels",
                sharp=name == "sharp",
            )
            for name in view.systems
        }
        self.heard = {
            frame: Heard(channels, frame, span, half, PARTS[:1], seed + number)
            for number, frame in enumerate(view.heard)
        }
        self._look(view)
        self._readouts: list[Readout] = []

    def _look(self, view: View) -> None:
        """Look at no more than `view`."""
        self.options["view"] = view
        self.systems = {name: self.systems[name] for name in view.systems}
        self.heard = {frame: self.heard[frame] for frame in view.heard}
        for responses in self.responses():
            responses.parts, responses.contests = view.parts, view.contests

    def responses(self) -> list[ResponseFeatures]:
        """Return what runs over the samples."""
        return list(self.systems.values())

    def _known(self, dt_scale: float) -> float:
        """Return the `dt_scale` of the readout that serves."""
        return 2.0 if len(self._readouts) > 1 and dt_scale > sqrt(2) else 1.0

    def readout(self, dt_scale: float) -> Readout:
        """Return the readout for signals with this time between two samples."""
        return self._readouts[int(self._known(dt_scale)) - 1]

    def fit(self, signals: AnySignals, targets: Tensor, weights: Tensor, groups: Tensor | None = None) -> Fitted:
        """Fit thresholds and readouts; every case is predicted by a readout that has not seen it, or its group."""
        seed = int(self.options["seed"])
        chosen = threshold_signals(len(signals), seed)
        for responses in self.responses():
            one_by_one = (sounding_part(part) for part in map(signals.take, chosen.split(1)))
            responses.fit_thresholds_to(one_by_one, len(signals), seed)
        for heard in self.heard.values():
            heard.fit_thresholds(signals, seed)
        if len(signals) > _MOST:
            self._look(self.options["view"]._replace(parts=(), heard=()))
        while (view := self.options["view"]).parts and len(signals) * sum(self.widths()) > _NUMBERS:
            self._look(view._replace(parts=view.parts[:-1]))
        some = torch.randperm(len(signals), generator=torch.Generator().manual_seed(seed))[:_JUDGED_BY].sort().values
        fewer = signals.only(some.numpy()) if len(some) < len(signals) else signals
        some_groups = None if groups is None else groups[some]
        columns = _Columns(self, self._of_all(fewer, 1.0))
        self._look(_best_view(columns, targets[some], weights[some], some_groups))
        found = self._of_all(signals, 1.0) if len(some) < len(signals) else columns.of(self.options["view"])
        del columns  # of which there is more than is needed from here on
        fitted = fit_readout(found, targets, weights, groups)
        del found
        self._readouts = [fitted.readout]
        if float(signals.lengths.float().median()) >= _HALVED:
            halved = torch.cat([self._features(at_rate(part, 0.5), 2.0) for part in signals.parts()])
            self._readouts.append(fit_readout(halved, targets, weights, groups).readout)
        return Fitted(fitted.left_out.float(), torch.arange(len(signals)))

    def widths(self) -> list[int]:
        """Return the number of features of each of `responses`, and of what is heard in each frame."""
        return [*(one.features for one in self.responses()), *(heard.features for heard in self.heard.values())]

    def _features(self, signals: Signals, dt_scale: float) -> Tensor:
        found = [one(signals.x, signals.lengths, dt_scale, signals.observed) for one in self.responses()]
        found += [heard(signals, dt_scale) for heard in self.heard.values()]
        return torch.cat(found, 1)

    def _at_known_rate(self, signals: Signals, dt_scale: float) -> tuple[Signals, float]:
        """Return signals at a rate that a readout was fitted at, and their `dt_scale` there."""
        if self.options["causal"]:
            return signals, dt_scale
        known = self._known(dt_scale)
        return at_rate(signals, dt_scale / known), known

    def _of_all(self, signals: AnySignals, dt_scale: float) -> Tensor:
        return torch.cat([self._features(*self._at_known_rate(part, dt_scale)) for part in signals.parts()])

    def scores(self, signals: AnySignals, dt_scale: float) -> Tensor:
        """Return the scores ``(b, k)`` of signals."""
        return self.readout(dt_scale)(self._of_all(signals, dt_scale))

    def mix(self, mixing: Mixing) -> None:
        """Mix the scores from now on."""
        self._readouts = [readout.mixed(mixing.weights, mixing.offset) for readout in self._readouts]

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
        came, (signals, dt_scale) = signals, self._at_known_rate(signals, dt_scale)
        found, begin = torch.zeros(signals.x.shape[:2]), 0
        for one in self.responses():
            own = slice(begin, begin := begin + one.features)
            found += one.over_time(signals.x, signals.lengths, worth[:, own], means[own], dt_scale, signals.observed)
        for heard in self.heard.values():
            own = slice(begin, begin := begin + heard.features)
            found += heard.over_time(signals, worth[:, own], means[own], dt_scale)
        return found if signals is came else shared_out(found, signals.lengths, came)

    def _modules(self) -> nn.ModuleDict:
        heard = {f"heard_{frame}": heard for frame, heard in self.heard.items()}
        return nn.ModuleDict(dict[str, nn.Module](**self.systems, **heard))

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
        """Return what `options` and `tensors` describe; a ValueError if they do not belong together."""
        levels, contests, parts, heard, sharp, changes = options["view"]
        view = View(levels, contests, tuple(parts), tuple(heard), sharp, changes)  # of which JSON made lists
        bank = cls(**options | {"view": view})
        own = {name.removeprefix(_PREFIX): value for name, value in tensors.items() if name.startswith(_PREFIX)}
        modules = bank._modules()
        like = modules.state_dict()
        modules.load_state_dict(
            {name: torch.view_as_complex(value) if like[name].is_complex() else value for name, value in own.items()}
        )
        count = sum(name.endswith(".offset") for name in tensors if not name.startswith(_PREFIX))
        bank._readouts = [Readout(*(tensors[f"{i}.{name}"] for name in Readout._fields)) for i in range(count)]
        if any(len(readout.mean) != sum(bank.widths()) for readout in bank._readouts):
            raise ValueError("the readout is not of these features")
        return bank


class _Columns:
    """Features of the most that is looked at, and of less."""

    def __init__(self, bank: Bank, found: Tensor) -> None:
        self.most: View = bank.options["view"]
        pieces = found.split(bank.widths(), 1)
        self._heard = dict(zip(self.most.heard, pieces[len(bank.systems) :], strict=True))
        self._own = {
            name: piece.unflatten(1, (-1, len(one.A), one.kinds))
            for (name, one), piece in zip(bank.systems.items(), pieces, strict=False)
        }
        self._thresholds = bank.responses()[0].thresholds.shape[1]

    def of(self, view: View) -> Tensor:
        """Return the features of less."""
        parts = 1 + sum(view.parts)
        kinds = None if view.contests else self._thresholds
        own = [self._own[name][:, :parts, :, :kinds].flatten(1) for name in view.systems]
        return torch.cat([*own, *(self._heard[frame] for frame in view.heard)], 1)


def _best_view(columns: _Columns, targets: Tensor, weights: Tensor, groups: Tensor | None) -> View:
    """Return what to look at: what is left out tells, of one more after another."""
    most = columns.most

    def errors(view: View) -> Tensor:
        fitted = fit_readout(columns.of(view), targets, weights, groups)
        return weights.double() * (fitted.left_out - targets).square().mean(1)

    best = View()
    known = errors(best)
    more: list[tuple[dict[str, Any], float]] = [({name: True}, _SURE) for name in ("levels", "contests", "sharp")]
    more.append(({"changes": False}, _SURE))
    more += [({"parts": PARTS[:count]}, 0.0) for count in range(1, len(PARTS) + 1)]
    more += [({"heard": frames}, 0.0) for frames in (*((frame,) for frame in most.heard), most.heard)]
    for change, sure in more:
        view = best._replace(**change)
        if not (view.changes or view.sharp) or view.parts != most.parts[: len(view.parts)]:
            continue
        if any(has and not may for has, may in zip(view, most, strict=True)):
            continue
        found = errors(view)
        fall = known - found
        if float(fall.mean()) > sure * float(fall.std()) / len(fall) ** 0.5:
            best, known = view, found
    return best


def richest(typical: float, causal: bool) -> View:
    """Return the most that may be looked at in signals of this length."""
    sharp = typical >= _TOLD
    return View(True, True, () if causal else PARTS, () if causal else frames_in(typical), sharp)
