"""How sure a causal classifier is of the beginning of a signal: no surer than it is right."""

from pathlib import Path

import numpy as np
import pytest
import torch

from statespace import Classifier
from statespace.classification.confidence import Confidence

OPTIONS = {"causal": True, "systems": 100, "verbose": False}


def data(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng, y, t = np.random.default_rng(seed), np.arange(count) % 2, np.arange(400)
    phase = rng.uniform(0, 2 * np.pi, (count, 1))
    return np.sin(np.where(y[:, None], 0.2, 0.28) * t + phase) + rng.standard_normal((count, 400)), y


@pytest.fixture(scope="module")
def model() -> Classifier:
    return Classifier(**OPTIONS).fit(*data(100, 0))


@pytest.mark.parametrize("length", [1, 3, 10, 30, 100, 400])
def test_it_is_as_often_right_as_it_says(model: Classifier, length: int) -> None:
    X, y = data(300, 1)
    said = model.predict_proba(X[:, :length])
    right = (model.predict(X[:, :length]) == y).mean()
    assert said.max(1).mean() == pytest.approx(right, abs=0.1)
    np.testing.assert_array_equal(model.predict(X[:, :length]), model.classes_[said.argmax(1)])


def test_of_whole_signals_it_is_surer_than_of_their_beginning(model: Classifier) -> None:
    X, y = data(50, 2)
    assert model.predict_proba(X).max(1).mean() > 0.95
    assert model.predict_proba(X[:, :1]).max() < 0.7
    assert model.score(X, y) > 0.95


def test_before_anything_is_told_classes_have_their_shares() -> None:
    X, y = data(100, 0)
    kept = (y == 0) | (np.arange(100) % 8 == 1)
    said = Classifier(**OPTIONS).fit(X[kept], y[kept]).predict_proba(X[:20, :1])
    np.testing.assert_allclose(said[:, 1], (y[kept] == 1).mean(), atol=0.1)


def test_it_is_stored_and_a_stream_knows_it(model: Classifier, tmp_path: Path) -> None:
    X = data(4, 3)[0]
    model.save(tmp_path / "model")
    again = Classifier.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(X[:, :20]), model.predict_proba(X[:, :20]))
    stream = again.stream()
    for end in (3, 20, 150):
        said = stream.push(X[0, stream.seen : end])
        np.testing.assert_allclose(said, model.predict_proba(X[:1, :end])[0], atol=2e-3)


def test_a_gap_was_not_heard(model: Classifier) -> None:
    X = data(1, 3)[0][:, :40].copy()
    gaps = X.copy()
    gaps[:, 20:] = np.nan
    np.testing.assert_allclose(model.predict_proba(gaps), model.predict_proba(X[:, :20]), atol=1e-6)
    stream = model.stream()
    stream.push(gaps[0])
    np.testing.assert_allclose(stream.push(gaps[0, 20:]), model.predict_proba(X[:, :20])[0], atol=2e-3)


def test_the_class_that_is_attributed_is_the_one_that_is_said() -> None:
    """Of a few samples that is the common one, whatever their scores alone would say."""
    X, y = data(100, 0)
    kept = (y == 0) | (np.arange(100) % 16 == 1)
    model = Classifier(**OPTIONS).fit(X[kept], y[kept])
    short = data(40, 5)[0][:, :4]
    said = model.predict(short)
    assert (said != model.classes_[model._scores("test", short, 1.0).argmax(1)]).any()
    for found, wanted in zip(model.attribute(short), model.attribute(short, said), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_networks_know_it_as_well() -> None:
    X, y = data(60, 0)
    small = {"d_model": 8, "n_layers": 1, "d_state": 8, "max_epochs": 15, "batch_size": 8, "learning_rate": 1e-2}
    model = Classifier("s4d", causal=True, verbose=False, **small).fit(X, y)
    said = model.predict_proba(X[:, :2])
    assert said.max() < 0.8
    stream = model.stream()
    np.testing.assert_allclose(stream.push(X[0, :2]), said[0], atol=1e-4)


def test_between_two_lengths_it_goes_along_a_line_by_their_logarithm() -> None:
    sure = Confidence(torch.tensor([2.0, 8.0]), torch.tensor([0.2, 0.6]), torch.tensor([-1.0, 1.0]))
    scores = torch.tensor([[3.0, 0.0]]).expand(6, 2)
    found = sure(scores, torch.tensor([1, 2, 4, 8, 16, 100]))
    share = torch.tensor([0.2, 0.2, 0.4, 0.6, 1.0, 1.0])[:, None]
    torch.testing.assert_close(found, share * scores + (1 - share) * sure.known)
