"""A labeler that listens: samples as they come, and what each of them is, in constant memory.

What it says of a sample, in chunks of any length, is what `Labeler.predict_proba` says of it within the whole signal.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from statespace.classification.calibration import probabilities
from statespace.classification.network import Network
from statespace.classification.running import RunningLabels
from statespace.classification.signal_stream import SignalStream, expect_live


class LabelerStream(SignalStream):
    """One signal that is still going on; made by `Labeler.stream`.

    A missing number (NaN) is taken to be as the one before in its channel. Offline, where the next one is known, a gap
    is filled along a line: signals with gaps may come out a little different.

    Attributes:
        classes_: the classes, in the order of the probabilities.
        seen: samples so far.

    Args:
        network: what was fitted.
        location: by which samples are shifted, ``(channels,)``.
        scale: by which they are divided, ``(channels,)``.
        sharpness: of the probabilities.
        classes: the classes.
        dt_scale: time between two samples, in units of that of training.
    Raises:
        InputError: the model looks at the whole signal, does not run in constant memory, or at another rate.
    """

    def __init__(
        self,
        network: Network,
        location: Tensor,
        scale: Tensor,
        sharpness: float,
        classes: np.ndarray,
        dt_scale: float = 1.0,
    ) -> None:
        dt_scale = expect_live("Labeler.stream", network.options["causal"], dt_scale)
        self._sharpness, self.classes_ = sharpness, classes
        with torch.inference_mode():
            self._running = RunningLabels(network, dt_scale)
        super().__init__(self._running, location, scale, dt_scale)

    def push(self, samples: Any) -> np.ndarray:
        """Take the next samples.

        Args:
            samples: any number of them, one a row: ``(n, channels)``, the transpose of a signal of `fit`, as in
                ``push(signal.T)``; or ``(n,)`` of one channel.
        Returns:
            The probability of each class for each of them, ``(n, k)``.
        Raises:
            ShapeError: `samples` does not have the shape named here; nothing was taken.
            InputError: `samples` holds infinity, or no numbers.
        """
        with torch.inference_mode():
            found = [self._running.take(x, observed) for x, observed in self._parts(samples)]
            scores = torch.cat(found) if found else torch.empty(0, len(self.classes_))
            return probabilities("classes", scores, self._sharpness).double().numpy()
