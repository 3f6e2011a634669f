"""A class for each sample: beside what is known to be best and what is plain, live as offline, and what is refused."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_score

from statespace import Classifier, InputError, Labeler
from statespace.classification.network import strides_to_samples
from statespace.errors import ShapeError
from statespace.models import Backbone, SequenceModel
from statespace.training import SignalBatch, SignalModule
from statespace.training.signal_augmentation import disturb

WINDOW = 24  # samples that the plain model looks at
QUICK: dict[str, Any] = {
    "d_model": 16, "n_layers": 2, "d_state": 16, "max_epochs": 1, "batch_size": 8, "augmentation": 0.0,
    "learning_rate": 1e-2, "dropout": 0.0, "verbose": False,
}  # fmt: skip


def switched(count: int, length: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise ``(count, length)`` with two sounds that turn something on and off, and which it is at each sample.

    What a sample is was decided by the last sound, some hundred samples ago; before the first, nobody knows.
    """
    rng = np.random.default_rng(seed)
    t = np.arange(10)
    sounds = np.stack([np.sin(0.6 * t), np.sin(1.4 * t)])
    X, y = 0.3 * rng.standard_normal((count, length)), np.full((count, length), np.nan)
    for signal, states in zip(X, y, strict=True):
        at, state = int(rng.integers(0, 30)), int(rng.integers(0, 2))
        while at + 10 < length:
            signal[at : at + 10] += 2 * sounds[state]
            states[at + 5 :] = state
            at, state = at + int(rng.integers(60, 160)), 1 - state
    return X, y


def regimes(count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Signals ``(count, length)`` that are calm, loud and shifted in turn."""
    rng = np.random.default_rng(0)
    y = (np.arange(length) // 15 + np.arange(count)[:, None]) % 3
    return np.array([0.1, 1, 0.1])[y] * rng.standard_normal(y.shape) + (y == 2), y


@pytest.fixture(scope="module")
def fitted() -> Labeler:
    return Labeler(**QUICK | {"max_epochs": 60, "learning_rate": 3e-2, "patience": -1}, causal=True).fit(*switched(40))


def test_it_remembers_what_no_window_shows(fitted: Labeler) -> None:
    """The answer is known, and nobody can be much better than right on all: both sounds are far above the noise."""

    def windows(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        padded = np.pad(X, ((0, 0), (WINDOW - 1, 0)))
        each = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, 1).reshape(-1, WINDOW)
        return each[np.isfinite(y.ravel())], y[np.isfinite(y)]

    fresh, wanted = switched(20, seed=1)
    plain = LogisticRegression(max_iter=200).fit(*windows(*switched(40)))
    assert plain.score(*windows(fresh, wanted)) < 0.75
    ours = fitted.score(fresh, wanted)
    assert ours > 0.9
    assert abs(fitted.validation_accuracy_ - ours) < 0.1
    p = fitted.predict_proba(fresh)
    assert p.shape == (20, 300, 2)
    np.testing.assert_allclose(p.sum(-1), 1, atol=1e-6)
    assert abs(p.max(-1)[np.isfinite(wanted)].mean() - ours) < 0.1  # as often right as it says


@pytest.mark.parametrize("dt_scale", [1.0, 0.5])
def test_live_is_as_offline_in_any_chunks(fitted: Labeler, dt_scale: float) -> None:
    X = switched(1, 700, seed=2)[0]
    want = fitted.predict_proba(X, dt_scale)[0]
    stream = fitted.stream(dt_scale)
    said = [stream.push(X[0, begin:end]) for begin, end in ((0, 1), (1, 3), (3, 3), (3, 70), (70, 400))]
    later = fitted.stream(dt_scale)
    later.load_state_dict(stream.state_dict())
    # How far float32 is off follows from the weights, and these from the processor: offline itself is the measure.
    signals = fitted._ready("", X, dt_scale)
    scores, _ = copy.deepcopy(fitted.model_.model).double()(signals.x.double(), dt_scale=dt_scale)
    off = np.abs(want - torch.softmax(scores[0] * fitted.sharpness_, -1).detach().numpy()).max()
    assert off < 1e-4
    np.testing.assert_allclose(np.concatenate([*said, later.push(X[0, 400:])]), want, rtol=0, atol=5 * off)
    assert later.seen == 700
    with pytest.raises(ShapeError, match=r"LabelerStream\.push: samples is \(2, 3\)"):
        stream.push(np.zeros((2, 3)))


def test_there_are_as_many_labels_as_samples_where_the_last_are_missing(fitted: Labeler) -> None:
    X, y = switched(4, 200, seed=3)
    y, cut = np.nan_to_num(y), X[:, :150].copy()
    X[:, 150:] = np.nan
    X[1, 120:] = np.nan
    said = fitted.predict_proba(X)
    assert isinstance(said, np.ndarray)
    assert said.shape == (4, 200, 2)
    np.testing.assert_allclose(fitted.stream().push(X[1]), said[1], rtol=0, atol=1e-4)
    assert fitted.predict(X).shape == (4, 200)
    assert fitted.score(X, y) == pytest.approx((fitted.predict(X) == y).mean())
    assert [len(row) for row in fitted.predict([X[0], X[1, :160]])] == [200, 160]
    whole = Labeler(**QUICK).fit(X, y)
    held = whole.predict_proba(X)
    np.testing.assert_allclose(held[0, :150], whole.predict_proba(cut[:1])[0], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(held[0, 150:], np.broadcast_to(held[0, 149], (50, 2)))
    assert whole.score(X, y) == pytest.approx((whole.predict(X) == y).mean())


def test_text_beside_what_is_missing_stays_missing() -> None:
    X, _ = regimes(4, 6)
    y = [[float("nan"), "on", "off", "on", np.nan, np.nan], *[["on", "off"] * 3] * 3]
    assert Labeler(**QUICK).fit(X, y).classes_.tolist() == ["off", "on"]


def test_a_training_that_diverges_is_refused() -> None:
    with pytest.raises(InputError, match=r"training has diverged.*lower learning_rate, which is 1000"):
        Labeler(**QUICK | {"learning_rate": 1e3, "max_epochs": 20}).fit(*regimes(8, 60))


def test_long_signals_are_labelled_at_each_sample_through_slower_blocks(tmp_path: Path) -> None:
    assert strides_to_samples(800, 3) == [1, 1, 1]
    assert strides_to_samples(16000, 4) == [2, 16, 16, 1]
    assert strides_to_samples(9000, 1) == [1]
    rng = np.random.default_rng(0)
    y = (np.arange(9000) // 1500 + np.arange(6)[:, None]) % 2
    X = np.sin(np.cumsum(np.where(y, 0.05, 0.2), 1)) + 0.1 * rng.standard_normal(y.shape)
    model = Labeler(**QUICK | {"n_layers": 3, "max_epochs": 12, "batch_size": 2}, causal=True).fit(X, y)
    assert model.model_.options["stride"] == [2, 16, 1]
    assert model.score(X, y) > 0.9
    live = model.stream()
    said = np.concatenate([live.push(part) for part in np.split(X[0], [1, 700, 5001])])
    np.testing.assert_allclose(said, model.predict_proba(X[:1])[0], rtol=0, atol=1e-4)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(Labeler.load(tmp_path / "model").predict(X[:2]), model.predict(X[:2]))


def test_forms_of_labels_and_lengths_are_one_and_come_back(fitted: Labeler, tmp_path: Path) -> None:
    X, y = regimes(8, 60)
    names = np.array(["low", "mid", "high"])[y]
    model = Labeler(**QUICK, val_size=0.5).fit(X, names)
    model.save(tmp_path / "model")
    again = Labeler.load(tmp_path / "model")
    assert again.classes_.tolist() == ["high", "low", "mid"]
    assert again.validation_accuracy_ == model.validation_accuracy_
    for form in (names.tolist(), pd.DataFrame(names), list(names.astype(object))):
        np.testing.assert_array_equal(Labeler(**QUICK, val_size=0.5).fit(list(X), form).predict(X), again.predict(X))
    ragged = [row[: 60 - 5 * i] for i, row in enumerate(X)]
    for row, alone in zip(fitted.predict_proba(ragged), ragged, strict=True):
        np.testing.assert_allclose(row, fitted.predict_proba([alone])[0], atol=1e-5)
    cut = [row[: 60 - 5 * i] for i, row in enumerate(y % 2)]
    right = np.concatenate([said == true for said, true in zip(fitted.predict(ragged), cut, strict=True)])
    assert fitted.score(ragged, cut) == pytest.approx(right.mean())
    padded = np.full((8, 60), np.nan)
    for i, row in enumerate(ragged):
        padded[i, : len(row)] = row
    for with_padding, without in zip(fitted.predict(padded), fitted.predict(ragged), strict=True):
        np.testing.assert_array_equal(with_padding[: len(without)], without)
    assert cross_val_score(Labeler(**QUICK), X, y, cv=2).shape == (2,)


def test_what_has_no_label_teaches_nothing_and_is_not_judged(fitted: Labeler) -> None:
    X, y = regimes(8, 60)
    holes = y.astype(float)
    holes[:, 20:30] = np.nan
    holes[3] = np.nan
    text = np.array(["a", "b", "c"], object)[y]
    text[np.isnan(holes)] = None
    models = [Labeler(**QUICK, val_size=0).fit(X, labels) for labels in (holes, text)]
    assert models[0].classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(models[0].predict_proba(X), models[1].predict_proba(X))
    taken_for_zero = np.where(np.isnan(holes) & (np.arange(8) != 3)[:, None], 0, holes)
    taught = Labeler(**QUICK, val_size=0).fit(X, taken_for_zero)
    assert np.abs(taught.predict_proba(X) - models[0].predict_proba(X)).max() > 1e-3
    said = fitted.predict(X)
    assert fitted.score(X, holes) == pytest.approx((said == y)[~np.isnan(holes)].mean())
    module = SignalModule(
        SequenceModel(Backbone(4, 1, d_state=4), 1, 3, tokens=False), "steps", 1e-3, 0.0, 0.0
    ).eval()  # fmt: skip
    weight = torch.from_numpy(np.isfinite(holes) * np.array([1.0, 2.0, 5.0])[y]).float()
    x = torch.from_numpy(X).float()[..., None]
    batch = SignalBatch(x, torch.full((8,), 60), None, torch.from_numpy(y), weight)
    with torch.no_grad():
        p = torch.softmax(module.model(x)[0], -1).flatten(0, 1)
        assert float(module._loss(batch, 1.0)) == pytest.approx(
            log_loss(y.ravel(), p.numpy(), sample_weight=weight.flatten()), rel=1e-5
        )


def test_labels_move_with_their_samples() -> None:
    torch.manual_seed(0)
    y = torch.arange(200).expand(6, 200) // 20
    lengths = torch.tensor([200, 180, 160, 140, 120, 100])
    weight = (torch.arange(200) < lengths[:, None]).float()
    batch = SignalBatch(100.0 * y[..., None], lengths, None, y, weight)
    moved, _ = disturb(batch, 0.1)  # loud by a hundredth, noisy by a hundredth
    known = moved.weight > 0
    assert not torch.equal(moved.y, y)
    assert 0.9 < float(known.sum() / weight.sum()) < 1
    assert torch.equal((moved.x[..., 0][known] / 100).round().long(), moved.y[known])


def test_weights_of_classes_move_the_decision() -> None:
    X, y = regimes(12, 100)
    rare = np.where(y == 1, 1, 0) * (np.random.default_rng(0).random(y.shape) < 0.3)
    plain = Labeler(**QUICK | {"max_epochs": 3}).fit(X, rare).predict(X).mean()
    assert Labeler(**QUICK | {"max_epochs": 3}, class_weight="balanced").fit(X, rare).predict(X).mean() > plain
    with pytest.raises(InputError, match="class_weight names 7"):
        Labeler(**QUICK, class_weight={7: 1.0}).fit(X, y)


def test_what_does_not_fit_is_refused(fitted: Labeler, tmp_path: Path) -> None:
    X, y = regimes(4, 50)
    for labels, message in (
        (y[:3], "y has labels for 3 signals, but X has 4"),
        (y[:, :49], "signal 0 of X has 50 samples, but y has 49 labels for it: give one for each"),
        ([*y[:3], y[3, :20]], "signal 3 of X has 50 samples, but y has 20 labels"),
        (y[..., None], r"signal 0 of X has 50 samples, but y has labels of the shape \(50, 1\)"),
        (y[:, 0], r"but y has labels of the shape \(\)"),
        (np.zeros_like(y), "y holds 1 class"),
        (np.full(y.shape, np.nan), "y holds 0 class"),
        (np.where(y == 0, np.nan, X), "Unknown label type: continuous"),
        ([*y[:3], ["a"] * 50], "text and numbers side by side"),
        ([*y[:3], ["a", 1] * 25], "text and numbers side by side"),
        ([*y[:3], np.array(["a", 1] * 25, dtype=object)], "text and numbers side by side"),
        ([*y[:3], np.array([*([None] * 49), (1, 2)], dtype=object)], r"y holds \(1, 2\), but numbers or text"),
        ("labels", "y is a str"),
    ):
        with pytest.raises(InputError, match=message):
            Labeler(**QUICK).fit(X, labels)
    with pytest.raises(InputError, match="layer is 'responses', which is not known"):
        Labeler("responses").fit(X, y)
    with pytest.raises(InputError, match="y labels no sample"):
        fitted.score(X, np.full(y.shape, np.nan))
    with pytest.raises(InputError, match="y has labels for 4 signals, but X has 3"):
        fitted.score(X[:3], y)
    for call in (Labeler().predict, Labeler().stream, lambda _: Labeler().save(tmp_path)):
        with pytest.raises(InputError, match="this Labeler is not fitted"):
            call(X)
    with pytest.raises(InputError, match=r"Labeler\.stream: this model looks at the whole signal"):
        Labeler(**QUICK).fit(X, y).stream()
    with pytest.raises(InputError, match=r"Labeler\.stream: layer 'transformer'"):
        Labeler("transformer", **QUICK, causal=True).fit(X, y).stream()
    fitted.save(tmp_path / "model")
    with pytest.raises(InputError, match="holds a Labeler, but a Classifier is expected"):
        Classifier.load(tmp_path / "model")
