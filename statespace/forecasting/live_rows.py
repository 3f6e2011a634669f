"""Rows of a table while they come, line by line, as CSV or JSON, read without a data frame.

A line that cannot be used is a problem with a sentence, and the lines around it stand.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from statespace.errors import InputError
from statespace.forecasting.panel import Columns

FORMATS = ("csv", "jsonl")


@dataclass(frozen=True)
class LiveRows:
    """Rows that could be read, in their order.

    Attributes:
        which: places of their series, ``(rows,)``.
        ticks: their stamps, ``(rows,)``.
        values: NaN where nothing was observed, ``(rows,)``.
        beside: covariates, ``(rows, columns)``, NaN where they are missing.
        told: name of the series, stamp and value of each as they were written.
        problems: a sentence for each line that could not be used.
    """

    which: np.ndarray
    ticks: np.ndarray
    values: np.ndarray
    beside: np.ndarray
    told: list[tuple[Any, Any, Any]]
    problems: list[str]

    def some(self, kept: np.ndarray) -> "LiveRows":
        """Return some of the rows, by one truth value for each."""
        if kept.all():
            return self
        told = [row for row, keep in zip(self.told, kept, strict=True) if keep]
        return LiveRows(self.which[kept], self.ticks[kept], self.values[kept], self.beside[kept], told, self.problems)


class RowReader:
    """Read lines of CSV, whose first one names the columns, or of JSON objects.

    Args:
        columns: names of the columns.
        ids: place of each series by its name.
        like: a stamp, whose kind and time zone the others have.
        kind: one of `FORMATS`.
    """

    def __init__(self, columns: Columns, ids: Mapping[Any, int], like: Any, kind: str) -> None:
        self.columns, self.kind = columns, kind
        self.header: tuple[str, ...] | None = None if kind == "csv" else ()
        # Names of series may be numbers in the model, and are text in CSV.
        self._places = {str(name): place for name, place in ids.items()}
        self._whole = not isinstance(like, pd.Timestamp)
        self._tz = None if self._whole else like.tz
        self._stamp: tuple[Any, int] = (None, 0)
        self._names = (columns.id, columns.time, columns.target, *columns.beside)
        self.line = 0

    def read_header(self, line: str) -> None:
        """Read the first line of CSV.

        Raises:
            InputError: a column is missing or stands there twice.
        """
        found = next(csv.reader([line]), [])
        self.line += 1
        for name in self._names:
            if found.count(name) != 1 and name != self.columns.weight:
                raise InputError(
                    f"stream: the first line must name one column {name!r}, but it names "
                    f"{', '.join(found) or 'nothing'}."
                )
        self.header = tuple(found)

    def read(self, lines: Sequence[str]) -> LiveRows:
        """Read lines; empty ones do not count."""
        which, ticks, values, told, beside, problems = [], [], [], [], [], []
        for number, fields in enumerate(self._fields(lines), self.line + 1):
            if fields is None:
                continue
            try:
                if isinstance(fields, str):
                    raise ValueError(fields)
                name, stamp, value, *others = list(fields)
                place = self._places.get(str(name))
                if place is None:
                    raise ValueError(f"series {name!r} was not there in training")
                tick = self._tick(stamp)
                number_of = self._number(self.columns.target, value)
                rest = [self._number(column, part) for column, part in zip(self._names[3:], others, strict=True)]
            except ValueError as error:
                problems.append(f"line {number}: {error}")
                continue
            which.append(place)
            ticks.append(tick)
            values.append(number_of)
            beside.append(rest)
            told.append((name, stamp, value))
        self.line += len(lines)
        return LiveRows(
            np.array(which, np.int64),
            np.array(ticks, np.int64),
            np.array(values, np.float64),
            np.array(beside, np.float64).reshape(len(which), len(self._names) - 3),
            told,
            problems,
        )

    def _fields(self, lines: Sequence[str]) -> Iterator[Sequence[Any] | str | None]:
        """Return the fields of each line in the order of the names, or what is wrong with it, or None."""
        if self.kind == "csv":
            assert self.header is not None
            at = [self.header.index(name) if name in self.header else -1 for name in self._names]
            width, ordered = len(self.header), at == list(range(len(self.header)))
            for line in lines:
                if not line.strip():
                    yield None
                    continue
                fields = line.split(",") if '"' not in line else next(csv.reader([line]), [])
                if len(fields) != width:
                    yield f"there are {len(fields)} fields, but the first line names {width}"
                elif ordered:
                    yield fields
                else:
                    yield [fields[place] if place >= 0 else "" for place in at]
            return
        for line in lines:
            if not line.strip():
                yield None
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield f"this is no JSON ({error})"
                continue
            if not isinstance(row, dict):
                yield f"this is a {type(row).__name__}, but an object with {', '.join(self._names)} is expected"
                continue
            missing = [name for name in self._names[:2] if name not in row]
            yield f"{missing[0]!r} is missing" if missing else [row.get(name) for name in self._names]

    def _tick(self, stamp: Any) -> int:
        if stamp == self._stamp[0]:
            return self._stamp[1]
        try:
            if self._whole:
                tick = int(stamp)
            else:
                if not isinstance(stamp, str) or not stamp[:1].isdigit():
                    raise ValueError
                when = pd.Timestamp(stamp)
                if (when.tz is None) != (self._tz is None):
                    there = "no time zone" if when.tz is None else "a time zone"
                    raise _ZoneError(f"stamp {stamp!r} has {there}, unlike those of training")
                tick = when.value // 1000
        except _ZoneError:
            raise
        except (ValueError, TypeError, OverflowError) as error:
            kind = "a whole number" if self._whole else "a date such as 2024-01-31 12:00"
            raise ValueError(f"{self.columns.time!r} holds {stamp!r}, but {kind} is expected") from error
        self._stamp = stamp, tick
        return tick

    def _number(self, name: str, value: Any) -> float:
        if value is None or value == "":
            return np.nan
        try:
            if isinstance(value, bool):
                raise TypeError
            number = float(value)
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"{name!r} holds {value!r}, but a number is expected") from error
        if np.isinf(number):
            raise ValueError(f"{name!r} is infinite")
        return number


class _ZoneError(ValueError):
    """A stamp with a time zone among others without one, or the other way round."""
