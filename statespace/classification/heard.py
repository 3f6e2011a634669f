"""What is heard in long signals: responses of random systems to the energies of bands, frame by frame.

Which band is loud when, and before or after which, is the same for many voices and machines; how a wave swings is not.
"""

import torch
from torch import Tensor, nn

from statespace.classification.signals import Signals
from statespace.models import BandEnergies, ResponseFeatures

SHORTEST = 512  # samples from which it is worth listening
_FRAMES = 48  # in a signal of typical length
_LONGEST = 128  # samples in a frame: words and knocks are told apart in long recordings too
_BANDS = 32


class Heard(nn.Module):
    """Features of the energies of bands.

    Args:
        channels: of the signals.
        typical: length of a signal, in samples.
        span: the longest time constant, in samples of the signal.
        systems: number of systems.
        parts: equal parts of a signal; see `ResponseFeatures`.
        seed: of the systems.
    """

    location: Tensor
    scale: Tensor

    def __init__(self, channels: int, typical: float, span: float, systems: int, parts: int, seed: int) -> None:
        super().__init__()
        frame = min(int(typical) // _FRAMES, _LONGEST)
        bands = max(4, _BANDS // channels)
        self.energies = BandEnergies(frame, bands)
        self.responses = ResponseFeatures(channels * bands, max(span / frame, 2.0), systems, seed=seed, parts=parts)
        self.register_buffer("location", torch.zeros(channels * bands))
        self.register_buffer("scale", torch.ones(channels * bands))

    def _frames(self, signals: Signals, dt_scale: float) -> tuple[Tensor, Tensor]:
        each = [
            self.energies(x[:length], dt_scale) for x, length in zip(signals.x, signals.lengths.tolist(), strict=True)
        ]
        lengths = torch.tensor([len(one) for one in each])
        frames = (nn.utils.rnn.pad_sequence(each, batch_first=True) - self.location) / self.scale
        return frames, lengths

    def fit_thresholds(self, signals: Signals, seed: int) -> "Heard":
        """Take means, deviations and thresholds from training signals."""
        frames, lengths = self._frames(signals, 1.0)
        flat = torch.cat([one[:length] for one, length in zip(frames, lengths.tolist(), strict=True)]).double()
        self.location, deviation = flat.mean(0).float(), flat.std(0, correction=0)
        self.scale = torch.where(deviation > 1e-6, deviation, 1.0).float()
        self.responses.fit_thresholds((frames - self.location) / self.scale, lengths, seed)
        return self

    def forward(self, signals: Signals, dt_scale: float) -> Tensor:
        """Return the features of signals, ``(b, features)``."""
        found: Tensor = self.responses(*self._frames(signals, dt_scale))
        return found

    def over_time(self, signals: Signals, worth: Tensor, means: Tensor, dt_scale: float) -> Tensor:
        """Return how much each sample brings, as `ResponseFeatures.over_time`; samples of a frame share alike."""
        frames, counts = self._frames(signals, dt_scale)
        brought = self.responses.over_time(frames, counts, worth, means)
        found = signals.x.new_zeros(signals.x.shape[:2])
        for row, (length, count) in enumerate(zip(signals.lengths.tolist(), counts.tolist(), strict=True)):
            frame = self.energies.frame_of(length, dt_scale)
            found[row, : count * frame] = brought[row, :count].repeat_interleave(frame) / frame
        return found
