"""Forecasts that go on: new rows move the state that is carried, at constant cost a row, however long the past.

A window is normalised by its own location and scale, its anchor. What is carried has been normalised by the anchor of
when it was last read, and that stays as long as it fits: every `CHECKED` rows it is held against the window of now, and
where the level has moved by more than a scale, or the scale by more than a factor of two, the window is read once more.
A series that stays where it is, is never read again.
"""

from typing import Any

import torch
from torch import Tensor

from statespace.layers import SequenceLayer
from statespace.models import Forecast, ForecastNetwork, History
from statespace.models.carried import Carried, along
from statespace.models.instance_norm import Normalised, normalise
from statespace.models.program import flatten, unflatten
from statespace.training import on_threads, threads_of

CHECKED = 16  # rows after which the anchor is held against the window
_MOVED, _WIDER = 1.0, 2.0
_WINDOWS = 1024  # that are read at once: what is known of them stays in the caches


class Live:
    """Series that go on, all of them in one batch.

    Args:
        network: trained.
        past: the windows that have been seen, ``(series, input_size)``, scaled; covariates of the future end with them.
    """

    def __init__(self, network: ForecastNetwork, past: History) -> None:
        self.network, self.past = network, past
        count = len(past.x)
        with torch.no_grad():
            self._told = network.told(past)
        weight = network.embed.weight
        if self._told is not None:  # what is added for a series stands behind the channels of its rows
            weight = torch.cat([weight, torch.eye(len(weight), dtype=weight.dtype)], 1)
        self._carried = Carried(network.backbone, weight, network.embed.bias, count)
        # A state that grows with each row would grow for ever: such layers read the window again when they are asked.
        self._reads_late = any(
            layer.capabilities.grows for layer in network.modules() if isinstance(layer, SequenceLayer)
        )
        self._behind = False
        self._since = torch.zeros(count, dtype=torch.int64)  # rows that have come
        self._location, self._scale = past.x.new_zeros(count, 1), past.x.new_ones(count, 1)
        self._read(torch.arange(count))

    def _with_told(self, rows: Tensor, which: Tensor | slice = slice(None)) -> Tensor:
        if self._told is None:
            return rows
        return torch.cat([rows, self._told[which][:, None].expand(-1, rows.shape[1], -1)], -1)

    @torch.no_grad()
    def _read(self, which: Tensor) -> None:
        """Read the windows of some series, and carry what is left of them."""
        past = _each(self.past, which)
        window = normalise(self.network.bare(past), past.observed, self.network.scaler)
        self._location[which], self._scale[which] = window.location, window.scale
        rows, known = self.network.rows(window.x, past)
        self._carried.read(self._with_told(rows, which), known, which, past.dt)

    def row(
        self,
        z: Tensor,
        hist: Tensor | None = None,
        futr: Tensor | None = None,
        dt: Tensor | None = None,
        places: Tensor | None = None,
    ) -> History:
        """Return a row of the series, as `push` takes it, from what is known of some of them.

        Args:
            z: scaled values, NaN where nothing was observed, ``(n,)``.
            hist: covariates that are known up to now, in common units, NaN where they are missing, ``(n, k)``.
            futr: covariates that are known beforehand, ``(n, m)``.
            dt: time since the row before, ``(n,)``.
            places: of these series, ``(n,)``; None for all in their order.
        """

        def whole(part: Tensor | None, fill: float = torch.nan) -> Tensor | None:
            if part is None or places is None:
                return None if part is None else part[:, None]
            found = torch.full((len(self.past.x), 1, *part.shape[1:]), fill, dtype=part.dtype)
            found[places, 0] = part
            return found

        x = whole(z)
        assert x is not None
        return as_row(x, whole(hist), whole(futr), whole(dt, 1.0))

    def among(self, places: Tensor) -> Tensor | None:
        """Return one truth value for each series, whether it is among those at `places`; None for all of them."""
        if len(places) == len(self.past.x):
            return None
        found = torch.zeros(len(self.past.x), dtype=torch.bool)
        found[places] = True
        return found

    @torch.no_grad()
    def push(self, row: History, moved: Tensor | None = None) -> None:
        """Take in the next row of the series.

        Args:
            row: one step of each series, ``(series, 1)`` and so on; zero where nothing was observed.
            moved: which series have a row, ``(series,)``; None for all. The others stay where they are.
        """
        later = _later(self.past, row, self.past.x.shape[1])
        self.past = later if moved is None else _kept_past(later, self.past, moved)
        if self._reads_late:
            self._behind = True
            return
        x = (self.network.bare(row) - self._location) / self._scale * row.observed
        rows, known = self.network.rows(x, row)
        dt = None if row.dt is None else row.dt[:, 0]
        self._carried.move(self._with_told(rows)[:, 0], known[:, 0], moved, dt)
        self._since += 1 if moved is None else moved
        due = (self._since > 0) & (self._since % CHECKED == 0)
        due = due if moved is None else due & moved
        if bool(due.any()):
            self._hold(due.nonzero()[:, 0], torch.get_num_threads())

    def _hold(self, which: Tensor, threads: int) -> None:
        """Read the windows again of series whose level or scale has left its anchor."""
        past = _each(self.past, which)
        now = normalise(self.network.bare(past), past.observed, self.network.scaler)
        location, scale = self._location[which], self._scale[which]
        ratio = now.scale / scale
        left = ((now.location - location).abs() > _MOVED * scale) | (ratio > _WIDER) | (ratio < 1 / _WIDER)
        if bool(left.any()):
            with threads_of(threads):
                self._read(which[left[:, 0]])

    @torch.no_grad()
    def follow(self, rows: History) -> Forecast:
        """Take in several rows of all series, and return what was expected of each before it came.

        It is `forecast(1)` and `push` for each row, but what need not wait for the row before is done for many at once.

        Args:
            rows: ``(series, n)`` and so on, on equal steps.
        Returns:
            The forecasts, ``(series, n, ...)``.
        """
        begin, parts = 0, []
        while begin < rows.x.shape[1]:
            # Up to where an anchor may change, rows are normalised alike.
            alone = self._reads_late or rows.dt is not None
            end = begin + (1 if alone else CHECKED - int((self._since % CHECKED).max()))
            segment = _each(rows, slice(None), slice(begin, end))
            if alone:
                parts.append(self.forecast(1, segment))
                self.push(segment)
            else:
                with threads_of(1) as threads:
                    parts.append(self._segment(segment, threads))
            begin = end
        return Forecast(torch.cat([part.quantiles for part in parts], 1), torch.cat([part.mean for part in parts], 1))

    def _segment(self, segment: History, threads: int) -> Forecast:
        """Follow rows between which no anchor changes; what takes long is shared among threads."""
        count, n = segment.x.shape
        length = self.past.x.shape[1]
        x = (self.network.bare(segment) - self._location) / self._scale * segment.observed
        taken, known = self.network.rows(x, segment)
        asked = self.network.questions(n, segment.x, segment.futr, segment.futr_known)
        rows = self._with_told(asked), self._with_told(taken)
        with threads_of(threads):
            z = self._carried.follow(*rows, known)
        whole = _later(self.past, segment, length + n)
        values = self.network.bare(whole)

        def of(first: int) -> Forecast:
            some = slice(first, first + each)
            x = (values[some] - self._location[some]) / self._scale[some] * whole.observed[some]
            windows, observed = (part[:, :-1].unfold(1, length, 1).flatten(0, 1) for part in (x, whole.observed[some]))
            location, scale = (part[some].repeat_interleave(n, 0) for part in (self._location, self._scale))
            series = None if self.past.series is None else self.past.series[some]
            raw = self.network.at(
                self.network.head(z[some]).reshape(len(location), 1, -1),
                Normalised(windows, location, scale, observed),
                self.past._replace(series=series),
                None if segment.futr is None else self.network.added(segment.futr[some], series).reshape(-1, 1),
            )
            return self.network.read(raw)

        each = max(1, _WINDOWS // n)
        with threads_of(threads):
            parts = on_threads(of, range(0, count, each))
        found = Forecast(*(torch.cat(part) for part in zip(*parts, strict=True)))
        self.past = _later(self.past, segment, length)
        self._since += n
        if bool((due := self._since % CHECKED == 0).any()):
            self._hold(due.nonzero()[:, 0], threads)
        return Forecast(found.quantiles.reshape(count, n, -1), found.mean.reshape(count, n))

    @torch.no_grad()
    def forecast(self, steps: int, ahead: History | None = None) -> Forecast:
        """Forecast from the states as they are; they stay where they are.

        Args:
            steps: number of steps.
            ahead: covariates of the future and times between the steps, ``(series, steps)``; all else in it does not
                matter. None where there are none.
        """
        if self._behind:
            self._read(torch.arange(len(self.past.x)))
            self._behind = False
        block = steps if self.network.linear is None else min(steps, self.network.h)
        futr, futr_known, dt = (None, None, None) if ahead is None else (ahead.futr, ahead.futr_known, ahead.dt)
        rows = self._with_told(self.network.questions(block, self.past.x, futr, futr_known))
        z = self._carried.ask(rows, None if dt is None else dt[:, :block])
        x = (self.network.bare(self.past) - self._location) / self._scale * self.past.observed
        added = None if futr is None else self.network.added(futr[:, :block], self.past.series)
        raw = self.network.at(
            self.network.head(z), Normalised(x, self._location, self._scale, self.past.observed), self.past, added
        )
        found = self.network.read(raw)
        return found if block == steps else self.network.prolong(found, joined(self.past, ahead), steps)

    def copy(self) -> "Live":
        """Return the same series, to go on apart from these."""
        return _goes_on(self.network, self.past, self.state_dict())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what is carried, and not the compiled program that carries it."""
        return _goes_on, (self.network, self.past, self.state_dict())

    def state_dict(self) -> dict[str, Tensor]:
        """Return all that is carried, as tensors by name: `load_state_dict` goes on from there to the same bits."""
        found = {f"past.{name}": part for name, part in self.past._asdict().items() if part is not None}
        found |= {f"state.{place}": part for place, part in enumerate(flatten(self._carried.state))}
        found |= {"location": self._location, "scale": self._scale, "since": self._since}
        return {name: part.contiguous().clone() for name, part in found.items()}

    def load_state_dict(self, found: dict[str, Tensor]) -> None:
        """Go on from what `state_dict` gave, of the same network and as many series."""
        self.past = self.past._replace(
            **{name: found[at] for name in History._fields if (at := f"past.{name}") in found}
        )
        held = self._carried.state
        parts = [found[f"state.{place}"].clone() for place in range(len(flatten(held)))]
        self._carried.state = unflatten(parts, held)
        self._behind = self._reads_late
        self._location, self._scale, self._since = (found[name].clone() for name in ("location", "scale", "since"))


def _goes_on(network: ForecastNetwork, past: History, state: dict[str, Tensor]) -> Live:
    """Return series that go on from what `Live.state_dict` gave."""
    found = Live(network, past)
    found.load_state_dict(state)
    return found


_BY_STEP = ("x", "observed", "hist", "hist_observed", "futr", "futr_known", "dt")


def as_row(x: Tensor, hist: Tensor | None = None, futr: Tensor | None = None, dt: Tensor | None = None) -> History:
    """Return rows, ``(series, n)`` and ``(series, n, k)``, as `Live` takes them, from what is NaN where not known."""
    return History(
        x.nan_to_num(0.0),
        (~x.isnan()).to(x.dtype),
        None if hist is None else hist.nan_to_num(0.0),
        None if hist is None else (~hist.isnan()).to(x.dtype),
        None if futr is None else futr.nan_to_num(0.0),
        None if futr is None else (~futr.isnan()).all(-1).to(x.dtype),
        dt=dt,
    )


def _each(past: History, *index: Any) -> History:
    """Return a part of every part of windows that is there."""
    return past._replace(**{name: part[index] for name, part in past._asdict().items() if part is not None})


def _later(past: History, rows: History, length: int) -> History:
    """Return windows of the last `length` steps that end with more rows."""
    parts = {name: (getattr(past, name), getattr(rows, name)) for name in _BY_STEP}
    return past._replace(
        **{name: torch.cat(both, 1)[:, -length:] for name, both in parts.items() if both[0] is not None}
    )


def _kept_past(later: History, past: History, moved: Tensor) -> History:
    parts = {name: (getattr(later, name), getattr(past, name)) for name in _BY_STEP}
    return past._replace(
        **{name: torch.where(along(moved, old), new, old) for name, (new, old) in parts.items() if old is not None}
    )


def joined(past: History, ahead: History | None) -> History:
    """Return windows with what is known of the steps ahead behind them."""
    if ahead is None:
        return past
    parts = {name: (getattr(past, name), getattr(ahead, name)) for name in ("futr", "futr_known", "dt")}
    return past._replace(**{name: torch.cat(both, 1) for name, both in parts.items() if both[0] is not None})
