"""Rows of a table while they come, line by line, as CSV or JSON, and numbers written behind them, without a data frame.

The compiled core reads and writes many lines at once, where there is one, and leaves the lines that are not as plain as
most to be read here. A line that cannot be used is a problem with a sentence, and the lines around it stand.
"""

import csv
import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from statespace.errors import InputError
from statespace.forecasting.panel import Columns
from statespace.kernels import native
from statespace.kernels.native.text import OTHER, PLAIN, LineReader, Lines, Told, write_rows

FORMATS = ("csv", "jsonl")


@dataclass(frozen=True)
class LiveRows:
    """Rows that could be read, in their order.

    Attributes:
        which: places of their series, ``(rows,)``.
        ticks: their stamps, ``(rows,)``.
        values: NaN where nothing was observed, ``(rows,)``.
        beside: covariates, ``(rows, columns)``, NaN where they are missing.
        told: name of the series, stamp and value of each as they were written: how a line with them begins.
        lines: their numbers in what is read, from 1 on, ``(rows,)``.
        problems: a sentence for each line that could not be used, by its number.
    """

    which: np.ndarray
    ticks: np.ndarray
    values: np.ndarray
    beside: np.ndarray
    told: Told
    lines: np.ndarray
    problems: dict[int, str]

    def some(self, kept: np.ndarray) -> "LiveRows":
        """Return some of the rows, by one truth value for each."""
        if kept.all():
            return self
        arrays = self.which[kept], self.ticks[kept], self.values[kept], self.beside[kept]
        return LiveRows(*arrays, self.told.some(kept), self.lines[kept], self.problems)


class _Row(NamedTuple):
    """What a line says: place of the series, stamp, value, covariates, and how it is told."""

    place: int
    tick: int
    value: float
    beside: list[float]
    told: str


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
        self._place = np.array(list(self._places.values()), np.int64)
        self._whole = not isinstance(like, pd.Timestamp)
        self._tz = None if self._whole else like.tz
        self._stamp: tuple[Any, int] = (None, 0)
        self._names = (columns.id, columns.time, columns.target, *columns.beside)
        self._leads = ("", ",", ",") if kind == "csv" else _before("{", self._names[:3])
        self._lines: LineReader | None = None
        if native.why_missing() is None:
            self._lines = LineReader(list(self._places), self._names, self._leads, kind != "csv")
        self.line = 0

    def read_header(self, line: str) -> None:
        """Take the first line of CSV.

        Raises:
            InputError: a column is missing, or named twice.
        """
        self.line += 1
        found = next(csv.reader([line]), [])
        for name in self._names:
            if found.count(name) != 1 and name != self.columns.weight:
                raise InputError(
                    f"stream: the first line must name one column {name!r}, but it names "
                    f"{', '.join(found) or 'nothing'}."
                )
        self.header = tuple(found)

    @property
    def _at(self) -> list[int]:
        """Where in a line of CSV the columns stand, -1 for one that does not."""
        header = self.header or ()
        return [header.index(name) if name in header else -1 for name in self._names]

    def begun(self, text: bytes) -> int:
        """Return of how many bytes the last lines are that have one stamp; 0 if that is unclear, or all have or can."""
        lines = text.removesuffix(b"\n").rsplit(b"\n", len(self._places) + 1)
        stamp, size = self._stamp_of(lines[-1]), len(text) - len(text.removesuffix(b"\n")) - 1
        for count, line in enumerate(reversed(lines)):
            if count > 0 and self._stamp_of(line) != stamp:
                return size if stamp is not None and count < len(self._places) else 0
            size += len(line) + 1
        return 0

    def _stamp_of(self, line: bytes) -> Any:
        """Return the stamp of a line as it is written; None where that takes a closer look."""
        if self.kind == "csv":
            return None if b'"' in line else line.split(b",")[self._at[1] : self._at[1] + 1]
        try:
            return json.loads(line)[self.columns.time]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def goes_on(self, rest: bytes, text: bytes) -> bool:
        """Return whether the first line of `text` goes on with `rest` of a line, or stands for itself beside it."""
        line = text.partition(b"\n")[0].decode("utf-8", errors="replace").removesuffix("\r")
        if self.kind == "csv" and line.removeprefix("\ufeff") == ",".join(self.header or ()):
            return False
        return self._can_be_used(rest.decode("utf-8", errors="replace") + line) or not self._can_be_used(line)

    def _can_be_used(self, line: str) -> bool:
        try:
            return self._row(line) is not None
        except ValueError:
            return False

    def read(self, text: bytes) -> LiveRows:
        """Read whole lines; empty ones do not count."""
        found, problems, others = self._at_once(text), dict[int, str](), list[_Row]()
        ticks, seen = self._ticks(found), found.kind == PLAIN
        places = self._place[found.which] if len(self._place) else found.which
        for at in np.flatnonzero(found.kind == OTHER).tolist():
            line = text[found.begin[at] : found.begin[at + 1]].decode("utf-8", errors="replace")
            try:
                row = self._row(line.removesuffix("\n").removesuffix("\r"))
            except ValueError as error:
                problems[self.line + at + 1] = f"line {self.line + at + 1}: {error}"
                continue
            if row is not None:
                seen[at], places[at], ticks[at], found.numbers[at] = True, row.place, row.tick, (row.value, *row.beside)
                found.told.spans[at] = len(others), -1
                others.append(row)
        numbers = np.arange(self.line + 1, self.line + len(found.kind) + 1)
        self.line += len(found.kind)
        told = found.told
        if others:
            apart = Told.of([row.told.encode(errors="replace") for row in others])
            here = np.flatnonzero(seen & (told.spans[:, 1] < 0))
            told.spans[here] = apart.spans + len(told.text)
            told = Told(np.concatenate([told.text, apart.text]), told.spans)
        unknown = self.columns.unknown(found.numbers[:, 0], found.numbers[:, 1:])
        for at in np.flatnonzero(seen & unknown.any(1)).tolist():
            column = self.columns.futr[int(unknown[at].argmax())]
            problems[int(numbers[at])] = (
                f"line {numbers[at]}: {column!r} is missing, but what is in futr_exog_list is to be known "
                "beforehand: give its number, or null for the value"
            )
            seen[at] = False
        rows = LiveRows(places, ticks, found.numbers[:, 0], found.numbers[:, 1:], told, numbers, problems)
        return rows.some(seen)

    def _at_once(self, text: bytes) -> Lines:
        """Read what is plain, and find the other lines."""
        if self._lines is not None:
            return self._lines.read(text, self._at, len(self.header or ()))
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1
        begin = np.unique(np.concatenate(([0], ends, [len(text)])))
        count = len(begin) - 1
        nothing, numbers = np.zeros(count, np.int64), np.full((count, len(self._names) - 2), np.nan)
        told = Told(np.empty(0, np.uint8), np.zeros((count, 2), np.int64))
        return Lines(np.full(count, OTHER, np.uint8), begin, nothing, numbers, nothing, [], told)

    def _ticks(self, found: Lines) -> np.ndarray:
        """Return the stamps of plain lines; those that are none make their lines other ones."""
        known: dict[bytes, int | None] = {}
        for stamp in dict.fromkeys(found.stamps):
            try:
                text = stamp.decode("utf-8", errors="replace")
                known[stamp] = self._tick(text if self.kind == "csv" else json.loads(text))
            except ValueError:
                known[stamp] = None
        if not known:
            return np.zeros(len(found.kind), np.int64)
        ticks = [known[stamp] for stamp in found.stamps]
        wrong = np.array([tick is None for tick in ticks])
        found.kind[(found.kind == PLAIN) & wrong[found.stamp]] = OTHER
        return np.asarray(np.array([tick or 0 for tick in ticks], np.int64)[found.stamp])

    def _row(self, line: str) -> _Row | None:
        """Read a line by itself; None for an empty one.

        Raises:
            ValueError: it cannot be used; the message says why.
        """
        if not line.strip():
            return None
        name, stamp, value, *others = self._fields(line)
        place = self._places.get(str(name))
        if place is None:
            raise ValueError(f"series {name!r} was not there in training")
        tick, number = self._tick(stamp), self._number(self.columns.target, value)
        beside = [self._number(column, part) for column, part in zip(self._names[3:], others, strict=True)]
        if self.kind == "csv":
            written = [_cell(part) for part in (name, stamp, value)]
        else:
            written = [_dumped(part) for part in (name, stamp, value)]
        told = "".join(lead + part for lead, part in zip(self._leads, written, strict=True))
        return _Row(place, tick, number, beside, told)

    def _fields(self, line: str) -> Sequence[Any]:
        """Return the fields of a line in the order of the names.

        Raises:
            ValueError: it has others; the message says which.
        """
        if self.kind == "csv":
            fields = line.split(",") if '"' not in line else next(csv.reader([line]), [])
            width = len(self.header or ())
            if len(fields) != width:
                raise ValueError(f"there are {len(fields)} fields, but the first line names {width}")
            return [fields[place] if place >= 0 else "" for place in self._at]
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"this is no JSON ({error})") from error
        if not isinstance(row, dict):
            raise ValueError(f"this is a {type(row).__name__}, but an object with {', '.join(self._names)} is expected")
        for name in self._names:
            if name not in row and name != self.columns.weight:
                raise ValueError(f"{name!r} is missing: give null where nothing was observed")
        return [row.get(name) for name in self._names]

    def _tick(self, stamp: Any) -> int:
        if stamp == self._stamp[0]:
            return self._stamp[1]
        try:
            if self._whole:
                tick = int(stamp) if isinstance(stamp, str) else operator.index(stamp)
                if isinstance(stamp, bool):
                    raise TypeError
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


def _dumped(value: Any) -> str:
    return json.dumps(None if value != value else value, ensure_ascii=False)


def _before(first: str, names: Sequence[str]) -> list[str]:
    """Return what stands before each value of an object of JSON."""
    return [f"{', ' if place else first}{_dumped(name)}: " for place, name in enumerate(names)]


class _ZoneError(ValueError):
    """A stamp with a time zone among others without one, or the other way round."""


class RowWriter:
    """Write numbers behind rows, with seven digits, and scores with four.

    Args:
        columns: names of the columns.
        kind: one of `FORMATS`.
    """

    def __init__(self, columns: Columns, kind: str) -> None:
        self.columns, self.kind = columns, kind

    def header(self, names: Sequence[str]) -> str:
        """Return the first line of rows that have numbers of these names behind them; nothing in JSON."""
        first = (self.columns.id, self.columns.time, self.columns.target)
        return ",".join([*first, *names]) + "\n" if self.kind == "csv" else ""

    def rows(self, told: Told, numbers: Mapping[str, np.ndarray]) -> str:
        """Return rows with numbers behind each.

        Args:
            told: how the rows begin.
            numbers: by name, ``(rows,)`` each; truth values may be among them.
        """
        csv_ = self.kind == "csv"
        leads = [*[","] * len(numbers), "\n"] if csv_ else [*_before(", ", list(numbers)), "}\n"]
        words = ("nan", "0", "1") if csv_ else ("null", "false", "true")
        digits = [0 if part.dtype == bool else 4 if name == "score" else 7 for name, part in numbers.items()]
        parts = [part if csv_ else np.where(np.isfinite(part), part, np.nan) for part in numbers.values()]
        if native.why_missing() is None:
            return write_rows(told, parts, digits, leads, words).decode("utf-8", errors="replace")
        columns = [[piece.decode("utf-8", errors="replace") for piece in told.pieces()]]
        for part, most in zip(parts, digits, strict=True):
            if most:
                columns.append([words[0] if value != value else f"{value:.{most}g}" for value in part.tolist()])
            else:
                columns.append([words[1 + bool(value)] for value in part.tolist()])
        form = "%s".join(["", *(lead.replace("%", "%%") for lead in leads)])
        return "".join(map(form.__mod__, zip(*columns, strict=True)))
