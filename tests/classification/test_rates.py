"""Signals at other rates: brought there and back, told as well as at the rate of training, and bands that beat."""

import numpy as np
import pytest
import torch
from scipy.signal import resample_poly

from statespace import Classifier
from statespace.classification.rates import at_rate, shared_out
from statespace.classification.signals import Signals, read_signals
from statespace.errors import InputError


def slow(lengths: list[int]) -> Signals:
    """Slow sines of several lengths, on an offset."""
    return read_signals("test", [3 + np.sin(2 * np.pi * np.arange(n) / 50) for n in lengths])


@pytest.mark.parametrize("times", [0.5, 2 / 3, 1.5, 4.0])
def test_a_slow_sine_is_the_same_at_any_rate(times: float) -> None:
    found = at_rate(slow([400, 301]), times)
    assert found.lengths.tolist() == [int(np.ceil(400 * times)), int(np.ceil(301 * times))]
    for row, length in enumerate(found.lengths.tolist()):
        expected = 3 + np.sin(2 * np.pi * np.arange(length) / times / 50)
        inner = slice(length // 5, -length // 5)  # the filter reaches beyond the ends
        np.testing.assert_allclose(found.x[row, :length, 0].numpy()[inner], expected[inner], atol=5e-3)
        assert np.abs(found.x[row, :length, 0].numpy() - expected).max() < 0.2  # no ringing of the offset


def test_gaps_stay_where_they_were() -> None:
    x = np.sin(2 * np.pi * np.arange(400) / 50)
    x[100:120] = np.nan
    found = at_rate(read_signals("test", [x, x[:200]]), 2.0)
    assert found.observed is not None
    missing = torch.nonzero(~found.observed[0])[:, 0]
    assert abs(int(missing[0]) - 200) <= 1
    assert abs(len(missing) - 40) <= 1
    assert not found.observed[1, 400:].any()


@pytest.mark.parametrize("times", [1e-3, 1e3])
def test_a_rate_that_nobody_means_is_refused_as_dt_scale(times: float) -> None:
    with pytest.raises(
        InputError, match="dt_scale: the sampling rate would change by a factor of 1000, but at most 256"
    ):
        at_rate(slow([400]), times)


@pytest.mark.parametrize("times", [0.4, 1.0, 2.5])
def test_what_time_brought_is_shared_out_without_rest(times: float) -> None:
    signals = slow([60, 45])
    other = at_rate(signals, times)
    brought = torch.randn(other.x.shape[:2], generator=torch.Generator().manual_seed(0))
    brought *= torch.arange(brought.shape[1]) < other.lengths[:, None]
    shares = shared_out(brought, other.lengths, signals)
    torch.testing.assert_close(shares.sum(1), brought.sum(1), rtol=0, atol=1e-4)
    begun = torch.zeros_like(brought)
    begun[:, : begun.shape[1] // 4] = 1
    early = shared_out(begun, other.lengths, signals)
    assert early[0, 14] > 0  # of 60 samples, a quarter
    assert not early[0, 16:].any()
    even = shared_out(torch.ones_like(brought), other.lengths, signals)
    for row, (before, after) in enumerate(zip(other.lengths.tolist(), signals.lengths.tolist(), strict=True)):
        torch.testing.assert_close(even[row, :after], torch.full((after,), before / after))
        assert not even[row, after:].any()


def beats(count: int, rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    """Signals of unequal length with heart beats: narrow, wide, and narrow ones before a raised line."""
    X, y = [], np.arange(count) % 3
    for kind in y:
        t = np.arange(rng.integers(400, 600)) / 250
        x = 0.05 * rng.standard_normal(len(t)) + 0.2 * np.sin(2 * np.pi * 0.3 * t + rng.uniform(0, 6))
        for start in np.arange(rng.uniform(0.1, 0.4), t[-1], 0.7):
            x += np.exp(-(((t - start) / (0.04 if kind == 1 else 0.012)) ** 2))
            x += 0.3 * (kind == 2) * np.exp(-(((t - start - 0.15) / 0.06) ** 2))
        X.append(x)
    return X, y


def test_other_rates_are_told_as_well_as_that_of_training() -> None:
    rng = np.random.default_rng(2)
    (X, y), (X_test, y_test) = beats(36, rng), beats(48, rng)
    model = Classifier(systems=100, random_seed=2, verbose=False).fit(X, y)
    there = model.score(X_test, y_test)
    assert there > 0.95
    for up, down in ((4, 1), (3, 2), (6, 5), (5, 7), (1, 2)):
        other = [resample_poly(x, up, down, padtype="line") for x in X_test]
        assert model.score(other, y_test, dt_scale=down / up) > there - 0.04, (up, down)
    scores = model.predict_proba([resample_poly(x, 2, 1, padtype="line") for x in X_test], dt_scale=0.5)
    np.testing.assert_allclose(scores, model.predict_proba(X_test), atol=0.05)


def knocks(count: int, rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    """A machine at 12 kHz that rings at one pitch, knocked at 90, 125 or 160 Hz."""
    X, y = [], np.array([90, 125, 160])[np.arange(count) % 3]
    ring = np.exp(-np.arange(200) / 12) * np.sin(2 * np.pi * 3200 * np.arange(200) / 12000)
    for rate in y:
        n = int(rng.integers(2400, 4800))
        hits = np.zeros(n)
        hits[np.arange(rng.uniform(0, 12000 / rate), n, 12000 / rate).astype(int)] = 1
        X.append(0.3 * rng.standard_normal(n) + np.convolve(hits, ring)[:n])
    return X, y


def test_how_fast_a_band_beats_is_heard() -> None:
    rng = np.random.default_rng(0)
    (X, y), (X_test, y_test) = knocks(30, rng), knocks(45, rng)
    model = Classifier(systems=100, verbose=False).fit(X, y)
    assert 16 in model.model_.options["view"].heard
    assert model.score(X_test, y_test) > 0.9
