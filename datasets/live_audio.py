"""Audio while it comes, from a pipe: raw PCM of 16 bits, or a WAV file of unknown end, in the numbers of `read_audio`.

Whoever writes WAV into a pipe cannot say how long it will be, and puts zero or the largest number in its header:
samples are read until the pipe ends, or until the length that was stated.
"""

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from statespace.datasets.audio import as_fraction
from statespace.errors import InputError, choose

FORMATS = ("auto", "pcm", "wav")
# By the number of the kind, PCM or floating point, and the bytes of a sample; three bytes are the upper ones of four.
_KINDS = {(1, 1): "u1", (1, 2): "<i2", (1, 3): "<i4", (1, 4): "<i4", (3, 4): "<f4", (3, 8): "<f8"}
_UNKNOWN = {0, 0x7FFFFFFF, 0xFFFFFFFF}  # lengths, all but a header's worth below
_MOST = 2**20  # bytes in a chunk of the header that is skipped


class LiveAudio(NamedTuple):
    """Audio that is still coming.

    Attributes:
        rate: samples in a second, in Hz; ``None`` if it is not stated.
        channels: number of channels; ``None`` if it is not stated.
        chunks: gives what has come, ``(n, channels)``, float32, when n are there or the pipe has ended. Whole numbers
            are brought to [-1, 1], as `read_audio` does.
    """

    rate: float | None
    channels: int | None
    chunks: "Chunks"


class Chunks:
    """Samples of a pipe, in parts of any length."""

    def __init__(self, file: BinaryIO, begin: bytes, left: int | None, kind: tuple[int, int] = (1, 2)) -> None:
        self._file, self._begin, self._left = file, begin, left
        self._kind: np.dtype[Any] = np.dtype(_KINDS[kind])
        self._width = kind[1]

    def _bytes(self, count: int) -> bytes:
        if self._left is not None:
            count = min(count, self._left)
        found = self._begin[:count]
        self._begin = self._begin[count:]
        found += _read(self._file, count - len(found))
        if self._left is not None:
            self._left -= len(found)
        return found

    def read(self, count: int, channels: int) -> np.ndarray:
        """Wait for `count` samples and return them, ``(n, channels)``; fewer only where the pipe has ended."""
        frame = self._width * channels
        found = self._bytes(count * frame)
        whole = len(found) // frame * frame  # what is cut off at the very end is no sample
        given = np.frombuffer(found[:whole], np.uint8).reshape(-1, self._width)
        spare = self._kind.itemsize - self._width
        samples = np.pad(given, ((0, 0), (spare, 0))).reshape(-1).view(self._kind)
        return as_fraction(samples.reshape(-1, channels))


def _read(file: BinaryIO, count: int) -> bytes:
    """Read `count` bytes, or what there is before the end."""
    parts: list[bytes] = []
    while count > 0:
        part = file.read(count)
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _chunk_headers(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    while len(head := _read(file, 8)) == 8:
        yield head[:4], struct.unpack("<I", head[4:])[0]
    raise InputError("read_live: the WAV header ends before its samples: send a whole one, or raw samples as 'pcm'.")


def _read_header(file: BinaryIO) -> LiveAudio:
    """Read a WAV header behind its first 12 bytes."""
    rate = channels = None
    form = (1, 2)
    for name, size in _chunk_headers(file):
        if name == b"data":
            break
        if size > _MOST:
            raise InputError(f"read_live: the WAV header has a part of {size} bytes: send a plain one, or raw samples.")
        body = _read(file, size + size % 2)
        if name == b"fmt " and len(body) >= 16:
            kind, channels, rate, _, block = struct.unpack("<HHIIH", body[:14])
            if kind == 0xFFFE and len(body) >= 26:  # the kind proper stands further behind
                kind = struct.unpack("<H", body[24:26])[0]
            form = (kind, block // max(channels, 1))
            if form not in _KINDS:
                raise InputError(
                    f"read_live: the WAV holds samples of kind {kind} in {form[1]} bytes each, but PCM (1) in 1 to 4 "
                    "or floating point (3) in 4 or 8 is expected: convert it on its way."
                )
    if not rate or not channels:
        raise InputError("read_live: the WAV header states no rate or no channels: send a whole one.")
    unknown = size in _UNKNOWN or size > 0xFFFFFFFF - 4096
    return LiveAudio(float(rate), channels, Chunks(file, b"", None if unknown else size, form))


def read_live(file: BinaryIO, form: str = "auto") -> LiveAudio:
    """Begin to read audio from a pipe.

    Args:
        file: the pipe, opened for bytes.
        form: ``"pcm"``, raw whole numbers of 16 bits, little endian, channel by channel; ``"wav"``; or ``"auto"``, WAV
            if it begins as such.
    Returns:
        What is stated, and a reader of what comes.
    Raises:
        InputError: nothing came, or the header is not that of a WAV file with PCM of 8 to 32 bits or floating point.
    """
    choose("read_live", "form", form, FORMATS)
    begin = _read(file, 12)
    is_wav = len(begin) == 12 and begin[:4] == b"RIFF" and begin[8:] == b"WAVE"
    if not begin:
        raise InputError("read_live: nothing came through the pipe: send raw samples of 16 bits, or a WAV file.")
    if form == "wav" and not is_wav:
        raise InputError("read_live: what came is no WAV file: send one, or say that it is 'pcm'.")
    if is_wav and form != "pcm":
        return _read_header(file)
    return LiveAudio(None, None, Chunks(file, begin, None))
