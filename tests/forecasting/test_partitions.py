"""Tables in parts: fitted, forecast and refused as the same table in one piece, and by workers as in one process."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from utilsforecast.data import generate_series

from statespace import Forecaster
from statespace.errors import InputError
from statespace.forecasting import predict_part

pytest.importorskip("pyarrow", reason="pyarrow is not installed")
Small = Callable[..., Forecaster]


def table(count: int = 6) -> pd.DataFrame:
    """Series of unequal length, their names in the order of numbers and not of text, with covariates."""
    rng = np.random.default_rng(0)
    frame = generate_series(count, freq="D", min_length=40, max_length=60, seed=0).astype({"unique_id": "str"})
    frame["unique_id"] = "s" + (frame["unique_id"].astype(int) + 8).astype("str")
    return frame.assign(price=rng.normal(size=len(frame)), note="not read")


def parts(frame: pd.DataFrame, folder: Path, number: Any) -> Path:
    """Write a part for each number; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, rows in frame.groupby(np.asarray(number)):
        rows.to_parquet(folder / f"{place:03}.parquet", index=False)
    return folder


def by_series(frame: pd.DataFrame) -> np.ndarray:
    return pd.factorize(frame["unique_id"])[0] // 2


@pytest.mark.parametrize("layout", ["by series", "by time", "by series, backwards"])
def test_a_folder_is_fitted_as_the_table_in_it(layout: str, tmp_path: Path, small: Small) -> None:
    frame = table()
    number = by_series(frame) if layout.startswith("by series") else frame["ds"].dt.month.to_numpy()
    if layout.endswith("backwards"):
        number = number.max() - number
    folder = parts(frame, tmp_path / "t", number)
    whole, found = (small(4, hist_exog_list=["price"]).fit(given) for given in (frame, folder))
    pd.testing.assert_frame_equal(found.predict(level=[80]), whole.predict(level=[80]))
    pd.testing.assert_frame_equal(found.predict_insample(9), whole.predict_insample(9))
    pd.testing.assert_frame_equal(found.predict(folder), whole.predict(frame))
    both = (small(4).cross_validation(given, n_windows=2) for given in (frame, folder))
    pd.testing.assert_frame_equal(*both)


def test_a_part_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where parts hold whole series, no more than one of them is there at once."""
    import statespace.forecasting.partitioned as module
    from statespace.forecasting.panel import Columns, panel

    frame, sizes = table(), []

    def seen(where: str, part: Any, *others: Any) -> Any:
        sizes.append(len(part))
        return panel(where, part, *others)

    monkeypatch.setattr(module, "panel", seen)
    module.read_panel("x", parts(frame, tmp_path / "t", by_series(frame)), Columns())
    assert sizes == [int((by_series(frame) == place).sum()) for place in range(3)]


def test_what_is_wrong_in_a_part_is_said_with_its_name(tmp_path: Path, small: Small) -> None:
    frame = table()
    folder = parts(frame, tmp_path / "t", by_series(frame))
    with pytest.raises(
        InputError, match=r"no column 'rain' \(hist_exog_list\); the columns found are unique_id, ds, y"
    ):
        small(4, hist_exog_list=["rain"]).fit(folder)
    rows = frame[by_series(frame) == 1]
    pd.concat([rows, rows.tail(1)]).to_parquet(folder / "001.parquet")
    with pytest.raises(InputError, match=r"has two rows for .*The part is '.*001.parquet'"):
        small(4).fit(folder, freq="D")
    with pytest.raises(InputError, match="has two rows for"):
        small(4).fit(folder)
    with pytest.raises(InputError, match=r"df is a int, but a DataFrame .* or the path of a folder"):
        small(4).fit(3)


def test_series_of_one_step_do_not_hide_the_frequency(tmp_path: Path, small: Small) -> None:
    frame = pd.concat([table().assign(unique_id="a").head(1), table()])
    number = pd.factorize(frame["unique_id"])[0]
    found = small(4).fit(parts(frame, tmp_path / "t", number)).predict()
    pd.testing.assert_frame_equal(found, small(4).fit(frame).predict())


def test_a_model_survives_pickling(fitted: Forecaster, panel_frame: pd.DataFrame) -> None:
    again = pickle.loads(pickle.dumps(fitted))
    pd.testing.assert_frame_equal(again.predict(panel_frame, level=[80]), fitted.predict(panel_frame, level=[80]))
    last = panel_frame.tail(1).assign(ds=panel_frame["ds"].iloc[-1:] + pd.offsets.MonthBegin(1))
    again.update(last)  # with the states that are carried
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(again)).predict(), again.predict())


def test_parts_are_forecast_as_the_table(fitted: Forecaster, panel_frame: pd.DataFrame, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    want = fitted.predict(panel_frame, level=[80], quantiles=[0.3])
    each = [
        predict_part(rows, tmp_path / "model", level=[80], quantiles=[0.3])
        for _, rows in panel_frame.groupby("unique_id")
    ]
    pd.testing.assert_frame_equal(pd.concat(each, ignore_index=True), want, rtol=1e-6)
    none = predict_part(panel_frame.head(0), fitted, level=[80], quantiles=[0.3])
    assert len(none) == 0
    pd.testing.assert_series_equal(none.dtypes, want.dtypes)


def test_a_model_is_read_once_and_again_when_it_was_written(
    fitted: Forecaster, panel_frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted.save(tmp_path / "model")
    load, read = Forecaster.load, []
    monkeypatch.setattr(Forecaster, "load", lambda folder: read.append(folder) or load(folder))
    for _ in range(3):
        predict_part(panel_frame, tmp_path / "model")
    assert len(read) == 1
    fitted.save(tmp_path / "model")
    predict_part(panel_frame, tmp_path / "model")
    assert len(read) == 2


def test_a_part_that_cannot_be_forecast_is_refused(fitted: Forecaster, panel_frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="'nothing' does not exist"):
        predict_part(panel_frame, "nothing")
    with pytest.raises(InputError, match="predict_part: this Forecaster is not fitted"):
        predict_part(panel_frame, Forecaster(3))
    with pytest.raises(InputError, match="predict_part: there is no column 'ds'"):
        predict_part(panel_frame.head(0).drop(columns="ds"), fitted)


@pytest.mark.slow
def test_workers_of_dask_forecast_parts(tmp_path: Path, small: Small) -> None:
    """Two processes, each of which reads the model from its folder."""
    dask = pytest.importorskip("dask", reason="dask is not installed")
    dd = pytest.importorskip("dask.dataframe")
    frame = table()
    folder = parts(frame, tmp_path / "t", by_series(frame))
    fc = small(4).fit(frame)
    fc.save(tmp_path / "model")
    asked = {"model": str(tmp_path / "model"), "level": [80]}
    ddf = dd.read_parquet(folder, columns=["unique_id", "ds", "y"], split_row_groups=False)
    assert ddf.npartitions == 3
    meta = predict_part(ddf.head(0), **asked)
    with dask.config.set(scheduler="processes", num_workers=2):
        found = ddf.map_partitions(predict_part, **asked, meta=meta).compute()
    want = fc.predict(frame, level=[80])
    found = found.sort_values(["unique_id", "ds"], ignore_index=True)
    pd.testing.assert_frame_equal(found, want, check_dtype=False, rtol=1e-6)
    assert re.match("S4D", found.columns[2])
