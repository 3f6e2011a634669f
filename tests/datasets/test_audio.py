"""WAV files: what Python's own module writes comes back, and whatever is broken is refused in one sentence."""

import io
import wave
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statespace.datasets import read_audio
from statespace.errors import InputError


def written(samples: np.ndarray, rate: int, width: int) -> bytes:
    """Whole numbers of 32 bits, ``(n, channels)``, as a WAV file of `width` bytes each, by the standard library."""
    frames = np.ascontiguousarray(samples.astype("<i4")).view(np.uint8).reshape(*samples.shape, 4)[..., 4 - width :]
    if width == 1:
        frames = frames ^ 0x80  # bytes lie around 128
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(frames.tobytes())
    return buffer.getvalue()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_the_standard_library_writes_comes_back(tmp_path: Path, width: int, channels: int) -> None:
    samples = np.random.default_rng(0).integers(-(2**31), 2**31, (57, channels))
    (tmp_path / "a.wav").write_bytes(written(samples, 8000, width))
    found = read_audio(tmp_path / "a.wav")
    assert found.rate == 8000
    assert found.samples.dtype == np.float32
    assert found.samples.shape == (channels, 57)
    # what is cut off is less than one step of the shorter type; float32 rounds at 2^-24
    np.testing.assert_allclose(found.samples.T, samples / 2.0**31, rtol=0, atol=2.0 ** (1 - 8 * width) + 2.0**-24)


def test_floating_point(tmp_path: Path) -> None:
    from scipy.io import wavfile

    samples = np.linspace(-1, 1, 9, dtype=np.float32)
    wavfile.write(tmp_path / "a.wav", 44100, samples)
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav").samples[0], samples)
    wavfile.write(tmp_path / "b.wav", 44100, np.array([0, np.nan], dtype=np.float32))
    with pytest.raises(InputError, match="not finite"):
        read_audio(tmp_path / "b.wav")


def test_a_spoken_digit(real_data: Path, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(real_data / "fsdd" / "fsdd.zip") as archive:
        name = next(name for name in archive.namelist() if name.endswith(".wav"))
        archive.extract(name, tmp_path)
    samples, rate = read_audio(tmp_path / name)
    with wave.open(str(tmp_path / name)) as file:
        assert (rate, samples.shape) == (file.getframerate(), (1, file.getnframes()))


GOOD = written(np.arange(-500, 500)[:, None] << 16, 8000, 2)
BROKEN = {
    "empty": (b"", "is empty"),
    "text": (b"hello there, this is text", "is not a WAV file"),
    "header only": (GOOD[:30], "is cut short"),
    "half of the samples": (GOOD[:1044], "is cut short"),
    "no samples": (written(np.zeros((0, 1), int), 8000, 2), "holds no samples"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files(tmp_path: Path, case: str) -> None:
    data, message = BROKEN[case]
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_audio(tmp_path / "a.wav")


def test_a_file_cut_short_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(GOOD[:1044])
    found = read_audio(tmp_path / "a.wav", cut_short="keep").samples
    np.testing.assert_array_equal(found[0], np.arange(-500, 0) / 2.0**15)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(No such file"):
        read_audio(tmp_path / "a.wav")


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=4), st.integers(0, 400))
@settings(max_examples=300, deadline=None)
def test_anything_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, changes, end) -> None:
    data = bytearray(GOOD)
    for at, byte in changes:
        data[at] = byte
    path = tmp_path_factory.getbasetemp() / "fuzzed.wav"
    path.write_bytes(data[:end])
    with suppress(InputError):
        samples, rate = read_audio(path, cut_short="keep")
        assert samples.ndim == 2
        assert samples.size
        assert rate > 0
        assert np.isfinite(samples).all()
