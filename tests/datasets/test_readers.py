"""Tables to disk and back, and one clear sentence for every file that is no table."""

import csv
import gzip
import os
import sys
from pathlib import Path

import pandas as pd
import pytest

from statespace.datasets import SUFFIXES, load, read_frame, write_frame
from statespace.errors import InputError

TEXT = "unique_id,ds,y\na,2020-01-01,1.5\na,2020-01-02,\n"


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".CSV"])
def test_a_table_comes_back_unchanged(tmp_path: Path, suffix: str) -> None:
    frame = load("co2")
    frame["y"] /= 3.0  # all digits are needed
    write_frame(frame, tmp_path / f"table{suffix}")
    back = read_frame(tmp_path / f"table{suffix}")
    back["ds"] = pd.to_datetime(back["ds"])
    # the file holds every digit, as the next test shows; pandas 2 reads them with an error of one in the last place
    pd.testing.assert_frame_equal(back, frame, check_dtype=False, rtol=4e-16, atol=0.0)


def test_a_number_is_written_with_all_its_digits(tmp_path: Path) -> None:
    frame = load("airline")
    frame["y"] /= 3.0
    write_frame(frame, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        assert [float(row["y"]) for row in csv.DictReader(file)] == frame["y"].tolist()


def test_the_files_are_what_other_tools_expect(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        write_frame(load("nile"), tmp_path / f"table{suffix}")
    first = "unique_id,ds,y\nnile,1871-01-01,1120.0\n"
    assert (tmp_path / "table.csv").read_text().startswith(first)
    assert gzip.decompress((tmp_path / "table.csv.gz").read_bytes()).decode().startswith(first)
    assert (tmp_path / "table.parquet").read_bytes()[:4] == b"PAR1"


def test_identifiers_kept_as_text_keep_their_zeros(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("unique_id,ds,y\n007,2020-01-01,1\n")
    assert read_frame(tmp_path / "table.csv", text=["unique_id", "absent"])["unique_id"].tolist() == ["007"]


def test_a_mark_of_byte_order_is_not_part_of_the_first_name(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(TEXT, encoding="utf-8-sig")
    assert list(read_frame(tmp_path / "table.csv").columns) == ["unique_id", "ds", "y"]


BROKEN = {
    "empty": ("table.csv", b"", "is empty"),
    "blank": ("table.csv", b"\n \n\n", "is empty"),
    "header only": ("table.csv", b"unique_id,ds,y\n", "has no rows"),
    "image": ("table.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "is not text"),
    "latin-1": ("table.csv", "unique_id,ds,y\nK\u00f6ln,2020-01-01,1\n".encode("latin-1"), "is not UTF-8 text"),
    "utf-16": ("table.csv", TEXT.encode("utf-16"), "is not text"),
    "ragged": (
        "table.csv",
        b"ds,y\n2020-01-01,1\n2020-01-02,1,2\n2020-01-03,1\n",
        "is not a regular CSV table .*line 3",
    ),
    "longer rows": ("table.csv", b"ds,y\n2020-01-01,1,2\n2020-01-02,1,2\n", "is not a regular CSV table"),
    "open quote": ("table.csv", b'ds,y\n"2020-01-01,1\n', "is not a regular CSV table"),
    "semicolons": ("table.csv", b"ds;y\n2020-01-01;1\n", "separated by semicolons: use commas"),
    "decimal commas": ("table.csv", b"ds;y\n2020-01-01;1,5\n", "separated by semicolons: use commas, and points"),
    "not gzip": ("table.csv.gz", TEXT.encode(), "is not a whole gzip file"),
    "half a gzip": ("table.csv.gz", gzip.compress(TEXT.encode() * 99)[:-20], "is not a whole gzip file"),
    "empty gzip": ("table.csv.gz", gzip.compress(b""), "is empty"),
    "not parquet": ("table.parquet", TEXT.encode(), "is not a whole Parquet file"),
    "empty parquet": ("table.parquet", b"", "is empty"),
    "unknown suffix": ("table.xlsx", b"PK", r"ends in '.xlsx'.*use one of \.csv, \.csv\.gz, \.parquet"),
    "no suffix": ("table", b"x", "ends in 'no suffix'"),
}


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_a_broken_file_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    name, content, sentence = BROKEN[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        read_frame(tmp_path / name)
    assert str(caught.value).startswith("read_frame: ")
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_half_a_parquet_file_is_refused(tmp_path: Path) -> None:
    write_frame(load("co2"), tmp_path / "table.parquet")
    whole = (tmp_path / "table.parquet").read_bytes()
    for broken in (whole[: len(whole) // 2], whole[:-200] + bytes(192) + whole[-8:]):
        (tmp_path / "table.parquet").write_bytes(broken)
        with pytest.raises(InputError, match="is not a whole Parquet file"):
            read_frame(tmp_path / "table.parquet")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file '.*absent\.csv'"):
        read_frame(tmp_path / "absent.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"'.*folder\.csv' is a folder"):
        read_frame(tmp_path / "folder.csv")
    (tmp_path / "table.csv").write_text(TEXT)
    with pytest.raises(InputError, match="cannot be read"):
        read_frame(tmp_path / "table.csv" / "below.csv")


def test_what_the_system_forbids_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "table.csv").write_text(TEXT)

    def refuse(self: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"'.*table\.csv' may not be read: you have no permission"):
        read_frame(tmp_path / "table.csv")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_without_read_permission_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(TEXT)
    (tmp_path / "table.csv").chmod(0)
    with pytest.raises(InputError, match="you have no permission"):
        read_frame(tmp_path / "table.csv")


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = load("nile")
    write_frame(frame, tmp_path / "table.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r'pip install "statespace\[parquet\]"'):
        read_frame(tmp_path / "table.parquet")
    with pytest.raises(InputError, match=r'pip install "statespace\[parquet\]"'):
        write_frame(frame, tmp_path / "another.parquet")
    assert not (tmp_path / "another.parquet").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"write_frame: .*cannot be written"):
        write_frame(load("nile"), tmp_path / "file" / "table.csv")
    with pytest.raises(InputError, match=r"write_frame: .*ends in '.txt'"):
        write_frame(load("nile"), tmp_path / "table.txt")


def test_a_failed_write_leaves_the_old_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "table.csv").write_text(TEXT)

    def fails(self: pd.DataFrame, place: Path, **_: object) -> None:
        place.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", fails)
    with pytest.raises(KeyboardInterrupt):
        write_frame(load("nile"), tmp_path / "table.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    assert (tmp_path / "table.csv").read_text() == TEXT


def test_a_series_may_be_called_na(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text("unique_id,ds,y\nNA,1,2\nnull,2,NA\n,3,4\n")
    frame = read_frame(path, text=["unique_id", "absent"])
    assert frame["unique_id"].tolist()[:2] == ["NA", "null"]
    assert frame["unique_id"].isna().tolist() == [False, False, True]
    assert frame["y"].isna().tolist() == [False, True, False]


def test_a_column_may_not_stand_twice(tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    path.write_text("unique_id,ds,y,y\na,1,2,3\n")
    with pytest.raises(InputError, match="several columns 'y'"):
        read_frame(path)
