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
from statespace.classification.network import Network
from statespace.classification.running import Running, RunningNetwork, RunningResponses
from statespace.errors import InputError, ShapeError

_KEYS = ("model", "dt_scale", "seen", "tensors")


class ClassifierStream:
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
        classes: np.ndarray,
        dt_scale: float = 1.0,
    ) -> None:
        if not model.options["causal"]:
            raise InputError(
                "Classifier.stream: this model looks at the whole signal, future included, so it cannot be run live: "
                "fit it with causal=True."
            )
        if not isinstance(dt_scale, int | float) or not 0 < dt_scale < np.inf:
            raise InputError(f"Classifier.stream: dt_scale is {dt_scale!r}, but a positive number is expected.")
        self._location, self._scale = location, scale
        self._kind, self._sharpness, self.classes_ = kind, sharpness, classes
        self._dt_scale = float(dt_scale)
        with torch.inference_mode():
            self._running: Running = (
                RunningResponses(model, self._dt_scale)
                if isinstance(model, Bank)
                else RunningNetwork(model, self._dt_scale)
            )
        self.reset()

    def reset(self) -> None:
        """Go back to before the first sample: a new signal begins."""
        self.seen = 0
        self._last = torch.zeros_like(self._location)
        with torch.inference_mode():
            self._running.reset()

    def push(self, samples: Any) -> np.ndarray:
        """Take the next samples.

        Args:
            samples: any number of them, ``(n, channels)``, or ``(n,)`` of one channel.
        Returns:
            The probability of each class, ``(k,)``, after all samples so far; NaN while there is nothing to go by.
        Raises:
            ShapeError: `samples` does not have the shape named here; nothing was taken.
            InputError: `samples` holds infinity, or no numbers.
        """
        x, observed = self._filled(self._checked(samples))
        with torch.inference_mode():
            for begin in range(0, len(x), self._running.at_once):
                part = slice(begin, begin + self._running.at_once)
                self._running.take(x[part], None if observed is None else observed[part])
            self.seen += len(x)
            if len(x):
                self._last = x[-1].clone()
            found = probabilities(self._kind, self._running.scores(), self._sharpness)[0]
        return found.double().numpy()

    def _checked(self, samples: Any) -> Tensor:
        where = "ClassifierStream.push"
        given = samples.detach().cpu().numpy() if isinstance(samples, Tensor) else np.asarray(samples)
        if given.dtype.kind not in "fiub":
            raise InputError(f"{where}: samples holds {given.dtype}, but numbers are expected.")
        channels = len(self._location)
        x = given[:, None] if given.ndim == 1 and channels == 1 else given
        if x.ndim != 2 or x.shape[1] != channels:
            raise ShapeError(
                f"{where}: samples is {given.shape}, but (n, channels) with {channels} channels is expected, one row "
                "for each sample."
            )
        with np.errstate(over="ignore"):
            x = np.ascontiguousarray(x, dtype=np.float32)
        if np.isinf(x).any():
            raise InputError(f"{where}: samples holds infinity, or values too large for float32: mark gaps as NaN.")
        return torch.from_numpy(x)

    def _filled(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return scaled samples in which the one before stands for a missing one, and which were not missing."""
        x = (x - self._location) / self._scale
        gaps = torch.isnan(x)
        if not gaps.any():
            return x, None
        rows = torch.arange(1, len(x) + 1)[:, None].masked_fill(gaps, 0).cummax(0).values
        return torch.cat([self._last[None], x]).gather(0, rows), ~gaps.any(1)

    def state_dict(self) -> dict[str, Any]:
        """Return where the stream is, copied: tensors and plain values, for `torch.save` and a safe `torch.load`."""
        tensors = [tensor.clone() for tensor in (self._last, *self._running.tensors())]
        return dict(zip(_KEYS, (type(self._running).__name__, self._dt_scale, self.seen, tensors), strict=True))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where another stream of the same model was, in this process or another.

        Args:
            state: what `state_dict` returned.
        Raises:
            InputError: it is of another kind of model, or at another rate.
            ShapeError: it is of a model of another size.
        """
        where = "ClassifierStream.load_state_dict"
        if not isinstance(state, dict) or set(state) != set(_KEYS):
            raise InputError(f"{where}: state is no state of a stream: pass what state_dict returned.")
        own = self.state_dict()
        for name in ("model", "dt_scale"):
            if state[name] != own[name]:
                raise InputError(
                    f"{where}: state has {name} {state[name]!r}, but this stream has {own[name]!r}: load it into a "
                    "stream that was made as the one it comes from."
                )
        shapes = [[(tuple(tensor.shape), tensor.dtype) for tensor in one["tensors"]] for one in (state, own)]
        if shapes[0] != shapes[1]:
            raise ShapeError(f"{where}: state is of a model of another size or type: load it into the same model.")
        self.seen = state["seen"]
        self._last, *rest = [tensor.clone() for tensor in state["tensors"]]
        self._running.restore(rest)
