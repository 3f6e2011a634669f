"""Backtests against forecasts made by hand, against a future that was changed, and against what they refuse."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from statespace import Forecaster
from statespace.errors import InputError

Small = Callable[..., Forecaster]
Table = Callable[..., pd.DataFrame]


def by_hand(make: Small, df: pd.DataFrame, cutoffs: dict[str, pd.Timestamp], fitted_on: pd.DataFrame) -> pd.DataFrame:
    """Forecast from given cutoffs with what the public methods offer."""
    known = df[df["ds"] <= df["unique_id"].map(cutoffs)]
    return make().fit(fitted_on, "MS").predict(df=known, level=[80])


@pytest.mark.parametrize("refit", [False, True, 2])
def test_each_window_is_what_fit_and_predict_give_by_hand(refit: bool | int, small: Small, panel_frame: Table) -> None:
    found = small().cross_validation(panel_frame, n_windows=3, step_size=2, refit=refit, level=[80])
    assert list(found) == ["unique_id", "ds", "cutoff", "S4D", "S4D-lo-80", "S4D-hi-80", "y"]
    assert len(found) == 3 * 3 * 4
    ends = panel_frame.groupby("unique_id")["ds"].max()
    fitted_on = panel_frame
    for window, back in enumerate((8, 6, 4)):
        cutoffs = {name: end - pd.DateOffset(months=back) for name, end in ends.items()}
        if window == 0 or (refit and window % int(refit) == 0):
            fitted_on = panel_frame[panel_frame["ds"] <= panel_frame["unique_id"].map(cutoffs)]
        want = by_hand(small, panel_frame, cutoffs, fitted_on)
        own = found[found["cutoff"] == found["unique_id"].map(cutoffs)].reset_index(drop=True)
        pd.testing.assert_frame_equal(own[list(want)], want)
        came = own[["unique_id", "ds"]].merge(panel_frame, how="left")
        np.testing.assert_array_equal(own["y"], came["y"])


def test_what_comes_after_a_cutoff_changes_no_bit_of_its_forecast(small: Small, panel_frame: Table) -> None:
    for refit in (False, True):
        found = small(intervals="conformal").cross_validation(panel_frame, 2, refit=refit, level=[80])
        for window in (0, 1):
            cutoffs = found.groupby("unique_id")["cutoff"].unique().map(lambda each, window=window: each[window])
            other = panel_frame.copy()
            future = other["ds"] > other["unique_id"].map(cutoffs)
            other.loc[future, "y"] = 1e3 * np.arange(future.sum())
            again = small(intervals="conformal").cross_validation(other, 2, refit=refit, level=[80])
            up_to = (found["cutoff"] <= found["unique_id"].map(cutoffs)).to_numpy()
            pd.testing.assert_frame_equal(
                found[up_to].drop(columns="y"), again[up_to].drop(columns="y"), rtol=0, atol=0
            )
            assert not found["y"].equals(again["y"])


def test_gaps_stay_in_their_places(small: Small, table: Table) -> None:
    holes = table().drop(index=[10, 43, 45])  # 43 is the cutoff, 45 a target
    found = small().cross_validation(holes, freq="MS")
    assert found["cutoff"].unique().tolist() == [table().ds[43]]
    assert found["ds"].tolist() == table().ds[44:].tolist()
    np.testing.assert_array_equal(found["y"].isna(), [False, True, False, False])
    filled = table().assign(y=table().y.where(~table().index.isin([10, 43, 45])))
    pd.testing.assert_frame_equal(found, small().cross_validation(filled))


@pytest.mark.parametrize("kind", ["whole numbers", "a time zone", "text", "names of two kinds", "other columns"])
def test_every_kind_of_stamp_and_name_comes_back(kind: str, small: Small, table: Table) -> None:
    zoned = table(freq="D", start=pd.Timestamp("2024-02-12", tz="Europe/Berlin"))
    df = {
        "whole numbers": table().assign(ds=np.arange(48) * 5),
        "a time zone": zoned,
        "text": table().assign(ds=table().ds.dt.strftime("%Y-%m-%d")),
        "names of two kinds": pd.concat([table(name="11"), table(30, name=2)]),
        "other columns": zoned.assign(price=np.arange(48.0)),
    }[kind]
    found = small().cross_validation(df, 2, freq=None)
    last = found.iloc[-4:]
    assert last["ds"].tolist() == pd.Series(df["ds"].tolist()[44:48] if kind != "text" else table().ds[-4:]).tolist()
    assert found["y"].notna().all()
    assert set(found["unique_id"]) == set(df["unique_id"])


def test_short_series_are_named_once_and_serve_the_windows_they_can(small: Small, table: Table) -> None:
    df = pd.concat([table(), table(9, name="some"), table(4, name="none")])
    with pytest.warns(UserWarning, match=r"need 13 steps, but fewer came of 2 series.*: none \(4.*, some \(9") as told:
        found = small().cross_validation(df, n_windows=3, freq="MS")
    assert len(told) == 1
    assert found.groupby("unique_id")["cutoff"].nunique().to_dict() == {"a": 3, "some": 2}


def test_a_table_that_is_too_short_says_what_is_needed_and_what_came(small: Small, table: Table) -> None:
    with pytest.raises(InputError, match=r"Forecaster.cross_validation: 17 steps are needed, 5 to fit .* has 16: ask"):
        small().cross_validation(table(16), n_windows=3)
    assert len(small().cross_validation(table(17), n_windows=3)) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_windows": 0}, "n_windows is 0, but a whole number"),
        ({"step_size": 1.5}, "step_size is 1.5"),
        ({"refit": 0}, "refit is 0, but True, False or a whole number from 1 on is expected"),
        ({"refit": "yes"}, "refit is 'yes', but True, False or a whole number"),
        ({"h": "3"}, "h is '3'"),
        ({"level": [101]}, "level 101 is not known"),
        ({"freq": "M"}, "freq is 'M'"),
    ],
)
def test_a_wrong_option_is_refused_before_the_training(
    options: dict[str, object], message: str, small: Small, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Forecaster, "fit", lambda *_: pytest.fail("fitted"))
    with pytest.raises(InputError, match=f"Forecaster.cross_validation: {message}"):
        small().cross_validation(table(), **options)  # type: ignore[arg-type]  # wrong on purpose


def test_the_forecaster_itself_stays_as_it_was(fitted: Forecaster, panel_frame: pd.DataFrame, small: Small) -> None:
    before = fitted.predict()
    fitted.cross_validation(panel_frame)
    pd.testing.assert_frame_equal(fitted.predict(), before)
    fresh = small()
    fresh.cross_validation(panel_frame)
    with pytest.raises(InputError, match="not fitted"):
        fresh.predict()


def test_another_horizon_and_an_interrupt(small: Small, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    found = small().cross_validation(table(), h=7)
    assert len(found) == 7
    fit = Forecaster.fit

    def interrupted(self: Forecaster, *arguments: object) -> Forecaster:
        fit(self, *arguments)  # type: ignore[arg-type]  # passed on as it came
        assert self.outcome is not None
        self.outcome = self.outcome._replace(interrupted=True)
        return self

    monkeypatch.setattr(Forecaster, "fit", interrupted)  # stands in for Ctrl-C
    with pytest.raises(KeyboardInterrupt):
        small().cross_validation(table())


@pytest.mark.parametrize("scaler_type", ["standard", "none"])
def test_insample_windows_are_forecasts_from_the_rows_before_them(
    scaler_type: str, small: Small, panel_frame: pd.DataFrame
) -> None:
    fitted = small(scaler_type=scaler_type, input_size=12).fit(panel_frame)
    found = fitted.predict_insample(step_size=5, level=[80])
    assert list(found) == ["unique_id", "ds", "cutoff", "S4D", "S4D-lo-80", "S4D-hi-80", "y"]
    windows = {name: (len(part) - 4 - 1) // 5 + 1 for name, part in panel_frame.groupby("unique_id")}
    assert found.groupby("unique_id")["cutoff"].nunique().to_dict() == windows
    for (name, cutoff), own in found.groupby(["unique_id", "cutoff"]):
        rows = panel_frame[panel_frame["unique_id"] == name]
        np.testing.assert_array_equal(own["y"], rows.loc[rows["ds"] > cutoff, "y"].iloc[:4])
        if (rows["ds"] <= cutoff).sum() > 1:  # the spread of a single value is taken from those beside it
            want = fitted.predict(df=rows[rows["ds"] <= cutoff], level=[80])
            # The floor under the scale of a window is in units of the rows that were passed, here more, there fewer.
            pd.testing.assert_frame_equal(own[list(want)].reset_index(drop=True), want, rtol=1e-3)


def test_every_step_is_a_window_by_default(fitted: Forecaster, panel_frame: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fitted.predict_insample()
    assert len(found) == 4 * (len(panel_frame) - 3 * 4)


def test_a_model_from_a_folder_has_no_sample(fitted: Forecaster, small: Small, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    for fc in (Forecaster.load(tmp_path / "model"), small()):
        with pytest.raises(InputError, match=r"Forecaster.predict_insample: .* call fit\(df\)"):
            fc.predict_insample()
    with pytest.raises(InputError, match="predict_insample: step_size is 0"):
        fitted.predict_insample(0)


COVARIATES = {"futr_exog_list": ["price"], "hist_exog_list": ["rain"], "stat_exog_list": ["kind"]}


@pytest.fixture
def sales(panel_frame: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return panel_frame.assign(price=rng.normal(size=len(panel_frame)), rain=rng.normal(size=len(panel_frame)))


KINDS = pd.DataFrame({"unique_id": list("abc"), "kind": ["x", "y", "x"]})


def test_covariates_after_the_cutoff_are_known_where_they_may_be(
    small: Small, sales: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What six steps of training have taught about noise is worth nothing, and would be shrunk to that.
    monkeypatch.setattr("statespace.forecasting.training._share", lambda *_: 1.0)

    def forecast(df: pd.DataFrame) -> pd.DataFrame:
        return small(**COVARIATES).cross_validation(df, freq="MS", static_df=KINDS).drop(columns="y")

    found = forecast(sales)
    after = sales["ds"] > sales["unique_id"].map(found.groupby("unique_id")["cutoff"].first())
    hidden = sales.assign(y=sales["y"].where(~after, 1e3), rain=sales["rain"].where(~after, -1e3))
    pd.testing.assert_frame_equal(forecast(hidden), found, rtol=0, atol=0)
    dearer = sales.assign(price=sales["price"].where(~after, 5.0))
    assert not np.allclose(forecast(dearer)["S4D"], found["S4D"], rtol=1e-4)
    by_hand = small(**COVARIATES).fit(sales[~after], "MS", static_df=KINDS)
    want = by_hand.predict(futr_df=sales.loc[after, ["unique_id", "ds", "price"]])
    pd.testing.assert_frame_equal(found[list(want)], want, rtol=1e-5)  # float32 in windows of another origin


def test_covariates_are_told_within_the_sample_too(small: Small, sales: pd.DataFrame) -> None:
    fc = small(**COVARIATES).fit(sales, "MS", static_df=KINDS)
    found = fc.predict_insample(step_size=7, level=[80], quantiles=[0.1])
    for (name, cutoff), own in found.groupby(["unique_id", "cutoff"]):
        rows = sales[sales["unique_id"] == name]
        past, future = rows[rows["ds"] <= cutoff], rows[rows["ds"] > cutoff].head(4)
        if len(past) > 1:
            options = {"futr_df": future.drop(columns=["y", "rain"]), "static_df": KINDS}
            want = fc.predict(df=past, level=[80], quantiles=[0.1], **options)
            # The floor under the scale of a window is in units of the rows that were passed, here more, there fewer.
            pd.testing.assert_frame_equal(own[list(want)].reset_index(drop=True), want, rtol=1e-3)


def test_rows_at_times_of_their_own_are_windows_of_rows(small: Small) -> None:
    rng = np.random.default_rng(1)
    stamps = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.cumsum(rng.integers(1, 900, 60)), unit="s")
    df = pd.DataFrame({"unique_id": "a", "ds": stamps, "y": rng.normal(size=60)})
    found = small().cross_validation(df, n_windows=2, freq="irregular")
    assert found["ds"].tolist() == stamps[-8:].tolist()
    assert found["cutoff"].tolist() == [stamps[51]] * 4 + [stamps[55]] * 4
    known = small().fit(df[:52], "irregular")
    want = known.predict(df=df[:56], futr_df=df.loc[56:, ["unique_id", "ds"]])
    pd.testing.assert_frame_equal(found.loc[4:, list(want)].reset_index(drop=True), want)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alias": "y"}, "target_col is 'y', which is also a column of the forecast, .* pass another alias"),
        ({"target_col": "S4D-lo-80"}, "target_col is 'S4D-lo-80', which is also a column of the forecast"),
        ({"alias": "cutoff"}, "alias is 'cutoff', but the result has a column 'cutoff' of its own"),
        ({"id_col": "cutoff"}, "id_col is 'cutoff'"),
        ({"time_col": "cutoff"}, "time_col is 'cutoff'"),
        ({"target_col": "cutoff"}, "target_col is 'cutoff'"),
    ],
)
def test_columns_of_one_name_are_refused(options: dict[str, str], message: str, small: Small, table: Table) -> None:
    named = {options.get("id_col"): "unique_id", options.get("time_col"): "ds", options.get("target_col"): "y"}
    frame = table().rename(columns={old: new for new, old in named.items() if new})
    with pytest.raises(InputError, match=f"Forecaster.cross_validation: {message}"):
        small(**options).cross_validation(frame, n_windows=2)
    fc = small(**options).fit(frame)
    assert np.isfinite(fc.predict()[fc.name]).all()  # which has neither
    with pytest.raises(InputError, match=f"Forecaster.predict_insample: {message}"):
        fc.predict_insample()
