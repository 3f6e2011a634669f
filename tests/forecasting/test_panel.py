"""Every way in which a table can be wrong, each with its own sentence; and what becomes of a table that is right."""

import datetime
import decimal
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from statespace.errors import InputError
from statespace.forecasting.panel import Columns, panel

Table = Callable[..., pd.DataFrame]


def grid(frame: Any, freq: object = None, columns: Columns | None = None) -> Any:
    return panel("test", frame, columns or Columns(), freq)


WRONG: dict[str, tuple[Callable[[pd.DataFrame], Any], str]] = {
    "no target": (
        lambda f: f.rename(columns={"y": "Y"}),
        r"no column 'y' \(target_col\); .* found are unique_id, ds, Y",
    ),
    "no stamps": (lambda f: f.rename(columns={"ds": "date"}), r"no column 'ds' \(time_col\); .* unique_id, date, y\."),
    "no ids": (lambda f: f[["ds", "y"]], r"no column 'unique_id' \(id_col\); the columns found are ds, y\."),
    "no columns": (lambda f: f[[]], "the columns found are none"),
    "no rows": (lambda f: f.iloc[:0], "the table has no rows"),
    "no frame": (
        lambda f: f.to_dict(),
        "df is a dict, but a DataFrame of pandas or polars, a Table of pyarrow, or the path of a folder",
    ),
    "twice a column": (lambda f: pd.concat([f, f[["y"]]], axis=1), "several columns 'y'"),
    "doubled stamp": (lambda f: pd.concat([f, f.tail(1)]), "series 'a' has two rows for 2003-12-01 00:00:00: keep one"),
    "empty stamp": (lambda f: f.assign(ds=f.ds.where(f.index != 3)), "column 'ds' is empty in row 4"),
    "unparsable": (
        lambda f: f.assign(ds=[*f.ds.astype(str)[:-1], "soon"]),
        "holds 'soon' in row 48, which is no stamp",
    ),
    "impossible day": (lambda f: f.assign(ds=[*f.ds.astype(str)[:-1], "2003-02-29"]), "'2003-02-29' in row 48"),
    "numbers as text": (lambda f: f.assign(ds=[str(i) for i in range(48)]), "holds '0' in row 1, which is no stamp"),
    "halves": (lambda f: f.assign(ds=np.arange(48) / 2), "holds 0.5 in row 2, which is no stamp"),
    "infinite stamp": (lambda f: f.assign(ds=[np.inf, *range(47)]), "holds inf in row 1, which is no stamp"),
    "huge stamp": (lambda f: f.assign(ds=2**63 + np.arange(48, dtype=np.uint64)), "9223372036854775808 in row 1"),
    "complex stamp": (lambda f: f.assign(ds=np.arange(48) * 1j), "holds 0j in row 1, which is no stamp"),
    "truth as stamp": (lambda f: f.assign(ds=[True, False] * 24), "holds true and false"),
    "lengths of time": (lambda f: f.assign(ds=f.ds - f.ds[0]), "which is no stamp"),
    "numbers among dates": (lambda f: f.assign(ds=[1, *f.ds[1:]]), "holds 1 in row 1, which is no stamp"),
    "several zones": (
        lambda f: f.assign(ds=[f"2000-01-{i:02}T00:00+0{i % 2}:00" for i in range(1, 25)] * 2),
        "several formats or time zones, such as '2000-01-01T00:00.01:00'",
    ),
    "zone and none": (
        lambda f: f.assign(ds=[s.tz_localize("UTC" if i % 2 else None) for i, s in enumerate(f.ds)]),
        "several formats or time zones",
    ),
    "day or month": (lambda f: f.assign(ds=f.ds.dt.strftime("%d/%m/%Y")), "may begin with the day or with the month"),
    "text": (lambda f: f.assign(y=["much", *f.y[1:]]), "column 'y' holds 'much' in row 1, but numbers are expected"),
    "comma": (lambda f: f.assign(y=["1,5", *f.y[1:]]), "holds '1,5' in row 1"),
    "infinite": (lambda f: f.assign(y=f.y.where(f.index != 9, np.inf)), "column 'y' is infinite in row 10"),
    "minus infinite": (lambda f: f.assign(y=f.y.where(f.index != 9, -np.inf)), "column 'y' is infinite in row 10"),
    "infinite text": (lambda f: f.assign(y=["inf", *f.y[1:]]), "column 'y' is infinite in row 1"),
    "beyond float": (lambda f: f.assign(y=[10**400] * 48), "a number beyond 1e308"),
    "complex": (lambda f: f.assign(y=f.y * 1j), "but numbers are expected"),
    "dates": (lambda f: f.assign(y=f.ds), "but numbers are expected"),
    "lists": (lambda f: f.assign(y=[[1]] * 48), r"holds \[1\] in row 1"),
    "nameless": (lambda f: f.assign(unique_id=[None, *f.unique_id[1:]]), "column 'unique_id' is empty in row 1"),
    "tuples": (lambda f: f.assign(unique_id=[(1, 2)] * 48), r"holds \(1, 2\) in row 1, but names of series are text"),
    "unhashable": (lambda f: f.assign(unique_id=[[1]] * 48), "names of series are text or numbers"),
    "one row": (lambda f: f.head(1), "no series has two stamps, so freq cannot be inferred: pass freq"),
    "one row each": (lambda f: f.assign(unique_id=range(48)), "no series has two stamps"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_table_is_refused_with_one_sentence(case: str, table: Table) -> None:
    spoil, message = WRONG[case]
    with pytest.raises(ValueError, match=message) as caught:
        grid(spoil(table()))
    assert isinstance(caught.value, InputError)
    assert str(caught.value).startswith("test: ")
    assert "\n" not in str(caught.value)
    assert "np." not in str(caught.value)


def test_two_options_for_one_column_are_refused(table: Table) -> None:
    with pytest.raises(InputError, match="'ds', 'ds', 'y', but three different columns are expected"):
        grid(table(), columns=Columns(id="ds"))


def test_a_doubled_stamp_in_a_series_of_a_number_names_it_plainly(table: Table) -> None:
    with pytest.raises(InputError, match="series 7 has two rows for 2000-01-01"):
        grid(table(name=7).loc[np.arange(48).repeat(2)])


@pytest.mark.parametrize("interleaved", [False, True])
def test_unsorted_stamps_are_sorted_with_a_note(table: Table, interleaved: bool) -> None:
    frame = pd.concat([table(name="b"), table(name="a")], ignore_index=True)
    want = grid(frame)
    shuffled = frame.sort_values(["ds", "unique_id"], ascending=False) if interleaved else frame.iloc[::-1]
    before = shuffled.copy()
    with pytest.warns(UserWarning, match="the stamps in 'ds' were not in order; they were sorted"):
        found = grid(shuffled)
    assert found.ids == want.ids == ["a", "b"]
    np.testing.assert_array_equal(found.values, want.values)
    pd.testing.assert_frame_equal(shuffled, before)  # the user's table stays as it was


def test_sorted_tables_pass_without_a_note(table: Table, recwarn: pytest.WarningsRecorder) -> None:
    frame = pd.concat([table(name="b"), table(name="a")])
    grid(frame)
    grid(frame.sort_values(["ds", "unique_id"]))  # side by side in time, each series in order
    assert not recwarn.list


def test_missing_rows_and_missing_values_are_the_same_gaps(table: Table) -> None:
    whole = table()
    holes = whole.assign(y=whole.y.where(~whole.index.isin([5, 6, 20])))
    np.testing.assert_array_equal(grid(holes).values, grid(whole.drop(index=[5, 6, 20])).values)
    assert np.isnan(grid(holes).values).sum() == 3


def test_the_frame_of_a_panel_is_the_table_on_its_grid(panel_frame: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(grid(panel_frame).frame(Columns()), panel_frame, check_dtype=False)
    tail = grid(panel_frame).tail(30)
    assert tail.lengths.tolist() == [30, 30, 20]
    want = panel_frame.groupby("unique_id").tail(30).reset_index(drop=True)
    pd.testing.assert_frame_equal(tail.frame(Columns()), want, check_dtype=False)


@pytest.mark.parametrize(
    "convert",
    {
        "text": lambda ds: ds.astype(str),
        "category": lambda ds: ds.astype(str).astype("category"),
        "dates": lambda ds: [stamp.date() for stamp in ds],
        "datetimes": lambda ds: [datetime.datetime(stamp.year, stamp.month, 1) for stamp in ds],
        "periods": lambda ds: ds.dt.to_period("M"),
        "seconds": lambda ds: ds.astype("datetime64[s]"),
        "whole numbers": lambda ds: ds.dt.strftime("%Y%m%d").astype(int),
        "year and month": lambda ds: ds.dt.strftime("%Y-%m"),
        "words": lambda ds: ds.dt.strftime("%b %Y"),
        "objects": lambda ds: ds.astype(object),
        "arrow": lambda ds: ds.astype("timestamp[us][pyarrow]"),
    }.items(),
    ids=lambda item: item[0],
)
def test_dates_may_be_written_in_many_ways(convert: tuple[str, Callable[[pd.Series], Any]], table: Table) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="test: the whole numbers in 'ds', such as 20000101, were read as dates"
        )
        warnings.simplefilter("error", FutureWarning)
        found = grid(table().assign(ds=convert[1](table().ds)))
    assert found.freq == "MS"
    assert found.last == [pd.Timestamp("2003-12-01")]


def test_days_before_months_are_told_by_a_day_above_twelve(table: Table) -> None:
    frame = table(freq="D")
    for order in ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y"):
        assert grid(frame.assign(ds=frame.ds.dt.strftime(order))).last == [pd.Timestamp("2000-02-17")]


@pytest.mark.parametrize(
    "ds", [range(48), np.arange(48.0), np.arange(48, dtype=np.uint8), pd.array(range(48), "Int64")]
)
def test_whole_numbers_count_steps(ds: Any, table: Table) -> None:
    frame = table().assign(ds=ds).drop(index=[3, 4])
    found = grid(frame)
    assert (found.freq, found.last) == (1, [47])
    assert np.flatnonzero(np.isnan(found.values)).tolist() == [3, 4]
    assert grid(table().assign(ds=pd.Series(range(48), dtype=object))).freq == 1


@pytest.mark.parametrize(
    "y",
    [
        [decimal.Decimal(i) for i in range(48)],
        [str(i) for i in range(48)],
        pd.Series(range(48), dtype=object),
        pd.array([*range(48)], "Float64"),
        pd.array(np.arange(48.0), "double[pyarrow]"),
        pd.Categorical(range(48)),
    ],
)
def test_numbers_may_be_written_in_many_ways(y: Any, table: Table) -> None:
    np.testing.assert_array_equal(grid(table().assign(y=y)).values, np.arange(48.0))


def test_names_keep_their_type_and_their_order(table: Table) -> None:
    for names in ([10, 9], ["10", "9"], [2.5, 1.5], pd.Categorical(["y", "x"], categories=["z", "x", "y"])):
        frame = pd.concat([table(name=name) for name in names])
        assert grid(frame).ids == sorted(names)
    mixed = grid(pd.concat([table(name="a"), table(name=1)]))
    assert mixed.ids == [1, "a"]


def test_a_stray_stamp_is_not_filled_up_with_millions_of_gaps(table: Table) -> None:
    frame = table(5, "s")
    frame.loc[5] = ["a", frame.ds[4] + pd.Timedelta(seconds=2_000_000), 1.0]
    with pytest.raises(InputError, match=r"at freq 's' the stamps span 2000005 steps, but there are only 6 rows"):
        grid(frame, "s")
    far = pd.DataFrame({"unique_id": np.repeat(range(20), 2), "ds": [0, 10**18] * 20, "y": 1.0})
    with pytest.raises(InputError, match="the stamps span 2000000000000000"):  # more steps than int64 counts
        grid(far, 1)


def test_a_freq_too_fine_for_the_rows_is_noted(table: Table) -> None:
    with pytest.warns(UserWarning, match="at freq 'D' no two rows are neighbours, the nearest are 28 steps apart"):
        grid(table(), "D")
    with pytest.raises(InputError, match="at freq 's' the stamps span"):
        grid(table(), "s")


def test_an_odd_index_or_other_columns_do_not_matter(table: Table) -> None:
    frame = table().assign(other="x")
    frame.index = [0] * 48
    np.testing.assert_array_equal(grid(frame).values, grid(table()).values)
    renamed = table().rename(columns={"unique_id": 0, "ds": 1, "y": 2})
    np.testing.assert_array_equal(grid(renamed, columns=Columns(0, 1, 2)).values, grid(table()).values)


@pytest.mark.parametrize("word", ["", "NaT", "nan", "now", "today"])
def test_a_word_that_pandas_reads_as_missing_or_as_now_is_no_stamp(word: str) -> None:
    table = pd.DataFrame({"unique_id": "a", "ds": ["2000-01-01", word, "2000-01-03"], "y": 1.0})
    with pytest.raises(InputError, match=r"column 'ds' .*row 2"):
        panel("here", table, Columns())
