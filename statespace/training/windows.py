"""Windows of many series of unequal length, cut from flat tensors: no copy of the data, no loop over series.

All series lie one behind the other in one tensor. A window is named by its origin, the position of its first target:
its history is what comes before it in the same series, padded in front where the series is shorter.
"""

from copy import copy
from typing import NamedTuple

import torch
from torch import Tensor

from statespace.models import History
from statespace.models.linear_path import filled

_ENOUGH = 0.5  # of the targets of a window, for it to be fitted to in closed form


class Windows(NamedTuple):
    """A batch of windows.

    Attributes:
        past: histories, ``(b, input_size)`` each, and what is known beside them.
        y: targets, ``(b, h)``, zero where nothing was observed.
        y_observed: 1 where the target was observed, else 0.
        weight: how much each target counts, ``(b, h)``; zero where nothing was observed.
    """

    past: History
    y: Tensor
    y_observed: Tensor
    weight: Tensor

    def targets(self) -> tuple[Tensor, Tensor]:
        """Return targets ``(b, h)`` with lines through their gaps, and which windows have half of them or more."""
        counts = (self.weight > 0).to(self.y.dtype)
        return filled(self.y, counts, 1), counts.mean(1) >= _ENOUGH

    def every(self, count: int, first: int) -> "Windows":
        """Return one window in `count`, from the window `first` on."""
        past = History._make(None if part is None else part[first::count] for part in self.past)
        return Windows(past, *(part[first::count] for part in self[1:]))


class Beside(NamedTuple):
    """What is known beside the values of the series, step by step in their order, or series by series.

    Attributes:
        hist: covariates that are known up to now, ``(total, k)``, NaN where they are missing.
        futr: covariates that are known beforehand, ``(total, m)``, NaN where they are missing.
        static: numbers of each series, ``(series, s)``.
        codes: categories of each series, ``(series, c)``, int64.
        dt: time since the step before, ``(total,)``.
        weight: how much each value counts as a target, ``(total,)``.
        number: of each series among those trained on, ``(series,)``, int64, -1 for others.
        unit: in which errors of each series count where all series share weights, ``(series,)``; None for 1.
    """

    hist: Tensor | None = None
    futr: Tensor | None = None
    static: Tensor | None = None
    codes: Tensor | None = None
    dt: Tensor | None = None
    weight: Tensor | None = None
    number: Tensor | None = None
    unit: Tensor | None = None


class WindowSource:
    """Series as flat tensors, and the cutting of windows from them.

    Args:
        values: all series one behind the other, ``(total,)``; NaN where nothing was observed.
        lengths: number of steps of each series, ``(series,)``, in the same order.
        input_size: length of the history of a window.
        h: number of targets.
        beside: what is known beside the values.
    """

    def __init__(self, values: Tensor, lengths: Tensor, input_size: int, h: int, beside: Beside | None = None) -> None:
        beside = Beside() if beside is None else beside
        self.observed = (~values.isnan()).to(values.dtype)
        self.values = values.nan_to_num(0.0)
        self.ends = lengths.cumsum(0)
        self.starts = self.ends - lengths
        self.input_size, self.h = input_size, h
        self.offsets = torch.arange(-input_size, h)
        self.static, self.codes, self.dt, self.number = beside.static, beside.codes, beside.dt, beside.number
        self.unit = values.new_ones(len(lengths)) if beside.unit is None else beside.unit.to(values.dtype)
        self.weight = self.observed if beside.weight is None else self.observed * beside.weight.nan_to_num(0.0)
        self.hist = self.hist_observed = self.futr = self.futr_known = None
        if beside.hist is not None:
            self.hist, self.hist_observed = beside.hist.nan_to_num(0.0), (~beside.hist.isnan()).to(values.dtype)
        if beside.futr is not None:
            self.futr = beside.futr.nan_to_num(0.0)
            self.futr_known = (~beside.futr.isnan()).all(1).to(values.dtype)

    def without(self, effect: Tensor) -> "WindowSource":
        """Return the series without what covariates that are known beforehand add to their values.

        Args:
            effect: to all series, ``(1, m)``, or with a row for each behind it, ``(1 + series, m)``.
        """
        found = copy(self)
        if self.futr is not None:
            row = 0 if self.number is None or len(effect) == 1 else self.number + 1
            each = effect[row].expand(len(self.ends), -1).repeat_interleave(self.ends - self.starts, 0)
            found.values = self.values - (self.futr * each).sum(1) * self.observed
        return found

    def bare(self) -> "WindowSource":
        """Return the same series with nothing beside their values, so that none of it is cut for many windows."""
        found = copy(self)
        found.hist = found.hist_observed = found.futr = found.futr_known = found.static = found.codes = found.dt = None
        return found

    def origins(self, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """List the origins from `first` to `last`, both included, of every series, relative to its start.

        Args:
            first: first origin of each series, ``(series,)``.
            last: last origin of each series, ``(series,)``; below `first` where a series has none.
        Returns:
            The series of each origin, ``(windows,)``, and the origins as positions in the flat tensor, ``(windows,)``.
        """
        count = (last - first + 1).clamp(min=0)
        series = torch.repeat_interleave(torch.arange(len(count)), count)
        rank = torch.arange(len(series)) - (count.cumsum(0) - count)[series]
        return series, self.starts[series] + first[series] + rank

    def cut(self, series: Tensor, origin: Tensor) -> Windows:
        """Cut the windows at the given origins; positions outside the series are unobserved."""
        position = origin[:, None] + self.offsets
        inside = (position >= self.starts[series, None]) & (position < self.ends[series, None])
        position = position.clamp(0, max(len(self.values) - 1, 0))
        split = self.input_size

        def at(part: Tensor, columns: slice = slice(None)) -> Tensor:
            there = inside[:, columns]
            return part[position[:, columns]] * (there if part.ndim == 1 else there[..., None])

        before, after = slice(split), slice(split, None)
        past = History(
            at(self.values, before),
            at(self.observed, before),
            None if self.hist is None else at(self.hist, before),
            None if self.hist_observed is None else at(self.hist_observed, before),
            None if self.futr is None else at(self.futr),
            None if self.futr_known is None else at(self.futr_known),
            None if self.static is None else self.static[series],
            None if self.codes is None else self.codes[series],
            None if self.dt is None else torch.where(inside, self.dt[position], 1.0),
            None if self.number is None else self.number[series],
        )
        return Windows(past, at(self.values, after), at(self.observed, after), at(self.weight, after))
