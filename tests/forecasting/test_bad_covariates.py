"""What cannot be used beside the values is refused in one sentence that says what is wrong, and where."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
import pytest

from statespace import Forecaster
from statespace.errors import InputError

Change = Callable[[pd.DataFrame], Any]
H = 4
OPTIONS: dict[str, Any] = {"input_size": 8, "max_steps": 1, "d_model": 4, "n_layers": 1, "d_state": 4, "verbose": False}


def known(names: str = "ab", steps: int = 40) -> pd.DataFrame:
    t = np.arange(steps)
    parts = [
        pd.DataFrame({"unique_id": name, "ds": pd.date_range("2024-01-01", periods=steps, freq="h"), "y": np.sin(t)})
        for name in names
    ]
    return pd.concat(parts, ignore_index=True).assign(price=1.0, visits=2.0)


def future() -> pd.DataFrame:
    stamps = pd.date_range("2024-01-02 16:00", periods=H, freq="h")
    return pd.DataFrame({"unique_id": np.repeat(["a", "b"], H), "ds": [*stamps, *stamps], "price": 1.0})


STATIC = pd.DataFrame({"unique_id": ["a", "b"], "zeal": [1.0, 2.0], "kind": ["x", "y"]})


@pytest.fixture(scope="module")
def planned() -> Forecaster:
    return Forecaster(H, **OPTIONS, futr_exog_list=["price"], hist_exog_list=["visits"]).fit(known())


@pytest.fixture(scope="module")
def settled() -> Forecaster:
    return Forecaster(H, **OPTIONS, stat_exog_list=["zeal", "kind"]).fit(known(), static_df=STATIC)


FUTURES: dict[str, tuple[Change, str]] = {
    "missing": (
        lambda _: None,
        r"futr_df is missing, .* fitted with futr_exog_list=\['price'\]: pass a table with .*16:00",
    ),
    "no table": (lambda _: [1], "futr_df is a list, but a DataFrame of pandas or polars"),
    "no covariate": (
        lambda t: t.drop(columns="price"),
        "futr_df must have one column 'price', but its columns are unique_",
    ),
    "no stamps": (lambda t: t.drop(columns="ds"), "futr_df must have one column 'ds'"),
    "a hole": (
        lambda t: t.drop(index=5),
        "futr_df has no row for series 'b' at 2024-01-02 17:00:00: .* 1 rows are missing",
    ),
    "no rows": (lambda t: t.iloc[:0], "futr_df has no row for series 'a'.* 8 rows are missing"),
    "too short": (lambda t: t[t["unique_id"] == "a"], "no row for series 'b' .* Its series are 'a'"),
    "NaN": (
        lambda t: t.assign(price=t["price"].where(t.index != 6)),
        "no number in column 'price' for series 'b' at .*18:00",
    ),
    "doubled": (lambda t: pd.concat([t, t.tail(1)]), "futr_df has two rows for series 'b' at .*19:00:00: keep one"),
    "a time zone": (
        lambda t: t.assign(ds=t["ds"].dt.tz_localize("Europe/Berlin")),
        "stamps of futr_df are dates in Europe/Berlin, .* but those of the series are dates without a time zone",
    ),
    "whole numbers": (lambda t: t.assign(ds=range(8)), "stamps of futr_df are whole numbers, .* write both alike"),
    "text": (lambda t: t.assign(price="dear"), "futr_df: column 'price' holds 'dear' in row 1, but numbers"),
    "infinite": (lambda t: t.assign(price=np.inf), "futr_df: column 'price' is infinite in row 1"),
    "no stamp": (lambda t: t.assign(ds=t["ds"].where(t.index != 2)), "futr_df: column 'ds' is empty in row 3"),
}


@pytest.mark.parametrize("case", FUTURES)
def test_a_future_that_cannot_be_used(case: str, planned: Forecaster) -> None:
    change, message = FUTURES[case]
    for call in (planned.predict, planned.simulate):
        with pytest.raises(InputError, match=rf"Forecaster\.(predict|simulate): .*{message}"):
            call(futr_df=change(future()))


def test_a_future_in_another_time_zone_is_the_same_future() -> None:
    there = known().assign(ds=lambda t: t["ds"].dt.tz_localize("Europe/Berlin"))
    fc = Forecaster(H, **OPTIONS, futr_exog_list=["price"]).fit(there)
    futr = future().assign(ds=lambda t: t["ds"].dt.tz_localize("Europe/Berlin"), price=np.arange(8.0))
    want = fc.predict(futr_df=futr)
    found = fc.predict(futr_df=futr.assign(ds=futr["ds"].dt.tz_convert("UTC")))
    pd.testing.assert_frame_equal(found, want, check_exact=True)


def test_rows_and_columns_that_are_not_asked_for_do_not_matter(planned: Forecaster) -> None:
    want = planned.predict(futr_df=future())
    more = pd.concat([future(), known().assign(price=np.nan), future().assign(unique_id="z")]).assign(note="x")
    pd.testing.assert_frame_equal(planned.predict(futr_df=more), want, check_exact=True)


STATICS: dict[str, tuple[Change, str]] = {
    "missing": (lambda _: None, "static_df is missing, but stat_exog_list asks for zeal, kind"),
    "no table": (lambda _: "x", "static_df is a str, but a DataFrame of pandas or polars"),
    "a series missing": (lambda t: t.iloc[:1], "static_df has no row for series 'b'"),
    "doubled": (lambda t: pd.concat([t, t]), "static_df has two rows for series 'a'"),
    "NaN": (lambda t: t.assign(zeal=[1.0, np.nan]), "static_df has no number in column 'zeal' for series 'b'"),
    "infinite": (lambda t: t.assign(zeal=np.inf), "static_df: column 'zeal' is infinite"),
    "a column missing": (lambda t: t.drop(columns="kind"), "static_df must have one column 'kind'"),
    "no category": (
        lambda t: t.assign(kind=["x", None]),
        "static_df has no category in column 'kind' for series 'b': fill it, such as by 'unknown'",
    ),
}


@pytest.mark.parametrize("case", STATICS)
def test_a_static_table_that_cannot_be_used(case: str, settled: Forecaster) -> None:
    change, message = STATICS[case]
    with pytest.raises(InputError, match=f"Forecaster.predict: {message}"):
        settled.predict(df=known(), static_df=change(STATIC))
    with pytest.raises(InputError, match=f"Forecaster.fit: {message}"):
        Forecaster(H, **OPTIONS, stat_exog_list=["zeal", "kind"]).fit(known(), static_df=change(STATIC))


@pytest.mark.parametrize(("kind", "there", "here"), [(int, "text", "numbers"), (str, "numbers", "text")])
def test_names_that_are_numbers_in_one_table_and_text_in_the_other(kind: type, there: str, here: str) -> None:
    frame = known("12").assign(unique_id=lambda t: t["unique_id"].map(kind))
    static = STATIC.assign(unique_id=["1", "2"] if kind is int else [1, 2])
    message = f"no row for series {kind(1)!r}: every series needs one, and its ids are {there}, while those of df are"
    with pytest.raises(InputError, match=f"Forecaster.fit: static_df has {message} {here}: write both alike"):
        Forecaster(H, **OPTIONS, stat_exog_list=["zeal"]).fit(frame, static_df=static)


def test_what_only_training_has_not_seen(settled: Forecaster) -> None:
    with pytest.raises(
        InputError, match=r"static_df has 'w' in column 'kind' for series 'b', .* the categories are 'x', 'y'"
    ):
        settled.predict(df=known(), static_df=STATIC.assign(kind=["x", "w"]))
    with pytest.raises(InputError, match="static_df: column 'zeal' holds 'much' in row 1"):
        settled.predict(df=known(), static_df=STATIC.assign(zeal="much"))


def test_tables_that_nothing_asks_for(settled: Forecaster, planned: Forecaster) -> None:
    plain = Forecaster(H, **OPTIONS).fit(known())
    with pytest.raises(InputError, match=r"predict: futr_df is given, but futr_exog_list is empty"):
        plain.predict(futr_df=future())
    with pytest.raises(InputError, match=r"predict: static_df is given, but stat_exog_list is empty"):
        plain.predict(df=known(), static_df=STATIC)
    with pytest.raises(InputError, match=r"fit: static_df is given, but stat_exog_list is empty"):
        Forecaster(H, **OPTIONS).fit(known(), static_df=STATIC)
    with pytest.raises(
        InputError, match=r"predict: static_df is given without df: that of the training series is known"
    ):
        settled.predict(static_df=STATIC)
    for column in ("price", "visits"):
        with pytest.raises(InputError, match=f"predict: there is no column '{column}' .*the columns found are"):
            planned.predict(df=known().drop(columns=column), futr_df=future())


def test_weights_are_not_negative_and_somewhere_above_zero() -> None:
    fc = Forecaster(H, **OPTIONS, weight_col="w")
    with pytest.raises(
        InputError, match=r"fit: column 'w' \(weight_col\) holds -1.0 for series 'b' at 2024-01-01 01:00"
    ):
        fc.fit(known().assign(w=lambda t: np.where(t.index == 41, -1.0, 1.0)))
    with pytest.raises(InputError, match="or the weights in column 'w'"):
        fc.fit(known().assign(w=0.0))


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"futr_exog_list": 5}, "futr_exog_list is 5, but a list of names"),
    ({"futr_exog_list": "price"}, r"futr_exog_list is 'price', but a list of names is expected: write \['price'\]"),
    ({"hist_exog_list": ["a", 3]}, "hist_exog_list is .*, but a list of names"),
    ({"stat_exog_list": ["a", "a"]}, "stat_exog_list .* 'a' is there twice"),
    ({"stat_exog_list": ["unique_id"]}, "stat_exog_list .* 'unique_id' names the series"),
    ({"calendar": 5}, "calendar is 5"),
    ({"calendar": ["hours"]}, "'hours', which is not known: .* Did you mean 'hour'"),
    ({"holidays": 5}, "holidays is 5"),
    ({"weight_col": ["w"]}, r"weight_col is \['w'\], but a name"),
    ({"weight_col": "y"}, "column 'y' is named by target_col and by weight_col"),
    ({"futr_exog_list": ["p"], "hist_exog_list": ["p"]}, "column 'p' is named by hist_exog_list and by futr_exog_list"),
    ({"distribution": None}, "distribution is None, .* choose one of quantile, normal"),
    ({"distribution": "negative-binomial", "transform": "log"}, "transform is 'log', but distribution"),
    ({"point": "mode"}, "point is 'mode', .* choose one of median, mean"),
    ({"scaler_type": "scale"}, "scaler_type is 'scale', .* choose one of standard"),
    ({"local_scaler_type": 3}, "local_scaler_type is 3"),
    ({"alias": ""}, "alias is '', but a name"),
    ({"alias": "ds"}, "time_col is 'ds', which is also a column of the forecast"),
    ({"id_col": None}, "id_col is None, but a name"),
    ({"time_col": ["ds"]}, r"time_col is \['ds'\], but a name"),
    ({"accelerator": 3}, "accelerator is 3, but a name"),
    ({"verbose": "no"}, "verbose is 'no', but True or False"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_a_wrong_option_is_refused_by_constructor_and_set_params(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"Forecaster: .*{message}"):
        Forecaster(H, **options)
    with pytest.raises(InputError, match=f"Forecaster: .*{message}"):
        Forecaster(H).set_params(**options)


@pytest.mark.parametrize("seed", [-1, 1.5, True, None, 2**70])
def test_a_wrong_seed_is_refused(seed: Any, settled: Forecaster) -> None:
    with pytest.raises(InputError, match=r"Forecaster.simulate: seed is"):
        settled.simulate(2, seed=seed)


def test_new_rows_with_a_value_and_no_price(planned: Forecaster) -> None:
    new = known(steps=44).groupby("unique_id").tail(4)
    lacks = new.assign(price=new["price"].mask(new["ds"] == "2024-01-02 17:00"))
    with pytest.raises(InputError, match=r"update: df has no number in column 'price' for series 'a' at 2024-01-02 17"):
        planned.update(lacks)
    deepcopy(planned).update(lacks.assign(y=lacks["y"].where(lacks["price"].notna())))  # then it is a gap
