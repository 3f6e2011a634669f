"""Where a decision came from: it adds up to the score, and it stands where the difference is."""

from typing import Any

import numpy as np
import pytest
import torch

from statespace import Classifier, InputError

RESPONSES: dict[str, Any] = {"systems": 80, "verbose": False}
NETWORK: dict[str, Any] = {
    "layer": "s4d", "d_model": 16, "n_layers": 2, "d_state": 8, "max_epochs": 30, "batch_size": 8, "verbose": False,
    "learning_rate": 1e-2, "augmentation": 0.2,
}  # fmt: skip


def bursts(count: int, length: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise in which a short tone sounds somewhere, of one pitch or another; and where it begins."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 2
    starts = rng.integers(15, length - 40, count)
    X = 0.1 * rng.standard_normal((count, length))
    for row, (kind, start) in enumerate(zip(y, starts, strict=True)):
        X[row, start : start + 25] += np.sin((0.5 + 0.7 * kind) * np.arange(25) + rng.uniform(0, 6))
    return X, y, starts


@pytest.mark.parametrize("options", [RESPONSES, NETWORK], ids=["responses", "network"])
def test_it_stands_where_the_difference_is(options: dict[str, Any]) -> None:
    X, y, _ = bursts(60)
    model = Classifier(**options).fit(X, y)
    fresh, kinds, starts = bursts(12, seed=1)
    assert model.score(fresh, kinds) > 0.8
    inside = []
    for brought, start in zip(model.attribute(fresh, kinds), starts, strict=True):
        near = slice(max(0, start - 10), start + 35)
        inside.append(brought[near].sum() / brought.sum())
    assert np.median(inside) > 0.6  # of the score, in 45 of 120 samples


@pytest.mark.parametrize("length", [120, 1200])
@pytest.mark.parametrize("dt_scale", [1.0, 2.0, 0.7])
def test_it_adds_up_to_the_score(length: int, dt_scale: float) -> None:
    X, y, _ = bursts(30, length)
    model = Classifier(**RESPONSES).fit(X, y)
    # Others than those that the thresholds were taken from: there a response is a threshold, up to rounding.
    fresh, y, _ = bursts(30, length, seed=1)
    fresh[:, 20:30] = np.nan
    ragged = [row[: length - 3 * number] for number, row in enumerate(fresh)]
    found = model.attribute(ragged, y, dt_scale)
    bank = model.model_
    readout = bank.readout(dt_scale)
    beyond = model.sharpness_ * (model._scores("", ragged, dt_scale) - readout.offset)
    # Shares are sums of a thousand numbers in float32, off by up to 2e-5 to either side; each counts for its worth.
    rounding = 5e-6 * model.sharpness_ * float((readout.weights.abs() / readout.scale[:, None]).sum(0).max())
    assert rounding < 2e-3 * float(beyond.abs().max())
    np.testing.assert_allclose([part.sum() for part in found], beyond[torch.arange(30), y], atol=rounding)
    assert [len(part) for part in found] == [len(row) for row in ragged]
    if not bank.options["view"].heard:
        missing = (
            slice(20, 30) if dt_scale in (1.0, 2.0) else slice(22, 28)
        )  # a sample at another rate has two for neighbours
        assert all((part[missing] == 0).all() for part in found)  # nothing was measured


def test_what_is_heard_adds_up_too() -> None:
    """A long signal whose loudness in a band comes and goes is told by the energies of bands."""
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    t = np.arange(2000)
    swells = np.sin(2 * np.pi * t / np.where(y, 400, 250)[:, None] + rng.uniform(0, 6, (40, 1))) > 0
    X = rng.standard_normal((40, 2000)) * np.where(swells, 1.0, 0.3)
    model = Classifier(**RESPONSES).fit(X, y)
    assert model.model_.options["view"].heard
    X = X[:, ::-1].copy()
    beyond = model.sharpness_ * (model._scores("", X, 1.0) - model.model_.readout(1.0).offset)
    found = model.attribute(X)
    np.testing.assert_allclose([part.sum() for part in found], beyond.max(1).values, atol=1e-3)


def test_that_of_a_network_adds_up_to_the_score_beyond_that_of_zero() -> None:
    X, y, _ = bursts(24, 60)
    model = Classifier(**NETWORK | {"max_epochs": 2}).fit(X, y)
    scores = model._scores("", X, 1.0) - model._scores("", np.full_like(X, float(model._location)), 1.0)
    found = [part.sum() for part in model.attribute(X, y)]
    np.testing.assert_allclose(
        found, model.sharpness_ * scores[torch.arange(24), y], atol=0.02 * float(scores.abs().max())
    )


def test_what_cannot_be_spoken_for_is_named() -> None:
    X, y, _ = bursts(12)
    model = Classifier(systems=10, verbose=False).fit(X, y)
    with pytest.raises(InputError, match=r"y names 5, but the classes are 0, 1"):
        model.attribute(X, np.full(12, 5))
    with pytest.raises(InputError, match=r"y is \(3,\), but one class for each of 12"):
        model.attribute(X, y[:3])
    with pytest.raises(InputError, match="not fitted"):
        Classifier().attribute(X)
