"""Series that inform each other: who follows is foreseen, nothing is known before its time, and all must be there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import statespace.forecasting.together as module
from statespace import Forecaster
from statespace.errors import InputError
from statespace.forecasting import ForecastStream
from statespace.forecasting.panel import Columns, panel
from statespace.forecasting.together import side_by_side

Small = Callable[..., Forecaster]
H = 4


def pair(steps: int = 400, seed: int = 0) -> pd.DataFrame:
    """A series that nobody can foresee for long, and one that follows it four steps later."""
    rng = np.random.default_rng(seed)
    leader = np.zeros(steps + H)
    for t, shock in enumerate(rng.normal(size=steps + H)):
        leader[t] = 0.8 * leader[t - 1] + shock
    values = {"leader": leader[H:], "follower": 3 + 2 * leader[:-H] + 0.05 * rng.normal(size=steps)}
    stamps = pd.date_range("2024-01-01", periods=steps, freq="h")
    return pd.concat(
        [pd.DataFrame({"unique_id": name, "ds": stamps, "y": y}) for name, y in values.items()], ignore_index=True
    )


def ragged() -> pd.DataFrame:
    """Three series with gaps and missing rows, which begin at different stamps."""
    rng = np.random.default_rng(1)
    stamps = pd.date_range("2024-01-01", periods=60, freq="h")
    parts = [
        pd.DataFrame({"unique_id": name, "ds": stamps, "y": 5 + np.sin(np.arange(60) / 3) + rng.normal(size=60)})[
            first:
        ]
        for name, first in (("a", 0), ("b", 7), ("c", 3))
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame.loc[[20, 21, 80], "y"] = np.nan
    return frame.drop(index=[11, 12, 13, 90]).reset_index(drop=True)


def error(fc: Forecaster, frame: pd.DataFrame, name: str) -> float:
    """Mean squared error of 20 windows that were not trained on, in units of the variance of the series."""
    found = fc.cross_validation(frame, n_windows=20, step_size=H)
    rows = found[found["unique_id"] == name]
    return float(((rows[fc.name] - rows["y"]) ** 2).mean() / frame.loc[frame["unique_id"] == name, "y"].var())


def test_who_follows_another_series_is_foreseen(small: Small) -> None:
    frame = pair()
    alone, told = (error(small(H, multivariate=kind), frame, "follower") for kind in (False, True))
    assert alone > 0.4  # what an autoregression hides within four steps
    assert told < alone / 100  # the noise is 0.0002


def test_what_has_nothing_to_do_with_it_changes_little(small: Small) -> None:
    frame = pd.concat([pair()[400:], pair(seed=1)[:400]]).replace({"unique_id": {"leader": "stranger"}})
    alone, told = (error(small(H, multivariate=kind), frame, "follower") for kind in (False, True))
    assert told < 1.1 * alone


def test_beside_each_row_stands_what_the_others_are_then() -> None:
    series = panel("x", ragged(), Columns())
    found = side_by_side("x", series, ["b", "c", "a"], series.values)
    long = series.frame(Columns())
    wide = long.pivot(index="ds", columns="unique_id", values="y")[["b", "c", "a"]]
    np.testing.assert_array_equal(found, wide.loc[long["ds"]].to_numpy(np.float32))


def test_what_others_do_later_is_not_known(small: Small) -> None:
    frame = pair(200)
    fc = small(H, multivariate=True).fit(frame)
    cutoff = frame["ds"].max() - pd.Timedelta(hours=6)
    leads, known = frame["unique_id"] == "leader", frame["ds"] <= cutoff
    follower = slice(0, H)  # of the rows of a forecast
    want = fc.predict(frame[known])[fc.name][follower]
    # The leader goes on, and nothing that it does after the follower's end reaches it.
    found = fc.predict(frame[known | leads])[fc.name][follower]
    pd.testing.assert_series_equal(found, want)
    changed = frame.assign(y=frame["y"].mask(leads & (frame["ds"] == cutoff), 99.0))
    assert abs(fc.predict(changed[known])[fc.name] - want).iloc[H - 1] > 10  # what it did before does


def test_a_model_on_disk_and_rows_that_come(small: Small, tmp_path: Path) -> None:
    frame = ragged()
    known, rows = (frame[keep] for keep in (frame["ds"] < "2024-01-03", frame["ds"] >= "2024-01-03"))
    options = {"scaler_type": "none", "local_scaler_type": "none", "input_size": 90}
    fc = small(H, multivariate=True, **options).fit(known)
    fc.save(tmp_path / "model")
    again = Forecaster.load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.predict(known), fc.predict(known))
    for _, part in rows.groupby("ds"):
        given = part.set_index("unique_id").reindex(["a", "b", "c"]).assign(ds=part["ds"].iloc[0]).reset_index()
        again.update(given)
    # With a window longer than the series and no scale of its own, new rows are the same as a longer history.
    pd.testing.assert_frame_equal(again.predict(), fc.predict(frame), rtol=1e-5)


def test_within_the_sample_all_are_forecast_together(small: Small) -> None:
    frame = ragged()
    fc = small(H, multivariate=True).fit(frame)
    found = fc.predict_insample(step_size=10)
    assert found["unique_id"].is_monotonic_increasing
    last = found.groupby("unique_id").tail(H).reset_index(drop=True)
    want = fc.predict(frame[frame["ds"] < frame["ds"].max() - pd.Timedelta(hours=H - 1)])
    pd.testing.assert_series_equal(last[fc.name], want[fc.name], rtol=1e-5)


def test_covariates_and_categories_stand_beside(small: Small) -> None:
    frame = ragged().assign(price=1.0, visits=2.0)
    static = pd.DataFrame({"unique_id": ["a", "b", "c"], "kind": ["x", "y", "x"]})
    given = {"futr_exog_list": ["price"], "hist_exog_list": ["visits"], "stat_exog_list": ["kind"]}
    fc = small(H, multivariate=True, **given).fit(frame, static_df=static)
    network = fc._ready("test").network
    assert (network.hist, [len(table.weight) for table in network.embed_codes]) == (1 + 3, [2, 3])
    stamps = pd.date_range(frame["ds"].max(), periods=H + 1, freq="h")[1:]
    future = pd.concat([pd.DataFrame({"unique_id": name, "ds": stamps, "price": 1.0}) for name in "abc"])
    assert np.isfinite(fc.predict(frame, futr_df=future, static_df=static)[fc.name]).all()


def test_what_cannot_be_is_refused(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = ragged()
    fc = small(H, multivariate=True).fit(frame)
    with pytest.raises(InputError, match=r"series 'c' is missing, and with multivariate=True every series informs"):
        fc.predict(frame[frame["unique_id"] != "c"])
    more = pd.concat([frame, frame[frame["unique_id"] == "a"].assign(unique_id="d")])
    with pytest.raises(InputError, match=r"predict: series 'd' was not there in training.*They are 'a', 'b', 'c'"):
        fc.predict(more)
    with pytest.raises(InputError, match=r"fit: series 'd' was not there in training"):
        fc.fit(more, warm_start=True)
    with pytest.raises(InputError, match="warm_start goes on with a network of multivariate=True"):
        fc.set_params(multivariate=False).fit(frame, warm_start=True)
    fc.set_params(multivariate=True)
    later = frame.tail(3).assign(unique_id=["a", "b", "c"], ds=frame["ds"].max() + pd.Timedelta(hours=1))
    with pytest.raises(InputError, match=r"update: series 'c' is missing"):
        fc.update(later.head(2))
    ahead = later.tail(1).assign(ds=frame["ds"].max() + pd.Timedelta(hours=2))
    with pytest.raises(
        InputError, match=r"end at 2024-01-03 12:00:00 and those of 'c' at 2024-01-03 13:00:00, but with"
    ):
        fc.update(pd.concat([later.head(2), ahead]))
    with pytest.raises(InputError, match=r"ForecastStream: the forecaster is multivariate.* to Forecaster.update"):
        ForecastStream(fc)
    with pytest.raises(InputError, match=r"dt_scale is 2.0, but with multivariate=True"):
        fc.predict(frame[frame["ds"].dt.hour % 2 == 0], dt_scale=2)
    with pytest.raises(InputError, match="multivariate is 1, but True or False is expected"):
        Forecaster(H, multivariate=1)  # type: ignore[arg-type]  # what is refused
    with pytest.raises(InputError, match="distribution is 'tweedie', one of values as they are, but multivariate=True"):
        Forecaster(H, multivariate=True, distribution="tweedie")
    with pytest.raises(InputError, match=r"fit: freq is 'irregular', but with multivariate=True .* share their stamps"):
        small(H, multivariate=True).fit(frame, freq="irregular")
    halves = frame.assign(ds=frame["ds"] + pd.to_timedelta((frame["unique_id"] == "b") * 30, unit="min"))
    with pytest.raises(InputError, match="does not lie on a grid of freq 'h'"):
        small(H, multivariate=True).fit(halves, freq="h")
    monkeypatch.setattr(module, "MOST", 100)
    with pytest.raises(InputError, match="sets 3 series beside each of 170 rows, which takes too much memory"):
        small(H, multivariate=True).fit(frame)


def test_a_series_that_joins_after_the_first_window_is_refused_before_training(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pair(60)
    frame = frame[(frame["unique_id"] == "leader") | (frame["ds"] >= frame["ds"].max() - pd.Timedelta(hours=2 * H - 1))]
    fc = small(H, multivariate=True)
    monkeypatch.setattr(Forecaster, "_fit", lambda *_: pytest.fail("trained"))
    with pytest.raises(InputError, match="series 'follower' has 8 steps and so none before the first window"):
        fc.cross_validation(frame, n_windows=2)
