"""How rows of a table as text are handed to the compiled core: lines to read, and numbers to write behind rows."""

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from statespace.kernels import native as core

# The numbers of kernels/native/text.h.
EMPTY, PLAIN, OTHER = range(3)
_LONGEST = 32


class Told(NamedTuple):
    """Pieces of one text.

    Attributes:
        text: its bytes.
        spans: begin and end of each piece, ``(pieces, 2)``.
    """

    text: np.ndarray
    spans: np.ndarray

    @classmethod
    def of(cls, pieces: Sequence[bytes]) -> "Told":
        """Return pieces that lie one behind the other."""
        ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
        return cls(np.frombuffer(b"".join(pieces), np.uint8), np.stack([np.append(0, ends)[:-1], ends], 1))

    def some(self, which: np.ndarray) -> "Told":
        """Return some of the pieces, by their numbers or by one truth value for each."""
        return Told(self.text, np.ascontiguousarray(self.spans[which]))

    def then(self, other: "Told") -> "Told":
        """Return these pieces and more behind them."""
        if not len(other.spans):
            return self
        return Told(np.concatenate([self.text, other.text]), np.concatenate([self.spans, other.spans + len(self.text)]))

    def pieces(self) -> list[bytes]:
        """Return each by itself."""
        text = self.text.tobytes()
        return [text[begin:end] for begin, end in self.spans.tolist()]


class Lines(NamedTuple):
    """What was read of lines; numbers of a line count where it is `PLAIN`.

    Attributes:
        kind: of each line, `EMPTY`, `PLAIN` or `OTHER`.
        begin: where it begins, and behind the last, where that ends, ``(lines + 1,)``.
        which: numbers of the series.
        numbers: the value and what stands beside it, ``(lines, columns)``, NaN for nothing.
        stamp: numbers of the stamps.
        stamps: as they are written.
        told: series, stamp and value as they are written.
    """

    kind: np.ndarray
    begin: np.ndarray
    which: np.ndarray
    numbers: np.ndarray
    stamp: np.ndarray
    stamps: list[bytes]
    told: Told


def _address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _joined(pieces: Sequence[bytes]) -> tuple[bytes, np.ndarray]:
    """Return pieces one behind the other, and where each ends."""
    return b"".join(pieces), np.cumsum([len(piece) for piece in pieces], dtype=np.int64)


class _ReadRows(ctypes.Structure):
    """The C struct ``statespace::ReadRows`` of kernels/native/text.h, field by field."""

    _fields_ = (
        ("text", ctypes.c_char_p),
        ("length", ctypes.c_int64),
        ("is_json", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("columns", ctypes.c_int64),
        ("places", ctypes.c_void_p),
        ("keys", ctypes.c_char_p),
        ("key_ends", ctypes.c_void_p),
        ("leads", ctypes.c_char_p),
        ("lead_ends", ctypes.c_void_p),
        ("series", ctypes.c_int64),
        ("names", ctypes.c_char_p),
        ("name_ends", ctypes.c_void_p),
        ("sorted", ctypes.c_void_p),
        ("kind", ctypes.c_void_p),
        ("begin", ctypes.c_void_p),
        ("which", ctypes.c_void_p),
        ("numbers", ctypes.c_void_p),
        ("stamp", ctypes.c_void_p),
        ("told", ctypes.c_void_p),
        ("text_told", ctypes.c_void_p),
        ("stamps", ctypes.c_void_p),
        ("found", ctypes.c_int64),
    )


class LineReader:
    """Read lines of which most are alike, many at once.

    Args:
        names: of the series, each once.
        columns: names of the columns: series, stamp, value, and numbers beside it.
        leads: what is told before series, stamp and value.
        is_json: whether a line is an object; else it is fields with commas between them.
    """

    def __init__(self, names: Sequence[str], columns: Sequence[str], leads: Sequence[str], is_json: bool) -> None:
        encoded = [name.encode(errors="replace") for name in names]
        order = np.array(sorted(range(len(encoded)), key=encoded.__getitem__), np.int64)
        self._names, self._columns, self._order = _joined(encoded), len(columns), order
        self._keys = _joined([name.encode(errors="replace") for name in columns])
        self._leads, self._is_json = _joined([lead.encode(errors="replace") for lead in leads]), is_json

    def read(self, text: bytes, places: Sequence[int] = (), width: int = 0) -> Lines:
        """Read lines.

        Args:
            text: whole lines.
            places: of the columns among the fields of a line of CSV, -1 for one that is not there.
            width: number of fields.
        """
        count = text.count(b"\n") + (text[-1:] not in (b"", b"\n"))
        kind, begin = np.empty(count, np.uint8), np.empty(count + 1, np.int64)
        which, stamp = np.zeros(count, np.int64), np.zeros(count, np.int64)
        numbers = np.full((count, self._columns - 2), np.nan)
        spans, stamps = np.zeros((count, 2), np.int64), np.empty((count, 2), np.int64)
        told = np.empty(len(text) + count * len(self._leads[0]), np.uint8)
        at = np.array(places, np.int64)
        call = _ReadRows(
            text, len(text), self._is_json, width, self._columns, _address(at), *self._pair(self._keys),
            *self._pair(self._leads), len(self._order), *self._pair(self._names), _address(self._order), _address(kind),
            _address(begin), _address(which), _address(numbers), _address(stamp), _address(spans), _address(told),
            _address(stamps),
        )  # fmt: skip
        function = core.library().statespace_read_rows
        function.restype = ctypes.c_int64
        function(ctypes.byref(call))
        begin[count] = len(text)
        return Lines(kind, begin, which, numbers, stamp, Told(told, stamps[: call.found]).pieces(), Told(told, spans))

    @staticmethod
    def _pair(joined: tuple[bytes, np.ndarray]) -> tuple[bytes, ctypes.c_void_p]:
        return joined[0], _address(joined[1])


class _WriteRows(ctypes.Structure):
    """The C struct ``statespace::WriteRows`` of kernels/native/text.h, field by field."""

    _fields_ = (
        ("rows", ctypes.c_int64),
        ("columns", ctypes.c_int64),
        ("told", ctypes.c_void_p),
        ("spans", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("digits", ctypes.c_void_p),
        ("leads", ctypes.c_char_p),
        ("lead_ends", ctypes.c_void_p),
        ("words", ctypes.c_char_p * 3),
        ("to", ctypes.c_void_p),
    )


def write_rows(
    told: Told, values: Sequence[np.ndarray], digits: Sequence[int], leads: Sequence[str], words: Sequence[str]
) -> bytes:
    """Return the text of rows, with numbers behind each.

    Args:
        told: the rows.
        values: columns of numbers, ``(rows,)`` each.
        digits: of each column, at most, as in ``%.7g``; 0 where it is false or true.
        leads: what stands before each column, and behind the last.
        words: for NaN, false and true.
    """
    columns = [np.ascontiguousarray(part, np.float64) for part in values]
    addresses = np.array([part.ctypes.data for part in columns], np.int64)
    most, before = np.array(digits, np.int64), _joined([lead.encode(errors="replace") for lead in leads])
    spans = np.ascontiguousarray(told.spans)
    room = int((spans[:, 1] - spans[:, 0]).sum()) + len(spans) * (len(before[0]) + _LONGEST * len(columns))
    to = np.empty(room, np.uint8)
    call = _WriteRows(
        len(spans), len(columns), _address(told.text), _address(spans), _address(addresses), _address(most),
        before[0], _address(before[1]), (ctypes.c_char_p * 3)(*(word.encode() for word in words)), _address(to),
    )  # fmt: skip
    function = core.library().statespace_write_rows
    function.restype = ctypes.c_int64
    return to[: function(ctypes.byref(call))].tobytes()
