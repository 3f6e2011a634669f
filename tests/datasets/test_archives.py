"""Archives of cases: what they hold, and one clear sentence for every file that is broken."""

import gzip
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statespace.datasets import read_archive
from statespace.errors import InputError

TS = """#a comment
@problemName Two
@timeStamps false
@classLabel true a b
@data
1,2.5,?:-1,0,3:a

4,5:6,7e-1:b
"""


def test_ts(tmp_path: Path) -> None:
    (tmp_path / "two.ts").write_text(TS)
    X, y = read_archive(tmp_path / "two.ts")
    assert y.tolist() == ["a", "b"]
    np.testing.assert_array_equal(X[0], np.array([[1, 2.5, np.nan], [-1, 0, 3]], dtype=np.float32))
    np.testing.assert_array_equal(X[1], np.array([[4, 5], [6, 0.7]], dtype=np.float32))
    (tmp_path / "two.ts.gz").write_bytes(gzip.compress(TS.replace("@data", "@DATA").encode()))
    assert read_archive(tmp_path / "two.ts.gz").y.tolist() == ["a", "b"]


def test_targets_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "r.ts").write_text("@targetlabel true\n@data\n1,2:0.25\n3,4:-7\n")
    assert read_archive(tmp_path / "r.ts").y.tolist() == [0.25, -7.0]


def test_padding_of_tsv_goes_and_gaps_stay(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("1\t0.5\tNaN\t2\tNaN\tNaN\n-1\t3\t4\t5\t6\t7\n")
    X, y = read_archive(tmp_path / "x.tsv")
    assert y.tolist() == ["1", "-1"]
    np.testing.assert_array_equal(X[0], np.array([[0.5, np.nan, 2]], dtype=np.float32))
    assert X[1].shape == (1, 5)


def test_whole_numbers_are_one_class_however_they_are_written(tmp_path: Path) -> None:
    labels = [0, 1, -2, 10, 0]
    np.savetxt(tmp_path / "a.tsv", np.column_stack([labels, np.arange(5), np.ones(5)]), delimiter="\t")
    np.savetxt(tmp_path / "b.tsv", np.column_stack([labels, np.arange(5), np.ones(5)]), delimiter="\t", fmt="%05.1f")
    lines = "".join(f"{n},1:{label}\n" for n, label in enumerate(labels))
    (tmp_path / "c.ts").write_text("@classLabel true -2 0 1 10\n@data\n" + lines)
    for name in ("a.tsv", "b.tsv", "c.ts"):
        assert read_archive(tmp_path / name).y.tolist() == ["0", "1", "-2", "10", "0"]


@pytest.mark.parametrize(
    "labels", [["01", "a"], ["0.50", "1.0"], ["1_0", "2"], ["nan", "1"], ["9007199254740993", "01"]]
)
def test_classes_that_are_not_all_whole_numbers_stay_as_they_are_written(tmp_path: Path, labels: list[str]) -> None:
    (tmp_path / "a.tsv").write_text("".join(f"{label}\t0.5\t2\n" for label in labels))
    assert read_archive(tmp_path / "a.tsv").y.tolist() == labels


# Counts, channels and lengths as the archives' own pages state them.
PUBLISHED = {
    "JapaneseVowels/JapaneseVowels_TRAIN.ts.gz": (270, 12, 7, 26, 9),
    "BasicMotions/BasicMotions_TEST.ts.gz": (40, 6, 100, 100, 4),
    "AllGestureWiimoteX/AllGestureWiimoteX_TRAIN.tsv.gz": (300, 1, 11, 385, 10),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_archives(real_data: Path, name: str) -> None:
    X, y = read_archive(real_data / "classification" / name)
    lengths = [x.shape[1] for x in X]
    assert (len(X), X[0].shape[0], min(lengths), max(lengths), len(set(y.tolist()))) == PUBLISHED[name]


BROKEN = {
    "no data": ("a.ts", "@classLabel true a\n1,2:a\n", "no line '@data'"),
    "no cases": ("a.ts", "@classLabel true a\n@data\n", "has no cases"),
    "no classes": ("a.ts", "@classLabel false\n@data\n1,2:a\n", "neither classes nor targets"),
    "stamps": ("a.ts", "@timeStamps true\n@classLabel true a\n@data\n(1,2):a\n", "time stamps"),
    "a word": ("a.ts", "@classLabel true a\n@data\n1,two:a\n", "line 3 of .* holds 'two', which is not a number"),
    "no colon": ("a.ts", "@classLabel true a\n@data\n1,2\n", "no ':' before its class"),
    "ragged channels": ("a.ts", "@classLabel true a\n@data\n1,2:3:a\n", r"channels of \[1, 2\] samples"),
    "channels": ("a.ts", "@classLabel true a\n@data\n1:2:a\n1:a\n", "1 channels, but 2 are expected"),
    "target": ("a.ts", "@targetLabel true\n@data\n1:a\n", "a target .* holds 'a'"),
    "commas": ("a.tsv", "1,2,3\n", "line 1 of .* has no tab"),
    "nothing measured": ("a.tsv", "1\tNaN\tNaN\n", "nothing but NaN"),
    "empty": ("a.tsv", "", "has no cases"),
    "other": ("a.arff", "", "but one of .ts, .ts.gz, .tsv, .tsv.gz is expected"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files(tmp_path: Path, case: str) -> None:
    name, text, message = BROKEN[case]
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_archive(tmp_path / name)


def test_files_that_are_not_there_or_cut_off(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_archive(tmp_path / "none.ts")
    (tmp_path / "cut.ts.gz").write_bytes(gzip.compress(TS.encode())[:-20])
    with pytest.raises(InputError, match="not a whole gzip file"):
        read_archive(tmp_path / "cut.ts.gz")
    (tmp_path / "binary.ts").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        read_archive(tmp_path / "binary.ts")


@given(st.lists(st.tuples(st.integers(0, len(TS) - 1), st.integers(0, 255)), max_size=6), st.integers(0, len(TS)))
@settings(max_examples=150, deadline=None)
def test_anything_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, changes, end) -> None:
    data = bytearray(TS.encode())
    for at, byte in changes:
        data[at] = byte
    path = tmp_path_factory.getbasetemp() / "fuzzed.ts"
    path.write_bytes(data[:end])
    with suppress(InputError):
        X, y = read_archive(path)
        assert len(X) == len(y)
        assert all(x.ndim == 2 and x.dtype == np.float32 for x in X)
