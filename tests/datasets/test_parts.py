"""Tables in parts: what pandas and pyarrow wrote is read back, less the columns that nobody asked for."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from statespace.datasets import each_part, part_files, read_parts
from statespace.errors import InputError

pytest.importorskip("pyarrow", reason="pyarrow is not installed")
COLUMNS = ["unique_id", "ds", "y"]


def table(names: tuple[str, ...] = ("a", "b", "c"), steps: int = 5) -> pd.DataFrame:
    stamps = pd.date_range("2024-01-01", periods=steps, freq="h")
    return pd.concat(
        [pd.DataFrame({"unique_id": name, "ds": stamps, "y": np.arange(steps) + 0.5, "note": "x"}) for name in names],
        ignore_index=True,
    )


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A file for each series, and files that are no parts."""
    folder = tmp_path / "parts"
    (folder / "deeper").mkdir(parents=True)
    for place, (_, rows) in enumerate(table().groupby("unique_id")):
        rows.to_parquet(folder / ("deeper" if place else "") / f"{place}.parquet", index=False)
    for name in ("_SUCCESS", "notes.txt", "_hidden.parquet", ".crc.parquet"):
        (folder / name).write_text("no part")
    return folder


def test_the_parts_make_the_table(parts: Path) -> None:
    assert [file.name for file in part_files(parts)] == ["0.parquet", "1.parquet", "2.parquet"]
    found = read_parts(parts, COLUMNS)
    assert found["unique_id"].dtype == "category"
    pd.testing.assert_frame_equal(found.astype({"unique_id": "str"}), table()[COLUMNS], check_dtype=False)
    each = [rows.astype({"unique_id": "str"}) for rows in each_part(parts, COLUMNS)]
    assert [len(rows) for rows in each] == [5, 5, 5]
    pd.testing.assert_frame_equal(pd.concat(each, ignore_index=True), table()[COLUMNS], check_dtype=False)


def test_columns_may_be_named_by_folders(tmp_path: Path) -> None:
    table().to_parquet(tmp_path / "t", partition_cols=["unique_id"], index=False)
    found = read_parts(tmp_path / "t", COLUMNS).astype({"unique_id": "str"})
    pd.testing.assert_frame_equal(found[COLUMNS], table()[COLUMNS], check_dtype=False)
    each = [rows["unique_id"].unique().tolist() for rows in each_part(tmp_path / "t", COLUMNS)]
    assert each == [["a"], ["b"], ["c"]]


def test_one_file_is_a_table_too(parts: Path) -> None:
    assert len(read_parts(parts / "0.parquet")) == 5


def test_a_column_of_whole_numbers_in_one_part_and_others_in_the_next(parts: Path) -> None:
    table(("a",)).astype({"y": "int64"}).to_parquet(parts / "0.parquet", index=False)
    assert read_parts(parts, COLUMNS)["y"].tolist() == [*range(5), *(np.arange(5) + 0.5), *(np.arange(5) + 0.5)]


def test_all_columns_are_read_where_one_is_not_there(parts: Path) -> None:
    assert list(read_parts(parts, ["unique_id", "ds", "value"])) == ["unique_id", "ds", "y", "note"]


def test_what_cannot_be_read_is_named(parts: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"there is no folder '.*nothing'"):
        read_parts(tmp_path / "nothing")
    with pytest.raises(InputError, match="is a folder: name the table in it, or a folder with parts"):
        read_parts(tmp_path / "empty")
    (tmp_path / "data.csv").write_text("y\n1\n")
    with pytest.raises(InputError, match="is no folder of Parquet files, nor one of them: read it with read_frame"):
        read_parts(tmp_path / "data.csv")
    table(("d",)).drop(columns="y").to_parquet(parts / "9.parquet")
    with pytest.raises(InputError, match=r"part '.*9.parquet' has no column 'y', which others have"):
        read_parts(parts, COLUMNS)
    table(("d",)).assign(y="ten").to_parquet(parts / "9.parquet")
    with pytest.raises(InputError, match="holds a part that does not fit"):
        read_parts(parts, COLUMNS)
    (parts / "9.parquet").write_text("no table")
    with pytest.raises(InputError, match=r"is no whole Parquet file \(.*9.parquet"):
        list(each_part(parts, COLUMNS))


def test_columns_that_nobody_asks_for_may_be_of_any_kind(tmp_path: Path) -> None:
    for number, note in enumerate((7, "text")):
        frame = pd.DataFrame({"unique_id": [f"s{number}"] * 2, "ds": [1, 2], "y": [1.0, 2.0], "note": [note, note]})
        frame.set_index("unique_id").to_parquet(tmp_path / f"{number}.parquet")  # and an index is a column
    found = read_parts(tmp_path, ["unique_id", "ds", "y"])
    assert found["unique_id"].tolist() == ["s0", "s0", "s1", "s1"]
    assert set(found) == {"unique_id", "ds", "y"}
