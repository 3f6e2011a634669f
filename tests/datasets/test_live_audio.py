"""Audio through a pipe: what was written comes back in parts of any length, and nothing makes the reader hang."""

import io
import struct
import wave
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import wavfile

from statespace.datasets import read_audio, read_live
from statespace.errors import InputError

SAMPLES = np.random.default_rng(0).integers(-(2**15), 2**15, (50, 2)).astype("<i2")


def written(width: int = 2, channels: int = 2) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(8000)
        file.writeframes(SAMPLES.tobytes()[: SAMPLES.nbytes // (width * channels) * width * channels])
    return buffer.getvalue()


def written_by_scipy(kind: str) -> bytes:
    buffer = io.BytesIO()
    wavfile.write(buffer, 8000, (SAMPLES / 2**15).astype(kind))
    return buffer.getvalue()


class Slow(io.BytesIO):
    """A pipe that gives three bytes at a time."""

    def read(self, count: int | None = -1) -> bytes:
        return super().read(min(3, count or 0))


GOOD = written()
UNKNOWN = [GOOD[:40] + struct.pack("<I", size) + GOOD[44:] for size in (0, 0xFFFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF - 36)]
EXTENSIBLE = (
    b"RIFF\0\0\0\0WAVELIST\3\0\0\0abc\0fmt \x28\0\0\0"
    + struct.pack("<HHIIHHHHI", 0xFFFE, 2, 8000, 32000, 4, 16, 22, 16, 3)
    + struct.pack("<H", 1)
    + bytes(14)
    + b"data\xff\xff\xff\xff"
    + SAMPLES.tobytes()
)


FLOATS = (SAMPLES / 2**15).astype("<f4")
FLOAT = (
    b"RIFF\0\0\0\0WAVEfmt \x12\0\0\0"
    + struct.pack("<HHIIHHH", 3, 2, 8000, 64000, 8, 32, 0)
    + b"fact\4\0\0\0\x32\0\0\0data\xff\xff\xff\xff"
    + FLOATS.tobytes()
)


@pytest.mark.parametrize("data", [GOOD, GOOD + b"LIST\4\0\0\0abcd", *UNKNOWN, EXTENSIBLE, FLOAT])
def test_wav(data: bytes) -> None:
    audio = read_live(Slow(data))
    assert (audio.rate, audio.channels) == (8000, 2)
    found = [audio.chunks.read(count, 2) for count in (1, 20, 100, 5)]
    assert [len(part) for part in found] == [1, 20, 29, 0]
    np.testing.assert_array_equal(np.concatenate(found), SAMPLES / np.float32(2**15))


@pytest.mark.parametrize("data", [*map(written, (1, 2, 3, 4)), *map(written_by_scipy, ("<f4", "<f8"))])
def test_every_kind_of_a_file_is_taken_in_the_same_scale(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(data)
    want = read_audio(tmp_path / "a.wav").samples.T
    audio = read_live(Slow(data))
    found = [audio.chunks.read(count, 2) for count in (1, 20, 200, 5)]
    assert [len(part) for part in found] == [1, 20, len(want) - 21, 0]
    np.testing.assert_array_equal(np.concatenate(found), want)


def test_raw_samples() -> None:
    audio = read_live(Slow(SAMPLES.tobytes() + b"x"))  # half a sample at the end
    assert (audio.rate, audio.channels) == (None, None)
    np.testing.assert_array_equal(audio.chunks.read(80, 1)[:, 0], SAMPLES.reshape(-1)[:80] / np.float32(2**15))
    assert audio.chunks.read(80, 1).shape == (20, 1)
    assert len(read_live(io.BytesIO(GOOD), "pcm").chunks.read(1000, 1)) == len(GOOD) // 2


@pytest.mark.parametrize(
    ("data", "form", "message"),
    [
        (b"", "auto", "nothing came"),
        (GOOD[:30], "auto", "the WAV header ends before its samples"),
        (b"hello there, this is text", "wav", "no WAV file"),
        (GOOD[:20] + b"\7" + GOOD[21:], "auto", "samples of kind 7 in 2 bytes each"),
        (GOOD[:12] + b"data\0\0\0\0", "auto", "no rate or no channels"),
        (GOOD[:12] + b"LIST\xff\xff\xff\x7f", "auto", "a part of 2147483647 bytes"),
        (GOOD, "mp3", "form is 'mp3'"),
    ],
)
def test_what_is_refused(data: bytes, form: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_live(io.BytesIO(data), form)


@given(st.lists(st.tuples(st.integers(0, 43), st.integers(0, 255)), max_size=4), st.integers(0, 244))
@settings(max_examples=200, deadline=None)
def test_anything_ends(changes: list[tuple[int, int]], end: int) -> None:
    data = bytearray(GOOD)
    for at, byte in changes:
        data[at] = byte
    with suppress(InputError):
        audio = read_live(io.BytesIO(bytes(data[:end])))
        found = audio.chunks.read(10**6, audio.channels or 1)
        assert found.size <= end
        assert audio.chunks.read(1, 1).size == 0
        # What became floating point by chance may be anything.
        assert np.abs(found).max(initial=0) <= 1 or data[20:22] == b"\3\0"
