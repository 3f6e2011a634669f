"""A live forecast row by row: what was expected of each row before it came, and how far off it was.

    score = Φ⁻¹(F(y))    F the distribution that the step before has forecast: standard normal where all is as it was

A score of 4 either way comes once in 16 000 rows if the forecast is right; beyond its outermost quantiles a
distribution goes on like a normal one.

A row that is far off moves the forecast of those after it, which then are far off themselves. With a bound, what
enters the states is no farther off than that, so that a spike leaves little behind. The fourth such row in a row is no
spike any more, but a new level: it and those after it are let in as they come.

Source: Gelper, Fried, Croux, Journal of Forecasting 29(3), 2010, 285-300, for values that are bounded by what was
expected of them before they enter an exponential smoothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from statespace.errors import InputError
from statespace.forecasting.calendar import IRREGULAR, as_stamps, as_ticks, fixed_ticks, future, past, positions
from statespace.forecasting.levels import check_levels, columns
from statespace.forecasting.live import CHECKED, as_row
from statespace.models import Forecast, History
from statespace.models.outputs.levels import between, normal_score
from statespace.training import on_threads, threads_for, threads_of

if TYPE_CHECKING:
    from statespace.forecasting.estimator import Forecaster

MOST = 1e3  # no score is larger, either way
_SPIKE = 3  # rows beyond the bound, one after the other, that may be a spike
_WIDEST = 6.0  # bound on scores: a normal value comes that far once in a thousand million
_ROWS = 4096  # whose quantiles stay in the caches


@dataclass(frozen=True)
class Expected:
    """What was expected of rows, before they came.

    Attributes:
        columns: the forecast and the ends of its intervals by their names, each ``(rows,)``.
        score: normal scores, ``(rows,)``; NaN where nothing was observed.
    """

    columns: dict[str, np.ndarray]
    score: np.ndarray


def _series_first(rows: np.ndarray, n: int, count: int) -> Tensor:
    """Return what stands row by row, ``(n * series, ...)``, series by series, ``(series, n, ...)``, in float32."""
    apart = rows.reshape(n, count, *rows.shape[1:]) if rows.ndim == 1 or len(rows) == n * count else rows
    return torch.as_tensor(np.ascontiguousarray(apart.swapaxes(0, 1)), dtype=torch.float32)


class ForecastStream:
    """The series that a forecaster was fitted on, as they go on.

    It goes on from where the forecaster is, and `keep` brings the forecaster to where it is.

    Args:
        forecaster: fitted.
        level: levels of the intervals, in percent.
        bound: score beyond which a row enters the states as if it had this score, 1 to 6, but for the fourth of
            several one after the other and those behind it; None to let in all rows as they come.
    Raises:
        InputError: not fitted, or a level or `bound` is out of range.
    """

    def __init__(
        self, forecaster: "Forecaster", level: Sequence[float] | float | None = None, bound: float | None = None
    ) -> None:
        where = "ForecastStream"
        if bound is not None and not 1 <= bound <= _WIDEST:
            raise InputError(
                f"{where}: bound is {bound}, but a score from 1 to {_WIDEST:g} is expected: rows that are as expected "
                "have scores of up to 3, and None lets in all."
            )
        self._bound = bound
        self._fc, self._fitted = forecaster, forecaster._ready(where)
        if self._fitted.reader.together:
            raise InputError(
                f"{where}: the forecaster is multivariate, and rows of one series would have to wait for those of the "
                "others: pass the rows of all series to Forecaster.update."
            )
        self._levels = check_levels(where, level)
        self._live = forecaster.live(where).copy()  # the forecaster stays where it is until `keep`
        history, reader = self._fitted.history, self._fitted.reader
        self.ids = {name: place for place, name in enumerate(history.ids)}
        self._like = history.last[0]
        self._last = np.array(as_ticks(pd.Series(history.last)))
        self._irregular = reader.freq == IRREGULAR
        self._step = fixed_ticks(reader.freq, self._like)
        length, count = self._fitted.network.input_size, len(self.ids)
        # The last rows as they came, each series in a ring of its own: what was scaled and rounded does not come back.
        self._values = np.full((count, length), np.nan)
        self._beside = np.full((count, length, history.beside.shape[1]), np.nan)
        self._ticks = np.zeros((count, length), np.int64)
        self._seen = history.lengths.copy()
        self._run = np.zeros(count, np.int64)  # rows beyond the bound, one after the other
        of, rank = np.repeat(np.arange(count), history.lengths), np.concatenate([np.arange(n) for n in history.lengths])
        self._values[of, rank], self._beside[of, rank] = history.values, history.beside
        if history.ticks is not None:
            self._ticks[of, rank] = history.ticks

    @property
    def beside(self) -> list[str]:
        """Names of the covariates that a row has, in their order."""
        return list(self._fitted.reader.columns.beside)

    @property
    def last(self) -> np.ndarray:
        """The stamp of the last row of each series, as ticks, ``(series,)``."""
        return self._last

    def steps(self, which: np.ndarray, ticks: np.ndarray) -> np.ndarray:
        """Return how many steps of the grid rows are after the last of their series, 0 or less for none, ``(rows,)``.

        Args:
            which: places of their series, ``(rows,)``.
            ticks: their stamps.
        Raises:
            InputError: a stamp does not lie on the grid.
        """
        where, apart = "stream", ticks - self._last[which]
        if self._irregular:
            return np.asarray(np.sign(apart))
        if self._step is None:
            later = apart > 0
            found = np.zeros(len(apart), np.int64)
            stamps, lasts = (pd.Series(as_stamps(part[later], self._like)) for part in (ticks, self._last[which]))
            if later.any():
                found[later] = positions(where, stamps, lasts, self._fitted.reader.freq)
            return found
        found, rest = np.divmod(apart, self._step)
        off = (rest != 0) & (apart > 0)
        if off.any():
            stamp = as_stamps(ticks[off][:1], self._like)[0]
            raise InputError(f"{where}: {stamp} does not lie on the grid of freq {self._fitted.reader.freq!r}.")
        return np.asarray(found)

    def stamp(self, tick: int) -> Any:
        """Return a stamp as it is told, from its tick."""
        return pd.Series(as_stamps(np.array([tick]), self._like)).iloc[0]

    def seen(self, which: np.ndarray, ticks: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tell rows that are known from rows that come too late, by the window that is kept of each series.

        A row is too late where that window has no step at its stamp, or none that was observed while the row is.

        Args:
            which: places of their series, ``(rows,)``.
            ticks: their stamps, none later than the last of its series.
            values: values, NaN where nothing was observed.
        Returns:
            Truth values ``(rows,)``: the rows that are known, and those that are too late. What lies before the window
            is neither: nothing is kept of it.
        """
        length = self._values.shape[1]
        held = np.minimum(self._seen[which], length)
        if self._step is not None and not self._irregular:
            ago, rest = np.divmod(self._last[which] - ticks, self._step)
            on_grid = rest == 0
        else:
            ago, on_grid = self._ago(which, ticks, held)
        inside = on_grid & (ago < held)
        kept = self._values[which, (self._seen[which] - 1 - ago) % length]
        late = ~on_grid | (inside & np.isnan(kept) & ~np.isnan(values))
        return inside & ~late, late

    def _ago(self, which: np.ndarray, ticks: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how many steps ago stamps were, as many as are held for those before, and whether there is a step."""
        known: dict[Any, np.ndarray] = {}
        ago, on_grid = held.copy(), np.ones(len(which), bool)
        for i, (place, tick, count) in enumerate(zip(which.tolist(), ticks.tolist(), held.tolist(), strict=True)):
            key = place if self._irregular else (self._last[place], count)
            if key not in known and self._irregular:
                known[key] = self._ticks[place, (self._seen[place] - count + np.arange(count)) % self._ticks.shape[1]]
            elif key not in known:
                known[key] = as_ticks(pd.Series(past(self.stamp(self._last[place]), self._fitted.reader.freq, count)))
            stamps = known[key]
            if tick >= stamps[0]:
                at = int(np.searchsorted(stamps, tick))
                ago[i], on_grid[i] = count - 1 - at, stamps[at] == tick
        return ago, on_grid

    def goes_on(self, ticks: np.ndarray) -> int:
        """Return how many of the stamps, from the first on, follow step by step on one at which all series stand.

        Args:
            ticks: ascending, ``(n,)``.
        """
        if (self._last != self._last[0]).any():
            return 0
        if self._irregular:
            return len(ticks)
        if self._step is not None:
            follows = np.diff(ticks, prepend=self._last[0]) == self._step
        else:
            expected = future(
                pd.Series(as_stamps(self._last[:1], self._like)).iloc[0], self._fitted.reader.freq, len(ticks)
            )
            follows = ticks == as_ticks(pd.Series(expected))
        return int(follows.argmin()) if not follows.all() else len(ticks)

    def push(
        self, which: np.ndarray, ticks: np.ndarray, values: np.ndarray, beside: np.ndarray | None = None
    ) -> Expected:
        """Take in one row each of some series.

        Args:
            which: places of the series, each once, ``(rows,)``.
            ticks: stamps, on the grid and later than the last of their series.
            values: values, NaN where nothing was observed.
            beside: covariates in the order of `Columns.beside`, ``(rows, columns)``, NaN where they are missing.
        Returns:
            What was expected of them.
        """
        if beside is None:
            beside = np.full((len(which), self._beside.shape[2]), np.nan)
        steps = self.steps(which, ticks)
        if not self._irregular and (most := int(steps.max(initial=1)) - 1) > 0:
            self._gaps(which, ticks, steps - 1, min(most, self._fitted.network.input_size))
        row, places = self._row(which, ticks, values, beside)
        with threads_for(self._work(1)):
            found = self._live.forecast(1, row)
            found = Forecast(found.quantiles[places], found.mean[places])
            expected = self._expected(found, which, values)
            far = self._is_far(expected.score)
            if (spikes := far & (self._run[which] < _SPIKE)).any():
                values = np.where(spikes, self._bounded(found, which, expected.score), values)
                row, places = self._row(which, ticks, values, beside)
            self._run[which] = np.where(far, self._run[which] + 1, np.where(np.isnan(values), self._run[which], 0))
            self._take(row, places, which, ticks, values, beside)
        return expected

    def follow(self, ticks: np.ndarray, values: np.ndarray, beside: np.ndarray | None = None) -> Expected:
        """Take in several rows of all series, each a step of the grid after the one before.

        What `push` gives row by row, sooner.

        Args:
            ticks: stamps, ``(n, series)``.
            values: values in the order of `ids`, ``(n, series)``, NaN where nothing was observed.
            beside: covariates, ``(n, series, columns)``.
        Returns:
            What was expected of them, row by row, ``(n * series,)``.
        """
        n, count = values.shape
        if beside is None:
            beside = np.full((n, count, self._beside.shape[2]), np.nan)
        parts: list[Expected] = []
        begin = 0
        while begin < n or not parts:
            rest, before = slice(begin, n), None if self._bound is None else self._live.state_dict()
            expected = self._follow(ticks[rest], values[rest], beside[rest])
            far = self._is_far(expected.score).reshape(-1, count).any(1)
            if before is not None and far.any():  # up to the first of them all is as it should be
                self._live.load_state_dict(before)
                rest = slice(begin, begin + int(far.argmax()))
                if rest.stop > begin:
                    expected = self._follow(ticks[rest], values[rest], beside[rest])
            if rest.stop > begin or not far.any():
                self._remember_all(ticks[rest], values[rest], beside[rest])
                self._run[~np.isnan(values[rest]).all(0)] = 0
                parts.append(expected)
            begin = rest.stop
            if far.any():
                parts.append(self.push(np.arange(count), ticks[begin], values[begin], beside[begin]))
                begin += 1
        return Expected(
            {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns},
            np.concatenate([part.score for part in parts]),
        )

    def _follow(self, ticks: np.ndarray, values: np.ndarray, beside: np.ndarray) -> Expected:
        """Move the states by several rows of all series, as they are; see `follow`."""
        n, count = values.shape
        fitted, every = self._fitted, np.tile(np.arange(count), n)
        scaled = fitted.scaling.of_series(every).forward_unseen(values.reshape(-1), np.ones(n * count, np.int64))
        known = fitted.reader.covariates(
            "stream", beside.reshape(n * count, -1), lambda: pd.Series(as_stamps(ticks.reshape(-1), self._like))
        )
        dt = None
        if self._irregular:
            dt = np.diff(ticks, axis=0, prepend=self._last[None]).reshape(-1) / fitted.reader.step
        z, hist, futr, apart = (
            None if part is None or not part.size else _series_first(part, n, count) for part in (scaled, *known, dt)
        )
        assert z is not None
        with threads_for(self._work(min(n, CHECKED))), threads_of(1) as threads:
            row = as_row(z, hist, futr, apart)
            with threads_of(threads):
                found = self._live.follow(row)
            in_order = Forecast(*(part.transpose(0, 1).reshape(n * count, 1, *part.shape[2:]) for part in found))
            with threads_of(threads):
                return self._expected(in_order, every, values.reshape(-1))

    def _is_far(self, score: np.ndarray) -> np.ndarray:
        """Return which rows are to be bounded; none where nothing was observed."""
        bound = np.inf if self._bound is None else self._bound
        return np.asarray(np.abs(score) > bound)

    def _bounded(self, found: Forecast, which: np.ndarray, score: np.ndarray) -> np.ndarray:
        """Return what would have been as far off as the bound, on the side of each score."""
        scaling = self._fitted.scaling.of_series(which)
        quantiles = torch.as_tensor(self._fitted.in_units(scaling, found.quantiles, found.mean).values[:, 0])
        u = torch.special.ndtr(torch.as_tensor(np.sign(score) * (self._bound or 0.0)))
        return between(quantiles, u).numpy()

    def _work(self, steps: int) -> int:
        """Return how much is done at once, as `threads_for` counts it."""
        return len(self.ids) * steps * self._fitted.network.embed.out_features

    def _expected(self, found: Forecast, which: np.ndarray, values: np.ndarray) -> Expected:
        """Return what was forecast of one step of some series, in the units of the data, and how far off it was."""
        fitted = self._fitted

        def of(first: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
            some = slice(first, first + _ROWS)
            scaling = fitted.scaling.of_series(which[some])
            quantiles = fitted.in_units(scaling, found.quantiles[some], found.mean[some])
            expected = quantiles.values[:, 0]
            point = quantiles.mean[:, 0] if self._fc.point == "mean" else None
            score = normal_score(torch.as_tensor(expected), torch.tensor(values[some]), MOST).numpy()
            return columns(expected, self._levels, self._fc.name, (), point, fitted.network.output.whole), score

        parts = on_threads(of, range(0, max(1, len(which)), _ROWS))
        return Expected(
            {name: np.concatenate([part[name] for part, _ in parts]) for name in parts[0][0]},
            np.concatenate([score for _, score in parts]),
        )

    def _row(
        self, which: np.ndarray, ticks: np.ndarray, values: np.ndarray, beside: np.ndarray
    ) -> tuple[History, Tensor]:
        """Return a row as the states take it, and the places of its series."""
        fitted, places = self._fitted, torch.tensor(which)
        hist, futr = fitted.reader.covariates("stream", beside, lambda: pd.Series(as_stamps(ticks, self._like)))
        z = fitted.scaling.of_series(which).forward_unseen(values, np.ones(len(which), np.int64))
        dt = None
        if self._irregular:
            dt = torch.as_tensor((ticks - self._last[which]) / fitted.reader.step, dtype=torch.float32)
        row = self._live.row(
            torch.as_tensor(z, dtype=torch.float32),
            torch.as_tensor(hist, dtype=torch.float32) if hist.shape[1] else None,
            torch.as_tensor(futr, dtype=torch.float32) if futr.shape[1] else None,
            dt,
            places,
        )
        return row, places

    def _take(
        self,
        row: History,
        places: Tensor,
        which: np.ndarray,
        ticks: np.ndarray,
        values: np.ndarray,
        beside: np.ndarray,
    ) -> None:
        """Move the states by a row, and remember it."""
        self._live.push(row, self._live.among(places))
        self._remember(which, ticks, values, beside)

    def _remember(self, which: np.ndarray, ticks: np.ndarray, values: np.ndarray, beside: np.ndarray) -> None:
        at = self._seen[which] % self._values.shape[1]
        self._values[which, at], self._beside[which, at], self._ticks[which, at] = values, beside, ticks
        self._seen[which] += 1
        self._last[which] = ticks

    def _remember_all(self, ticks: np.ndarray, values: np.ndarray, beside: np.ndarray) -> None:
        """Remember several rows of all series, ``(n, series)``, or as many as are kept."""
        kept = slice(max(0, len(values) - self._values.shape[1]), len(values))
        for rows in zip(ticks[kept], values[kept], beside[kept], strict=True):
            self._remember(np.arange(values.shape[1]), *rows)

    def _gaps(self, which: np.ndarray, ticks: np.ndarray, gaps: np.ndarray, most: int) -> None:
        """Take in the steps that are missing before rows; of more than a window, as many as a window holds.

        Such a window leaves nothing of what was before it: more of them change nothing.
        """
        freq = self._fitted.reader.freq
        for place, stamp, count in zip(which, ticks, gaps, strict=True):
            if count > 0:
                like = as_stamps(np.array([stamp]), self._like)[0]
                missing = as_ticks(pd.Series(past(pd.Series([like]).iloc[0], freq, min(count, most) + 1)[:-1]))
                for tick in missing:
                    at, when = np.array([place]), np.array([tick])
                    nothing = np.full(1, np.nan), np.full((1, self._beside.shape[2]), np.nan)
                    row, places = self._row(at, when, *nothing)
                    self._take(row, places, at, when, *nothing)

    def keep(self) -> None:
        """Bring the forecaster to where the stream is, so that it forecasts and saves from there."""
        history, length = self._fitted.history, self._values.shape[1]
        lengths = np.minimum(self._seen, length)
        of = np.repeat(np.arange(len(lengths)), lengths)
        rank = np.concatenate([np.arange(n) for n in lengths])
        at = (self._seen[of] - lengths[of] + rank) % length
        kept = replace(
            history,
            values=self._values[of, at],
            beside=self._beside[of, at],
            lengths=lengths,
            last=pd.Series(as_stamps(self._last, self._like)).tolist(),
            ticks=None if history.ticks is None else self._ticks[of, at],
        )
        self._fitted = replace(self._fitted, history=kept)
        self._fc._fitted, self._fc._live = self._fitted, self._live.copy()
