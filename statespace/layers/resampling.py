"""Layers at a slower rate than their input: means over windows on the way down, the newest value held on the way up.

    down:  x'_k = mean of x_t over the window k r <= t < (k + 1) r
    up:    y_t  = x'_k of the newest window that has ended by t     (causal: zero before the first has),
           y_t  = x'_k of the window that t lies in                 (whole)

Causal windows may be cut anywhere: the part of a window that has been seen is a state. A window of the whole signal
may end with the signal, short of r samples. Where samples are missing, the mean is that of the others. In units of the
slower rate, the time since the window before is the mean of the times in the window, so layers between down and up take
`dt` and `dt_scale` as if they stood alone.

Source: Goel et al. 2022 (SaShiMi, arXiv:2202.09729), on its multi-scale architecture. Where we deviate: windows there
are mixed by a matrix; here by the blocks alone, so that a change of rate has no parameters.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from statespace.layers.base import StateAxes

POOLINGS = ("causal", "whole")


class Signal(NamedTuple):
    """A ragged batch ``(b, l, d)`` with what is known of its samples; ``None`` where there is nothing to say."""

    x: Tensor
    lengths: Tensor | None
    dt: Tensor | None
    observed: Tensor | None

    def counted(self) -> Tensor:
        """Return the lengths ``(b,)``, whether the batch is ragged or not."""
        batch, length, _ = self.x.shape
        return torch.full((batch,), length, device=self.x.device) if self.lengths is None else self.lengths


class Open(NamedTuple):
    """The window that has begun and not ended: sums ``(b, d)``, and of numbers seen, times and samples ``(b,)``."""

    total: Tensor
    seen: Tensor
    elapsed: Tensor
    phase: Tensor


class Downsample(nn.Module):
    """Means over windows of `stride` samples; see the module.

    Args:
        stride: samples in a window.
        pooling: ``"causal"``, which can be run in chunks and steps, or ``"whole"``.
    """

    def __init__(self, stride: int, pooling: str = "causal") -> None:
        super().__init__()
        self.stride, self.pooling = stride, pooling
        self.state_axes: StateAxes = () if pooling == "whole" else ("b d", "b", "b", "b")

    def forward(self, signal: Signal, state: tuple[Tensor, ...] | None = None) -> tuple[Signal, tuple[Tensor, ...]]:
        """Run over whole sequences.

        Args:
            signal: the input.
            state: the open window of an earlier call, or ``None``.
        Returns:
            The signal of the windows that have ended, and the open one.
        """
        x, lengths, dt, observed = signal
        batch, length, channels = x.shape
        counted = signal.counted()
        before = self._open(x) if state is None else Open(*state)
        t = torch.arange(length, device=x.device)
        real = (t < counted[:, None]).to(x.dtype)
        seen = real if observed is None else real * (observed != 0)
        elapsed = real if dt is None else dt.masked_fill(real == 0, 0).to(x.dtype)
        short = self.stride - 1 if self.pooling == "whole" else 0
        ended = (before.phase + counted + short) // self.stride
        # From the start of a signal, the number of windows is known without a look at the values.
        most = (length + short) // self.stride if state is None else int(ended.max()) if batch else 0
        phase = 0 if state is None else _shared(before.phase)

        def gathered(carried: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
            """Sum over each window ``(b, most, ...)``, and over the one that has not ended."""
            if phase is None:
                sums = _summed_apart(values, before.phase, self.stride, most)
            else:
                sums = _summed(values, phase, self.stride, most)
            sums = torch.cat([sums[:, :1] + carried[:, None], sums[:, 1:]], 1)
            last = ended.clamp(max=most)[:, None]
            rest = sums.gather(1, last if values.ndim == 2 else last[..., None].expand(-1, 1, channels))[:, 0]
            return sums[:, :most], rest

        whole = lengths is None and observed is None
        totals, total = gathered(before.total, x if whole else x.masked_fill(seen[..., None] == 0, 0))
        weights, weight = gathered(before.seen, seen)
        times, time = gathered(before.elapsed, elapsed)
        slow = Signal(
            totals / weights.clamp(min=1)[..., None],
            None if lengths is None and (state is None or bool((ended == most).all())) else ended,
            None if dt is None else times / self.stride,
            None if observed is None else (weights > 0).to(x.dtype),
        )
        if self.pooling == "whole":
            return slow, ()
        return slow, tuple(Open(total, weight, time, (before.phase + counted) % self.stride))

    def step(
        self, x: Tensor, state: tuple[Tensor, ...], dt: Tensor | None = None, observed: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor, tuple[Tensor, ...]]:
        """Take one sample ``(b, d)``.

        Returns:
            The mean over the window, its `dt` and `observed` if those of the sample are given, where the window has
            ended, ``(b,)``, and the open window. Where it has not ended, the others mean nothing yet.
        """
        before = Open(*state)
        seen = torch.ones_like(before.seen) if observed is None else (observed != 0).to(x.dtype)
        total = before.total + x.masked_fill(seen[:, None] == 0, 0)
        weight = before.seen + seen
        time = before.elapsed + (1 if dt is None else dt.to(x.dtype))
        phase = (before.phase + 1) % self.stride
        done = phase == 0
        after = Open(total.masked_fill(done[:, None], 0), weight.masked_fill(done, 0), time.masked_fill(done, 0), phase)
        slow_dt = None if dt is None else time / self.stride
        slow_observed = None if observed is None else (weight > 0).to(x.dtype)
        return total / weight.clamp(min=1)[:, None], slow_dt, slow_observed, done, tuple(after)

    def _open(self, x: Tensor) -> Open:
        batch, channels = x.shape[0], x.shape[-1]
        numbers = x.new_zeros(batch)
        return Open(x.new_zeros(batch, channels), numbers, numbers, torch.zeros_like(numbers, dtype=torch.int64))

    def initial_state(self, like: Tensor) -> tuple[Tensor, ...]:
        """Return an open window of nothing, for a batch ``(b, d)`` of the type and device of `like`."""
        return () if self.pooling == "whole" else tuple(self._open(like))


def _shared(phase: Tensor) -> int | None:
    """Return the phase ``(b,)`` that all sequences are in, or ``None`` where they are not in one."""
    first = int(phase[0]) if len(phase) else 0
    return first if bool((phase == first).all()) else None


def _summed(values: Tensor, phase: int, stride: int, most: int) -> Tensor:
    """Sum ``(b, l, ...)`` over `most` windows and one more, of which the first began `phase` samples before."""
    back = max(0, (most + 1) * stride - phase - values.shape[1])
    padded = nn.functional.pad(values, (0, 0) * (values.ndim - 2) + (phase, back))[:, : (most + 1) * stride]
    sums: Tensor = padded.unflatten(1, (most + 1, stride)).sum(2)
    return sums


def _summed_apart(values: Tensor, phase: Tensor, stride: int, most: int) -> Tensor:
    """Sum as `_summed`, where each sequence is in a phase of its own, ``(b,)``."""
    window = ((phase[:, None] + torch.arange(values.shape[1], device=values.device)) // stride).clamp(max=most)
    index = window if values.ndim == 2 else window[..., None].expand_as(values)
    return values.new_zeros(len(values), most + 1, *values.shape[2:]).scatter_add(1, index, values)


class Upsample(nn.Module):
    """The newest value at the slower rate, held at the faster one; see the module.

    Args:
        stride: samples of the faster rate to one of the slower.
        pooling: as that of the `Downsample` before.
    """

    def __init__(self, stride: int, pooling: str = "causal") -> None:
        super().__init__()
        self.stride, self.pooling = stride, pooling
        self.state_axes: StateAxes = () if pooling == "whole" else ("b d", "b")

    def forward(
        self, slow: Tensor, fast: Signal, state: tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run over whole sequences.

        Args:
            slow: one value for each window, ``(b, windows, d)``.
            fast: the signal that the windows were taken from.
            state: from an earlier call, or ``None``.
        Returns:
            The value held at each sample of `fast`, ``(b, l, d)``, and the one that is held after it, with the phase.
        """
        t = torch.arange(fast.x.shape[1], device=slow.device)
        if self.pooling == "whole":
            return slow[:, t // self.stride], ()
        held, phase = self.initial_state(slow.new_zeros(len(slow), slow.shape[2])) if state is None else state
        values = torch.cat([held[:, None], slow], 1)
        ends = phase[:, None] + torch.cat([(t + 1).expand(len(slow), -1), fast.counted()[:, None]], 1)
        newest = (ends // self.stride).clamp(max=slow.shape[1])
        found = values.gather(1, newest[..., None].expand(-1, -1, slow.shape[2]))
        return found[:, :-1], (found[:, -1], ends[:, -1] % self.stride)

    def step(self, slow: Tensor, done: Tensor | None, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Hold the value `slow` ``(b, d)`` of the rows whose window is done, ``(b,)``, and the older one elsewhere."""
        held, phase = state
        held = slow if done is None else torch.where(done[:, None], slow, held)
        return held, (held, (phase + 1) % self.stride)

    def initial_state(self, like: Tensor) -> tuple[Tensor, ...]:
        """Return a held zero, for a batch ``(b, d)`` of the type and device of `like`."""
        if self.pooling == "whole":
            return ()
        return torch.zeros_like(like), torch.zeros(len(like), dtype=torch.int64, device=like.device)


class Hold(nn.Module):
    """The newest output of a stack that ends at a slower rate than it began, for steps in between."""

    state_axes: StateAxes = ("b d",)

    def forward(self, slow: Signal, state: tuple[Tensor, ...] | None = None) -> tuple[Tensor, ...]:
        """Return the last output that counts of each sequence, or the one that was held before it."""
        held = slow.x.new_zeros(len(slow.x), slow.x.shape[2]) if state is None else state[0]
        values = torch.cat([held[:, None], slow.x], 1)
        return (values[torch.arange(len(values), device=values.device), slow.counted()],)

    def step(self, slow: Tensor, done: Tensor | None, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the output `slow` ``(b, d)`` of the rows that are done, ``(b,)``, and the older one elsewhere."""
        held = slow if done is None else torch.where(done[:, None], slow, state[0])
        return held, (held,)

    def initial_state(self, like: Tensor) -> tuple[Tensor, ...]:
        """Return a held zero, for a batch ``(b, d)`` of the type and device of `like`."""
        return (torch.zeros_like(like),)
