"""
Spoken digits, raw, at two sampling rates, from voices never heard
==================================================================

Recordings go in as they are: raw samples, each of its own length. If ``STATESPACE_DATA`` names a folder with the Free
Spoken Digit Dataset (``fsdd/fsdd.zip``), some of its recordings are used; otherwise, four invented words of two vowels
are spoken by invented speakers: a buzz, whose pitch is the speaker's, through two resonances that move from one vowel
to the other and scale with the speaker's throat.
"""

import os
import tempfile
import zipfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.signal import lfilter

from statespace import Classifier
from statespace.datasets import read_audio, resample

torch.set_num_threads(1)
RATE = 8000
VOWELS = {"a": (800, 1200), "i": (300, 2300), "u": (320, 800)}  # frequencies of two resonances in Hz
WORDS = ("ai", "ia", "ua", "iu")
rng = np.random.default_rng(0)


def spoken(word: str, pitch: float, throat: float) -> np.ndarray:
    """A word of two vowels, by a voice of this pitch in Hz and this factor on all resonances."""
    half = int(RATE * rng.uniform(0.1, 0.16))
    phase = np.cumsum(pitch * rng.uniform(0.93, 1.07) * np.linspace(1.1, 0.9, 2 * half)) / RATE
    sound = np.diff(np.floor(phase), prepend=0) + 0.01 * rng.standard_normal(2 * half)
    mixed = np.zeros(2 * half)
    for vowel, weight in zip(word, (np.linspace(2, -1, 2 * half), np.linspace(-1, 2, 2 * half)), strict=True):
        part = sound
        for hertz in VOWELS[vowel]:
            pole = np.exp((-np.pi * 90 + 2j * np.pi * hertz * throat) / RATE)
            part = lfilter([abs(1 - pole) ** 2], [1, -2 * pole.real, abs(pole) ** 2], part)
        mixed += np.clip(weight, 0, 1) * part / part.std()
    around = rng.uniform(0, 0.05, 2)  # s of silence
    before, after = (np.zeros(int(RATE * seconds)) for seconds in around)
    whole = np.concatenate([before, rng.uniform(0.3, 1) * mixed, after])
    return (whole + 0.01 * rng.standard_normal(len(whole))).astype(np.float32)[None]


def invented() -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Recordings, words and speakers."""
    X, words, speakers = [], [], []
    for speaker, (pitch, throat) in enumerate([(100, 0.95), (125, 1.0), (150, 1.03), (200, 1.1), (230, 1.15)]):
        for word in WORDS:
            for _ in range(8):
                X.append(spoken(word, pitch, throat))
                words.append(word)
                speakers.append(f"voice {speaker + 1}")
    return X, np.array(words), np.array(speakers)


def digits(packed: Path, takes: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Recordings, digits and speakers: the first takes of each speaker and digit."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
        named = {path: path.stem.split("_") for path in sorted(Path(folder).rglob("*_*_*.wav"))}
        files = [path for path, (_, _, take) in named.items() if int(take) < takes]
        X = [read_audio(path).samples for path in files]
    return X, np.array([named[path][0] for path in files]), np.array([named[path][1] for path in files])


packed = Path(os.environ.get("STATESPACE_DATA", ".")) / "fsdd" / "fsdd.zip"
X, y, speakers = digits(packed, takes=5) if packed.is_file() else invented()
print(f"{len(X)} recordings of {len(set(y))} words by {len(set(speakers))} speakers, {RATE} Hz")
test = np.arange(len(X)) % 4 == 0
train = ~test


def chosen(rows: np.ndarray) -> list[np.ndarray]:
    """Some of the recordings."""
    return [X[row] for row in np.flatnonzero(rows)]


# %%
# Each recording is taken by its own mean and deviation, since loudness tells nothing. Beside random oscillators over
# the raw samples, energies of bands are looked at, if cases that are left out of training are told better with them.

options = {"systems": 150, "scaler_type": "instance", "random_seed": 0, "verbose": False}
model = Classifier(**options).fit(chosen(train), y[train])
full = model.score(chosen(test), y[test])
print(f"looked at: {model.model_.options['view']}; right at {RATE} Hz: {full:.3f}")

# %%
# Half the sampling rate: nothing is fitted again, the time between two samples is told.

half = [resample(recording, RATE, RATE // 2) for recording in chosen(test)]
told, untold = model.score(half, y[test], dt_scale=2.0), model.score(half, y[test])
print(f"right at {RATE // 2} Hz: {told:.3f} with dt_scale=2, {untold:.3f} without")
assert full > 0.85
assert told > 0.8
assert told > untold

# %%
# Voices that were never heard are harder. `groups` names the speakers: what is said of each recording in
# `validation_scores_` is then said by what was learnt of all other speakers, in closed form, by one fit.

grouped = Classifier(**options).fit(X, y, groups=speakers)
right = grouped.classes_[grouped.validation_scores_.argmax(1)] == y
for name in np.unique(speakers):
    print(f"{name}, by what the others taught: {right[speakers == name].mean():.2f}")

# %%
# Where in the signal the decision came from: red samples speak for the word that was said, blue ones against it.

names = model.classes_[:4]
rows = [int(np.flatnonzero(test & (y == name))[0]) for name in names]
figure, panels = plt.subplots(len(rows), 1, figsize=(9, 7), layout="constrained")
for axes, row in zip(panels, rows, strict=True):
    brought = model.attribute([X[row]])[0]
    shades = np.array([piece.mean() for piece in np.array_split(brought, 100)])
    span, low, high = np.abs(shades).max(), X[row].min(), X[row].max()
    seconds = X[row].shape[1] / RATE
    axes.imshow(
        shades[None], cmap="coolwarm", vmin=-span, vmax=span, aspect="auto", alpha=0.8, extent=(0, seconds, low, high)
    )
    axes.plot(np.arange(X[row].shape[1]) / RATE, X[row][0], linewidth=0.4, color="#33415c")
    axes.set_ylabel(f"{y[row]}, said {model.predict([X[row]])[0]}")
panels[-1].set_xlabel("time (s)")
plt.show()
