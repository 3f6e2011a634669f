"""The classifier and the regressor: scikit-learn's conventions, forms of signals, gaps, storing, what is refused."""

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_classifiers_regression_target
from sklearn.utils.validation import check_is_fitted

from statespace import Classifier, InputError, Regressor
from statespace.classification.network import strides
from statespace.datasets import load_cases

SMALL: dict[str, Any] = {"systems": 60, "verbose": False}
NETWORK: dict[str, Any] = {
    "d_model": 16, "n_layers": 2, "d_state": 8, "max_epochs": 40, "verbose": False, "augmentation": 0.2,
    "batch_size": 8, "learning_rate": 1e-2,
}  # fmt: skip


def tones(count: int = 40, length: int = 64, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that differ in pitch, of any phase."""
    rng = np.random.default_rng(seed)
    y = np.array(["low", "high"])[np.arange(count) % 2]
    pitch = np.where(y == "low", 0.3, 0.6)[:, None]
    X = np.sin(pitch * np.arange(length) + rng.uniform(0, 6, (count, 1))) + 0.3 * rng.standard_normal((count, length))
    return X, y


@pytest.fixture(scope="module")
def fitted() -> Classifier:
    X, y = tones()
    return Classifier(**SMALL).fit(X, y)


def test_published_splits_are_told_as_well_as_the_best_published() -> None:
    """HIVE-COTE 2 is right on all of the first two and on .970 of the third; one nearest neighbour (DTW) on .950."""
    for name, least in (("gunpoint", 0.99), ("basic-motions", 1.0), ("italy-power-demand", 0.93)):
        train, test = load_cases(name), load_cases(name, "test")
        assert Classifier(verbose=False).fit(train.X, train.y).score(test.X, test.y) >= least


@pytest.mark.parametrize("layer", ["s4d", "s5", "mamba", ["s4d", "mamba"]], ids=str)
def test_a_network_of_any_layer_learns_what_tells_two_pitches_apart(layer: Any) -> None:
    X, y = tones(60, 40)
    model = Classifier(layer, **NETWORK).fit(X, y)
    assert model.score(*tones(60, 40, seed=1)) > 0.9
    assert model.outcome_ is not None
    assert model.outcome_.steps > 0


def test_forms_of_signals_are_one(fitted: Classifier) -> None:
    X, _ = tones()
    wanted = fitted.predict_proba(X)
    frame = pd.DataFrame(
        {"case": np.repeat(np.arange(40), 64), "time": np.tile(np.arange(64), 40), "value": X.reshape(-1)}
    )
    shuffled = frame.sample(frac=1, random_state=0).sort_values("case", kind="stable")
    for form in (X[:, None], list(X), [row[None] for row in X], torch.from_numpy(X), frame, shuffled):
        np.testing.assert_allclose(fitted.predict_proba(form), wanted, atol=1e-6)


def test_forms_of_sktime_are_taken_as_the_guide_says(fitted: Classifier) -> None:
    X, _ = tones()
    index = pd.MultiIndex.from_product([range(40), range(64)], names=["instances", "timepoints"])
    levels = pd.DataFrame({"dim_0": X.reshape(-1)}, index=index)
    nested = pd.DataFrame({"dim_0": [pd.Series(row) for row in X]})
    for form in (
        levels,
        [np.stack([cell.to_numpy() for cell in row]) for row in nested.to_numpy()],
    ):
        np.testing.assert_allclose(fitted.predict_proba(form), fitted.predict_proba(X), atol=1e-6)


def test_unequal_lengths_are_as_each_alone_and_padding_with_nan_is_cut_off(fitted: Classifier) -> None:
    X, _ = tones(6)
    ragged = [row[: 64 - 7 * i] for i, row in enumerate(X)]
    wanted = np.concatenate([fitted.predict_proba([row]) for row in ragged])
    np.testing.assert_allclose(fitted.predict_proba(ragged), wanted, atol=1e-6)
    padded = np.full((6, 64), np.nan)
    for i, row in enumerate(ragged):
        padded[i, : len(row)] = row
    np.testing.assert_allclose(fitted.predict_proba(padded), wanted, atol=1e-6)


@pytest.mark.parametrize("options", [SMALL, {"layer": "s4d", **NETWORK}], ids=["responses", "network"])
def test_gaps_are_masked(options: dict[str, Any]) -> None:
    X, y = tones()
    holes = X.copy()
    holes[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    model = Classifier(**options).fit(holes, y)
    probability = model.predict_proba(holes)
    assert np.isfinite(probability).all()
    assert model.score(holes, y) > 0.85


@pytest.mark.parametrize("options", [SMALL, {"layer": "s4d", **NETWORK}], ids=["responses", "network"])
def test_the_same_seed_gives_the_same_model_and_a_stored_one_is_the_same(
    options: dict[str, Any], tmp_path: Path
) -> None:
    X, y = tones()
    first, second = Classifier(**options).fit(X, y), Classifier(**options).fit(X, y)
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    first.save(tmp_path / "model")
    again = Classifier.load(tmp_path / "model")
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))
    assert again.classes_.tolist() == ["high", "low"]
    assert repr(again) == repr(first)
    assert again.predict(X).tolist() == first.predict(X).tolist()


def test_a_stored_model_that_was_changed_or_is_another_is_refused(fitted: Classifier, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    with pytest.raises(InputError, match="holds a Classifier, but a Regressor is expected"):
        Regressor.load(tmp_path / "model")
    description = json.loads((tmp_path / "model" / "model.json").read_text())
    description["sharpness"] = 3.0
    (tmp_path / "model" / "model.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match="was cut off or changed"):
        Classifier.load(tmp_path / "model")
    with pytest.raises(InputError, match="does not exist"):
        Classifier.load(tmp_path / "nowhere")


def test_scikit_learn_takes_it_as_one_of_its_own() -> None:
    X, y = tones()
    model = Classifier(**SMALL)
    assert clone(model).get_params() == model.get_params()
    check_is_fitted(clone(model).fit(X, y))
    assert cross_val_score(model, X, y, cv=3).mean() > 0.9
    piped = make_pipeline(FunctionTransformer(lambda x: x - x.mean(-1, keepdims=True)), model)
    search = GridSearchCV(piped, {"classifier__systems": [10, 60]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.8
    assert set(search.classes_) == {"low", "high"}
    numbers = (y == "low") * 1.0
    assert cross_val_score(Regressor(**SMALL), X, numbers, cv=3).mean() > 0.5


def test_probabilities_are_as_often_right_as_they_say() -> None:
    train, test = load_cases("italy-power-demand"), load_cases("italy-power-demand", "test")
    model = Classifier(systems=300, verbose=False).fit(train.X, train.y)
    probability = model.predict_proba(test.X)
    np.testing.assert_allclose(probability.sum(1), 1, atol=1e-6)
    right = model.classes_[probability.argmax(1)] == test.y
    assert abs(probability.max(1).mean() - right.mean()) < 0.05  # accuracy .94
    assert len(model.validation_rows_) == len(train.y)
    assert model.validation_scores_.shape == (67, 2)


def test_several_labels_and_numbers() -> None:
    rng = np.random.default_rng(0)
    amount = rng.uniform(0.2, 2, (80, 2))
    t = np.arange(80)
    X = amount[:, :1] * np.sin(0.3 * t + rng.uniform(0, 6, (80, 1))) + amount[:, 1:] * np.sin(
        1.1 * t + rng.uniform(0, 6, (80, 1))
    )
    labels = (amount > 1).astype(int)
    model = Classifier(**SMALL).fit(X[:60], labels[:60])
    assert model.predict(X[60:]).shape == (20, 2)
    assert (model.predict(X[60:]) == labels[60:]).mean() > 0.8
    assert model.predict_proba(X[60:]).max() <= 1
    numbers = Regressor(**SMALL).fit(X[:60], amount[:60])
    assert numbers.score(X[60:], amount[60:]) > 0.6
    left_out = amount[numbers.validation_rows_]
    assert np.abs(numbers.validation_scores_ - left_out).mean() < np.abs(left_out - left_out.mean(0)).mean()
    single = Regressor(**SMALL).fit(X[:60], amount[:60, 0])
    assert single.predict(X[60:]).shape == (20,)


def test_weights_of_classes_move_the_decision() -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(80) % 8 == 0).astype(int)
    X, fresh = np.sin(np.where(y[:, None], 0.45, 0.4) * np.arange(30)) + 0.8 * rng.standard_normal((2, 80, 30))
    plain = Classifier(**SMALL).fit(X, y).predict(fresh).mean()
    balanced = Classifier(**SMALL, class_weight="balanced").fit(X, y).predict(fresh).mean()
    assert balanced > plain
    doubled = Classifier(**SMALL).fit(X, y, sample_weight=1.0 + 6 * y).predict_proba(X)[:, 1]
    named = Classifier(**SMALL, class_weight={1: 7.0}).fit(X, y).predict_proba(X)[:, 1]
    np.testing.assert_allclose(doubled, named, atol=1e-6)


def test_groups_stay_on_one_side() -> None:
    X, y = tones()
    groups = np.arange(40) // 2 % 10
    network = Classifier("s4d", **NETWORK | {"max_epochs": 1}).fit(X, y, groups=groups)
    judged = set(groups[network.validation_rows_])
    assert judged
    assert all((groups[network.validation_rows_] == name).sum() == 4 for name in judged)


def test_what_is_said_of_a_group_is_said_by_the_others() -> None:
    """Each speaker has cases that are nearly the same: knowing one tells the other, but not that of anybody else."""
    rng = np.random.default_rng(0)
    groups = np.arange(40) // 4
    y = rng.permuted(np.tile([0, 1], (10, 1)), axis=1)[:, [0, 0, 1, 1]].ravel()
    X = rng.standard_normal((10, 2, 64))[groups, np.tile([0, 0, 1, 1], 10)] + 0.05 * rng.standard_normal((40, 64))
    alone, together = Classifier(**SMALL).fit(X, y), Classifier(**SMALL).fit(X, y, groups=groups)
    assert together.validation_rows_.tolist() == list(range(40))
    assert (alone.validation_scores_.argmax(1) == y).mean() > 0.9
    assert (together.validation_scores_.argmax(1) == y).mean() < 0.75


def test_half_the_sampling_rate_without_fitting_again() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    t = np.arange(400)
    X = np.sin(np.where(y[:, None], 0.05, 0.09) * t + rng.uniform(0, 6, (60, 1))) + 0.02 * rng.standard_normal(
        (60, 400)
    )
    model = Classifier(systems=200, verbose=False).fit(X[:40], y[:40])
    assert model.score(X[40:, ::2], y[40:], dt_scale=2.0) == 1.0
    with pytest.raises(InputError, match=r"dt_scale is -1.*such as 2 for half"):
        model.predict(X, dt_scale=-1)


def test_long_signals_go_through_a_stem() -> None:
    assert strides(100, 3) == [1, 1, 1]
    assert strides(8000, 4) == [1, 8, 8, 8]
    assert strides(16000, 4) == [2, 16, 16, 16]
    assert strides(2**17, 4) == [32, 128, 128, 128]
    rng = np.random.default_rng(0)
    y = np.arange(16) % 2
    X = np.sin(np.where(y[:, None], 0.02, 0.05) * np.arange(9000)) + 0.3 * rng.standard_normal((16, 9000))
    model = Classifier("s4d", **NETWORK | {"max_epochs": 20, "batch_size": 4}, causal=True).fit(X, y)
    assert model.model_.options["stride"] == [2, 16]
    assert model.score(X, y) > 0.9
    live = model.stream()
    for part in np.split(X[0], [1, 700, 5001]):
        said = live.push(part)
    np.testing.assert_allclose(said, model.predict_proba(X[:1])[0], atol=1e-4)


def test_a_causal_model_does_not_know_what_comes() -> None:
    X, y = tones()
    model = Classifier(**SMALL, causal=True).fit(X, y)
    assert not any(bool(one.backwards.any()) for one in model.model_.responses())
    with pytest.raises(InputError, match="'instance' looks at the whole signal"):
        Classifier(**SMALL, causal=True, scaler_type="instance").fit(X, y)


def test_silence_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    X, y = tones()
    Classifier(**SMALL).fit(X, y)
    Classifier("s4d", **NETWORK | {"max_epochs": 1}).fit(X, y)
    assert capfd.readouterr() == ("", "")


X0, Y0 = tones(8, 16)
REFUSED = {
    "layer is 's4dd', which is not known": ({"layer": "s4dd"}, X0, Y0),
    "layer is 'responses', which is not known": ({"layer": ["responses", "s4d"]}, X0, Y0),
    "systems is 0": ({"systems": 0}, X0, Y0),
    "val_size is 1": ({"val_size": 1}, X0, Y0),
    "learning_rate is nan": ({"learning_rate": float("nan")}, X0, Y0),
    "scaler_type is 'standard'": ({"scaler_type": "standard"}, X0, Y0),
    "class_weight names 'medium'": ({"class_weight": {"medium": 2.0}}, X0, Y0),
    "y holds 1 class": ({}, X0, ["a"] * 8),
    "y has no class for signal 2": ({}, X0, ["a", "b", None] + ["a"] * 5),
    "X has 8 signals but y has 7": ({}, X0, Y0[:7]),
    r"X is \(16,\)": ({}, X0[0], Y0),
    "X has no signals": ({}, [], Y0),
    "X is a str": ({}, "signals", Y0),
    "signal 1 of X has 2 channels, but 1 are": ({}, [X0[:1], X0[:2]], Y0[:2]),
    "looks transposed": ({}, [X0[:3], X0[:3].T], Y0[:2]),
    "signal 3 of X has no sample that is a number": ({}, np.where(np.arange(8)[:, None] == 3, np.nan, X0), Y0),
    "signal 0 of X has values that are infinite": ({}, X0 * 1e300, Y0),
    "signal 0 of X holds <U1": ({}, np.full((8, 16), "a"), Y0),
    "every sample of X has the same value in float32": ({}, np.ones((8, 16)), Y0),
    "Take off an offset": ({}, np.ones((8, 16)), Y0),
    "its units are too small: multiply X": ({}, X0 * 1e-31, Y0),
    "'time' is missing": ({}, pd.DataFrame({"case": [1], "value": [2.0]}), Y0),
    "several rows for one case": ({}, pd.DataFrame({"case": [1, 1], "time": [0, 0], "v": [2.0, 3.0]}), Y0),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_used_is_named(message: str) -> None:
    options, X, y = REFUSED[message]
    with pytest.raises(InputError, match=message):
        Classifier(**{"verbose": False, **options}).fit(X, y)


def test_what_cannot_be_used_later_is_named(fitted: Classifier) -> None:
    for call in (lambda: Classifier().predict(X0), lambda: Regressor().save("m"), lambda: Classifier().stream()):
        with pytest.raises(InputError, match="is not fitted: call fit") as ours:
            call()
        assert isinstance(ours.value, NotFittedError)  # scikit-learn's
        again = pickle.loads(pickle.dumps(ours.value))
        assert type(again) is type(ours.value)
        assert str(again) == str(ours.value)
    with pytest.raises(InputError, match=r"signal 0 of X has 2 channels, but 1 are expected"):
        fitted.predict(np.zeros((3, 2, 16)))
    with pytest.raises(InputError, match=r"parameter is 'sistems'.*Did you mean 'systems'"):
        Classifier().set_params(sistems=3)
    with pytest.raises(InputError, match="y holds NaN"):
        Regressor(**SMALL).fit(X0, np.full(8, np.nan))


# ------------------------------------------------------------------------- what once went wrong without a word


def test_a_channel_that_was_not_measured_is_at_its_mean() -> None:
    train, test = load_cases("basic-motions"), load_cases("basic-motions", "test")
    model = Classifier(systems=200, verbose=False).fit(train.X, train.y)
    dead = [signal.copy() for signal in test.X]
    alternating = [signal.copy() for signal in test.X]
    for one, other in zip(dead, alternating, strict=True):
        one[0] = np.nan
        other[:3, ::2] = np.nan
        other[3:, 1::2] = np.nan
    assert model.score(dead, test.y) > 0.9
    assert model.score(alternating, test.y) > 0.9
    half = [signal.copy() for signal in train.X]
    for signal in half[::2]:
        signal[2] = np.nan
    assert Classifier(systems=200, verbose=False).fit(half, train.y).score(test.X, test.y) > 0.9
    with pytest.raises(InputError, match="channel 1 of X has no number in any signal"):
        Classifier(**SMALL).fit(np.stack([X0, X0 * np.nan], 1), Y0)


def test_a_case_without_weight_is_as_if_it_were_not_there() -> None:
    X, y = tones()
    weight = np.r_[np.zeros(4), np.ones(36)]
    some, without = Classifier(**SMALL).fit(X, y, sample_weight=weight), Classifier(**SMALL).fit(X[4:], y[4:])
    np.testing.assert_allclose(some.predict_proba(X), without.predict_proba(X), atol=1e-6)
    assert np.isfinite(some.validation_scores_).all()
    assert some.validation_rows_.min() == 4
    huge = Classifier(**SMALL).fit(X, y, sample_weight=np.full(40, 1e90))
    np.testing.assert_allclose(huge.predict_proba(X), Classifier(**SMALL).fit(X, y).predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("keys", [[2, 9, 10], [np.int64(1), np.int64(2), np.int64(30)], ["a", "b", "c"]], ids=str)
def test_weights_of_classes_come_back_from_the_folder(keys: list[Any], tmp_path: Path) -> None:
    X, _ = tones(30)
    y = np.array(keys)[np.arange(30) % 3]
    model = Classifier(**SMALL, class_weight=dict(zip(keys, (1.0, 1.0, 2.0), strict=True))).fit(X, y)
    model.save(tmp_path / "model")
    again = Classifier.load(tmp_path / "model")
    assert again.class_weight == model.class_weight
    np.testing.assert_array_equal(again.fit(X, y).predict_proba(X), model.predict_proba(X))


def test_a_fit_that_fails_leaves_the_earlier_one_and_parameters_wait_for_the_next(tmp_path: Path) -> None:
    X, y = tones()
    model = Classifier(**SMALL).fit(X * 100 + 5, y)
    before = model.predict_proba(X * 100 + 5)
    with pytest.raises(InputError, match="X has 5 signals but y has 6"):
        model.fit(X[:5], ["c", "d"] * 3)
    model.set_params(scaler_type="none", layer="s4d")
    np.testing.assert_array_equal(model.predict_proba(X * 100 + 5), before)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(Classifier.load(tmp_path / "model").predict_proba(X * 100 + 5), before)


def test_y_may_be_a_column() -> None:
    X, y = tones()
    assert Classifier(**SMALL).fit(X, y[:, None]).score(X, y[:, None]) > 0.9
    numbers = (y == "low") * 1.0
    model = Regressor(**SMALL).fit(X, numbers[:, None])
    assert model.score(X, numbers) == pytest.approx(model.score(X, numbers[:, None]))
    assert model.score(X, numbers) > 0.5


def test_a_table_is_taken_by_the_names_of_its_channels() -> None:
    X, y = tones(12, 20)
    frame = pd.DataFrame(
        {
            "case": np.repeat(np.arange(12), 20),
            "time": np.tile(np.arange(20), 12),
            "b": X.ravel(),
            "a": -(X.ravel() ** 2),
        }
    )
    model = Classifier(**SMALL).fit(frame, y)
    turned = frame[["a", "case", "time", "b"]]
    np.testing.assert_array_equal(model.predict_proba(turned), model.predict_proba(frame))
    with pytest.raises(InputError, match=r"the channels b, but b, a are expected"):
        model.predict(frame.drop(columns="a"))
    for change, message in (
        ({"time": frame["time"].astype(str)}, "column 'time' of X holds"),
        ({"case": frame["case"].where(frame["case"] > 0)}, "column 'case' of X has missing values"),
        ({"a": "x"}, "column 'a' of X holds"),
    ):
        with pytest.raises(InputError, match=message):
            model.predict(frame.assign(**change))


def test_an_offset_that_costs_digits_is_told() -> None:
    X, y = tones(12, 20)
    with pytest.warns(UserWarning, match=r"channel 0 of X lies around 2e\+07 and swings by .*take the offset off"):
        Classifier(**SMALL).fit(X + 2e7, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Classifier(**SMALL).fit(X + 1e4, y)


def test_what_looks_transposed_is_told() -> None:
    X, y = tones(12, 20)
    with pytest.warns(UserWarning, match="X has 20 channels of at most 1 samples"):
        Classifier(**SMALL).fit(X[..., None], y)


MORE_REFUSED: dict[str, tuple[dict[str, Any], Any, Any, dict[str, Any]]] = {
    "sample_weight is 0 for every signal": ({}, X0, Y0, {"sample_weight": np.zeros(8)}),
    "signal 0 of X is a single number": ({}, [0.1, 0.2], ["a", "b"], {}),
    r"signal 0 of X has values .* too large": ({}, X0 * 1e20, Y0, {}),
    "class_weight holds -1": ({"class_weight": {"low": -1.0}}, X0, Y0, {}),
    r"class_weight is \[1, 2\]": ({"class_weight": [1, 2]}, X0, Y0, {}),
    "class_weight is given, but signals have several": ({"class_weight": "balanced"}, X0, np.eye(8)[:, :2], {}),
    "sample_weight holds something": ({}, X0, Y0, {"sample_weight": ["a"] * 8}),
    r"groups is \(8, 2\)": ({}, X0, Y0, {"groups": np.ones((8, 2))}),
    "groups has no name for signal 0": ({}, X0, Y0, {"groups": [None] * 8}),
    "groups has one name for all signals": ({}, X0, Y0, {"groups": ["one"] * 8}),
    "layer is None": ({"layer": None}, X0, Y0, {}),
    "causal is 'no'": ({"causal": "no"}, X0, Y0, {}),
    "random_seed is": ({"random_seed": 2**70}, X0, Y0, {}),
    "y holds text and numbers": ({}, X0, np.array(["a", 1] * 4, dtype=object), {}),
    "y holds text and numbers side": ({}, X0, ["a", 1] * 4, {}),
    "y has no class for signal 0": ({}, X0, [float("nan"), *"abababa"], {}),
    "groups has no name for signal 1": ({}, X0, Y0, {"groups": ["a", np.nan, *"bcdefg"]}),
    r"y is \(8, 2\), and the first signal has \[1, 'a'\]": ({}, X0, [(1, "a"), (2, "b")] * 4, {}),
    r"y holds \(1, 'a'\), a tuple": ({}, X0, pd.Series([(1, "a"), (2,)] * 4), {}),
    "training has diverged.*lower learning_rate, which is 1000": (
        {"layer": "s4d", **NETWORK, "learning_rate": 1e3},
        X0,
        Y0,
        {},
    ),
    "y is ragged": ({}, X0, [["a"], ["b", "c"]] * 4, {}),
}


@pytest.mark.parametrize("message", MORE_REFUSED)
def test_what_ended_in_the_depths_is_named(message: str) -> None:
    options, X, y, more = MORE_REFUSED[message]
    with pytest.raises(InputError, match=message):
        Classifier(**{"verbose": False, **options}).fit(X, y, **more)


def test_quantities_are_no_classes() -> None:
    check_classifiers_regression_target("Classifier", Classifier(**SMALL))  # scikit-learn's
    quantities = np.linspace(0, 1, 8)
    for y in (quantities, quantities[:, None], quantities.tolist(), pd.Series(quantities, dtype=object)):
        with pytest.raises(InputError, match=r"Unknown label type: continuous; y holds 0\.14.*take Regressor"):
            Classifier(**SMALL).fit(X0, y)
    with pytest.raises(InputError, match="y holds inf"):
        Classifier(**SMALL).fit(X0, [0.0, np.inf] * 4)
    assert Classifier(**SMALL).fit(X0, [0.0, 2.0] * 4).classes_.tolist() == [0, 2]


def test_numbers_that_cannot_be_used_are_named() -> None:
    for y, message in (
        (np.arange(8) * 1e200, "too large to compute with"),
        (np.zeros((8, 2, 2)), r"y is \(8, 2, 2\)"),
        (np.arange(8) * 1j, "not a real number"),
    ):
        with pytest.raises(InputError, match=message):
            Regressor(**SMALL).fit(X0, y)
    with pytest.raises(InputError, match=r"y is \(3,\), but \(8,\) is expected"):
        Regressor(**SMALL).fit(X0, np.arange(8)).score(X0, np.arange(3))


def test_signals_that_are_too_large_for_what_was_fitted_are_named() -> None:
    X, y = tones()
    model = Classifier("s4d", **NETWORK | {"max_epochs": 1}).fit(1e-28 * X, y)
    fresh = np.concatenate([1e-28 * X[:2], 1e14 * X[:2]])
    for ask in (model.predict, model.predict_proba, model.attribute):
        with pytest.raises(InputError, match="signal 2 of X is NaN or infinite: its values are too large beside"):
            ask(fresh)


@pytest.mark.parametrize("options", [SMALL, {"layer": "s4d", **NETWORK, "max_epochs": 1}], ids=["responses", "network"])
def test_a_class_of_one_group_alone_is_told_and_stays_in_training(options: dict[str, Any]) -> None:
    X, y = tones()
    groups = np.array(["ann", "bob", "eve"])[np.arange(40) % 3]
    y[groups == "bob"] = "rare"
    with pytest.warns(UserWarning, match="come from one of the groups alone: 'rare' from 'bob'.") as told:
        model = Classifier(**options, random_seed=1).fit(X, y, groups=groups)
    assert len(told) == 1
    assert told[0].filename == __file__
    if "layer" in options:
        assert "rare" not in y[model.validation_rows_]
        assert len(model.validation_rows_)
        with pytest.warns(UserWarning, match="'high' from 'high', 'low' from 'low'"):
            assert not len(Classifier(**options).fit(*tones(), groups=tones()[1]).validation_rows_)


@pytest.mark.parametrize("options", [SMALL, {"layer": "s4d", **NETWORK, "max_epochs": 1}], ids=["responses", "network"])
def test_numbers_of_numpy_are_taken_as_parameters(options: dict[str, Any], tmp_path: Path) -> None:
    X, y = tones()
    given = {name: np.array(value)[()] if isinstance(value, int | float) else value for name, value in options.items()}
    model = Classifier(**given, random_seed=np.int64(3)).fit(X, y)
    plain = Classifier(**options, random_seed=3).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    assert isinstance(model.random_seed, np.int64)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(Classifier.load(tmp_path / "model").predict_proba(X), plain.predict_proba(X))
    if "layer" not in options:
        search = GridSearchCV(Classifier(**SMALL), {"random_seed": np.arange(2)}, cv=2).fit(X, y)
        assert search.best_score_ > 0.8
