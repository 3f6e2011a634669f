"""Signals in the forms that people have them, brought to one: a padded batch, with lengths and a mask of gaps.

| X | taken as |
|---|---|
| array ``(n_cases, n_channels, n_timepoints)`` | that |
| array ``(n_cases, n_timepoints)`` | one channel |
| list of arrays ``(n_channels, n_timepoints)`` or ``(n_timepoints,)`` | signals of unequal lengths |
| data frame with the columns ``case``, ``time`` and one a channel | the same, long |

NaN within a signal is a gap: filled along a line between its neighbours, and not counted. NaN at its end in all
channels is padding, and cut off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statespace.errors import InputError

CASE, TIME = "case", "time"


@dataclass(frozen=True)
class Signals:
    """A batch of signals.

    Attributes:
        x: samples, ``(b, l, channels)``, float32; zero beyond the end of each.
        lengths: samples of each, ``(b,)``, int64.
        observed: whether all channels of a sample were measured, ``(b, l)``, or ``None`` where nothing is missing.
    """

    x: Tensor
    lengths: Tensor
    observed: Tensor | None

    def take(self, rows: Tensor | np.ndarray) -> "Signals":
        """Return some of the signals, no longer than the longest of them."""
        rows = torch.as_tensor(rows)
        lengths = self.lengths[rows]
        longest = int(lengths.max()) if len(rows) else 0
        observed = None if self.observed is None else self.observed[rows, :longest]
        return Signals(self.x[rows, :longest], lengths, observed)

    def __len__(self) -> int:
        return self.x.shape[0]


def _from_frame(where: str, frame: Any) -> list[np.ndarray]:
    for name in (CASE, TIME):
        if name not in frame.columns:
            raise InputError(
                f"{where}: X is a data frame with the columns {', '.join(map(str, frame.columns))}, but {name!r} is "
                "missing: a long table has the columns case and time, and one for each channel."
            )
    channels = [name for name in frame.columns if name not in (CASE, TIME)]
    if not channels:
        raise InputError(f"{where}: X is a data frame without channels: beside case and time, one column is needed.")
    if frame.duplicated([CASE, TIME]).any():
        raise InputError(f"{where}: X has several rows for one case and time: keep one of each.")
    return [
        part.sort_values(TIME)[channels].to_numpy(dtype=np.float64, na_value=np.nan).T
        for _, part in frame.groupby(CASE, sort=False)
    ]


def _listed(where: str, X: Any) -> list[np.ndarray]:
    if hasattr(X, "columns") and hasattr(X, "groupby"):
        return _from_frame(where, X)
    if isinstance(X, Tensor):
        X = X.detach().cpu().numpy()
    if isinstance(X, np.ndarray) and X.dtype != object:
        if X.ndim not in (2, 3):
            raise InputError(
                f"{where}: X is {X.shape}, but (n_cases, n_channels, n_timepoints) or (n_cases, n_timepoints) is "
                "expected: pass one signal as X[None]."
            )
        return list(X if X.ndim == 3 else X[:, None])
    if isinstance(X, str | bytes) or not isinstance(X, Sequence | np.ndarray):
        raise InputError(
            f"{where}: X is a {type(X).__name__}, but an array, a list of arrays or a long data frame is expected."
        )
    return [np.atleast_2d(np.asarray(signal)) for signal in X]


def _filled(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a signal without NaN, and which samples were measured in all channels, or ``None`` if all were."""
    gaps = np.isnan(signal)
    if not gaps.any():
        return signal, None
    t = np.arange(signal.shape[1])
    filled = np.zeros_like(signal)
    for channel, (values, missing) in enumerate(zip(signal, gaps, strict=True)):
        if not missing.all():
            filled[channel] = np.interp(t, t[~missing], values[~missing])
    return filled, ~gaps.any(0)


def read_signals(where: str, X: Any, channels: int | None = None) -> Signals:
    """Bring signals to one form.

    Args:
        where: the function, for messages.
        X: see the module.
        channels: how many there must be; ``None``: as many as the first signal has.
    Returns:
        The signals.
    Raises:
        InputError: `X` has another form, holds something else than finite numbers and NaN, or nothing.
    """
    listed = _listed(where, X)
    if not listed:
        raise InputError(f"{where}: X has no signals: at least one is expected.")
    first = channels or listed[0].shape[0]
    signals, masks = [], []
    for case, given in enumerate(listed):
        if given.ndim != 2:
            raise InputError(
                f"{where}: signal {case} of X is {given.shape}, but (n_channels, n_timepoints) is expected."
            )
        if given.dtype.kind not in "fiub":
            raise InputError(f"{where}: signal {case} of X holds {given.dtype}, but numbers are expected.")
        if given.shape[0] != first:
            turned = given.shape[1] == first
            hint = "it looks transposed: pass it as (n_channels, n_timepoints), X.T" if turned else "give all the same"
            raise InputError(
                f"{where}: signal {case} of X has {given.shape[0]} channels, but {first} are expected: {hint}."
            )
        with np.errstate(over="ignore"):
            signal = given.astype(np.float32)
        if np.isinf(signal).any():
            raise InputError(
                f"{where}: signal {case} of X has values that are infinite, or too large for float32: mark what is "
                "missing as NaN, and scale the rest."
            )
        measured = np.flatnonzero(~np.isnan(signal).all(0))
        if len(measured) == 0:
            raise InputError(f"{where}: signal {case} of X has no sample that is a number: leave it out.")
        filled, mask = _filled(signal[:, : measured[-1] + 1])
        signals.append(filled)
        masks.append(mask)
    lengths = torch.tensor([signal.shape[1] for signal in signals])
    x = torch.zeros(len(signals), int(lengths.max()), first)
    observed = None if all(mask is None for mask in masks) else torch.zeros(x.shape[:2], dtype=torch.bool)
    for row, (signal, mask) in enumerate(zip(signals, masks, strict=True)):
        x[row, : signal.shape[1]] = torch.from_numpy(signal.T)
        if observed is not None:
            observed[row, : signal.shape[1]] = True if mask is None else torch.from_numpy(mask)
    return Signals(x, lengths, observed)
