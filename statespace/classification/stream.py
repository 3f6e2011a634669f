"""A classifier that listens: samples as they come, and the probabilities of all of them so far, in constant memory.

What it says after any number of samples, in chunks of any length, is what `Classifier.predict_proba` says of all of
them at once.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from statespace.classification.bank import Bank
from statespace.classification.calibration import probabilities
from statespace.classification.confidence import Confidence
from statespace.classification.network import Network
from statespace.classification.running import Running, RunningNetwork, RunningResponses
from statespace.classification.signal_stream import SignalStream, expect_live


class ClassifierStream(SignalStream):
    """One signal that is still going on; made by `Classifier.stream`.

    A missing number (NaN) is taken to be as the one before in its channel, and its sample does not count. Offline,
    where the next one is known, a gap is filled along a line: signals with gaps may come out a little different.

    Attributes:
        classes_: the classes, in the order of the probabilities.
        seen: samples so far.

    Args:
        model: what was fitted.
        location: by which samples are shifted, ``(channels,)``.
        scale: by which they are divided, ``(channels,)``.
        kind: ``"classes"`` or ``"labels"``.
        sharpness: of the probabilities.
        confidence: how sure to be after how many samples; None for as sure at any time.
        classes: the classes.
        dt_scale: time between two samples, in units of that of training.
    Raises:
        InputError: the model looks at the whole signal, does not run in constant memory, or at another rate.
    """

    def __init__(
        self,
        model: Bank | Network,
        location: Tensor,
        scale: Tensor,
        kind: str,
        sharpness: float,
        confidence: Confidence | None,
        classes: np.ndarray,
        dt_scale: float = 1.0,
    ) -> None:
        dt_scale = expect_live("Classifier.stream", model.options["causal"], dt_scale)
        self._kind, self._sharpness, self._confidence, self.classes_ = kind, sharpness, confidence, classes
        with torch.inference_mode():
            self._running: Running = (
                RunningResponses(model, dt_scale) if isinstance(model, Bank) else RunningNetwork(model, dt_scale)
            )
        super().__init__(self._running, location, scale, dt_scale)

    def push(self, samples: Any) -> np.ndarray:
        """Take the next samples.

        Args:
            samples: any number of them, one a row: ``(n, channels)``, the transpose of a signal of `fit`, as in
                ``push(signal.T)``; or ``(n,)`` of one channel.
        Returns:
            The probability of each class, ``(k,)``, after all samples so far; NaN while there is nothing to go by.
        Raises:
            ShapeError: `samples` does not have the shape named here; nothing was taken.
            InputError: `samples` holds infinity, or no numbers.
        """
        with torch.inference_mode():
            for x, observed in self._parts(samples):
                self._running.take(x, observed)
            said = self._sharpness * self._running.scores()
            if self._confidence is not None:
                said = self._confidence(said, self._running.heard[None] * self._dt_scale)
            found = probabilities(self._kind, said)[0]
        return found.double().numpy()
