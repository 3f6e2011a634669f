"""From a long data frame to series on a regular grid: every check that a table needs is made here, once.

Rows may come in any order; a missing row is a gap, and so is a NaN. Both become NaN on the grid. Series without a grid,
whose `freq` is ``"irregular"``, keep their rows as they are, each with the time since the one before.
"""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from statespace.datasets.frames import Table, as_pandas
from statespace.errors import InputError
from statespace.forecasting.calendar import IRREGULAR, Freq, as_stamps, as_ticks, check_freq, future, past, positions
from statespace.forecasting.inference import infer_freq
from statespace.forecasting.stamps import read_stamps, shown

# A grid this many times longer than the table is the sign of a wrong freq or of a stray stamp.
_SPARSEST = 1000


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a long frame.

    Attributes:
        id: names of the series.
        time: stamps.
        target: values.
        hist: covariates that are known up to now.
        futr: covariates that are known beforehand.
        weight: how much a row counts in training; None if all count alike.
    """

    id: str = "unique_id"
    time: str = "ds"
    target: str = "y"
    hist: tuple[str, ...] = ()
    futr: tuple[str, ...] = ()
    weight: str | None = None

    @property
    def beside(self) -> dict[str, str]:
        """The columns of numbers beside the target, in their order, each with the option that names it."""
        found = dict.fromkeys(self.hist, "hist_exog_list") | dict.fromkeys(self.futr, "futr_exog_list")
        return found if self.weight is None else found | {self.weight: "weight_col"}

    @property
    def all(self) -> list[str]:
        """All columns of a table that are read."""
        return [self.id, self.time, self.target, *self.beside]

    def unknown(self, values: np.ndarray, beside: np.ndarray) -> np.ndarray:
        """Return where a row has a value, but not a covariate that is to be known beforehand, ``(rows, futr)``.

        Without it the value would be judged, and taken in, as if the covariate stood at its mean.

        Args:
            values: of the rows, ``(rows,)``, NaN where nothing was observed.
            beside: their columns in the order of `beside`, ``(rows, columns)``, NaN where they are missing.
        """
        futr = beside[:, len(self.hist) : len(self.hist) + len(self.futr)]
        return np.asarray(np.isnan(futr) & ~np.isnan(values)[:, None])


@dataclass(frozen=True)
class Panel:
    """Series of unequal length on a regular grid, one behind the other.

    Attributes:
        ids: the series' names, ``(series,)``.
        values: ``(total,)``, float64, NaN where nothing was observed.
        lengths: steps of each series, ``(series,)``.
        last: stamp of the last step of each series, ``(series,)``.
        freq: distance between two steps; ``"irregular"`` where there is no grid.
        beside: covariates and weights in the order of `Columns.beside`, ``(total, columns)``, NaN where missing.
        ticks: of an irregular panel the stamp of each row as a whole number, ``(total,)``, int64: microseconds, or the
            stamps themselves where they are whole numbers.
        step: of an irregular panel the typical distance between two rows, in ticks.
    """

    ids: list[Any]
    values: np.ndarray
    lengths: np.ndarray
    last: list[Any]
    freq: Freq
    beside: np.ndarray
    ticks: np.ndarray | None = None
    step: float = 1.0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def nearest(self) -> int:
        """The least number of steps from one value to the next; 0 where no series has two."""
        seen = np.flatnonzero(np.isfinite(self.values))
        apart = np.diff(seen)[np.diff(np.searchsorted(self.lengths.cumsum(), seen, side="right")) == 0]
        return int(apart.min()) if len(apart) else 0

    def tail(self, steps: int) -> "Panel":
        """Keep the last `steps` steps of every series."""
        kept = np.minimum(self.lengths, steps)
        ends = self.lengths.cumsum()
        keep = np.zeros(len(self.values), bool)
        for end, count in zip(ends, kept, strict=True):
            keep[end - count : end] = True
        ticks = None if self.ticks is None else self.ticks[keep]
        return replace(self, values=self.values[keep], lengths=kept, beside=self.beside[keep], ticks=ticks)

    def stamps(self) -> list[np.ndarray]:
        """Return the stamps of each series."""
        if self.ticks is not None:
            every = np.split(self.ticks, self.lengths.cumsum()[:-1])
            return [as_stamps(ticks, last) for ticks, last in zip(every, self.last, strict=True)]
        return [past(last, self.freq, int(count)) for last, count in zip(self.last, self.lengths, strict=True)]

    def frame(self, columns: Columns) -> pd.DataFrame:
        """Return the series as a long frame: a row for each step, NaN in the gaps."""
        table = {
            columns.id: pd.Series(self.ids).repeat(self.lengths.tolist()).to_numpy(),
            columns.time: np.concatenate(self.stamps()),
            columns.target: self.values,
        }
        return pd.DataFrame(table | dict(zip(columns.beside, self.beside.T, strict=True)))

    def lead(self, stamps: list[np.ndarray]) -> "Panel":
        """Append steps of which nothing is known, as many to each series, at the stamps of each."""
        steps = len(stamps[0])
        place = np.arange(len(self.values)) + steps * np.repeat(np.arange(len(self)), self.lengths)
        total = len(self.values) + steps * len(self)
        values, beside = np.full(total, np.nan), np.full((total, self.beside.shape[1]), np.nan)
        values[place], beside[place] = self.values, self.beside
        ticks = None
        if self.ticks is not None:
            ticks = np.zeros(total, np.int64)
            ticks[np.setdiff1d(np.arange(total), place)] = as_ticks(pd.Series(np.concatenate(stamps)))
            ticks[place] = self.ticks
        last = [pd.Series(each[-1:]).iloc[0] for each in stamps]
        return replace(self, values=values, beside=beside, lengths=self.lengths + steps, ticks=ticks, last=last)

    def between(self) -> np.ndarray:
        """Return the time since the row before, in ticks, ``(total,)``: `step` for the first row of a series."""
        assert self.ticks is not None
        found = np.diff(self.ticks, prepend=0).astype(np.float64)
        found[self.lengths.cumsum() - self.lengths] = self.step
        return found

    def stamps_after(self, h: int) -> list[np.ndarray]:
        """Return the `h` stamps after the last of each series; series that end together share theirs."""
        known: dict[Any, np.ndarray] = {}
        for last in self.last:
            if last not in known and self.ticks is not None:
                ahead = np.maximum(np.round(self.step * np.arange(1, h + 1)), np.arange(1, h + 1)).astype(np.int64)
                ticks = as_ticks(pd.Series([last]))[0] + ahead
                known[last] = as_stamps(ticks, last)
            elif last not in known:
                known[last] = future(last, self.freq, h)
        return [known[last] for last in self.last]


def _check_columns(where: str, frame: pd.DataFrame, columns: Columns) -> None:
    found = ", ".join(map(str, frame.columns)) or "none"
    asked = {"id_col": columns.id, "time_col": columns.time, "target_col": columns.target}
    if len(set(asked.values())) < len(asked):
        raise InputError(
            f"{where}: id_col, time_col and target_col are {', '.join(map(repr, asked.values()))}, but three different "
            "columns are expected."
        )
    for name, option in ({name: option for option, name in asked.items()} | columns.beside).items():
        if name not in frame.columns:
            raise InputError(
                f"{where}: there is no column {name!r} ({option}); the columns found are {found}. "
                f"Rename one, or pass {option}."
            )
        if (frame.columns == name).sum() > 1:
            raise InputError(f"{where}: there are several columns {name!r}: keep one of them.")
    if len(frame) == 0:
        raise InputError(f"{where}: the table has no rows: at least one observation is needed.")


def numbers(where: str, target: pd.Series) -> np.ndarray:
    """Read a column of numbers as float64, NaN where it is empty.

    Args:
        where: the function or option, for the message.
        target: the column.
    Raises:
        InputError: it holds what is no number, or an infinite one.
    """
    if pd.api.types.is_datetime64_any_dtype(target) or target.dtype.kind in "mc":
        found = np.full(len(target), np.nan)
    else:
        try:
            found = pd.to_numeric(target, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        except TypeError:
            found = np.full(len(target), np.nan)
        except OverflowError as error:
            raise InputError(
                f"{where}: column {target.name!r} holds a number beyond 1e308: use a larger unit."
            ) from error
    wrong = np.isnan(found) & target.notna().to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{where}: column {target.name!r} holds {shown(target.iloc[row])} in row {row + 1}, but numbers are "
            "expected: leave the field empty where nothing was observed."
        )
    if np.isinf(found).any():
        row = int(np.isinf(found).argmax())
        raise InputError(
            f"{where}: column {target.name!r} is infinite in row {row + 1}, but finite numbers are expected: "
            "leave the field empty where nothing was observed."
        )
    return found


def _check_ids(where: str, ids: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """Number the series in the order of their names; return the number of each row, and the names."""
    missing = ids.isna().to_numpy()
    if missing.any():
        row = int(missing.argmax())
        raise InputError(f"{where}: column {ids.name!r} is empty in row {row + 1}: every row needs a series.")
    if isinstance(ids.dtype, pd.CategoricalDtype) and ids.cat.categories.dtype != object:
        # Each name once, and not one for each row.
        kinds = pd.Series(ids.cat.categories, name=ids.name)
        there = np.unique(ids.cat.codes)
        place, known = _check_ids(where, kinds.iloc[there])
        number = np.zeros(len(kinds), np.int64)
        number[there] = place
        return number[ids.cat.codes], known
    if isinstance(ids.dtype, pd.CategoricalDtype):
        ids = ids.astype(ids.cat.categories.dtype)
    if ids.dtype == object or not (pd.api.types.is_numeric_dtype(ids) or pd.api.types.is_string_dtype(ids)):
        wrong = ~ids.map(lambda name: isinstance(name, str | int | float | np.number)).to_numpy(bool)
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(
                f"{where}: column {ids.name!r} holds {shown(ids.iloc[row])} in row {row + 1}, but names of series are "
                "text or numbers: turn them into text."
            )
    number, names = pd.factorize(ids, sort=True)
    return number, list(names)


def _ticks(time: pd.Series) -> np.ndarray:
    """Return stamps as whole numbers that keep their order."""
    return time.to_numpy(np.int64) if pd.api.types.is_integer_dtype(time) else pd.DatetimeIndex(time).asi8


def _irregular(series: Panel, time: pd.Series, same: np.ndarray) -> Panel:
    """Keep the stamps themselves, and the median of the times between two rows of a series, `same` ``(total - 1,)``."""
    ticks = as_ticks(time)
    between = np.diff(ticks)[same]
    return replace(series, ticks=ticks, step=float(np.median(between)) if len(between) else 1.0)


def panel(where: str, frame: Table, columns: Columns, freq: object = None) -> Panel:
    """Check a long data frame and put its series on a regular grid.

    Args:
        where: the function or option, for the messages.
        frame: a row for each observation, in any order; of pandas, polars or pyarrow, or the folder of its parts.
        columns: names of its columns.
        freq: distance between two steps, ``None`` to infer it, or ``"irregular"`` for rows at times of their own.
    Returns:
        The series, in the order of their names.
    Raises:
        InputError: a column is missing or holds what it may not, stamps are doubled or off the grid, or `freq` is
            unknown or cannot be inferred.
    """
    frame = as_pandas(where, frame, only=columns.all)
    _check_columns(where, frame, columns)
    y = numbers(where, frame[columns.target])
    time = read_stamps(where, frame[columns.time])
    number, names = _check_ids(where, frame[columns.id])
    ticks = _ticks(time)
    order: np.ndarray | slice = slice(None)
    if (
        (np.diff(number) < 0) | ((np.diff(number) == 0) & (np.diff(ticks) < 0))
    ).any():  # large tables mostly are sorted
        by_series = np.argsort(number, kind="stable")
        if ((np.diff(ticks[by_series]) < 0) & (np.diff(number[by_series]) == 0)).any():
            warnings.warn(f"{where}: the stamps in {columns.time!r} were not in order; they were sorted.", stacklevel=3)
        order = np.lexsort((ticks, number))
    number, y, ticks, time = number[order], y[order], ticks[order], time.iloc[order].reset_index(drop=True)
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    same = np.diff(number) == 0
    doubled = same & (np.diff(ticks) == 0)
    if doubled.any():
        row = int(doubled.argmax())
        raise InputError(
            f"{where}: series {shown(names[number[row]])} has two rows for {time.iloc[row]}: keep one of them, "
            "or add them up."
        )
    beside = np.empty((len(y), len(columns.beside)))
    for place, name in enumerate(columns.beside):
        beside[:, place] = numbers(where, frame[name])[order]
    if columns.weight is not None and (beside[:, -1] < 0).any():
        row = int((beside[:, -1] < 0).argmax())
        raise InputError(
            f"{where}: column {columns.weight!r} (weight_col) holds {beside[row, -1]} for series "
            f"{shown(names[number[row]])} at {time.iloc[row]}, but weights from 0 on are expected."
        )
    ends = np.append(starts[1:], len(number)) - 1
    last = time.iloc[ends].tolist()
    if freq == IRREGULAR:
        return _irregular(Panel(names, y, np.diff(np.append(starts, len(y))), last, IRREGULAR, beside), time, same)
    integer_time = pd.api.types.is_integer_dtype(time)
    checked = infer_freq(where, time, number, starts) if freq is None else check_freq(where, freq, bool(integer_time))
    first = time.iloc[starts].iloc[number].reset_index(drop=True)
    position = positions(where, time, first, checked)
    lengths = position[ends] + 1
    span = lengths.astype(np.float64).sum()  # as integers the sum might overflow
    if span > _SPARSEST * len(number):
        raise InputError(
            f"{where}: at freq {checked!r} the stamps span {span:.0f} steps, but there are only {len(number)} rows: "
            "pass the freq of the stamps, or correct a stray stamp."
        )
    nearest = np.diff(position)[same].min(initial=np.iinfo(np.int64).max)
    if freq is not None and same.any() and nearest > 1:
        warnings.warn(
            f"{where}: at freq {checked!r} no two rows are neighbours, the nearest are {nearest} steps apart: "
            "all between is a gap.",
            stacklevel=3,
        )
    place = (lengths.cumsum() - lengths)[number] + position
    values, on_grid = np.full(lengths.sum(), np.nan), np.full((lengths.sum(), beside.shape[1]), np.nan)
    values[place], on_grid[place] = y, beside
    return Panel(names, values, lengths, last, checked, on_grid)


def note_silent(where: str, history: Panel) -> None:
    """Warn of series whose whole window is a gap."""
    each = zip(history.ids, np.split(history.values, history.lengths.cumsum()[:-1]), strict=True)
    silent = [str(name) for name, values in each if np.isnan(values).all()]
    if silent:
        shown = ", ".join(silent[:5]) + (" …" if len(silent) > 5 else "")
        warnings.warn(
            f"{where}: nothing was observed in the last {int(history.lengths.max())} steps of series {shown}: "
            "the forecast is NaN.",
            stacklevel=4,
        )
