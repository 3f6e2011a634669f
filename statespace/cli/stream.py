"""``statespace stream model/ --detect < rows.csv``: what was expected of each row before it came, and how far off."""

import argparse
import codecs
import json
import os
import select
import signal
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statespace.cli.options import level, positive, whole
from statespace.errors import InputError

if TYPE_CHECKING:
    from statespace.forecasting.stream import Expected

_CHUNK, _CHUNKS = 1 << 20, 4  # bytes that are read at once, and how often before they are looked at
_PATIENCE = 0.01  # s to wait for the other rows of a stamp
_KILLED = 128  # and the number of the signal: the exit code, as a shell gives it
_STATE, _MODEL = "stream.json", "model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``statespace stream``."""
    parser.add_argument("model", help="folder of a model that 'statespace forecast' or Forecaster.save wrote")
    parser.add_argument("--format", choices=("csv", "jsonl"), default="csv", help="of the lines, in and out (csv)")
    parser.add_argument("--level", type=level, nargs="+", default=[95], help="levels of the intervals in percent (95)")
    parser.add_argument("--detect", action="store_true", help="say how far off each row is, in standard deviations")
    parser.add_argument("--threshold", type=positive, default=4.0, help="score from which a row is an anomaly (4)")
    parser.add_argument("--state", metavar="FOLDER", help="where to go on from, if it is there, and to keep the end in")
    parser.add_argument("--save-every", type=whole, default=0, metavar="ROWS", help="keep it this often too (never)")
    parser.add_argument(
        "--on-error", choices=("skip", "stop"), default="skip", help="what to do with a line that cannot be used (skip)"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but rows and errors")


class _Lines:
    """Whole lines from a file descriptor, until it ends, or SIGTERM or Ctrl-C comes."""

    def __init__(self, descriptor: int, rest: bytes) -> None:
        self._descriptor, self.rest, self.stopped, self._ended = descriptor, rest, 0, False
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        # A pipe holds 64 KiB, so that the rows of one stamp of many series would come in parts.
        with suppress(ImportError, AttributeError, OSError):
            fcntl = import_module("fcntl")
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _CHUNK)

    def _stop(self, number: int, *_: Any) -> None:
        self.stopped = number

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGTERM and Ctrl-C as the wish to stop."""
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        woken = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(woken)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._woken)
            os.close(self._wake)

    def _waiting(self) -> bytes:
        """Return what has come, up to a limit: many rows at once take less time than in parts as large as a pipe."""
        parts = [os.read(self._descriptor, _CHUNK)]
        while parts[-1] and len(parts) < _CHUNKS and self.more():
            parts.append(os.read(self._descriptor, _CHUNK))
        return b"".join(parts)

    def more(self, patience: float = 0.0) -> bool:
        """Return whether there is more to read within so many seconds; not after the end."""
        return not self._ended and bool(select.select([self._descriptor], [], [], patience)[0])

    def give_back(self, text: bytes) -> None:
        """Take the last lines again, to stand before what is read next."""
        self.rest = text + self.rest

    def __iter__(self) -> Iterator[bytes]:
        while not self.stopped:
            ready, _, _ = select.select([self._descriptor, self._woken], [], [])
            if self.stopped or self._descriptor not in ready:  # a pipe may close as the wish to stop comes
                continue
            found = self._waiting()
            self._ended = not found
            whole, newline, self.rest = (self.rest + found).rpartition(b"\n") if found else (self.rest, b"", b"")
            if whole or newline:
                yield whole + newline
            if self._ended:
                return


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


def run(options: argparse.Namespace) -> int:
    """Do the job; see the options."""
    from statespace.files import expect_writable_folder, replace_folder_atomically
    from statespace.forecasting import Forecaster
    from statespace.forecasting.live_rows import LiveRows, RowReader, RowWriter
    from statespace.forecasting.stream import ForecastStream

    if sys.stdin is None:
        raise InputError(
            "stream: there is no standard input, but rows are read from it: give them by a pipe or a file."
        )
    folder = None if options.state is None else Path(options.state)
    if folder is not None:
        expect_writable_folder("stream", folder)
    goes_on = folder is not None and (folder / _STATE).is_file()
    rest, header = _kept(folder / _STATE) if folder is not None and goes_on else (b"", None)
    forecaster = Forecaster.load(folder / _MODEL if folder is not None and goes_on else options.model)
    stream = ForecastStream(forecaster, options.level)
    like = forecaster.last_stamp
    reader = RowReader(forecaster.columns, stream.ids, like, options.format)
    lines = _Lines(sys.stdin.fileno(), rest)
    counts = {"rows": 0, "known": 0, "broken": 0, "anomalies": 0}
    writer, begun = RowWriter(forecaster.columns, options.format), False

    def broken(sentences: Collection[str]) -> None:
        counts["broken"] += len(sentences)
        for sentence in sentences:
            if options.on_error == "stop":
                raise InputError(f"stream: {sentence}: mend it, or pass --on-error skip.")
            if not options.quiet and counts["broken"] <= 10:
                print(f"note: {sentence}; skipped", file=sys.stderr)

    def save() -> None:
        if folder is None:
            return
        stream.keep()
        with replace_folder_atomically("stream", folder) as fresh:
            forecaster.save(fresh / _MODEL)
            state = {"rest": lines.rest.decode("utf-8", errors="surrogateescape"), "header": reader.header}
            (fresh / _STATE).write_text(json.dumps(state) + "\n", encoding="utf-8")

    def told(rows: LiveRows, places: np.ndarray, found: "Expected") -> None:
        nonlocal begun
        counts["rows"] += len(places)
        numbers = dict(found.columns)
        if options.detect:
            numbers |= {"score": found.score, "anomaly": np.abs(found.score) >= options.threshold}
            counts["anomalies"] += int(numbers["anomaly"].sum())
        if not begun:
            sys.stdout.write(writer.header(list(numbers)))
            begun = True
        sys.stdout.write(writer.rows(rows.told.some(places), numbers))

    def read(text: bytes) -> None:
        """Take lines; if a broken one is to stop the stream, those before it are taken, and kept as the end."""
        rows = reader.read(text)
        try:
            if options.on_error == "stop" and rows.problems:
                take(rows.some(rows.lines < min(rows.problems)))
            broken(rows.problems.values())
            take(rows)
        except InputError:
            sys.stdout.flush()
            lines.rest = b""
            save()
            raise
        sys.stdout.flush()

    def take(rows: LiveRows) -> None:
        new = rows.ticks > stream.last[rows.which]
        counts["known"] += int((~new).sum())
        rows, count = rows.some(new), len(stream.ids)
        for part, stamps in _rounds(rows.which, rows.ticks, count):
            done = 0
            while done < stamps:
                ahead = rows.ticks[part][done * count :: count]
                n = stream.goes_on(ahead)
                begin = part.start + done * count
                if n == 0:
                    some(rows, np.arange(begin, begin + count))
                    done += 1
                    continue
                order = np.argsort(rows.which[begin : begin + n * count].reshape(n, count), 1)
                at = (begin + order + count * np.arange(n)[:, None]).reshape(-1)
                values, beside = rows.values[at].reshape(n, count), rows.beside[at].reshape(n, count, -1)
                found = stream.follow(rows.ticks[at].reshape(n, count), values, beside)
                told(rows, *_as_they_came(at, found))
                done += n
            if not stamps:
                some(rows, np.arange(part.start, part.stop))

    def some(rows: LiveRows, places: np.ndarray) -> None:
        """Take rows of one stamp, but those that come twice or do not lie on the grid."""
        later = np.zeros(len(places), bool)
        try:
            later[:] = stream.steps(rows.which[places], rows.ticks[places]) > 0
            counts["known"] += int((~later).sum())
        except InputError:  # of one of them, or more
            for i, place in enumerate(places):
                one = slice(place, place + 1)
                try:
                    later[i] = stream.steps(rows.which[one], rows.ticks[one])[0] > 0
                    counts["known"] += not later[i]
                except InputError as error:
                    broken([str(error).removeprefix("stream: ").removesuffix(".")])
        fresh = places[later]
        _, first = np.unique(rows.which[fresh], return_index=True)
        counts["known"] += len(fresh) - len(first)
        fresh = fresh[np.sort(first)]
        if len(fresh):
            found = stream.push(rows.which[fresh], rows.ticks[fresh], rows.values[fresh], rows.beside[fresh])
            told(rows, fresh, found)

    if header and options.format == "csv":
        reader.header = header
    saved = 0
    with lines.listening():
        for part in lines:
            if rest:  # of a line that was cut when the stream was stopped
                part = part if reader.goes_on(rest, part.removeprefix(rest)) else part.removeprefix(rest)
                rest = b""
            if reader.line == 0 and options.format == "jsonl":
                part = part.removeprefix(codecs.BOM_UTF8)
            if reader.header is None or (header and reader.line == 0):
                first, _, later = part.partition(b"\n")
                line = first.decode("utf-8", errors="replace").removesuffix("\r")
                if reader.header is None or line == ",".join(reader.header):
                    reader.read_header(line.removeprefix("\ufeff"))
                    part = later
            if (last := reader.begun(part)) and lines.more(_PATIENCE):  # all rows of a stamp go together
                lines.give_back(part[-last:])
                part = part[:-last]
            read(part)
            if options.save_every > 0 and counts["rows"] - saved >= options.save_every:
                save()
                saved = counts["rows"]
        save()
    if not options.quiet:
        print(_summary(counts, options), file=sys.stderr)
    return _KILLED + lines.stopped if lines.stopped else 0


def _summary(counts: dict[str, int], options: argparse.Namespace) -> str:
    parts = [f"{counts['rows']} rows"]
    if options.detect:
        parts.append(f"{counts['anomalies']} anomalies (score of {options.threshold:g} and more)")
    if counts["known"]:
        parts.append(f"{counts['known']} left out that were known before")
    if counts["broken"]:
        parts.append(f"{counts['broken']} lines skipped that could not be used")
    return ", ".join(parts)
