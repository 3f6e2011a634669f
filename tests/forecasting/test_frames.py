"""Tables of polars and pyarrow: the same numbers as with pandas, in the kind that came, and for Nixtla's tools."""

import datetime
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from statespace import Forecaster
from statespace.datasets.frames import as_pandas, kind_of, like
from statespace.errors import InputError

Small = Callable[..., Forecaster]
Table = Callable[..., pd.DataFrame]


def to(library: str, table: pd.DataFrame) -> Any:
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    return module.from_pandas(table) if library == "polars" else module.Table.from_pandas(table, preserve_index=False)


def back(table: Any) -> pd.DataFrame:
    return pd.DataFrame(table.to_pandas())


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_the_numbers_are_those_of_pandas_and_the_kind_is_what_came(
    library: str, small: Small, panel_frame: pd.DataFrame
) -> None:
    rng = np.random.default_rng(0)
    df = panel_frame.assign(price=rng.normal(size=len(panel_frame)))
    static = pd.DataFrame({"unique_id": list("abc"), "kind": ["x", "y", "x"]})
    futr = df[df["unique_id"] == "a"].tail(4).assign(ds=pd.date_range("2004-01-01", periods=4, freq="MS"))
    options = {"futr_exog_list": ["price"], "stat_exog_list": ["kind"]}
    pandas = small(**options).fit(df, "MS", static)
    other = small(**options).fit(to(library, df), "MS", to(library, static))
    past = df[df["unique_id"] == "a"]
    want = pandas.predict(df=past, futr_df=futr, static_df=static, level=[80])
    found = other.predict(df=to(library, past), futr_df=to(library, futr), static_df=to(library, static), level=[80])
    assert type(found) is type(to(library, df))
    pd.testing.assert_frame_equal(back(found), want, check_dtype=False)
    table = other.cross_validation(to(library, df), freq="MS", static_df=to(library, static))
    pd.testing.assert_frame_equal(
        back(table), pandas.cross_validation(df, freq="MS", static_df=static), check_dtype=False
    )
    assert isinstance(other.predict(df=past, futr_df=futr, static_df=static), pd.DataFrame)


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_every_method_returns_the_kind_that_came(library: str, small: Small, panel_frame: pd.DataFrame) -> None:
    df = to(library, panel_frame)
    fc = small().fit(df)
    pandas = small().fit(panel_frame)
    calls: list[Callable[[Forecaster, Any], Any]] = [
        lambda fc, _: fc.predict(),
        lambda fc, _: fc.simulate(3),
        lambda fc, _: fc.predict_insample(9),
        lambda fc, df: fc.cross_validation(df, 2, level=[80]),
    ]
    for call in calls:
        found = call(fc, df)
        assert type(found) is type(df)
        pd.testing.assert_frame_equal(back(found), call(pandas, panel_frame), check_dtype=False)


DAYS = [datetime.date(2000, 1, day) for day in range(1, 31)]
STAMPS: dict[str, list[Any]] = {
    "dates": DAYS,
    "times": [datetime.datetime(2000, 1, day) for day in range(1, 31)],
    "whole numbers": list(range(30)),
    "text": [day.isoformat() for day in DAYS],
}


@pytest.mark.parametrize("kind", STAMPS)
@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_names_and_stamps_keep_their_types_so_that_tables_can_be_joined(library: str, kind: str, small: Small) -> None:
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    make = module.DataFrame if library == "polars" else module.table
    df = make({"unique_id": ["é"] * 30, "ds": STAMPS[kind], "y": list(range(30))})
    found = small().cross_validation(df, 2)
    types, came = kind_of(found).types, kind_of(df).types
    assert types["unique_id"] == came["unique_id"]
    assert types["cutoff"] == types["ds"]
    if kind != "text":
        assert types["ds"] == came["ds"]
        assert back(found)["ds"].tolist() == back(df)["ds"].tolist()[-8:]


def test_categories_and_time_zones_of_polars_come_back() -> None:
    pl = pytest.importorskip("polars", reason="polars is not installed")
    df = pl.DataFrame({"unique_id": ["a", "b"], "ds": STAMPS["times"][:2]}).with_columns(
        pl.col("unique_id").cast(pl.Categorical), pl.col("ds").dt.replace_time_zone("Europe/Berlin")
    )
    inside = as_pandas("f", df)
    inside["unique_id"] = inside["unique_id"].astype(str)
    assert like(inside, kind_of(df)).equals(df)


def test_what_is_no_table_is_refused(small: Small, table: Table) -> None:
    with pytest.raises(InputError, match=r"Forecaster.fit: df is a ndarray, but a DataFrame of pandas or polars"):
        small().fit(table().to_numpy())  # type: ignore[arg-type]  # wrong on purpose
    pl = pytest.importorskip("polars", reason="polars is not installed")
    with pytest.raises(InputError, match=r"df is a LazyFrame, .*: call collect\(\) on it first"):
        small().fit(pl.from_pandas(table()).lazy())


def test_pandas_alone_loads_no_other_library(tmp_path: Any) -> None:
    code = """
import sys, pandas as pd
from statespace.datasets.frames import as_pandas, kind_of, like
df = pd.DataFrame({"y": [1.0]})
assert like(as_pandas("f", df), kind_of(df)) is df
print("polars" in sys.modules, "plotly" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.stdout.split() == ["False", "False"], done.stderr


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_utilsforecast_evaluates_and_plots_what_comes_out(
    library: str, small: Small, panel_frame: pd.DataFrame
) -> None:
    losses = pytest.importorskip("utilsforecast.losses", reason="utilsforecast is not installed")
    evaluate = pytest.importorskip("utilsforecast.evaluation").evaluate
    plot_series = pytest.importorskip("utilsforecast.plotting").plot_series
    df = panel_frame if library == "pandas" else to(library, panel_frame)
    fc = small().fit(df)
    table = fc.cross_validation(df, 2, level=[80])
    found = evaluate(table, [losses.mae, losses.coverage], models=["S4D"], level=[80])
    assert type(found) is type(df)
    numbers = found if library == "pandas" else back(found)
    own = table if library == "pandas" else back(table)
    want = (own["S4D"] - own["y"]).abs().groupby([own["unique_id"], own["cutoff"]]).mean()
    mae = numbers[numbers["metric"] == "mae"]
    assert mae["S4D"].sort_values().tolist() == pytest.approx(want.sort_values().tolist())
    figure = plot_series(df, fc.predict(level=[80]), level=[80], engine="matplotlib")
    assert len(figure.axes) >= 3
    plot_series(df, table.drop(columns=["cutoff", "y"]) if library == "pandas" else table.drop("cutoff", "y"))
