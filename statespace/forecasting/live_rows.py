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
_FEW = 32  # lines that are not worth a second look at all of them at once
_ARRAYS = ("which", "ticks", "values", "beside")


@dataclass(frozen=True)
class LiveRows:
    """Rows that could be read, in their order.

    Attributes:
        which: places of their series, ``(rows,)``.
        ticks: their stamps, ``(rows,)``.
        values: NaN where nothing was observed, ``(rows,)``.
        beside: covariates, ``(rows, columns)``, NaN where they are missing.
        told: name of the series, stamp and value of each as they were written: a piece of CSV, or the three of JSON.
        problems: a sentence for each line that could not be used.
    """

    which: np.ndarray
    ticks: np.ndarray
    values: np.ndarray
    beside: np.ndarray
    told: list[Any]
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
        parts = list(self._parts(lines)) or [self._one_by_one(lines)]
        if len(parts) == 1:
            return parts[0]
        which, ticks, values, beside = (np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS)
        told, problems = ([row for part in parts for row in getattr(part, name)] for name in ("told", "problems"))
        return LiveRows(which, ticks, values, beside, told, problems)

    def begun(self, lines: Sequence[str]) -> int:
        """Return how many of the last lines have one stamp; 0 where that cannot be told, or all have or can have."""
        if self.kind != "csv" or not lines:
            return 0
        at, count = (self.header or ()).index(self.columns.time), 0
        stamp = lines[-1].split(",")[at : at + 1]
        for line in reversed(lines[-len(self._places) - 1 :]):
            if '"' in line or line.split(",")[at : at + 1] != stamp:
                break
            count += 1
        return 0 if count == len(lines) or count >= len(self._places) else count

    def _parts(self, lines: Sequence[str]) -> Iterator[LiveRows]:
        """Read lines many at once; where one among them is not as plain as the others, in halves."""
        if not lines:
            return
        found = self._at_once(lines) if self.kind == "csv" and len(lines) > _FEW else None
        if found is not None:
            self.line += len(lines)
            yield found
        elif self.kind != "csv" or len(lines) <= _FEW:
            yield self._one_by_one(lines)
        else:
            half = len(lines) // 2
            yield from self._parts(lines[:half])
            yield from self._parts(lines[half:])

    def _at_once(self, lines: Sequence[str]) -> LiveRows | None:
        """Read lines of CSV column by column; None where one of them has quotes, or anything is wrong with it."""
        assert self.header is not None
        width, text = len(self.header), ",".join(lines)
        if '"' in text or any(line.count(",") != width - 1 for line in lines):
            return None
        fields, nothing = text.split(","), [""] * len(lines)
        columns = [fields[self.header.index(name) :: width] if name in self.header else nothing for name in self._names]
        names, stamps, *numbers = columns
        try:
            which = np.array([self._places[name] for name in names], np.int64)
            known = {stamp: self._tick(stamp) for stamp in dict.fromkeys(stamps)}
            values = np.array([[float(cell or "nan") for cell in column] for column in numbers])
        except (KeyError, ValueError):
            return None
        if np.isinf(values).any():
            return None
        ticks = np.array([known[stamp] for stamp in stamps], np.int64)
        told = list(map(",".join, zip(*columns[:3], strict=True)))
        return LiveRows(which, ticks, values[0], values[1:].T, told, [])

    def _one_by_one(self, lines: Sequence[str]) -> LiveRows:
        """Read lines one after the other, and say of each that cannot be used what is wrong with it."""
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
            told.append(",".join(map(_cell, (name, stamp, value))) if self.kind == "csv" else (name, stamp, value))
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


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\n') else text


class _ZoneError(ValueError):
    """A stamp with a time zone among others without one, or the other way round."""
