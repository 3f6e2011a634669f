"""Live classification: any cut into chunks says what the whole signal says, and nothing grows."""

import copy
import io
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from statespace import Classifier
from statespace.errors import InputError, ShapeError


def signals(channels: int = 2, length: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(12) % 3
    t = np.arange(length)
    X = np.sin(2 * np.pi * t * (0.02 + 0.03 * y[:, None, None]) + rng.random((12, channels, 1)) * 6)
    return 5 + 2 * X + rng.standard_normal(X.shape), np.array(["low", "mid", "high"])[y]


def fresh(length: int, case: int) -> np.ndarray:
    """A signal ``(2, length)`` that was not trained on: responses to those that were lie on thresholds exactly."""
    return signals(length=length)[0][case] + 0.1 * np.random.default_rng(1).standard_normal((2, length))


SMALL = {"causal": True, "verbose": False, "d_model": 8, "d_state": 8, "n_layers": 2, "max_epochs": 1, "batch_size": 8}
MODELS = {
    "responses": {"systems": 60},
    "not scaled": {"systems": 60, "scaler_type": "none"},
    "s4d": {"layer": "s4d"},
    "slower blocks": {"layer": "s4d", "n_layers": 3, "strided": True},
    "attention": {"layer": "lru", "pooling": "attention"},
    "last": {"layer": ["mamba", "s5"], "pooling": "last"},
}


@pytest.fixture(scope="module")
def fitted() -> dict[str, Classifier]:
    found = {}
    for name, options in MODELS.items():
        options = dict(options)
        X, y = signals(length=2500 if options.pop("strided", False) else 300)
        found[name] = Classifier(**{**SMALL, **options}).fit(X, y)
        found[name].sharpness_ = 1.0  # of signals as easy as these, all would be 0 or 1
    return found


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dt_scale", [1.0, 0.5])
def test_any_chunks_say_what_the_whole_says(fitted: dict[str, Classifier], name: str, dt_scale: float) -> None:
    model = fitted[name]
    X = fresh(700, 1)
    stream = model.stream(dt_scale)
    at = 0
    for size in (1, 2, 7, 0, 90, 300, 300):
        said = stream.push(X[:, at : at + size].T)
        at += size
        if name != "slower blocks" or at >= 8:
            # float32: the same sums in another order, so that a response may come to lie on the other side of its
            # threshold, which changes one of thousands of shares by one sample of hundreds.
            np.testing.assert_allclose(said, model.predict_proba(X[None, :, :at], dt_scale)[0], rtol=0, atol=1e-4)
    assert stream.seen == at == 700
    assert stream.classes_ is model.classes_


def test_windows_that_have_not_ended_say_nothing(fitted: dict[str, Classifier]) -> None:
    assert fitted["slower blocks"].model_.options["stride"][-1] > 1
    for name, model in fitted.items():
        assert np.isnan(model.stream().push(np.zeros((0, 2)))).all()
        first = model.stream().push(np.zeros((1, 2)))
        assert np.isnan(first).all() == (name == "slower blocks")


@given(cuts=st.lists(st.integers(0, 200), max_size=6))
@settings(max_examples=20, deadline=None)
def test_cuts_at_random(fitted: dict[str, Classifier], cuts: list[int]) -> None:
    X = fresh(200, 5)
    for name in ("responses", "s4d"):
        stream = fitted[name].stream()
        for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), 200], strict=True):
            said = stream.push(torch.from_numpy(X[:, begin:end].T))
        np.testing.assert_allclose(said, fitted[name].predict_proba(X[None])[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["responses", "s4d", "attention"])
def test_another_process_goes_on(fitted: dict[str, Classifier], name: str) -> None:
    X = fresh(300, 2).T
    whole = fitted[name].stream()
    want = whole.push(X)
    first = fitted[name].stream()
    first.push(X[:111])
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = fitted[name].stream()
    second.load_state_dict(torch.load(file, weights_only=True))
    first.push(X[:50])  # what was stored is a copy
    np.testing.assert_allclose(second.push(X[111:]), want, atol=1e-6)
    assert second.seen == 300
    second.reset()
    np.testing.assert_allclose(second.push(X), want, atol=1e-7)


def test_what_is_carried_does_not_grow(fitted: dict[str, Classifier]) -> None:
    for model in fitted.values():
        stream = model.stream()
        sizes = set()
        for size in (10, 1000, 3000):
            stream.push(np.random.default_rng(size).standard_normal((size, 2)))
            sizes.add(sum(tensor.numel() for tensor in stream.state_dict()["tensors"]))
        assert len(sizes) == 1


def test_gaps_are_held_and_do_not_count(fitted: dict[str, Classifier]) -> None:
    x = fresh(300, 2).T.copy()
    x[50:60, 1] = x[49, 1]
    want = fitted["responses"].stream()
    want.push(x[:50])
    gappy = fitted["responses"].stream()
    gaps = x.copy()
    gaps[50:60, 1] = np.nan
    gappy.push(gaps[:55])
    assert np.isfinite(gappy.push(gaps[55:])).all()
    counted = gappy.state_dict()["tensors"][-1]
    assert int(counted) == 290
    # the systems themselves went through the same samples
    want.push(x[50:])
    torch.testing.assert_close(gappy.state_dict()["tensors"][1], want.state_dict()["tensors"][1])


def test_an_impossible_stream_is_refused(fitted: dict[str, Classifier]) -> None:
    X, y = signals()
    with pytest.raises(InputError, match="not fitted"):
        Classifier().stream()
    with pytest.raises(InputError, match=r"looks at the whole signal.*causal=True"):
        Classifier(systems=5, verbose=False).fit(X, y).stream()
    with pytest.raises(InputError, match="layer 'transformer' does not run in constant memory"):
        Classifier(**{**SMALL, "layer": "transformer"}).fit(X, y).stream()
    with pytest.raises(InputError, match="dt_scale is 0"):
        fitted["responses"].stream(0)
    stream = fitted["responses"].stream()
    for samples, message in (
        (
            np.zeros((2, 3)),
            r"\(2, 3\), but \(n, channels\) with 2 channels.*looks transposed, as .* in fit is: pass samples\.T",
        ),
        (np.zeros(2), r"samples is \(2,\)"),
        (np.array([["a", "b"]]), "numbers are expected"),
        (np.full((1, 2), np.inf), "infinity"),
        (np.full((1, 2), 1e300), "too large"),
    ):
        with pytest.raises(InputError, match=message):
            stream.push(samples)
    assert stream.seen == 0


def test_a_state_of_something_else_is_refused(fitted: dict[str, Classifier]) -> None:
    state = fitted["responses"].stream().state_dict()
    with pytest.raises(InputError, match="no state of a stream"):
        fitted["s4d"].stream().load_state_dict({})
    with pytest.raises(InputError, match="has model 'RunningResponses'"):
        fitted["s4d"].stream().load_state_dict(state)
    with pytest.raises(InputError, match=r"has dt_scale 1\.0"):
        fitted["responses"].stream(2).load_state_dict(state)
    with pytest.raises(ShapeError, match="another size"):
        other = Classifier(systems=7, causal=True, verbose=False).fit(*signals())
        other.stream().load_state_dict(state)


def test_a_minute_of_audio_through_four_layers_of_64_channels() -> None:
    """How fast it is where nothing else runs is in docs/benchmarks; here, only what a loop over samples misses."""
    rate, rng = 16_000, np.random.default_rng(0)
    tones = np.sin(np.array([[0.17], [0.47]]) * np.arange(rate))
    model = Classifier("s4d", causal=True, max_epochs=1, verbose=False)
    model.fit(np.tile(tones, (4, 1)) + rng.standard_normal((8, rate)), np.arange(8) % 2)
    model.sharpness_ = 1.0
    assert model.model_.options["stride"] == [2, 16, 16, 16]
    audio = np.tile(tones.reshape(-1), 2) + rng.standard_normal(4 * rate)
    live = model.stream()
    for part in np.split(audio, 8):
        said = live.push(part)
    np.testing.assert_allclose(said, model.predict_proba([audio])[0], rtol=0, atol=1e-5)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    before, begin = resident(), time.process_time()
    for second in range(56):
        live.push(audio[second % 4 * rate :][:rate])
    assert 56 / (time.process_time() - begin) > 4
    assert resident() - before < 20e6
    assert live.seen == 60 * rate


def test_a_stream_is_of_the_model_as_it_was(fitted: dict[str, Classifier]) -> None:
    X = fresh(300, 3).T
    model = copy.deepcopy(fitted["s4d"])
    before, stream = model.predict_proba(X.T[None])[0], model.stream()
    with torch.no_grad():
        for parameter in model.model_.model.parameters():
            parameter.add_(0.1)
    np.testing.assert_allclose(stream.push(X), before, atol=1e-5)
    after = model.stream().push(X)
    np.testing.assert_allclose(after, model.predict_proba(X.T[None])[0], atol=1e-5)
    assert np.abs(after - before).max() > 1e-3
