"""``statespace stream model/ --detect < rows.csv``: what was expected of each row before it came, and how far off."""

import argparse
import codecs
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from statespace.cli.lines import Lines
from statespace.cli.options import level, positive, whole
from statespace.errors import InputError

if TYPE_CHECKING:
    from statespace.forecasting import Forecaster
    from statespace.forecasting.live_rows import LiveRows
    from statespace.forecasting.stream import Expected

_PATIENCE = 0.01  # s to wait for the other rows of a stamp
_KILLED = 128  # and the number of the signal: the exit code, as a shell gives it
_TOLD = 10  # lines that are skipped with a note; the others are only counted
_FAR = 1000  # steps ahead from which a row is told: after a stray stamp all others come too late
_STATE, _MODEL = "stream.json", "model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``statespace stream``."""
    parser.add_argument("model", help="folder of a model that 'statespace forecast' or Forecaster.save wrote")
    parser.add_argument("--format", choices=("csv", "jsonl"), default="csv", help="of the lines, in and out (csv)")
    parser.add_argument("--level", type=level, nargs="+", default=[95], help="levels of the intervals in percent (95)")
    parser.add_argument("--detect", action="store_true", help="say how far off each row is, in standard deviations")
    parser.add_argument("--threshold", type=positive, default=4.0, help="score from which a row is an anomaly (4)")
    parser.add_argument(
        "--bound",
        type=positive,
        metavar="SCORE",
        help="let no row move the forecast by more than one of this score would, 1 to 6: after an anomaly the next "
        "rows are expected where they would have been (all rows as they come)",
    )
    parser.add_argument("--state", metavar="FOLDER", help="where to go on from, if it is there, and to keep the end in")
    parser.add_argument("--save-every", type=whole, default=0, metavar="ROWS", help="keep it this often too (never)")
    parser.add_argument(
        "--on-error",
        choices=("skip", "stop"),
        default="skip",
        help="what to do with a line that cannot be used, or comes too late for its series: "
        f"the first {_TOLD} skipped are told, all are counted (skip)",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but rows and errors")


def _rounds(which: np.ndarray, ticks: np.ndarray, count: int) -> Iterator[tuple[slice, int]]:
    """Part rows into runs that can be taken at once: rows of one stamp, or several stamps of all series.

    Returns:
        The rows of each run, and how many stamps of all series it holds; 0 where it is one stamp of some.
    """
    begins = np.flatnonzero(np.diff(ticks, prepend=ticks[:1] - 1))
    sizes = np.diff(np.append(begins, len(ticks)))
    first = 0
    while first < len(begins):
        last = first
        while last < len(begins) and sizes[last] == count and _is_whole(which, begins[last], count):
            last += 1
        if last > first:
            yield slice(int(begins[first]), int(begins[first]) + (last - first) * count), last - first
            first = last
        else:
            yield slice(int(begins[first]), int(begins[first] + sizes[first])), 0
            first += 1


def _is_whole(which: np.ndarray, begin: int, count: int) -> bool:
    return bool((np.sort(which[begin : begin + count]) == np.arange(count)).all())


def _as_they_came(at: np.ndarray, found: "Expected") -> tuple[np.ndarray, "Expected"]:
    """Put places, and what was expected there, in the order of the rows."""
    if (at[1:] > at[:-1]).all():
        return at, found
    order = np.argsort(at)
    return at[order], replace(
        found, columns={name: part[order] for name, part in found.columns.items()}, score=found.score[order]
    )


def _kept(path: Path) -> tuple[bytes, tuple[str, ...] | None]:
    """Return the rest of a line and the names of the columns that an earlier stream has left.

    Raises:
        InputError: the file was changed.
    """
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        rest, header = kept["rest"].encode(errors="surrogateescape"), kept["header"]
        if header is not None and not all(isinstance(name, str) for name in header):
            raise TypeError
        return rest, None if header is None else tuple(header)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"stream: {str(path)!r} is not what a stream leaves behind ({type(error).__name__}): name another folder "
            "for --state, or take this one away to begin from the model."
        ) from error


class _Session:
    """Rows that are taken and told, and where the series are.

    Args:
        options: of the command.
        forecaster: fitted; `save` brings it to where the stream is.
        rest: of a line that an earlier session has left.
        header: names of the columns that it has read.
    """

    def __init__(
        self, options: argparse.Namespace, forecaster: "Forecaster", rest: bytes, header: tuple[str, ...] | None
    ) -> None:
        from statespace.forecasting.live_rows import RowReader, RowWriter
        from statespace.forecasting.options import expect_apart
        from statespace.forecasting.stream import ForecastStream

        for added in ("score", "anomaly") if options.detect else ("",):
            expect_apart("stream", forecaster.columns, forecaster.name, added, with_target=True)
        self.options, self.forecaster = options, forecaster
        self.stream = ForecastStream(forecaster, options.level, options.bound)
        self.reader = RowReader(forecaster.columns, self.stream.ids, forecaster.last_stamp, options.format)
        self.names = list(self.stream.ids)
        self.writer, self.begun = RowWriter(forecaster.columns, options.format), False
        self.lines = Lines(sys.stdin.fileno(), rest)
        self.counts = {"rows": 0, "known": 0, "unclear": 0, "late": 0, "broken": 0, "anomalies": 0}
        self.leapt = False
        self.rest = rest
        self.expected = header if options.format == "csv" else None  # may come again, or not
        if self.expected:
            self.reader.header = self.expected

    def run(self) -> None:
        """Take all lines, and keep the end."""
        saved = 0
        with self.lines.listening():
            for part in self.lines:
                text = self._begin(part) if self.reader.line == 0 else part
                if (last := self.reader.begun(text)) and self.lines.more(_PATIENCE):  # a stamp's rows go together
                    self.lines.give_back(text[-last:])
                    text = text[:-last]
                self._read(text)
                if self.options.save_every > 0 and self.counts["rows"] - saved >= self.options.save_every:
                    self.save()
                    saved = self.counts["rows"]
            self.save()

    def _begin(self, text: bytes) -> bytes:
        """Return the first lines without what is no row: a cut line that comes again, a mark, and the header."""
        if self.rest:
            later = text.removeprefix(self.rest)
            text = text if self.reader.goes_on(self.rest, later) else later
            self.rest = b""
        text = text.removeprefix(codecs.BOM_UTF8)
        if self.reader.header is None or self.expected:
            first, _, later = text.partition(b"\n")
            line = first.decode("utf-8", errors="replace").removesuffix("\r")
            if self.reader.header is None or line == ",".join(self.reader.header):
                self.reader.read_header(line)
                return later
        return text

    def _read(self, text: bytes) -> None:
        """Take lines; if a broken one is to stop the stream, those before it are taken, and kept as the end."""
        rows = self.reader.read(text)
        try:
            if self.options.on_error == "stop" and rows.problems:
                self._take(rows.some(rows.lines < min(rows.problems)))
            self._skip("broken", len(rows.problems), iter(rows.problems.values()))
            self._take(rows)
        except InputError:
            sys.stdout.flush()
            self.lines.rest = b""
            self.save()
            raise
        sys.stdout.flush()

    def _skip(self, kind: str, count: int, sentences: Iterator[str]) -> None:
        """Count lines that cannot be used, and tell the first of all; or stop at the first."""
        if count and self.options.on_error == "stop":
            raise InputError(f"stream: {next(sentences)}: mend it, or pass --on-error skip.")
        before = self._skipped
        self.counts[kind] += count
        if self.options.quiet:
            return
        for sentence in islice(sentences, max(0, _TOLD - before)):
            print(f"note: {sentence}; skipped", file=sys.stderr)
        if before <= _TOLD < self._skipped:
            print("note: further lines that cannot be used are only counted", file=sys.stderr)

    @property
    def _skipped(self) -> int:
        return self.counts["broken"] + self.counts["late"]

    def _take(self, rows: "LiveRows") -> None:
        new = rows.ticks > self.stream.last[rows.which]
        self._leave_out(rows, np.flatnonzero(~new))
        rows, count = rows.some(new), len(self.stream.ids)
        for part, stamps in _rounds(rows.which, rows.ticks, count):
            if not stamps:
                self._some(rows, np.arange(part.start, part.stop))
            begin, end = part.start, part.start + stamps * count
            while begin < end:
                # What is not the next step of all series is taken by itself.
                n = self.stream.goes_on(rows.ticks[begin:end:count])
                if n:
                    self._all(rows, begin, n)
                else:
                    self._some(rows, np.arange(begin, begin + count))
                begin += max(n, 1) * count

    def _leave_out(self, rows: "LiveRows", places: np.ndarray) -> None:
        """Count rows that are not after the last of their series; skip, or stop at, those that come too late."""
        if not len(places):
            return
        known, late = self.stream.seen(rows.which[places], rows.ticks[places], rows.values[places])
        if late.any() and self.options.on_error == "stop":
            self._take(rows.some(np.arange(len(rows.ticks)) < places[late][0]))
        self.counts["known"] += int(known.sum())
        self.counts["unclear"] += int((~known & ~late).sum())
        self._skip("late", int(late.sum()), (self._too_late(rows, place) for place in places[late]))

    def _too_late(self, rows: "LiveRows", place: int) -> str:
        """Return the sentence for a row that comes too late."""
        which, stamp = rows.which[place], self.stream.stamp(rows.ticks[place])
        return (
            f"line {rows.lines[place]}: series {self.names[which]!r} has reached "
            f"{self.stream.stamp(self.stream.last[which])}, and its row for {stamp} comes too late"
        )

    def _note_leap(self, rows: "LiveRows", places: np.ndarray, steps: np.ndarray) -> None:
        """Tell, once, of a row far ahead of its series."""
        if self.leapt or self.options.quiet or not (steps > _FAR).any():
            return
        self.leapt, first = True, (steps > _FAR).argmax()
        place, which = places[first], rows.which[places[first]]
        print(
            f"note: line {rows.lines[place]}: series {self.names[which]!r} leaps {steps[first]} steps ahead, "
            f"to {self.stream.stamp(rows.ticks[place])}: its rows up to there will come too late",
            file=sys.stderr,
        )

    def _all(self, rows: "LiveRows", begin: int, n: int) -> None:
        """Take `n` stamps of all series at once."""
        count = len(self.stream.ids)
        order = np.argsort(rows.which[begin : begin + n * count].reshape(n, count), 1)
        at = (begin + order + count * np.arange(n)[:, None]).reshape(-1)
        values, beside = rows.values[at].reshape(n, count), rows.beside[at].reshape(n, count, -1)
        found = self.stream.follow(rows.ticks[at].reshape(n, count), values, beside)
        self._tell(rows, *_as_they_came(at, found))

    def _some(self, rows: "LiveRows", places: np.ndarray) -> None:
        """Take rows of one stamp, but those that come twice or do not lie on the grid."""
        steps, usable = np.zeros(len(places), np.int64), np.ones(len(places), bool)
        try:
            steps[:] = self.stream.steps(rows.which[places], rows.ticks[places])
        except InputError:  # of one of them, or more
            for i, place in enumerate(places):
                one = slice(place, place + 1)
                try:
                    steps[i] = self.stream.steps(rows.which[one], rows.ticks[one])[0]
                except InputError as error:
                    usable[i] = False
                    self._skip("broken", 1, iter([str(error).removeprefix("stream: ").removesuffix(".")]))
        self._leave_out(rows, places[usable & (steps <= 0)])
        self._note_leap(rows, places, steps)
        fresh = places[steps > 0]
        _, first = np.unique(rows.which[fresh], return_index=True)
        self.counts["known"] += len(fresh) - len(first)
        fresh = fresh[np.sort(first)]
        if len(fresh):
            given = rows.which[fresh], rows.ticks[fresh], rows.values[fresh], rows.beside[fresh]
            self._tell(rows, fresh, self.stream.push(*given))

    def _tell(self, rows: "LiveRows", places: np.ndarray, found: "Expected") -> None:
        """Write rows with what was expected of them."""
        self.counts["rows"] += len(places)
        numbers = dict(found.columns)
        if self.options.detect:
            numbers |= {"score": found.score, "anomaly": np.abs(found.score) >= self.options.threshold}
            self.counts["anomalies"] += int(numbers["anomaly"].sum())
        if not self.begun:
            sys.stdout.write(self.writer.header(list(numbers)))
            self.begun = True
        sys.stdout.write(self.writer.rows(rows.told.some(places), numbers))

    def save(self) -> None:
        """Keep where the stream is, if there is a place for it."""
        from statespace.files import replace_folder_atomically

        if self.options.state is None:
            return
        self.stream.keep()
        with replace_folder_atomically("stream", self.options.state) as fresh:
            self.forecaster.save(fresh / _MODEL)
            rest = self.lines.rest.decode("utf-8", errors="surrogateescape")
            state = {"rest": rest, "header": self.reader.header}
            (fresh / _STATE).write_text(json.dumps(state) + "\n", encoding="utf-8")

    def summary(self) -> str:
        """Return what was done, in a line."""
        counts, parts = self.counts, [f"{self.counts['rows']} rows"]
        if self.options.detect:
            parts.append(f"{counts['anomalies']} anomalies (score of {self.options.threshold:g} and more)")
        if counts["known"]:
            parts.append(f"{counts['known']} left out that were known before")
        if counts["unclear"]:
            parts.append(f"{counts['unclear']} left out that were known before or too late")
        if counts["late"]:
            parts.append(f"{counts['late']} left out that came too late")
        if counts["broken"]:
            parts.append(f"{counts['broken']} lines skipped that could not be used")
        return ", ".join(parts)


def run(options: argparse.Namespace) -> int:
    """Do the job; see the options."""
    from statespace.files import expect_writable_folder
    from statespace.forecasting import Forecaster

    if sys.stdin is None:
        raise InputError(
            "stream: there is no standard input, but rows are read from it: give them by a pipe or a file."
        )
    model, rest, header = Path(options.model), b"", None
    if options.state is not None:
        expect_writable_folder("stream", options.state)
        if (state := Path(options.state) / _STATE).is_file():
            model, (rest, header) = Path(options.state) / _MODEL, _kept(state)
    session = _Session(options, Forecaster.load(model), rest, header)
    session.run()
    if not options.quiet:
        print(session.summary(), file=sys.stderr)
    return _KILLED + session.lines.stopped if session.lines.stopped else 0
