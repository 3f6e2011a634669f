"""From a long data frame to series on a regular grid: every check that a table needs is made here, once.

Rows may come in any order; a missing row is a gap, and so is a NaN. Both become NaN on the grid.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from statespace.errors import InputError
from statespace.forecasting.calendar import Freq, check_freq, future, infer_freq, past, positions

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
    for option, name in {"id_col": columns.id, "time_col": columns.time, "target_col": columns.target}.items():
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
    try:
        numbers = pd.to_numeric(target, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    except TypeError:
        numbers = np.full(len(target), np.nan)
    wrong = np.isnan(numbers) & target.notna().to_numpy()
    if pd.api.types.is_datetime64_any_dtype(target) or pd.api.types.is_timedelta64_dtype(target):
        wrong[:] = True
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{where}: column {target.name!r} holds {target.iloc[row]!r} in row {row + 1}, but numbers are expected: "
            "leave the field empty where nothing was observed."
        )
    if np.isinf(numbers).any():
        row = int(np.isinf(numbers).argmax())
        raise InputError(
            f"{where}: column {target.name!r} is infinite in row {row + 1}, but finite numbers are expected: "
            "leave the field empty where nothing was observed."
        )
    return numbers


def _check_time(where: str, time: pd.Series) -> pd.Series:
    missing = time.isna().to_numpy()
    if missing.any():
        raise InputError(
            f"{where}: column {time.name!r} is empty in row {int(missing.argmax()) + 1}: every row needs a stamp."
        )
    if pd.api.types.is_bool_dtype(time):
        raise InputError(f"{where}: column {time.name!r} holds true and false, but stamps are expected.")
    if pd.api.types.is_datetime64_any_dtype(time):
        return time
    if isinstance(time.dtype, pd.PeriodDtype):
        return pd.Series(time.dt.to_timestamp())
    if pd.api.types.is_numeric_dtype(time):
        whole = time.to_numpy(np.float64) % 1 == 0
        if not whole.all():
            row = int((~whole).argmax())
            raise InputError(
                f"{where}: column {time.name!r} holds {time.iloc[row]!r} in row {row + 1}, but dates or whole numbers "
                "are expected."
            )
        return time.astype(np.int64)
    try:
        return pd.to_datetime(time)
    except (ValueError, TypeError):
        parsed = pd.to_datetime(time, errors="coerce", format="mixed", utc=True)
    wrong = parsed.isna().to_numpy()
    if not wrong.any():
        raise InputError(
            f"{where}: the stamps in column {time.name!r} are written in several formats or time zones, such as "
            f"{time.iloc[0]!r}: write all of them in one, best YYYY-MM-DD HH:MM:SS."
        )
    row = int(wrong.argmax())
    raise InputError(
        f"{where}: column {time.name!r} holds {time.iloc[row]!r} in row {row + 1}, which is no stamp: "
        "write dates as YYYY-MM-DD, or use whole numbers."
    )


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
    time = _check_time(where, frame[columns.time])
    ids = frame[columns.id]
    if ids.isna().any():
        row = int(ids.isna().to_numpy().argmax())
        raise InputError(f"{where}: column {columns.id!r} is empty in row {row + 1}: every row needs a series.")
    number, names = pd.factorize(ids, sort=True)
    order = np.lexsort((time.to_numpy(), number))
    if (np.diff(order) < 0).any():
        inside = np.diff(number) == 0
        if (np.diff(time.to_numpy()).astype(np.int64)[inside] < 0).any():
            warnings.warn(f"{where}: the stamps in {columns.time!r} were not in order; they were sorted.", stacklevel=3)
        number, y, time = number[order], y[order], time.iloc[order]
    time = time.reset_index(drop=True)
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    if ((np.diff(number) == 0) & (time.to_numpy()[1:] == time.to_numpy()[:-1])).any():
        row = int(((np.diff(number) == 0) & (time.to_numpy()[1:] == time.to_numpy()[:-1])).argmax())
        raise InputError(
            f"{where}: series {names[number[row]]!r} has two rows for {time.iloc[row]}: keep one of them, "
            "or add them up."
        )
    integer_time = pd.api.types.is_integer_dtype(time)
    checked = infer_freq(where, time, number, starts) if freq is None else check_freq(where, freq, bool(integer_time))
    first = time.iloc[starts].iloc[number].reset_index(drop=True)
    position = positions(where, time, first, checked)
    ends = np.append(starts[1:], len(number)) - 1
    lengths = position[ends] + 1
    if lengths.sum() > _SPARSEST * len(number):
        raise InputError(
            f"{where}: at freq {checked!r} the stamps span {lengths.sum()} steps, but there are only {len(number)} "
            "rows: pass the freq of the stamps, or correct a stray stamp."
        )
    values = np.full(lengths.sum(), np.nan)
    values[(lengths.cumsum() - lengths)[number] + position] = y
    last = time.iloc[ends].tolist()
    return Panel(list(names), values, lengths, last, checked)
