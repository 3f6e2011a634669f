"""Signals in the forms that people have them, brought to one: a padded batch, with lengths and a mask of gaps.

| X | taken as |
|---|---|
| array ``(n_cases, n_channels, n_timepoints)`` | that |
| array ``(n_cases, n_timepoints)`` | one channel |
| list of arrays ``(n_channels, n_timepoints)`` or ``(n_timepoints,)`` | signals of unequal lengths |
| table with the columns ``case``, ``time`` and one a channel | the same, long; see `classification.tables` |

NaN within a signal is a gap: filled along a line between its neighbours, channel by channel, and not counted where no
channel was measured. A channel without any number stays NaN, for the mean of training to stand in. NaN at the end in
all channels is padding, and cut off.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from statespace.classification.tables import as_long, read_table
from statespace.errors import InputError

LARGEST = 1e15  # sums of squares of longer signals than memory holds stay finite in float32


@dataclass(frozen=True)
class Signals:
    """A batch of signals.

    Attributes:
        x: samples, ``(b, l, channels)``, float32; zero beyond the end of each.
        lengths: samples of each, ``(b,)``, int64.
        observed: whether any channel of a sample was measured, ``(b, l)``, or ``None`` where each was.
        sizes: samples of each as it came, padding included, ``(b,)``, int64.
        names: of the channels, if they came as a table.
        step: usual time between two samples, if they came as a table with times.
    """

    x: Tensor
    lengths: Tensor
    observed: Tensor | None
    sizes: Tensor
    names: tuple[str, ...] | None = None
    step: float | None = None

    def take(self, rows: Tensor | np.ndarray) -> "Signals":
        """Return some of the signals, no longer than the longest of them."""
        rows = torch.as_tensor(rows)
        lengths = self.lengths[rows]
        longest = int(lengths.max()) if len(rows) else 0
        observed = None if self.observed is None else self.observed[rows, :longest]
        return Signals(self.x[rows, :longest], lengths, observed, self.sizes[rows], self.names, self.step)

    def padded(self) -> "Signals":
        """Return all samples as they came: those after the last measured one are as that, and not observed."""
        if torch.equal(self.lengths, self.sizes):
            return self
        t, ends = torch.arange(int(self.sizes.max())), self.lengths[:, None]
        rows, inside = torch.minimum(t, ends - 1), t < ends
        x = self.x.gather(1, rows[..., None].expand(-1, -1, self.channels)) * (t < self.sizes[:, None])[..., None]
        observed = inside if self.observed is None else self.observed.gather(1, rows) & inside
        return replace(self, x=x, lengths=self.sizes, observed=observed)

    @property
    def channels(self) -> int:
        """Channels of each signal."""
        return self.x.shape[2]

    def only(self, rows: Tensor | np.ndarray) -> "Signals":
        """Return some of the signals: of those in memory, as `take`."""
        return self.take(rows)

    def parts(self) -> Iterator["Signals"]:
        """Give all signals, in order: of those in memory, at once."""
        yield self

    def __len__(self) -> int:
        return self.x.shape[0]


def _array(X: Any) -> Any:
    return X.detach().cpu().to(torch.float64).numpy() if isinstance(X, Tensor) and not X.is_complex() else X


def _listed(where: str, X: Any) -> list[np.ndarray]:
    X = _array(X)
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
    found = []
    for case, signal in enumerate(X):
        try:
            given = np.asarray(_array(signal))
        except (TypeError, ValueError) as error:
            raise InputError(f"{where}: signal {case} of X is not an array of numbers ({error}).") from error
        if given.ndim == 0:
            raise InputError(f"{where}: signal {case} of X is a single number: pass one signal as [signal].")
        found.append(np.atleast_2d(given))
    return found


def _filled(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a signal with its gaps filled, and which samples were measured in any channel, ``None`` if all were."""
    gaps = np.isnan(signal)
    if not gaps.any():
        return signal, None
    t = np.arange(signal.shape[1])
    filled = np.full_like(signal, np.nan)
    for channel, (values, missing) in enumerate(zip(signal, gaps, strict=True)):
        if not missing.all():
            filled[channel] = np.interp(t, t[~missing], values[~missing])
    measured = ~gaps.all(0)
    return filled, None if measured.all() else measured


def read_signals(where: str, X: Any, channels: int | None = None, names: tuple[str, ...] | None = None) -> Signals:
    """Bring signals to one form.

    Args:
        where: the function, for messages.
        X: see the module.
        channels: how many there must be; ``None``: as many as the first signal has.
        names: of the channels, in order, if they were told before.
    Returns:
        The signals.
    Raises:
        InputError: `X` has another form, holds something else than finite numbers and NaN, or nothing.
    """
    X = as_long(where, X)
    listed, found_names, step = (
        read_table(where, X, names) if isinstance(X, pd.DataFrame) else (_listed(where, X), None, None)
    )
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
            hint = (
                "it looks transposed: time is the last axis, so pass np.swapaxes(signal, -1, -2)"
                if turned
                else "give all the same"
            )
            raise InputError(
                f"{where}: signal {case} of X has {given.shape[0]} channels, but {first} are expected: {hint}."
            )
        with np.errstate(over="ignore"):
            signal = given.astype(np.float32)
        if (np.abs(signal) > LARGEST).any():
            raise InputError(
                f"{where}: signal {case} of X has values that are infinite, or too large to compute with in float32 "
                f"(beyond {LARGEST:g}): mark what is missing as NaN, and scale the rest."
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
    if channels is None and first > x.shape[1] and len(signals) > 1:
        warnings.warn(
            f"{where}: X has {first} channels of at most {x.shape[1]} samples. If it is transposed, pass "
            "np.swapaxes(X, -1, -2): time is the last axis.",
            stacklevel=3,
        )
    sizes = torch.tensor([given.shape[1] for given in listed])
    return Signals(x, lengths, observed, sizes, found_names, step)
