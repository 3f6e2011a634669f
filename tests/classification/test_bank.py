"""What the default classifier looks at: more only where cases that are left out are told better with it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import lfilter

from statespace import Classifier
from statespace.classification import bank

SMALL: dict[str, Any] = {"systems": 60, "verbose": False}


def test_what_is_looked_at_is_chosen_by_cases_left_out(tmp_path: Path) -> None:
    """Whether a burst comes early or late is told by quarters; a tone's pitch is not, and is told by the whole."""
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    X = 0.1 * rng.standard_normal((40, 80))
    for row, late in enumerate(y):
        X[row, 45 * late + rng.integers(5, 15) :][:10] += rng.choice([-1, 1], 10)
    model = Classifier(**SMALL).fit(X, y)
    assert model.model_.options["view"].parts
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(Classifier.load(tmp_path / "model").predict_proba(X), model.predict_proba(X))
    assert not Classifier(**SMALL, causal=True).fit(X, y).model_.options["view"].parts


def test_parts_are_left_out_where_features_of_all_cases_would_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.arange(20) % 2
    X = np.random.default_rng(0).standard_normal((20, 100)) + np.sin(np.where(y[:, None], 0.2, 0.4) * np.arange(100))
    asked: list[bank.View] = []
    of = bank._Columns.of
    monkeypatch.setattr(bank._Columns, "of", lambda self, view: (asked.append(view), of(self, view))[1])
    every = int(1.5 * SMALL["systems"]) * 6 * len(X)  # levels and contests, of the whole
    for parts, limit in (((4, 8), 13 * every), ((4,), 13 * every - 1), ((4,), 5 * every), ((), 5 * every - 1)):
        asked.clear()
        monkeypatch.setattr(bank, "_NUMBERS", limit)
        Classifier(**SMALL).fit(X, y)
        assert max(view.parts for view in asked) == parts


def test_pitches_are_told_by_systems_that_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four tones, two per cent apart, at any loudness."""
    rng, t, some = np.random.default_rng(0), np.arange(1000), SMALL | {"systems": 100}

    def tones(count: int) -> tuple[np.ndarray, np.ndarray]:
        y = np.arange(count) % 4
        phase, loud = rng.uniform(0, 2 * np.pi, (count, 1)), rng.uniform(0.5, 2.0, (count, 1))
        return loud * (np.sin(0.3 * 1.02 ** y[:, None] * t + phase) + 0.5 * rng.standard_normal((count, 1000))), y

    (X, y), (X_test, y_test) = tones(60), tones(60)
    model = Classifier(**some).fit(X, y)
    assert model.model_.options["view"].sharp
    assert model.score(X_test, y_test) > 0.95
    live = Classifier(**some, causal=True).fit(X, y)
    assert live.model_.options["view"].sharp
    stream = live.stream()
    stream.push(X_test[0, :300])
    np.testing.assert_allclose(stream.push(X_test[0, 300:]), live.predict_proba(X_test[:1])[0], atol=2e-3)
    monkeypatch.setattr(bank, "_TOLD", np.inf)
    assert Classifier(**some).fit(X, y).score(X_test, y_test) < 0.92


def test_levels_and_contests_are_looked_at_where_they_tell(tmp_path: Path) -> None:
    """A level that wanders; and two pitches whose loudness changes so much that shares above thresholds tell little."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 2
    slow = np.stack([np.convolve(rng.standard_normal(159), np.ones(32) / 16, "valid") for _ in y])
    level = slow + 0.5 * y[:, None] + 0.05 * rng.standard_normal(slow.shape)
    noise = rng.standard_normal((120, 178))
    tone = np.stack(
        [lfilter([1], [1, -1.8 * np.cos(0.8 + 0.1 * c), 0.81], x)[50:] for x, c in zip(noise, y, strict=True)]
    )
    loud = np.exp(6 * slow)
    for name, X in (("levels", level), ("contests", tone * loud)):
        model = Classifier(**SMALL).fit(X, y)
        assert getattr(model.model_.options["view"], name)
        assert not getattr(Classifier(**SMALL).fit(noise, y).model_.options["view"], name)
        model.save(tmp_path / name)
        np.testing.assert_array_equal(Classifier.load(tmp_path / name).predict_proba(X), model.predict_proba(X))
        live = Classifier(**SMALL, causal=True).fit(X, y)
        assert getattr(live.model_.options["view"], name)
        for signal in X[:10]:  # of training: none lies on a threshold, where rounding would say on which side it is
            stream = live.stream()
            for part in np.split(signal, [1, 50]):
                said = stream.push(part)
            np.testing.assert_allclose(said, live.predict_proba(signal[None])[0], rtol=0, atol=1e-5)
