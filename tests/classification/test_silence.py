"""Silence at both ends of a recording: what is cut, that nothing else changes, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from statespace import Classifier, InputError
from statespace.classification.heard import Heard
from statespace.classification.signals import Signals, read_signals
from statespace.classification.silence import sounding_part, without_silence


def words(count: int = 40, seed: int = 0, silence: tuple[int, int] = (0, 0)) -> tuple[list[np.ndarray], np.ndarray]:
    """Tones that rise or fall, behind and before silence of random lengths between these bounds."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 2
    t = np.linspace(0, 1, 200)
    X = []
    for kind in y:
        pitch = np.cumsum(0.1 + 0.25 * (t if kind else 1 - t))
        tone = np.sin(pitch + rng.uniform(0, 6)) * np.sin(np.pi * t) + 0.05 * rng.standard_normal(len(t))
        before, after = rng.integers(silence[0], silence[1] + 1, 2)
        X.append(np.concatenate([np.zeros(before), tone, np.zeros(after)]))
    return X, y


def observed(x: np.ndarray) -> np.ndarray:
    found = without_silence(read_signals("test", [x]), torch.ones(1)).observed
    assert found is not None
    return found[0].numpy()


def test_it_is_from_where_a_thousandth_of_the_energy_has_passed() -> None:
    rng = np.random.default_rng(1)
    tone = rng.standard_normal(500)
    x = np.concatenate([1e-4 * rng.standard_normal(300), tone, 1e-4 * rng.standard_normal(200)])
    found = observed(x)
    energy = (x.astype(np.float32) - np.median(x.astype(np.float32))) ** 2
    passed = np.cumsum(energy) / energy.sum()
    np.testing.assert_array_equal(found, (passed > 1e-3) & (passed - energy / energy.sum() < 1 - 1e-3))
    assert found[:300].sum() == found[800:].sum() == 0
    assert found[310:790].all()


def test_offsets_units_and_constant_channels_do_not_matter() -> None:
    X, _ = words(1, silence=(50, 50))
    plain = observed(X[0])
    np.testing.assert_array_equal(observed(1e-6 * X[0] + 5e-6), plain)
    other = np.full(len(X[0]), 3.0)
    noise = 1e-5 * np.random.default_rng(0).standard_normal(len(X[0]))
    for beside in (other, other + noise):
        two = without_silence(read_signals("test", [np.stack([X[0], beside])]), torch.tensor([0.5, 1.0])).observed
        assert two is not None
        np.testing.assert_array_equal(two[0].numpy(), plain)


def test_a_signal_that_rests_at_a_level_is_cut_to_what_leaves_it() -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate([np.full(300, 4.0), 5 + 0.2 * rng.standard_normal(50), np.full(650, 4.0)])
    assert observed(x).nonzero()[0].tolist() == list(range(300, 350))


def test_all_that_sounds_may_lie_behind_the_last_whole_frame() -> None:
    rng = np.random.default_rng(3)
    X = []
    for i in range(12):
        x = np.zeros(1007 if i % 2 else 1011)
        x[-2:] = np.array([-1, 1]) * rng.standard_normal()
        X.append(x)
    model = Classifier(systems=20, verbose=False, trim=True).fit(X, np.arange(12) % 2)
    assert np.isfinite(model.predict_proba(X)).all()


def test_a_constant_signal_and_gaps_stay_as_they_are() -> None:
    assert observed(np.full(20, 2.0)).all()
    x = words(1)[0][0]
    x[100:110] = np.nan
    assert not observed(x)[100:110].any()


def test_the_part_that_sounds_is_cut_out() -> None:
    x = torch.arange(6.0)[None, :, None]
    seen = torch.tensor([[False, True, False, True, False, False]])
    lengths = torch.tensor([6])
    assert sounding_part(Signals(x, lengths, seen, lengths))[:, 0].tolist() == [1, 2, 3]
    assert len(sounding_part(Signals(x, lengths, None, lengths))) == 6
    assert len(sounding_part(Signals(x, lengths, seen & False, lengths))) == 6


def test_what_is_said_of_a_recording_does_not_hang_on_the_silence_around_it() -> None:
    X, y = words()
    test, wanted = words(40, seed=1)
    padded, _ = words(40, seed=1, silence=(100, 400))
    options = {"systems": 100, "verbose": False, "scaler_type": "instance"}
    off = {}
    for trim in (False, True):
        model = Classifier(trim=trim, **options).fit(X, y)
        assert model.score(test, wanted) > 0.9
        off[trim] = np.abs(model.predict_proba(padded) - model.predict_proba(test)).mean()
        if trim:
            assert model.score(padded, wanted) > 0.9
            brought = model.attribute(padded)
            assert [len(row) for row in brought] == [len(row) for row in padded]
            assert all((row[:90] == 0).all() for row in brought)  # what does not count brings nothing
    assert off[True] < 0.05 < off[False]


def test_bands_of_long_signals_do_not_hear_it_either() -> None:
    """Features of a signal with silence behind it are those of the signal alone, where the silence does not count."""
    rng = np.random.default_rng(4)
    heard = Heard(1, 41, 500.0, 40, (4,), 0)
    frame = heard.energies.frame
    tones = [np.convolve(rng.standard_normal(50 * frame), np.ones(n), "same") for n in range(1, 7)]
    alone = read_signals("test", tones)
    heard.fit_thresholds(alone, 0)
    padded = read_signals("test", [np.concatenate([x, np.zeros(30 * frame)]) for x in tones])
    counted = torch.arange(80 * frame).expand(len(tones), -1) < 50 * frame
    # Systems that run with time do not know yet that silence follows: theirs are equal to the last digit.
    forwards = ~heard.responses.backwards

    def features(signals: Signals) -> Tensor:
        return heard(signals, 1.0).unflatten(1, (5, len(forwards), -1))[:, :, forwards]

    torch.testing.assert_close(features(replace(padded, observed=counted)), features(alone), rtol=0, atol=1e-6)
    everything = features(replace(padded, observed=torch.ones_like(counted)))
    assert (everything - features(alone)).abs().mean() > 0.05


@pytest.mark.parametrize(
    ("given", "words_"),
    [
        ({"trim": "yes"}, "trim is 'yes', but True or False is expected"),
        (
            {"trim": True, "causal": True},
            "trim=True looks for the end of a signal, but causal=True must not: leave one",
        ),
    ],
)
def test_what_it_refuses(given: dict[str, object], words_: str) -> None:
    X, y = words(10)
    with pytest.raises(InputError, match=words_):
        Classifier(systems=10, verbose=False, **given).fit(X, y)
