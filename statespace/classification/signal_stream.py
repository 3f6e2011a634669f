"""A model that listens to one signal: samples are scaled and gaps filled as they come, and what is carried can move."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statespace.classification.running import Carried
from statespace.errors import InputError, ShapeError

_KEYS = ("model", "dt_scale", "seen", "tensors")


class SignalStream:
    """One signal that is still going on; what `ClassifierStream` and `LabelerStream` have in common.

    A missing number (NaN) is taken to be as the one before in its channel, and its sample does not count. Offline,
    where the next one is known, a gap is filled along a line: signals with gaps may come out a little different.

    Samples come one a row, ``(n, channels)``, as drivers and pipes give them; a signal of `fit` is ``(channels, n)``.

    Attributes:
        seen: samples so far.

    Args:
        running: the model, before its first sample.
        location: by which samples are shifted, ``(channels,)``.
        scale: by which they are divided, ``(channels,)``.
        dt_scale: time between two samples, in units of that of training.
    """

    def __init__(self, running: Carried, location: Tensor, scale: Tensor, dt_scale: float) -> None:
        self._carried, self._location, self._scale, self._dt_scale = running, location, scale, dt_scale
        self.reset()

    def reset(self) -> None:
        """Go back to before the first sample: a new signal begins."""
        self.seen = 0
        self._last = torch.zeros_like(self._location)
        with torch.inference_mode():
            self._carried.reset()

    def _parts(self, samples: Any) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Check samples, and give them scaled, with what was measured, in parts that a model takes at once."""
        x, observed = self._filled(self._checked(samples))
        for begin in range(0, len(x), self._carried.at_once):
            part = slice(begin, begin + self._carried.at_once)
            yield x[part], None if observed is None else observed[part]
            self.seen += len(x[part])
            self._last = x[part][-1].clone()

    def _checked(self, samples: Any) -> Tensor:
        where = f"{type(self).__name__}.push"
        given = samples.detach().cpu().numpy() if isinstance(samples, Tensor) else np.asarray(samples)
        if given.dtype.kind not in "fiub":
            raise InputError(f"{where}: samples holds {given.dtype}, but numbers are expected.")
        channels = len(self._location)
        x = given[:, None] if given.ndim == 1 and channels == 1 else given
        if x.ndim != 2 or x.shape[1] != channels:
            turned = x.ndim == 2 and x.shape[0] == channels
            hint = ": it looks transposed, as a signal in fit is: pass samples.T" if turned else ""
            raise ShapeError(
                f"{where}: samples is {given.shape}, but (n, channels) with {channels} channels is expected, one row "
                f"for each sample{hint}."
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
        tensors = [tensor.clone() for tensor in (self._last, *self._carried.tensors())]
        return dict(zip(_KEYS, (type(self._carried).__name__, self._dt_scale, self.seen, tensors), strict=True))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where another stream of the same model was, in this process or another.

        Args:
            state: what `state_dict` returned.
        Raises:
            InputError: it is of another kind of model, or at another rate.
            ShapeError: it is of a model of another size.
        """
        where = f"{type(self).__name__}.load_state_dict"
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
        self._carried.restore(rest)


def expect_live(where: str, causal: bool, dt_scale: float) -> float:
    """Return the time between two samples, if a model can be run live with it.

    Args:
        where: the function, for messages.
        causal: whether the model looks at the past alone.
        dt_scale: time between two samples, in units of that of training.
    Raises:
        InputError: it cannot.
    """
    if not causal:
        raise InputError(
            f"{where}: this model looks at the whole signal, future included, so it cannot be run live: fit it with "
            "causal=True."
        )
    if not isinstance(dt_scale, int | float) or not 0 < dt_scale < np.inf:
        raise InputError(f"{where}: dt_scale is {dt_scale!r}, but a positive number is expected.")
    return float(dt_scale)
