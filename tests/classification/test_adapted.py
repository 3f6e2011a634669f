"""A classifier for a source that training did not hear: what moves, what stays, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from statespace import Classifier, InputError


def hummed(count: int, seed: int, hum: float) -> tuple[np.ndarray, np.ndarray]:
    """Two pitches, of any phase, over a hum that is the source's own."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 2
    t = np.arange(96)
    tone = np.sin(np.where(y == 0, 0.5, 0.62)[:, None] * t + rng.uniform(0, 6, (count, 1)))
    drone = hum * np.sin(0.9 * t + rng.uniform(0, 6, (count, 1)))
    return tone + drone + 0.4 * rng.standard_normal((count, len(t))), y


@pytest.fixture(scope="module")
def fitted() -> Classifier:
    return Classifier(systems=150, verbose=False).fit(*hummed(60, 0, 0.0))


def test_means_move_and_nothing_else_does(fitted: Classifier) -> None:
    X, _ = hummed(80, 1, 1.2)
    before = np.log(fitted.predict_proba(X))
    other = fitted.adapted(X)
    after = np.log(other.predict_proba(X))
    between, wanted = before[:, 1] - before[:, 0], after[:, 1] - after[:, 0]
    # Differences between signals are as they were; the mean is that of the training targets: none, of equal classes.
    np.testing.assert_allclose(wanted - wanted.mean(), between - between.mean(), atol=2e-3)
    np.testing.assert_allclose(wanted.mean(), 0, atol=2e-3)
    np.testing.assert_array_equal(np.log(fitted.predict_proba(X)), before)  # the one that was fitted stays


def test_a_source_of_its_own_is_told_better(fitted: Classifier) -> None:
    X, y = hummed(200, 2, 1.2)
    other = fitted.adapted(hummed(80, 3, 1.2)[0])
    assert fitted.score(X, y) < 0.8
    assert other.score(X, y) > fitted.score(X, y) + 0.1


def test_it_is_stored_as_it_is_and_its_rate_alone_is_adapted(fitted: Classifier, tmp_path: Path) -> None:
    X, _ = hummed(80, 1, 1.2)
    other = fitted.adapted(X)
    other.save(tmp_path / "m")
    np.testing.assert_array_equal(Classifier.load(tmp_path / "m").predict_proba(X), other.predict_proba(X))
    half = X[:, ::2]
    np.testing.assert_array_equal(other.predict_proba(half, 2.0), fitted.predict_proba(half, 2.0))
    assert (fitted.adapted(half, 2.0).predict_proba(half, 2.0) != fitted.predict_proba(half, 2.0)).any()


def test_what_it_refuses(fitted: Classifier) -> None:
    X, y = hummed(20, 0, 0.0)
    with pytest.raises(InputError, match="X has a length of 1, but at least 2 signals are expected, as many as there"):
        fitted.adapted(X[:1])
    with pytest.raises(InputError, match=r"Classifier\.adapted: dt_scale is 0, but a positive number is expected"):
        fitted.adapted(X, 0)
    network = Classifier("s4d", d_model=4, n_layers=1, d_state=4, max_epochs=1, verbose=False).fit(X, y)
    with pytest.raises(InputError, match="layer is 's4d', but means of features are known of 'responses' alone"):
        network.adapted(X)
    with pytest.raises(Exception, match="not fitted"):
        Classifier().adapted(X)
