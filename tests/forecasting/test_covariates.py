"""Covariates as their users mean them: what decides the target is used, and nothing is known before its time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from statespace import Forecaster

Small = Callable[..., Forecaster]
H = 4
# What learns noise within seconds: windows of two steps, which are not normalised, since that would hide their level.
LEARNS: dict[str, Any] = {
    "input_size": 2,
    "d_model": 16,
    "max_steps": 150,
    "learning_rate": 2e-2,
    "val_check_steps": 50,
    "augmentation": 0.0,
    "dropout": 0.0,
    "scaler_type": "none",
}


def noise(steps: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=steps)


def series(name: Any = "a", steps: int = 240, seed: int = 0, start: str = "2024-01-01") -> pd.DataFrame:
    """A series that follows `price`, known beforehand, and the `visits` of the step before, known up to now."""
    price, visits = noise(steps, seed), noise(steps, seed + 1)
    y = 20 + 2 * price + 2 * np.append(0, visits[:-1]) + 0.1 * noise(steps, seed + 2)
    stamps = pd.date_range(start, periods=steps, freq="D")
    return pd.DataFrame({"unique_id": name, "ds": stamps, "y": y, "price": price, "visits": visits})


def split(frame: pd.DataFrame, h: int = H) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What is known, and the last `h` rows of each series."""
    rank = frame.groupby("unique_id").cumcount(ascending=False)
    return frame[rank >= h].reset_index(drop=True), frame[rank < h].reset_index(drop=True)


def plans(future: pd.DataFrame) -> pd.DataFrame:
    return future.drop(columns=["y", "visits"], errors="ignore")


def error(fc: Forecaster, frame: pd.DataFrame, first: int, h: int, **options: Any) -> float:
    """Mean absolute error of forecasts from every second origin from `first` on."""
    found = []
    for origin in range(first, len(frame) - h, 2):
        known, future = frame.iloc[:origin], frame.iloc[origin : origin + h]
        futr = {"futr_df": plans(future)} if fc.futr_exog_list else {}
        forecast = fc.predict(df=known, h=h, **futr, **options)[fc.name].to_numpy()
        found.append(np.abs(forecast - future["y"].to_numpy()).mean())
    return float(np.mean(found))


def test_what_is_known_beforehand_and_up_to_now_is_used(small: Small) -> None:
    frame = series()
    alone, futr, hist = (
        error(small(1, **LEARNS, **given).fit(frame[:200]), frame, 200, 1)
        for given in ({}, {"futr_exog_list": ["price"]}, {"futr_exog_list": ["price"], "hist_exog_list": ["visits"]})
    )
    assert futr < 0.9 * alone  # half of the variance is the price
    assert hist < alone / 3  # and the other half the visits


def test_a_static_number_or_category_decides(small: Small) -> None:
    """Rare events have an effect that is up to the series; a window between two events does not tell it."""
    frames = []
    for place in range(8):
        event = (np.random.default_rng(place).random(200) < 0.12).astype(float)
        y = 5 + (1 if place % 2 else -1) * 3 * event + 0.1 * noise(200, place)
        stamps = pd.date_range("2024-01-01", periods=200, freq="D")
        frames.append(pd.DataFrame({"unique_id": place, "ds": stamps, "y": y, "price": event}))
    frame = pd.concat(frames, ignore_index=True)
    known, future = split(frame)
    future = future.assign(price=1.0)
    effect = np.repeat([-3.0, 3.0] * 4, H)
    static = pd.DataFrame({"unique_id": range(8), "sign": [-1, 1] * 4, "kind": ["down", "up"] * 4})

    def off(**given: Any) -> float:
        fc = small(H, **LEARNS, local_scaler_type="none", futr_exog_list=["price"], **given)
        fc.fit(known, static_df=static if given else None)
        return float(np.abs(fc.predict(futr_df=future)[fc.name].to_numpy() - 5 - effect).mean())

    alone = off()
    assert alone > 2  # all of them three off, or half of them six
    assert off(stat_exog_list=["sign"]) < alone / 3
    assert off(stat_exog_list=["kind"]) < alone / 3


def test_the_calendar_and_holidays_tell_what_two_days_cannot(small: Small) -> None:
    stamps = pd.date_range("2023-01-01", periods=365 + 4, freq="D")
    weekend = np.asarray(stamps.day_of_week >= 5, float)
    frame = pd.DataFrame({"unique_id": "a", "ds": stamps, "y": 5 + 4 * weekend + 0.1 * noise(len(stamps), 0)})
    alone, told = (
        error(small(H, **LEARNS, calendar=given).fit(frame[:340]), frame, 340, H) for given in (None, ["weekend"])
    )
    assert told < alone / 3


def test_a_holiday_is_known_beforehand(small: Small) -> None:
    pytest.importorskip("holidays")
    stamps = pd.date_range("2019-01-01", "2023-12-24", freq="D")
    import holidays

    free = np.array([day.date() in holidays.country_holidays("DE") for day in stamps], float)
    frame = pd.DataFrame({"unique_id": "a", "ds": stamps, "y": 5 - 4 * free + 0.1 * noise(len(stamps), 0)})
    found = small(H, **LEARNS, holidays=["DE"]).fit(frame).predict()["S4D"].to_numpy()
    assert found[[0, 1]].max() < found[[2, 3]].min() - 2  # 25 and 26 December, and the days after


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.concat([series("a", 60), series("b", 50, 7), series("c", 25, 11)], ignore_index=True)


STATIC = pd.DataFrame({"unique_id": list("abc"), "zeal": [1.0, 2.0, 4.0], "kind": ["x", "y", "x"]})
ALL: dict[str, Any] = {
    "futr_exog_list": ["price"],
    "hist_exog_list": ["visits"],
    "stat_exog_list": ["zeal", "kind"],
    "calendar": ["weekday"],
}


@pytest.fixture(scope="module")
def with_all(frame: pd.DataFrame) -> Forecaster:
    """Fitted with covariates of every kind; not to be changed."""
    known, _ = split(frame, 8)
    options = {"input_size": 8, "d_model": 8, "n_layers": 1, "d_state": 8, "max_steps": 20, "verbose": False}
    return Forecaster(H, **options, **ALL).fit(known, static_df=STATIC)


def test_nothing_is_known_before_its_time(with_all: Forecaster, frame: pd.DataFrame) -> None:
    _, future = split(frame, 8)
    later = future.groupby("unique_id").cumcount()
    futr = plans(future)
    want = with_all.predict(futr_df=futr, level=[80])
    beyond = with_all.predict(futr_df=futr.assign(price=futr["price"].where(later < H, 1e3)), level=[80])
    pd.testing.assert_frame_equal(beyond, want, check_exact=True)
    for step in range(1, H):
        changed = futr.assign(price=futr["price"].where(later < step, 50.0))
        found = with_all.predict(futr_df=changed, level=[80]).set_index("unique_id")
        for name in "abc":
            a, b = (
                t.loc[name, ["S4D", "S4D-lo-80", "S4D-hi-80"]].to_numpy() for t in (found, want.set_index("unique_id"))
            )
            np.testing.assert_allclose(a[:step], b[:step], rtol=1e-5)  # float32 over the same steps
            assert (np.abs(a[step] - b[step]) > 1e-3).any()
    # Beyond the horizon the forecast is fed back, and the covariates of that time are read, in their turn.
    longer = with_all.predict(h=8, futr_df=futr)
    changed = with_all.predict(h=8, futr_df=futr.assign(price=futr["price"].where(later < 6, 50.0)))
    same = later.to_numpy() < 6
    np.testing.assert_allclose(changed["S4D"][same], longer["S4D"][same], rtol=1e-5)
    assert (changed["S4D"][~same] != longer["S4D"][~same]).all()


def test_a_forecast_with_covariates_does_not_depend_on_other_series(with_all: Forecaster, frame: pd.DataFrame) -> None:
    known, future = split(frame, 8)
    whole = with_all.predict(df=known, futr_df=plans(future), static_df=STATIC, level=[80])
    changed = STATIC.assign(zeal=[1.0, 9.0, -7.0], kind=["x", "x", "y"])
    futr = plans(future).assign(price=future["price"].where(future["unique_id"] == "a", -5.0))
    beside = with_all.predict(df=known, futr_df=futr, static_df=changed, level=[80])
    one = known[known["unique_id"] == "a"]
    alone = with_all.predict(df=one, futr_df=plans(future), static_df=STATIC, level=[80])
    want = whole[whole["unique_id"] == "a"]
    pd.testing.assert_frame_equal(beside[beside["unique_id"] == "a"], want, rtol=1e-6)
    pd.testing.assert_frame_equal(alone, want, rtol=1e-5)  # float32 in batches of another size
    assert not np.allclose(beside["S4D"][H:], whole["S4D"][H:], rtol=1e-4)


def test_a_missing_covariate_of_the_past_is_masked(with_all: Forecaster, frame: pd.DataFrame) -> None:
    known, future = split(frame, 8)
    some = known.index % 3 == 0

    def found(visits: Any) -> np.ndarray:
        given = {"futr_df": plans(future), "static_df": STATIC, "level": [80]}
        return with_all.predict(df=known.assign(visits=visits), **given).iloc[:, 2:].to_numpy()

    full, holes, none = (found(part) for part in (known["visits"], known["visits"].mask(some), np.nan))
    assert np.isfinite(np.stack([holes, none])).all()
    assert np.abs(holes - full).max() > 1e-4
    assert np.abs(none - holes).max() > 1e-4
    mean = found(with_all._ready("test").reader.location[0])  # a hole is not the same as the mean: it says so
    assert np.abs(mean - none).max() > 1e-4


def test_rows_columns_and_types_in_any_order(small: Small, frame: pd.DataFrame) -> None:
    known, future = split(frame)
    futr = plans(future)

    def found(known: pd.DataFrame, static: pd.DataFrame, futr: pd.DataFrame) -> pd.DataFrame:
        return small(H, input_size=8, **ALL).fit(known, static_df=static).predict(futr_df=futr, level=[80])

    want = found(known, STATIC, futr)
    with pytest.warns(UserWarning, match="were not in order"):
        shuffled = found(
            known.sample(frac=1, random_state=0)[::-1].iloc[:, ::-1],
            STATIC[::-1].iloc[:, ::-1],
            futr.sample(frac=1, random_state=1).iloc[:, ::-1],
        )
    pd.testing.assert_frame_equal(shuffled, want, check_exact=True)
    typed = found(
        known.astype({"unique_id": "category", "visits": "Float64", "price": object}),
        STATIC.astype({"kind": "category", "unique_id": object, "zeal": "int32"}),
        futr.astype({"unique_id": "category", "ds": str, "price": "Float64"}),
    )
    pd.testing.assert_frame_equal(typed, want, check_exact=True, check_dtype=False)


def test_weight_zero_means_not_learnt_from(small: Small) -> None:
    """In half of the rows the target is the price, in the others its opposite: weights say which count."""
    steps = 240
    price = noise(steps, 0)
    early = np.arange(steps) < steps // 2
    y = 5 + np.where(early, price, -price)
    stamps = pd.date_range("2024-01-01", periods=steps, freq="D")
    frame = pd.DataFrame({"unique_id": "a", "ds": stamps, "y": y, "price": price})
    futr = pd.DataFrame(
        {
            "unique_id": "a",
            "ds": pd.date_range(stamps[-1], periods=H + 1, freq="D")[1:],
            "price": [1.0, -1.0, 1.0, -1.0],
        }
    )
    for counts, sign in ((early, 1), (~early, -1)):
        fc = small(H, **LEARNS, futr_exog_list=["price"], weight_col="w")
        found = fc.fit(frame.assign(w=counts.astype(float))).predict(futr_df=futr)["S4D"].to_numpy()
        assert (sign * (found[[0, 2]] - found[[1, 3]]) > 1).all()  # 2 if learnt to the end


def test_equal_weights_are_no_weights_and_no_weight_is_none(small: Small, table: Callable[..., pd.DataFrame]) -> None:
    want = small().fit(table()).predict(level=[80])
    found = small(weight_col="w").fit(table().assign(w=1)).predict(level=[80])
    pd.testing.assert_frame_equal(found, want, check_exact=True)
    zero = table().assign(w=np.where(np.arange(48) % 3, 1.0, 0.0))
    none = zero.assign(w=zero["w"].where(zero["w"] > 0))
    first, second = (small(weight_col="w").fit(frame).predict(level=[80]) for frame in (zero, none))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert not first.equals(want)
    fc = small(weight_col="w").fit(zero)
    pd.testing.assert_frame_equal(fc.predict(df=table()), fc.predict(df=zero), check_exact=True)


def test_one_seed_gives_the_same_bits_with_covariates(small: Small, frame: pd.DataFrame) -> None:
    known, future = split(frame)
    first, second = (
        small(H, input_size=8, **ALL).fit(known, static_df=STATIC).predict(futr_df=plans(future), level=[80])
        for _ in range(2)
    )
    pd.testing.assert_frame_equal(first, second, check_exact=True)
