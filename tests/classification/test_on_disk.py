"""Signals that stay on disk: the same models and answers as from memory, and memory that does not grow with them."""

import os
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from statespace import Classifier, InputError, Labeler
from statespace.classification.on_disk import OnDisk
from statespace.datasets import StoredSignals, read_recordings

PEAK = """
import resource, sys
from statespace.cli import main as command
command.keep_freed = lambda: False  # the peak is to tell what is held, not what was freed and kept
told = ["classify", "train", sys.argv[1], "--out", sys.argv[2], "--systems", "4", "--quiet", *sys.argv[3:]]
assert command.main(told) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def wav(path: Path, samples: np.ndarray, rate: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples.T * 2**14).astype("<i2").tobytes())


def fill(folder: Path, each: int, length: int, rate: int = 8000, channels: int = 1) -> str:
    """Recordings of unequal lengths in two classes, that differ in pitch."""
    rng = np.random.default_rng(0)
    for label, pitch in (("high", 0.9), ("low", 0.2)):
        for number in range(each):
            t = np.arange(length - 7 * number) * 8000 / rate
            noise = 0.2 * rng.standard_normal((channels, len(t)))
            wav(folder / label / f"{number}.wav", np.sin(pitch * t) + noise, rate)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two rates and two widths, and more samples than are read at once."""
    path = tmp_path_factory.mktemp("data")
    fill(path / "a", 6, 700, channels=2)
    for label in ("high", "low"):
        for file in (path / "a" / label).iterdir():
            file.rename(file.with_name("plain" + file.name))
    fill(path / "a", 2, 1300, rate=16000)
    return str(path / "a")


def test_what_is_read_is_what_would_be_kept(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.warns(UserWarning, match="4 of 16 recordings were resampled to 8000 Hz"):
        kept, stored = (read_recordings(folder, channels="mono", in_memory=memory) for memory in (True, False))
    assert isinstance(stored.signals, StoredSignals)
    assert (stored.names, stored.labels, stored.rates, stored.channels) == (kept.names, kept.labels, kept.rates, 1)
    assert stored.signals.lengths.tolist() == [signal.shape[1] for signal in kept.signals]
    for here, there in zip(stored.signals, kept.signals, strict=True):
        np.testing.assert_array_equal(here, there)
    monkeypatch.setattr("statespace.classification.on_disk._PART", 2000)
    found = OnDisk("test", stored.signals)
    parts = list(found.parts())
    assert 5 < len(parts) < 16
    assert sum(map(len, parts)) == 16
    np.testing.assert_array_equal(parts[-1].x[-1, : kept.signals[-1].shape[1], 0], kept.signals[-1][0])
    assert isinstance(stored.take([3, 1]).signals, StoredSignals)
    np.testing.assert_array_equal(stored.take([3, 1]).signals[0], kept.signals[3])
    assert len(stored.signals[2:5]) == 3


@pytest.mark.filterwarnings("ignore:read_recordings")
@pytest.mark.parametrize(
    "options",
    [
        {"systems": 40},
        {"systems": 40, "scaler_type": "instance"},
        {"layer": "s4d", "d_model": 8, "n_layers": 2, "d_state": 8, "max_epochs": 2, "batch_size": 4},
    ],
    ids=["responses", "scaled by itself", "network"],
)
def test_models_and_answers_are_the_same(
    folder: str, options: dict[str, object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("statespace.classification.on_disk._PART", 2000)
    kept, stored = (read_recordings(folder, channels="mono", in_memory=memory) for memory in (True, False))
    models = [Classifier(verbose=False, **options).fit(found.signals, kept.labels) for found in (kept, stored)]  # type: ignore[arg-type]
    # One of some hundred samples that comes to lie on the other side of a threshold changes a share by as much.
    for X in (kept.signals, stored.signals):
        np.testing.assert_allclose(models[1].predict_proba(X), models[0].predict_proba(kept.signals), atol=0.01)
    assert models[1].score(stored.signals, kept.labels) == models[0].score(kept.signals, kept.labels)
    np.testing.assert_allclose(models[0]._location, models[1]._location, rtol=1e-6)
    np.testing.assert_allclose(models[0]._scale, models[1]._scale, rtol=1e-6)
    for here, there in zip(models[1].attribute(stored.signals[:3]), models[1].attribute(kept.signals[:3]), strict=True):
        np.testing.assert_allclose(here, there, atol=1e-4)
    again = Classifier(verbose=False, **options).fit(  # type: ignore[arg-type]
        stored.signals, kept.labels, sample_weight=np.arange(16) % 8 > 0
    )
    assert len(again.predict(stored.signals)) == 16
    with pytest.raises(InputError, match="signal 0 of X has 1 channels, but 2 are expected"):
        Classifier(systems=4, verbose=False).fit(np.random.default_rng(0).random((4, 2, 30)), [0, 1, 0, 1]).predict(
            stored.signals
        )


@pytest.mark.filterwarnings("ignore:read_recordings")
def test_samples_of_files_are_labelled_too(folder: str) -> None:
    stored = read_recordings(folder, channels="mono", in_memory=False).signals
    labels = [np.arange(length) % 2 for length in stored.lengths]  # type: ignore[attr-defined]
    model = Labeler(d_model=4, n_layers=1, d_state=4, max_epochs=1, verbose=False).fit(stored, labels)
    assert [len(said) for said in model.predict(stored)] == [len(row) for row in labels]
    assert 0 <= model.score(stored, labels) <= 1


def test_files_that_look_transposed_are_told_and_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(4):
        path = tmp_path / ("even", "odd")[number % 2] / f"{number}.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, rng.standard_normal((60, 2)))
    found = read_recordings(tmp_path, in_memory=False)
    with pytest.warns(UserWarning, match=r"X has 60 channels of at most 2 samples, such as '.*even/0\.npy'"):
        Classifier(systems=4, verbose=False).fit(found.signals, found.labels)


def test_a_file_that_changes_meanwhile_is_named(tmp_path: Path) -> None:
    stored = read_recordings(fill(tmp_path, 2, 400), in_memory=False).signals
    wav(tmp_path / "low" / "1.wav", np.zeros((1, 17)), 8000)
    with pytest.raises(InputError, match=r"low/1\.wav' has 1 channels of 17 samples, but had 1 of 393"):
        stored[3]
    torch.testing.assert_close(torch.from_numpy(stored[2]), torch.from_numpy(stored[2]))


@pytest.fixture(scope="module")
def few_and_many(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [fill(tmp_path_factory.mktemp(str(each)), each, 2**17) for each in (6, 30)]


@pytest.mark.parametrize("layer", ["responses", "s4d"])
def test_memory_does_not_grow_with_the_folder(few_and_many: list[str], tmp_path: Path, layer: str) -> None:
    """48 recordings of 131072 samples more are 25 MB more of numbers, which would be held several times if at all."""
    options = ["--layer", layer, "--d-model", "4", "--n-layers", "1", "--max-epochs", "1", "--batch-size", "2"]
    # glibc gives a block of more than 64 KiB back as soon as it is freed: no peak depends on where holes are left.
    environment = os.environ | {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=65536"}
    peaks = []
    for data in few_and_many:
        done = subprocess.run(
            [sys.executable, "-c", PEAK, data, str(tmp_path / "model"), *options],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 12


def test_files_that_end_in_a_gap_are_labelled_as_from_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(6):
        samples = rng.standard_normal((1, 80 - number)).astype(np.float32)
        samples[:, -5:] = np.nan
        path = tmp_path / ("even", "odd")[number % 2] / f"{number}.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, samples)
    found = [read_recordings(tmp_path, rate=8000, in_memory=memory) for memory in (True, False)]
    assert found[0].names == found[1].names
    labels = [np.arange(len(signal[0])) % 2 for signal in found[0].signals]
    options = {"max_epochs": 1, "d_model": 4, "n_layers": 1, "val_size": 0.34, "verbose": False}
    kept, stored = (Labeler(**options).fit(each.signals, labels) for each in found)
    assert kept.validation_accuracy_ == stored.validation_accuracy_
    for one, other in zip(kept.predict_proba(found[0].signals), stored.predict_proba(found[1].signals), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
