"""The classifier's defaults on kinds of signals that archives have few of, beside a random forest on spectral features.

Each kind is made up, so that it is known what tells the classes, and drawn anew for every seed:

- *notes*: twelve notes, a semitone apart, of three harmonics that decay;
- *tones*: ten tones, three per cent apart, in noise;
- *loudness*: pink noise, each class 1.3 times as loud as the one before;
- *offset*: pink noise around three levels;
- *drift*: noise that drifts up, down, or not at all;
- *rare*: a band that is louder in one signal of 21; the accuracy is the mean of both classes' here;
- *patterns*: fifty smooth curves, stretched and shaken, five of each;
- *uneven loudness*: pink noise of three slopes, as loud as it likes within a factor of thousand.

    python benchmarks/made_up_signals.py --threads 1
    python benchmarks/made_up_signals.py --kinds notes drift --seeds 1
"""

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from measuring import machine, markdown

from statespace import Classifier
from statespace.errors import InputError

Cases = tuple[np.ndarray, np.ndarray]


def pink(rng: np.random.Generator, count: int, length: int, slope: float | np.ndarray = 0.5) -> np.ndarray:
    """Return noise whose amplitude falls with the frequency to the power `slope`."""
    spectrum = np.fft.rfft(rng.standard_normal((count, length)))
    frequency = np.maximum(np.arange(spectrum.shape[1]), 1.0)
    return np.asarray(np.fft.irfft(spectrum / frequency ** np.reshape(slope, (-1, 1)), length) * np.sqrt(length) / 8)


def notes(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    """Return twelve notes from 220 Hz on, at 8 kHz."""
    t = np.arange(2000)
    omega = 2 * np.pi * 220 / 8000 * 2 ** (y[:, None] / 12) * t

    def some(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (len(y), 1))

    found = sum(some(0.3, 1) / n * np.sin(n * omega + some(0, 6)) for n in (1, 2, 3))
    found = found * some(0.7, 1.4) * np.exp(-t / some(1000, 3000))
    return np.asarray(found + 0.3 * rng.standard_normal(omega.shape))


def tones(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    """Return ten tones in noise."""
    phase = 2 * np.pi * 0.05 * 1.03 ** y[:, None] * np.arange(2000) + rng.uniform(0, 6, (len(y), 1))
    return np.asarray(np.sin(phase) * rng.uniform(0.5, 2, (len(y), 1)) + 1.5 * rng.standard_normal(phase.shape))


def loudness(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    """Return four loudnesses."""
    return np.asarray(pink(rng, len(y), 1000) * (1.3**y * np.exp(0.05 * rng.standard_normal(len(y))))[:, None])


def offset(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    """Return three levels, half a deviation apart."""
    level = 100 + 0.5 * y + 0.1 * rng.standard_normal(len(y))
    return np.asarray(rng.standard_normal((len(y), 1000)) + pink(rng, len(y), 1000) + level[:, None])


def drift(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    """Return noise around lines that rise, fall, or are flat, at any level."""
    line = np.array([1, -1, 0])[y][:, None] * rng.uniform(0.5, 1.2, (len(y), 1)) * np.linspace(-0.5, 0.5, 1500)
    return np.asarray(rng.standard_normal((len(y), 1500)) + 3 * rng.standard_normal((len(y), 1)) + line)


def rare(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    """Return noise with a band that is louder in the rare class."""
    spectrum = np.fft.rfft(rng.standard_normal((len(y), 500)))
    band = np.abs(np.fft.rfftfreq(500) - 0.05) < 0.01
    part = np.fft.irfft(spectrum * band, 500)
    loud = (0.5 + 0.45 * y) * rng.lognormal(0, 0.15, len(y))
    return np.asarray(rng.standard_normal(part.shape) + part / part.std() * loud[:, None])


def patterns(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    """Return curves through eight points, the same for all seeds."""
    points = np.random.default_rng(99).standard_normal((50, 8)).cumsum(1)
    t = np.linspace(0, 1, 400)
    found = np.empty((len(y), 400))
    for row, number in enumerate(y):
        at = 7 * t ** np.exp(0.1 * rng.standard_normal())
        found[row] = np.interp(at, np.arange(8), points[number] + 0.15 * rng.standard_normal(8))
    return found + 0.2 * rng.standard_normal(found.shape)


def uneven(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    """Return noise of three slopes, of any loudness."""
    return np.asarray(pink(rng, len(y), 800, np.array([0.3, 0.5, 0.7])[y]) * 10 ** rng.uniform(-1.5, 1.5, (len(y), 1)))


# What makes the signals of some classes, how many classes there are, and how many signals to train on and to judge by.
KINDS: dict[str, tuple[Callable[[np.random.Generator, np.ndarray], np.ndarray], int, int, int]] = {
    "notes": (notes, 12, 96, 120),
    "tones": (tones, 10, 80, 100),
    "loudness": (loudness, 4, 80, 160),
    "offset": (offset, 3, 90, 150),
    "drift": (drift, 3, 60, 150),
    "rare": (rare, 2, 420, 420),
    "patterns": (patterns, 50, 250, 250),
    "uneven loudness": (uneven, 3, 90, 150),
}


def drawn(kind: str, seed: int) -> tuple[Cases, Cases]:
    """Return signals to train on, and to judge by."""
    make, classes, *counts = KINDS[kind]
    rng, parts = np.random.default_rng(seed), []
    for count in counts:
        number = np.arange(count)
        y = (number % 21 == 0).astype(int) if kind == "rare" else number % classes
        parts.append((make(rng, y), y))
    return parts[0], parts[1]


def spectra(X: np.ndarray) -> np.ndarray:
    """Return what one would begin with: the logarithm of the spectrum, quantiles, mean, deviation, and slope."""
    t = np.linspace(-1, 1, X.shape[1])
    spectrum = np.log(np.abs(np.fft.rfft(X * np.hanning(X.shape[1]))) + 1e-3)
    known = [np.quantile(X, np.linspace(0, 1, 7), axis=1).T, X.mean(1), np.log(X.std(1)), X @ t]
    return np.concatenate([spectrum, *(part.reshape(len(X), -1) for part in known)], 1)


def balanced(said: np.ndarray, y: np.ndarray) -> float:
    """Return the mean over classes of the share of each that is told right."""
    return float(np.mean([(said[y == one] == one).mean() for one in np.unique(y)]))


def judge(kind: str, seeds: int) -> dict[str, str]:
    """Fit both with each seed; return a row of the table."""
    from sklearn.ensemble import RandomForestClassifier

    ours, theirs, seconds = [], [], []
    for seed in range(seeds):
        (X, y), (X_test, y_test) = drawn(kind, seed)
        begin = time.process_time()
        model = Classifier(random_seed=seed, verbose=False).fit(X, y)
        seconds.append(time.process_time() - begin)
        forest = RandomForestClassifier(300, random_state=seed).fit(spectra(X), y)
        ours.append(balanced(model.predict(X_test), y_test))
        theirs.append(balanced(forest.predict(spectra(X_test)), y_test))
        print(f"{kind}, seed {seed}: {ours[-1]:.3f}, forest {theirs[-1]:.3f}", file=sys.stderr)
    return {
        "kind": kind,
        "train / test × samples": f"{len(X)} / {len(X_test)} × {X.shape[1]}",
        "classifier": f"{np.mean(ours):.3f} ± {np.std(ours):.3f}",
        "random forest": f"{np.mean(theirs):.3f} ± {np.std(theirs):.3f}",
        "s a fit": f"{np.mean(seconds):.0f}",
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), metavar="KIND", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    if unknown := [kind for kind in options.kinds if kind not in KINDS]:
        print(InputError(f"made_up_signals: there is no kind {unknown[0]!r}, but {', '.join(KINDS)}."), file=sys.stderr)
        return 2
    torch.set_num_threads(options.threads)
    rows = [judge(kind, options.seeds) for kind in options.kinds]
    print(machine(options.threads), markdown(rows), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
