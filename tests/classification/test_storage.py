"""Model folders of classifiers and regressors: what comes back says the same, and knows its sampling rate."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from statespace import Classifier, Regressor, model_folder
from statespace.errors import InputError

SMALL = {"verbose": False, "systems": 20, "d_model": 8, "d_state": 8, "n_layers": 2, "max_epochs": 1}


def data() -> tuple[np.ndarray, np.ndarray]:
    y = np.arange(10) % 2
    t = np.arange(60)
    return np.sin(t * (0.2 + 0.3 * y[:, None])) + 0.1 * np.random.default_rng(0).standard_normal((10, 60)), y


@pytest.mark.parametrize("layer", ["responses", "s4d", ["s4d", "lru"]])
@pytest.mark.parametrize("kind", ["classes", "labels", "numbers"])
def test_what_comes_back_says_the_same(tmp_path: Path, layer: str | list[str], kind: str) -> None:
    X, y = data()
    if kind == "numbers":
        model = Regressor(layer, **SMALL).fit(X, y + 0.5)
    else:
        model = Classifier(layer, **SMALL).fit(X, y if kind == "classes" else np.stack([y, 1 - y], 1))
    model.sampling_rate_ = 50.0
    model.save(tmp_path / "m")
    again = type(model).load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    if kind != "numbers":
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
        assert again.classes_.dtype == model.classes_.dtype
        assert again.classes_.tolist() == model.classes_.tolist()
    np.testing.assert_array_equal(again.validation_rows_, model.validation_rows_)
    np.testing.assert_array_equal(again.validation_scores_, model.validation_scores_)
    assert again.sampling_rate_ == 50
    assert again.get_params() == model.get_params()
    assert model.fit(X, y if kind != "labels" else np.stack([y, 1 - y], 1)).sampling_rate_ is None  # of other signals


@pytest.mark.parametrize("kind", ["<U3", "int8", "float32", "bool"])
def test_classes_keep_their_type(tmp_path: Path, kind: str) -> None:
    X, y = data()
    model = Classifier(**SMALL).fit(X, y.astype(kind))
    model.save(tmp_path / "m")
    again = Classifier.load(tmp_path / "m")
    assert again.predict(X).dtype == model.predict(X).dtype == np.dtype(kind)


@pytest.mark.parametrize(
    "view", ["quarters", None, [False, True, [], 0, False, True], [False, False, ["a"], [], False, True]]
)
def test_random_systems_that_are_not_those_of_the_readout_are_told(tmp_path: Path, view: Any) -> None:
    Classifier(**SMALL).fit(*data()).save(tmp_path / "m")
    description, tensors = model_folder.read("", tmp_path / "m", "Classifier")
    description["options"]["view"] = view
    rest = {name: value for name, value in description.items() if name not in ("kind", "format", "checksum")}
    model_folder.write("", tmp_path / "m", "Classifier", rest, tensors)
    with pytest.raises(InputError, match="does not hold what a Classifier needs"):
        Classifier.load(tmp_path / "m")


def test_a_classifier_is_no_regressor(tmp_path: Path) -> None:
    Classifier(**SMALL).fit(*data()).save(tmp_path / "m")
    with pytest.raises(InputError, match="holds a Classifier, but a Regressor is expected"):
        Regressor.load(tmp_path / "m")
