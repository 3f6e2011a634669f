"""Long tables of any library and sktime's index are one form, y goes by case, and times that do not fit are told."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from statespace import Classifier, InputError, Labeler, Regressor
from statespace.classification.signals import read_signals

SMALL: dict[str, Any] = {"systems": 30, "verbose": False}
CASES = ["d", "b", "a", "c", "f", "e"]


def table(step: float = 1.0, cases: list[str] | None = None) -> pd.DataFrame:
    """Slow cases and fast ones in turn, in no order of their names."""
    rng = np.random.default_rng(0)
    rows = []
    for place, case in enumerate(cases or CASES):
        t = np.arange(40)
        x = np.sin((0.3 if place % 2 else 0.8) * t + rng.uniform(0, 6)) + 0.1 * rng.standard_normal(40)
        rows.append(pd.DataFrame({"case": case, "time": step * t, "u": x, "v": x**2}))
    return pd.concat(rows, ignore_index=True)


LABELS = pd.Series(["fast", "slow"] * 3, index=CASES)


@pytest.fixture(scope="module")
def fitted() -> Classifier:
    return Classifier(**SMALL).fit(table(), LABELS.to_numpy())


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_tables_of_other_libraries(fitted: Classifier, library: str) -> None:
    module = pytest.importorskip(library)
    own = module.from_pandas(table()) if library == "polars" else module.Table.from_pandas(table())
    np.testing.assert_array_equal(fitted.predict_proba(own), fitted.predict_proba(table()))
    again = Classifier(**SMALL).fit(own, LABELS)
    np.testing.assert_array_equal(again.predict_proba(own), fitted.predict_proba(table()))


@pytest.mark.parametrize("names", [["instances", "timepoints"], [None, None], ["case", "time"]], ids=str)
def test_the_index_of_sktime(fitted: Classifier, names: list[str | None]) -> None:
    levels = table().set_index(["case", "time"]).rename_axis(names)
    np.testing.assert_array_equal(fitted.predict_proba(levels), fitted.predict_proba(table()))
    assert fitted.score(levels, LABELS.sort_index()) == 1
    with pytest.raises(InputError, match=r"'case' is missing: .*or an index of these two levels"):
        fitted.predict(pd.concat({"x": levels}))


def test_what_is_said_of_cases_goes_by_their_names(fitted: Classifier) -> None:
    sorted_ = LABELS.sort_index()
    assert sorted_.tolist() != LABELS.tolist()
    weights = pd.Series([0.0, 1, 2, 1, 1, 1], index=CASES)
    groups = pd.Series([1, 1, 2, 2, 3, 3], index=CASES)
    for extra in ({}, {"sample_weight": weights}, {"groups": groups}):
        want = Classifier(**SMALL).fit(table(), LABELS.to_numpy(), **{k: v.to_numpy() for k, v in extra.items()})
        found = Classifier(**SMALL).fit(table(), sorted_, **{k: v.sort_index() for k, v in extra.items()})
        np.testing.assert_array_equal(found.predict_proba(table()), want.predict_proba(table()))
    assert fitted.score(table(), sorted_) == 1
    np.testing.assert_array_equal(fitted.attribute(table(), sorted_), fitted.attribute(table(), LABELS.to_numpy()))
    several = pd.get_dummies(LABELS).astype(int)
    want = Classifier(**SMALL).fit(table(), several.to_numpy())
    np.testing.assert_array_equal(
        Classifier(**SMALL).fit(table(), several.sort_index()).predict(table()), want.predict(table())
    )


def test_numbers_and_labels_of_samples_go_by_name_too() -> None:
    numbers = (LABELS == "slow") * 1.0
    model = Regressor(**SMALL).fit(table(), numbers.sort_index())
    np.testing.assert_array_equal(
        model.predict(table()), Regressor(**SMALL).fit(table(), numbers.to_numpy()).predict(table())
    )
    assert model.score(table(), numbers.sort_index()) == model.score(table(), numbers.to_numpy())
    each = pd.Series([np.repeat(k, 40) for k in range(6)], index=CASES)
    labeler = Labeler(d_model=4, n_layers=1, max_epochs=1, verbose=False).fit(table(), each.sort_index())
    assert labeler.score(table(), each.sort_index()) == labeler.score(table(), each.tolist())


def test_what_is_not_named_by_cases_is_in_the_order_of_the_table(fitted: Classifier) -> None:
    for y in (LABELS.tolist(), LABELS.reset_index(drop=True), LABELS.rename({"a": "z"})):
        again = Classifier(**SMALL).fit(table(), y)
        np.testing.assert_array_equal(again.predict_proba(table()), fitted.predict_proba(table()))


# ------------------------------------------------------------------------------------------------------------ times


def test_times_that_are_not_even_are_told_once() -> None:
    uneven = table()
    uneven.loc[uneven["case"].isin(["b", "c"]) & (uneven["time"] > 20), "time"] += 3
    with pytest.warns(UserWarning, match="times of case 'b' are not evenly spaced .steps from 1 to 4., nor") as told:
        read_signals("f", uneven)
    assert len(told) == 1
    with pytest.warns(UserWarning, match="times of case 'a' are not evenly spaced"):
        read_signals("f", table().drop(index=90))  # a row that is missing


def test_cases_of_another_step_are_told() -> None:
    mixed = table()
    mixed.loc[mixed["case"] == "c", "time"] *= 2.5
    with pytest.warns(UserWarning, match=r"case 'c' are 2.5 apart, those of most cases 1 \(1 of 6 differ\)") as told:
        read_signals("f", mixed)
    assert len(told) == 1


def test_times_that_fit_are_not_told() -> None:
    stamps = table()
    stamps["time"] = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(stamps["time"] * 0.02, unit="s")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_signals("f", stamps).step == pytest.approx(0.02)
        assert read_signals("f", table().assign(time=lambda x: x["time"] * 1.001)).step == pytest.approx(1.001)
        assert read_signals("f", table().sample(frac=1, random_state=0)).step == 1
        assert read_signals("f", table().drop_duplicates("case").drop(columns="v")).step is None
        assert read_signals("f", np.zeros((3, 9))).step is None


def test_another_step_than_that_of_training_is_told(fitted: Classifier, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.predict(table())
        fitted.predict(table(2.0), dt_scale=2)
        fitted.predict(np.zeros((2, 2, 40)))
    for model in (fitted, Classifier.load(tmp_path / "model")):
        with pytest.warns(UserWarning, match=r"are 2 apart and those of training were 1, but .*pass dt_scale=2"):
            model.predict(table(2.0))
