"""What is heard in long signals: responses of random systems to the energies of bands, frame by frame.

Which band is loud when, and before or after which, is the same for many voices and machines; how a wave swings is not.
Frames of a fiftieth of a signal tell words apart. Those of 16 samples tell how fast a band beats: a damaged bearing
knocks a hundred times in a second, whatever it is that then rings.
"""

import torch
from torch import Tensor, nn

from statespace.classification.on_disk import AnySignals
from statespace.classification.signals import Signals
from statespace.classification.silence import sounding_part
from statespace.models import BandEnergies, ResponseFeatures
from statespace.models.responses import threshold_signals

SHORTEST = 512  # samples from which it is worth listening
_FRAMES = 48  # in a signal of typical length
_LONGEST = 128  # samples in a frame: words and knocks are told apart in long recordings too
_BEATS = 16  # samples in a frame that tells how fast a band beats
_BANDS, _BEATING = 32, 8  # in longer frames, and in those


def frames_in(typical: float) -> tuple[int, ...]:
    """Return the frames, in samples, in which it is worth listening to signals of this length."""
    if typical < SHORTEST:
        return ()
    long = min(int(typical) // _FRAMES, _LONGEST)
    return (long, _BEATS) if long > _BEATS else (long,)


class Heard(nn.Module):
    """Features of the energies of bands.

    Args:
        channels: of the signals.
        frame: samples in a frame.
        span: the longest time constant, in samples of the signal.
        systems: number of systems.
        parts: numbers of equal parts of a signal; see `ResponseFeatures`.
        seed: of the systems.
    """

    location: Tensor
    scale: Tensor

    def __init__(self, channels: int, frame: int, span: float, systems: int, parts: tuple[int, ...], seed: int) -> None:
        super().__init__()
        bands = max(4, (_BEATING if frame == _BEATS else _BANDS) // channels)
        self.energies = BandEnergies(frame, bands)
        self.responses = ResponseFeatures(channels * bands, max(span / frame, 2.0), systems, seed=seed, parts=parts)
        self.register_buffer("location", torch.zeros(channels * bands))
        self.register_buffer("scale", torch.ones(channels * bands))

    @property
    def features(self) -> int:
        """Number of features."""
        return self.responses.features

    def _each(self, signals: Signals, dt_scale: float) -> list[Tensor]:
        return [
            self.energies(x[:length], dt_scale) for x, length in zip(signals.x, signals.lengths.tolist(), strict=True)
        ]

    def _observed(self, signals: Signals, dt_scale: float) -> list[Tensor] | None:
        """Return in which frames of each signal something was observed, ``(frames,)``."""
        if signals.observed is None:
            return None
        found = []
        for row, length in zip(signals.observed, signals.lengths.tolist(), strict=True):
            frame = self.energies.frame_of(length, dt_scale)
            found.append(row[: length // frame * frame].unflatten(0, (-1, frame)).any(1))
        return found

    def _frames(self, signals: Signals, dt_scale: float) -> tuple[Tensor, Tensor, Tensor | None]:
        each, observed = self._each(signals, dt_scale), self._observed(signals, dt_scale)
        lengths = torch.tensor([len(one) for one in each])
        frames = (nn.utils.rnn.pad_sequence(each, batch_first=True) - self.location) / self.scale
        return frames, lengths, None if observed is None else nn.utils.rnn.pad_sequence(observed, batch_first=True)

    def fit_thresholds(self, signals: AnySignals, seed: int) -> "Heard":
        """Take means, deviations and thresholds from training signals."""
        count, mean, squares = 0, torch.zeros(len(self.location), dtype=torch.float64), torch.zeros(())
        for part in signals.parts():
            each, observed = self._each(part, 1.0), self._observed(part, 1.0)
            each = each if observed is None else [one[seen] for one, seen in zip(each, observed, strict=True)]
            flat = torch.cat([one.double() for one in each])
            if not len(flat):  # all that sounds lies behind the last whole frame
                continue
            apart = flat.mean(0) - mean
            together = count + len(flat)
            squares = squares + (flat - flat.mean(0)).square().sum(0) + apart.square() * (count * len(flat) / together)
            mean, count = mean + apart * (len(flat) / together), together
        self.location, deviation = mean.float(), (squares / max(count, 1)).sqrt().expand_as(mean)
        self.scale = torch.where(deviation > 1e-6, deviation, 1.0).float()
        chosen = threshold_signals(len(signals), seed)
        one_by_one = (self._sounding(part) for part in map(signals.take, chosen.split(1)))
        self.responses.fit_thresholds_to(one_by_one, len(signals), seed)
        return self

    def _sounding(self, signals: Signals) -> Tensor:
        frames, lengths, observed = self._frames(signals, 1.0)
        return sounding_part(Signals(frames, lengths, observed, lengths))

    def forward(self, signals: Signals, dt_scale: float) -> Tensor:
        """Return the features of signals, ``(b, features)``."""
        frames, lengths, observed = self._frames(signals, dt_scale)
        found: Tensor = self.responses(frames, lengths, 1.0, observed)
        return found

    def over_time(self, signals: Signals, worth: Tensor, means: Tensor, dt_scale: float) -> Tensor:
        """Return how much each sample brings, as `ResponseFeatures.over_time`; samples of a frame share alike."""
        frames, counts, observed = self._frames(signals, dt_scale)
        brought = self.responses.over_time(frames, counts, worth, means, 1.0, observed)
        found = signals.x.new_zeros(signals.x.shape[:2])
        for row, (length, count) in enumerate(zip(signals.lengths.tolist(), counts.tolist(), strict=True)):
            frame = self.energies.frame_of(length, dt_scale)
            found[row, : count * frame] = brought[row, :count].repeat_interleave(frame) / frame
        return found
