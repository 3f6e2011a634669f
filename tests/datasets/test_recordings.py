"""Data sets of recordings: every form holds the same, rates and channels are made alike, what is broken is named."""

import re
import wave
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statespace.datasets import read_recordings, resample
from statespace.errors import InputError


def wav(path: Path, samples: np.ndarray, rate: int = 8000) -> Path:
    """Write ``(channels, n)`` in [-1, 1] with the standard library."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(samples.T * 2**15).clip(-(2**15), 2**15 - 1).astype("<i2").tobytes())
    return path


def tone(hertz: float, rate: int = 8000, seconds: float = 0.05, channels: int = 1) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    return np.tile(0.5 * np.sin(2 * np.pi * hertz * t), (channels, 1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label, hertz in (("high", 1000), ("low", 200)):
        for number in range(3):
            wav(tmp_path / "data" / label / f"{number}.wav", tone(hertz + number))
    return tmp_path / "data"


# ----------------------------------------------------------------------------------------------------------- forms


def test_a_folder_for_each_class(folder: Path) -> None:
    (folder / "high" / ".hidden.wav").write_text("not looked at")
    (folder / ".git").mkdir()
    found = read_recordings(folder)
    assert found.labels == ["high"] * 3 + ["low"] * 3
    assert found.names == [f"{label}/{number}.wav" for label in ("high", "low") for number in range(3)]
    assert (found.groups, found.splits, found.rate, len(found)) == (None, None, 8000, 6)
    assert all(signal.dtype == np.float32 and signal.shape == (1, 400) for signal in found.signals)
    np.testing.assert_allclose(found.signals[4][0], tone(201)[0], atol=2.0**-15)


def test_files_of_other_kinds_are_told(folder: Path) -> None:
    for name in ("high/a.mp3", "low/b.MP3", "low/within/c.flac", "low/.DS_Store", "list.csv"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    with pytest.warns(UserWarning, match=r"which were left out: 2 \.mp3, 1 \.flac\. Convert to WAV") as told:
        assert len(read_recordings(folder)) == 6
    assert len(told) == 1
    with pytest.warns(UserWarning, match=r"left out: 1 \.mp3\."):
        read_recordings(folder / "high")
    (folder / "other" / "a").mkdir(parents=True)
    (folder / "other" / "a" / "1.mp3").write_bytes(b"")
    with pytest.raises(InputError, match=r"holds no recordings but 1 \.mp3: \.wav or"):
        read_recordings(folder / "other")


def test_arrays_that_look_transposed_are_named(tmp_path: Path) -> None:
    for number, length in enumerate((40, 50, 60)):
        np.save(tmp_path / f"{number}.npy", np.zeros((length, 2)))
    message = r"'0\.npy' has 40 channels of 2 samples: it looks transposed\. Time is the last axis"
    for options in ({}, {"channels": "mono"}, {"in_memory": False}):
        with pytest.raises(InputError, match=message):
            read_recordings(tmp_path, **options)  # type: ignore[arg-type]
    assert read_recordings(tmp_path / "0.npy").channels == 40  # one may be what it says


def test_rows_of_a_split_however_it_is_written(folder: Path) -> None:
    rows = "".join(f"low/{n}.wav,{split}\n" for n, split in enumerate(("Train", "TEST", "train")))
    (folder / "list.csv").write_text("path,split\n" + rows)
    found = read_recordings(folder / "list.csv")
    assert [found.in_split(name) for name in ("train", "test", "val")] == [[0, 2], [1], []]
    assert read_recordings(folder).in_split("train") == []


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_a_table_of_files(folder: Path, suffix: str) -> None:
    rows = [
        ("high/0.wav", "007", "ann", "train"),
        ("low/2.wav", "NA", "bob", "test"),
        ("high/1.wav", "007", "ann", "test"),
    ]
    table = pd.DataFrame(rows, columns=["path", "label", "group", "split"])
    path = folder / f"list.{suffix}"
    if suffix == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    found = read_recordings(path)
    assert (found.labels, found.groups) == (["007", "NA", "007"], ["ann", "bob", "ann"])
    assert found.splits == ["train", "test", "test"]
    np.testing.assert_array_equal(found.signals[1], read_recordings(folder).signals[5])
    part = found.take([2, 0])
    assert (part.names, part.splits) == (["high/1.wav", "high/0.wav"], ["test", "train"])


def test_a_file_a_bare_folder_and_a_table_without_classes(folder: Path) -> None:
    assert read_recordings(folder / "low" / "0.wav").names == ["0.wav"]
    assert read_recordings(folder / "low").labels is None
    (folder / "list.csv").write_text("path\nlow/0.wav\n")
    assert read_recordings(folder / "list.csv").labels is None


def test_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(5))
    np.save(tmp_path / "b.npy", np.array([[1.0, np.nan, 3.0]]))
    found = read_recordings(tmp_path)
    np.testing.assert_array_equal(found.signals[0], [[0, 1, 2, 3, 4]])
    np.testing.assert_array_equal(found.signals[1], [[1, np.nan, 3]])
    assert (found.rate, found.rates) == (None, [None, None])
    assert read_recordings(tmp_path, rate=50).rate == 50
    assert read_recordings(tmp_path, assumed=40).rate == 40


def test_archives_are_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("1\t0.5\t2\n-1\t3\t4\n")
    found = read_recordings(tmp_path / "a.tsv")
    assert (found.labels, found.rate) == (["1", "-1"], None)
    np.testing.assert_array_equal(found.signals[1], [[3, 4]])
    assert found.targets is None
    (tmp_path / "r.ts").write_text("@targetlabel true\n@data\n1,2:0.25\n3,4:-7\n")
    found = read_recordings(tmp_path / "r.ts")
    assert found.labels is None
    np.testing.assert_array_equal(found.targets, [0.25, -7])
    np.testing.assert_array_equal(found.take([1]).targets, [-7])


def test_a_long_table(tmp_path: Path) -> None:
    rows = [("b", 1, "x", 4.0, 5.0), ("a", 0, "y", 1.0, 2.0), ("b", 0, "x", 3.0, np.nan)]
    pd.DataFrame(rows, columns=["case", "time", "label", "u", "v"]).to_csv(tmp_path / "long.csv", index=False)
    found = read_recordings(tmp_path / "long.csv")
    assert (found.names, found.labels) == (["a", "b"], ["y", "x"])
    np.testing.assert_array_equal(found.signals[1], [[3, 4], [np.nan, 5]])


@pytest.mark.parametrize("stamps", [False, True])
def test_times_of_a_long_table_that_do_not_fit_are_told(tmp_path: Path, stamps: bool) -> None:
    times = pd.Series([0, 1, 2, 3, 0, 1, 2, 9, 0, 2, 4, 6])
    told = pd.Timestamp("2024-05-01") + pd.to_timedelta(times, unit="s") if stamps else times
    table = pd.DataFrame({"case": np.repeat(["a", "b", "c"], 4), "time": told, "u": np.arange(12.0)})
    table.sample(frac=1, random_state=0).to_csv(tmp_path / "long.csv", index=False)
    with pytest.warns(UserWarning, match="times of case") as notes:
        read_recordings(tmp_path / "long.csv")
    assert "times of case 'b' are not evenly spaced (steps from 1 to 7)" in str(notes[0].message)
    assert "times of case 'c' are 2 apart, those of most cases 1 (1 of 3 differ)" in str(notes[1].message)


# ----------------------------------------------------------------------------------------------- rates and channels


@pytest.mark.parametrize(("rate", "target"), [(8000, 4000), (4000, 8000), (8000, 16000), (44100, 8000), (8000, 44101)])
def test_a_tone_below_both_nyquist_frequencies_stays(rate: int, target: int) -> None:
    found = resample(tone(300, rate).astype(np.float32), rate, target)
    assert found.dtype == np.float32
    want = tone(300, target, found.shape[1] / target)
    inner = slice(target // 100, -target // 100)  # the ends meet silence
    np.testing.assert_allclose(found[:, inner], want[:, : found.shape[1]][:, inner], atol=2e-3)
    assert abs(found.shape[1] - 0.05 * target) <= 1


def test_what_the_new_rate_cannot_hold_is_gone() -> None:
    found = resample(tone(3000).astype(np.float32), 8000, 4000)
    assert np.abs(found[:, 20:-20]).max() < 5e-3  # it would come back as a tone of 1000 Hz


def test_rates_that_nobody_means() -> None:
    with pytest.raises(InputError, match=r"4e\+09 Hz is more than a factor|factor of 256"):
        resample(np.zeros((1, 9), np.float32), 8000, 4e9)
    with pytest.raises(InputError, match="rate is 0"):
        resample(np.zeros((1, 9), np.float32), 0, 8000)


def test_mixed_rates_are_resampled_and_told_or_refused_or_kept(folder: Path) -> None:
    wav(folder / "low" / "3.wav", tone(203, 4000), 4000)
    with pytest.warns(UserWarning, match="1 of 7 recordings were resampled to 8000 Hz: 1 at 4000 Hz"):
        found = read_recordings(folder)
    assert {signal.shape for signal in found.signals} == {(1, 400)}
    assert found.rate == 8000
    with pytest.warns(UserWarning, match="6 of 7 recordings were resampled to 4000 Hz"):
        assert {signal.shape for signal in read_recordings(folder, rate=4000).signals} == {(1, 200)}
    with pytest.raises(InputError, match=r"1 of 7 recordings are not at 8000 Hz.*or --rates resample"):
        read_recordings(folder, rates="refuse")
    kept = read_recordings(folder, rates="keep")
    assert (kept.rate, kept.rates) == (None, [8000] * 6 + [4000])
    assert kept.signals[6].shape == (1, 200)


def test_a_rate_that_is_a_mistake_names_the_file(folder: Path) -> None:
    wav(folder / "low" / "3.wav", tone(203), 2**30)
    with (
        pytest.warns(UserWarning, match="1 of 7"),
        pytest.raises(InputError, match=r"'low/3\.wav' cannot be resampled; .*check the rate"),
    ):
        read_recordings(folder)


def test_mixed_channels_are_refused_or_mixed_down(folder: Path) -> None:
    both = tone(203, channels=2) * [[1.0], [0.5]]
    wav(folder / "low" / "3.wav", both)
    with pytest.raises(InputError, match=r"different numbers of channels \(6 with 1, 1 with 2; 'low/3.wav'"):
        read_recordings(folder)
    found = read_recordings(folder, channels="mono")
    np.testing.assert_allclose(found.signals[6][0], both.mean(0), atol=2.0**-15)


# ------------------------------------------------------------------------------------------------------ what is wrong


def test_broken_files_are_named_and_counted(folder: Path) -> None:
    (folder / "low" / "8.wav").write_bytes(b"")
    with pytest.raises(InputError, match=r"or skip them: .*--unreadable skip; .*8\.wav' is empty"):
        read_recordings(folder)
    (folder / "low" / "9.wav").write_bytes((folder / "low" / "0.wav").read_bytes()[:100])
    np.save(folder / "low" / "objects.npy", np.array([{}, None]), allow_pickle=True)
    np.save(folder / "low" / "nothing.npy", np.array([np.nan]))
    message = r"4 of 10 recordings cannot be read \('low/8.wav', 'low/9.wav', 'low/nothing.npy', 'low/objects.npy'\)"
    with pytest.raises(InputError, match=message) as caught:
        read_recordings(folder)
    assert "\n" not in str(caught.value)
    with pytest.warns(
        UserWarning, match=message.replace("read ", "read and were left out: ").replace(r"\(", "").replace(r"\)", "")
    ):
        found = read_recordings(folder, unreadable="skip")
    assert len(found) == 6
    assert [name for name, _ in found.skipped] == ["low/8.wav", "low/9.wav", "low/nothing.npy", "low/objects.npy"]


def test_an_empty_class_is_left_out_where_that_is_asked(folder: Path) -> None:
    (folder / "none").mkdir()
    with pytest.raises(InputError, match="or skip what is unreadable"):
        read_recordings(folder)
    with pytest.warns(UserWarning, match=r"hold no recordings and were left out \('none'\)"):
        found = read_recordings(folder, unreadable="skip")
    assert len(found) == 6
    assert "none" not in found.labels


def test_nothing_left_is_an_error_whatever_is_asked(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"RIFF")
    with pytest.raises(InputError, match="2 of 2 recordings cannot be read"):
        read_recordings(tmp_path, unreadable="skip")


FOLDERS = {
    "nothing": ([], "holds no recordings"),
    "an empty class": (["a/1.wav", "b/"], r"1 of the class folders of '.*' hold no recordings \('b'\)"),
    "other files": (["a/1.mp3"], "holds no recordings"),
    "files beside classes": (["a/1.wav", "2.wav"], "1 recordings beside its class folders, such as '2.wav'"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_folders_that_cannot_be_used(tmp_path: Path, case: str) -> None:
    names, message = FOLDERS[case]
    for name in names:
        if name.endswith("/"):
            (tmp_path / name).mkdir()
        else:
            wav(tmp_path / name, tone(100))
    with pytest.raises(InputError, match=message):
        read_recordings(tmp_path)


TABLES = {
    "no path": ("file,label\na.wav,x\n", "has the columns file, label, but either 'path', or 'case' and 'time'"),
    "an empty path": ("path,label\na.wav,x\n,y\n", "column 'path' is empty in row 2"),
    "an empty label": ("path,label\na.wav,x\nb.wav,\n", "column 'label' is empty in row 2"),
    "an empty group": ("path,group\na.wav,\n", "column 'group' is empty in row 1"),
    "two classes": ("path,label\na.wav,x\na.wav,y\n", "'a.wav' is of class 'x', but of class 'y' in row 2"),
    "another kind": ("path\na.mp3\n", "holds 'a.mp3' in row 1, but a file that ends in .wav or .npy"),
    "no such file": ("path\nno.wav\n", "no.wav' cannot be read"),
    "no rows": ("path,label\n", "has no rows"),
    "text in a channel": ("case,time,u\n1,0,x\n", "channel 'u' is not numeric"),
    "a time twice": ("case,time,u\n1,0,1\n1,0,2\n", "case .*1.* has two rows for time 0"),
    "two labels": ("case,time,u,label\n1,0,1,x\n1,1,2,y\n", "column 'label' holds 2 values for case '1'"),
    "no channel": ("case,time\n1,0\n", "a channel is missing"),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables_that_cannot_be_used(tmp_path: Path, case: str) -> None:
    text, message = TABLES[case]
    wav(tmp_path / "a.wav", tone(100))
    wav(tmp_path / "b.wav", tone(100))
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_recordings(tmp_path / "list.csv")


def test_sources_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file or folder"):
        read_recordings(tmp_path / "no")
    (tmp_path / "a.mp3").write_bytes(b"x")
    with pytest.raises(InputError, match=r"is neither a folder nor one of \.wav, \.npy, \.ts"):
        read_recordings(tmp_path / "a.mp3")
    for arguments, message in (
        ({"rate": 0}, "rate is 0"),
        ({"rates": "x"}, "rates is 'x'"),
        ({"assumed": -1}, "assumed"),
    ):
        with pytest.raises(InputError, match=message):
            read_recordings(tmp_path, **arguments)


CELLS = st.sampled_from(
    ["a.wav", "b.npy", "c.wav", "x", "", " ", "nan", "0", '"', "é", "../a.wav", "train", "\0", "1e400", "a\rb"]
)


@given(
    st.lists(st.sampled_from(["path", "label", "group", "split", "case", "time", "u", ""]), max_size=5),
    st.lists(st.lists(CELLS, max_size=5), max_size=4),
    st.binary(max_size=3),
)
@settings(max_examples=100, deadline=None)
def test_any_table_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, header, rows, tail) -> None:
    base = tmp_path_factory.getbasetemp() / "fuzz"
    if not base.exists():
        wav(base / "a.wav", tone(100))
        np.save(base / "b.npy", np.arange(4.0))
    text = "\n".join(",".join(row) for row in [header, *rows]).encode() + tail
    (base / "list.csv").write_bytes(text)
    with suppress(InputError):
        found = read_recordings(base / "list.csv")
        assert len(found.names) == len(found.signals) > 0
        if found.labels is not None:
            assert all(found.labels)
        if "path" in header:
            shapes = {"a.wav": (1, 400), "b.npy": (1, 4), "../a.wav": ()}
            assert [signal.shape for signal in found.signals] == [shapes[name] for name in found.names]
        else:
            assert {"case", "time"} <= set(header)


@given(st.binary(max_size=200), st.integers(0, 90), st.integers(0, 255))
@settings(max_examples=100, deadline=None)
def test_any_array_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes, at: int, byte: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.npy"
    np.save(path, np.arange(6.0))
    data = bytearray(path.read_bytes())
    data[at] = byte
    path.write_bytes(bytes(data[: 128 + len(tail)]) if at % 2 else bytes(data))
    with suppress(InputError):
        assert read_recordings(path).signals[0].ndim == 2


def test_the_sentence_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'shape': (9999999999999,), 'fortran_order': False}"
    )
    with pytest.raises(InputError) as caught:
        read_recordings(tmp_path)
    assert re.fullmatch(r"[^\n]+", str(caught.value))
