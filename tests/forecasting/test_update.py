"""A live forecast: rows in one go, one by one or in chunks move the states alike, of all series or some."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from statespace import Forecaster
from statespace.errors import InputError

Small = Callable[..., Forecaster]
H = 4
TOLERANCE = 1e-5  # float32: the same steps in batches of another size


def frame(name: Any, steps: int, more: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    t = np.arange(steps + more)
    stamps = pd.date_range("2024-01-01", periods=len(t), freq="h")
    y = 5 + seed + np.sin(t / 3) + 0.1 * rng.normal(size=len(t))
    return pd.DataFrame(
        {"unique_id": name, "ds": stamps, "y": y, "price": rng.normal(size=len(t)), "visits": rng.normal(size=len(t))}
    )


def two(more: int = 40) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two series as they are known, and as many rows after; with gaps, missing rows and missing covariates."""
    whole = pd.concat([frame("a", 60, more, 0), frame("b", 50, more, 1)], ignore_index=True)
    rank = whole.groupby("unique_id").cumcount(ascending=False)
    whole.loc[rank.isin([5, 6, 70]), "y"] = np.nan
    whole.loc[rank.isin([3, 5]), "visits"] = np.nan
    whole = whole[~rank.isin([10, 11, 12, 30])]
    rank = rank[whole.index]
    return whole[rank >= more].reset_index(drop=True), whole[rank < more].reset_index(drop=True)


def plans(fc: Forecaster, steps: int = H) -> pd.DataFrame:
    """Covariates of the steps after the last that are known."""
    history = fc._ready("test").history
    parts = [
        pd.DataFrame({"unique_id": n, "ds": d}) for n, d in zip(history.ids, history.stamps_after(steps), strict=True)
    ]
    return pd.concat(parts).assign(price=0.5)


def forecast(fc: Forecaster, **options: Any) -> pd.DataFrame:
    futr = {"futr_df": plans(fc, options.get("h", H))} if fc.futr_exog_list else {}
    return fc.predict(level=[80], **futr, **options)


def close(found: pd.DataFrame, want: pd.DataFrame, tolerance: float = TOLERANCE) -> None:
    pd.testing.assert_frame_equal(found, want, rtol=tolerance, atol=tolerance)


MODELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "covariates": {"futr_exog_list": ["price"], "hist_exog_list": ["visits"], "calendar": ["hour"]},
    "s6": {"layer": "s6", "hist_exog_list": ["visits"]},
    "lstm": {"layer": "lstm"},
    "transformer": {"layer": "transformer"},
    "reversible": {"scaler_type": "reversible", "hist_exog_list": ["visits"]},
    "robust": {"scaler_type": "robust", "transform": "log", "distribution": "student-t", "point": "mean"},
}


@pytest.mark.parametrize("model", MODELS)
def test_any_chunks_give_the_same(model: str, small: Small, tmp_path: Path) -> None:
    known, rows = two()
    small(H, input_size=24, max_steps=3, **MODELS[model]).fit(known).save(tmp_path / "model")

    def after(*chunks: pd.DataFrame, store: bool = False) -> Forecaster:
        fc = Forecaster.load(tmp_path / "model")
        for place, chunk in enumerate(chunks):
            if len(chunk):
                assert fc.update(chunk) is fc
            if store and place % 2:
                fc.save(tmp_path / "live")
                fc = Forecaster.load(tmp_path / "live")
        return fc

    whole = after(rows)
    want = forecast(whole)
    assert want["ds"].iloc[0] == rows["ds"][rows["unique_id"] == "a"].max() + pd.Timedelta(hours=1)
    times = sorted(rows["ds"].unique())
    one_by_one = after(*(rows[rows["ds"] == time] for time in times))
    close(forecast(one_by_one), want)
    by_series = after(
        rows[rows["unique_id"] == "b"], *(rows[rows["unique_id"] == "a"].iloc[i : i + 7] for i in range(0, 40, 7))
    )
    close(forecast(by_series), want)
    stored = after(*(rows[rows["ds"].isin(times[i : i + 9])] for i in range(0, len(times), 9)), store=True)
    close(forecast(stored), want)
    close(forecast(stored, h=11), forecast(whole, h=11))
    pd.testing.assert_frame_equal(
        stored._ready("test").history.frame(stored.columns), whole._ready("test").history.frame(whole.columns)
    )
    stored.save(tmp_path / "again")
    pd.testing.assert_frame_equal(forecast(Forecaster.load(tmp_path / "again")), forecast(stored), check_exact=True)


@pytest.mark.parametrize("layer", ["s4d", "s6", "gru"])
def test_what_is_carried_is_what_is_read_while_a_window_holds_it_all(layer: str, small: Small) -> None:
    """With a window longer than the series and no scale of its own, new rows are the same as a longer history."""
    known, rows = two(12)
    options = {"scaler_type": "none", "local_scaler_type": "none", "hist_exog_list": ["visits"], "max_steps": 3}
    fc = small(H, input_size=120, layer=layer, **options).fit(known)
    want = forecast(fc.update(rows))
    close(want, fc.predict(df=pd.concat([known, rows]), level=[80]))


def test_a_missing_row_is_a_missing_value(small: Small) -> None:
    known, rows = two()
    fc = small(H, input_size=24, max_steps=3).fit(known)
    filled = pd.concat(
        [g.set_index("ds").asfreq("h").assign(unique_id=n).reset_index() for n, g in rows.groupby("unique_id")]
    )
    close(forecast(small(H, input_size=24, max_steps=3).fit(known).update(filled)), forecast(fc.update(rows)))


def test_only_the_series_that_have_rows_move(small: Small) -> None:
    known, rows = two()
    fc = small(H, input_size=24, max_steps=3).fit(known)
    fc.update(rows[rows["unique_id"] == "b"].head(1))
    before = forecast(fc)
    after = forecast(fc.update(rows[rows["unique_id"] == "a"]))
    is_b = before["unique_id"] == "b"
    pd.testing.assert_frame_equal(after[is_b], before[is_b], check_exact=True)
    assert not after["S4D"][~is_b].equals(before["S4D"][~is_b])


def test_a_level_that_moves_is_followed(small: Small) -> None:
    """The window is read again once it has left its anchor: then nothing tells of the old level."""
    known, rows = two()
    fc = small(H, input_size=24, max_steps=3).fit(known)
    moved = rows.assign(y=rows["y"] * 3 + 100)
    found = forecast(fc.update(moved))
    assert (found["S4D"] > 100).all()


def test_a_gap_of_any_length_takes_no_longer_than_a_window(small: Small) -> None:
    known, rows = two()
    fc = small(H, input_size=24, max_steps=3).fit(known)
    late = rows.head(1).assign(ds=pd.Timestamp("2250-01-01"))
    found = forecast(fc.update(late))
    assert found["ds"][0] == pd.Timestamp("2250-01-01 01:00")
    assert np.isfinite(found.iloc[:, 2:].to_numpy()).all()


def test_irregular_rows_move_the_states_by_their_own_time(small: Small) -> None:
    known, rows = two(12)
    options = {"scaler_type": "none", "local_scaler_type": "none", "max_steps": 3}
    fc = small(H, input_size=120, **options).fit(known, "irregular")
    late = rows.assign(ds=rows["ds"] + pd.Timedelta("3h13min"))
    found = forecast(fc.update(late))
    close(found, fc.predict(df=pd.concat([known, late]), level=[80]))
    assert not np.allclose(
        found["S4D"],
        forecast(small(H, input_size=120, **options).fit(known, "irregular").update(rows))["S4D"],
        rtol=1e-6,
    )


def test_counts_go_on(small: Small) -> None:
    known, rows = two()
    known, rows = (part.assign(y=part["y"].round()) for part in (known, rows))
    fc = small(H, input_size=24, distribution="negative-binomial", max_steps=3).fit(known)
    assert (forecast(fc.update(rows))["S4D-lo-80"] >= 0).all()
    with pytest.raises(InputError, match=r"Forecaster.update: series 'a' holds 0.5.* counts"):
        fc.update(rows.assign(ds=rows["ds"] + pd.Timedelta(days=9), y=0.5))


HOUR = pd.Timedelta(hours=1)
BAD: dict[str, tuple[Callable[[pd.DataFrame], Any], str]] = {
    "unknown series": (lambda rows: rows.assign(unique_id="z"), "series 'z' was not there in training: pass its whole"),
    "earlier rows": (lambda rows: rows.assign(ds=rows["ds"] - 2 * HOUR), "has a row for .* but its history goes to"),
    "off the grid": (lambda rows: rows.assign(ds=rows["ds"] + HOUR / 2), "does not lie on a grid of freq 'h'"),
    "a column missing": (lambda rows: rows.drop(columns="visits"), r"no column 'visits' \(hist_exog_list\)"),
    "no table": (lambda rows: rows.to_dict(), "df is a dict, but a DataFrame of pandas or polars"),
    "no rows": (lambda rows: rows.iloc[:0], "the table has no rows"),
    "a time zone": (
        lambda rows: rows.assign(ds=rows["ds"].dt.tz_localize("UTC")),
        "the stamps of df are dates in UTC, .* but those of the series are dates without a time zone, .*: write both",
    ),
    "whole numbers": (lambda rows: rows.assign(ds=range(len(rows))), "the stamps are integers"),
    "doubled rows": (lambda rows: pd.concat([rows, rows]), "has two rows for"),
    "text": (lambda rows: rows.assign(y="x"), "column 'y' holds 'x' in row 1, but numbers are expected"),
    "infinite": (lambda rows: rows.assign(visits=np.inf), "column 'visits' is infinite"),
}


@pytest.mark.filterwarnings("ignore:.*were not in order")
@pytest.mark.parametrize("case", BAD)
def test_rows_that_cannot_be_taken_are_refused_and_change_nothing(case: str, small: Small, tmp_path: Path) -> None:
    known, rows = two(3)
    if not (tmp_path / "model").exists():
        small(H, hist_exog_list=["visits"], max_steps=1).fit(known).save(tmp_path / "model")
    fc = Forecaster.load(tmp_path / "model")
    before = forecast(fc)
    spoil, message = BAD[case]
    with pytest.raises(InputError, match=f"Forecaster.update: .*{message}"):
        fc.update(spoil(rows))
    pd.testing.assert_frame_equal(forecast(fc), before, check_exact=True)


def test_nothing_is_updated_before_fit() -> None:
    with pytest.raises(InputError, match=r"Forecaster.update: this Forecaster is not fitted"):
        Forecaster(3).update(two()[1])


def test_a_series_that_was_constant_moves_as_soon_as_its_rows_do() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"unique_id": "a", "ds": np.arange(60), "y": 7.0})
    new = pd.DataFrame({"unique_id": "a", "ds": np.arange(60, 90), "y": 17 + rng.normal(size=30)})
    fc = Forecaster(4, input_size=12, max_steps=2, d_model=4, d_state=4, n_layers=1, verbose=False).fit(frame)
    whole = fc.predict(pd.concat([frame, new]))["S4D"]
    for part in (new.iloc[:1], new.iloc[1:12], new.iloc[12:]):
        fc.update(part)
    moved = fc.predict(level=[80])
    assert moved["S4D"].between(14, 20).all()
    assert (moved["S4D-hi-80"] - moved["S4D-lo-80"] > 0.5).all()
    np.testing.assert_allclose(moved["S4D"], whole, atol=1.0)
