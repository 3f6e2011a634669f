"""From a long data frame to series on a regular grid: every check that a table needs is made here, once.

Rows may come in any order; a missing row is a gap, and so is a NaN. Both become NaN on the grid.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from statespace.errors import InputError
from statespace.forecasting.calendar import Freq, check_freq, future, past, positions
from statespace.forecasting.inference import infer_freq
from statespace.forecasting.stamps import read_stamps, shown

# A grid this many times longer than the table is the sign of a wrong freq or of a stray stamp.
_SPARSEST = 1000


@dataclass(frozen=True)
class Columns:
    """Names of the three columns of a long frame."""

    id: str = "unique_id"
    time: str = "ds"
    target: str = "y"


@dataclass(frozen=True)
class Panel:
    """Series of unequal length on a regular grid, one behind the other.

    Attributes:
        ids: the series' names, ``(series,)``.
        values: ``(total,)``, float64, NaN where nothing was observed.
        lengths: steps of each series, ``(series,)``.
        last: stamp of the last step of each series, ``(series,)``.
        freq: distance between two steps.
    """

    ids: list[Any]
    values: np.ndarray
    lengths: np.ndarray
    last: list[Any]
    freq: Freq

    def __len__(self) -> int:
        return len(self.ids)

    def tail(self, steps: int) -> "Panel":
        """Keep the last `steps` steps of every series."""
        kept = np.minimum(self.lengths, steps)
        ends = self.lengths.cumsum()
        keep = np.zeros(len(self.values), bool)
        for end, count in zip(ends, kept, strict=True):
            keep[end - count : end] = True
        return Panel(self.ids, self.values[keep], kept, self.last, self.freq)

    def frame(self, columns: Columns) -> pd.DataFrame:
        """Return the series as a long frame: a row for each step, NaN in the gaps."""
        stamps = [past(last, self.freq, int(count)) for last, count in zip(self.last, self.lengths, strict=True)]
        return pd.DataFrame(
            {
                columns.id: pd.Series(self.ids).repeat(self.lengths.tolist()).to_numpy(),
                columns.time: np.concatenate(stamps),
                columns.target: self.values,
            }
        )

    def stamps_after(self, h: int) -> list[np.ndarray]:
        """Return the `h` stamps after the last of each series; series that end together share theirs."""
        known: dict[Any, np.ndarray] = {}
        for last in self.last:
            if last not in known:
                known[last] = future(last, self.freq, h)
        return [known[last] for last in self.last]


def _check_columns(where: str, frame: pd.DataFrame, columns: Columns) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"{where}: df is a {type(frame).__name__}, but a pandas data frame is expected.")
    found = ", ".join(map(str, frame.columns)) or "none"
    asked = {"id_col": columns.id, "time_col": columns.time, "target_col": columns.target}
    if len(set(asked.values())) < len(asked):
        raise InputError(
            f"{where}: id_col, time_col and target_col are {', '.join(map(repr, asked.values()))}, but three different "
            "columns are expected."
        )
    for option, name in asked.items():
        if name not in frame.columns:
            raise InputError(
                f"{where}: there is no column {name!r} ({option}); the columns found are {found}. "
                f"Rename one, or pass {option}."
            )
        if (frame.columns == name).sum() > 1:
            raise InputError(f"{where}: there are several columns {name!r}: keep one of them.")
    if len(frame) == 0:
        raise InputError(f"{where}: the table has no rows: at least one observation is needed.")


def _check_target(where: str, target: pd.Series) -> np.ndarray:
    if pd.api.types.is_datetime64_any_dtype(target) or target.dtype.kind in "mc":
        numbers = np.full(len(target), np.nan)
    else:
        try:
            numbers = pd.to_numeric(target, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        except TypeError:
            numbers = np.full(len(target), np.nan)
        except OverflowError as error:
            raise InputError(
                f"{where}: column {target.name!r} holds a number beyond 1e308: use a larger unit."
            ) from error
    wrong = np.isnan(numbers) & target.notna().to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{where}: column {target.name!r} holds {shown(target.iloc[row])} in row {row + 1}, but numbers are "
            "expected: leave the field empty where nothing was observed."
        )
    if np.isinf(numbers).any():
        row = int(np.isinf(numbers).argmax())
        raise InputError(
            f"{where}: column {target.name!r} is infinite in row {row + 1}, but finite numbers are expected: "
            "leave the field empty where nothing was observed."
        )
    return numbers


def _check_ids(where: str, ids: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """Number the series in the order of their names; return the number of each row, and the names."""
    missing = ids.isna().to_numpy()
    if missing.any():
        row = int(missing.argmax())
        raise InputError(f"{where}: column {ids.name!r} is empty in row {row + 1}: every row needs a series.")
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


def panel(where: str, frame: pd.DataFrame, columns: Columns, freq: object = None) -> Panel:
    """Check a long data frame and put its series on a regular grid.

    Args:
        where: the function or option, for the messages.
        frame: a row for each observation, in any order.
        columns: names of its columns.
        freq: distance between two steps, or ``None`` to infer it.
    Returns:
        The series, in the order of their names.
    Raises:
        InputError: a column is missing or holds what it may not, stamps are doubled or off the grid, or `freq` is
            unknown or cannot be inferred.
    """
    _check_columns(where, frame, columns)
    y = _check_target(where, frame[columns.target])
    time = read_stamps(where, frame[columns.time])
    number, names = _check_ids(where, frame[columns.id])
    ticks = _ticks(time)
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
    integer_time = pd.api.types.is_integer_dtype(time)
    checked = infer_freq(where, time, number, starts) if freq is None else check_freq(where, freq, bool(integer_time))
    first = time.iloc[starts].iloc[number].reset_index(drop=True)
    position = positions(where, time, first, checked)
    ends = np.append(starts[1:], len(number)) - 1
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
    values = np.full(lengths.sum(), np.nan)
    values[(lengths.cumsum() - lengths)[number] + position] = y
    last = time.iloc[ends].tolist()
    return Panel(names, values, lengths, last, checked)
