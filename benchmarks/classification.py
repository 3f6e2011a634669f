"""Accuracy and time of the classifier on published splits, with one set of defaults for all of them.

The training part alone decides everything; the test part is looked at once, by the model that came out. Numbers beside
ours are published ones, on the same splits.

    STATESPACE_DATA=… python benchmarks/classification.py
    STATESPACE_DATA=… python benchmarks/classification.py --sets GunPoint OSULeaf --seeds 5
    STATESPACE_DATA=… python benchmarks/classification.py --sets fsdd fsdd-half-rate --seeds 1
    STATESPACE_DATA=… python benchmarks/classification.py --sets fsdd-speakers --seeds 1
    python benchmarks/classification.py --sets gunpoint basic-motions italy-power-demand    # those that are bundled
"""

import argparse
import json
import os
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from measuring import machine, markdown, parameter

from statespace import Classifier
from statespace.datasets import CASES, Cases, load_cases, read_archive, read_audio, resample
from statespace.errors import InputError

FOLDER = Path(os.environ.get("STATESPACE_DATA", "../shared/data"))

# HIVE-COTE 2, MultiROCKET-Hydra, InceptionTime, one nearest neighbour by DTW; as published.
PUBLISHED = {
    "ACSF1": "HC2 .910, MR-Hydra .900, IT .910, DTW .640",
    "ArrowHead": "HC2 .869, MR-Hydra .863, IT .863, DTW .703",
    "BasicMotions": "HC2 1.0",
    "ECG5000": "HC2 .947, IT .942",
    "FordA": "HC2 .956, IT .961",
    "GunPoint": "HC2 1.0, MR-Hydra 1.0, IT 1.0, DTW .907",
    "ItalyPowerDemand": "HC2 .970, MR-Hydra .967, IT .966, DTW .950",
    "JapaneseVowels": "HC2 .984",
    "OSULeaf": "HC2 .967, MR-Hydra .971, IT .922, DTW .591",
    "mnist1d": "CNN .94, GRU .91, logistic .32",
}


class Split(NamedTuple):
    """What is trained on and what is judged on, and how much longer the latter's time step is."""

    train: Cases
    test: Cases
    dt_scale: float = 1.0


def archive(name: str) -> Iterator[Split]:
    """Give the published split of an archive set."""
    parts = []
    for part in ("TRAIN", "TEST"):
        found = sorted((FOLDER / "classification" / name).glob(f"{name}_{part}.*"))
        if not found:
            raise InputError(f"classification: there is no {name} in {str(FOLDER)!r}: set STATESPACE_DATA.")
        parts.append(read_archive(found[0]))
    yield Split(*parts)


def mnist1d() -> Iterator[Split]:
    """Give the published split of MNIST-1D."""
    path = FOLDER / "mnist1d" / "mnist1d.npz"
    if not path.is_file():
        raise InputError(f"classification: there is no {str(path)!r}: set STATESPACE_DATA.")
    stored = np.load(path)
    x, y, x_test, y_test = (stored[name] for name in ("x", "y", "x_test", "y_test"))
    yield Split(Cases(list(x[:, None].astype(np.float32)), y), Cases(list(x_test[:, None].astype(np.float32)), y_test))


def spoken() -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Return the spoken digits: samples, digits, speakers, and the number of each take."""
    packed = FOLDER / "fsdd" / "fsdd.zip"
    if not packed.is_file():
        raise InputError(f"classification: there is no {str(packed)!r}: set STATESPACE_DATA.")
    folder = Path("build/fsdd")
    if not folder.is_dir():
        with zipfile.ZipFile(packed) as archive_file:
            archive_file.extractall(folder)
    files = sorted(folder.rglob("*_*_*.wav"))
    digits, speakers, takes = zip(*(file.stem.split("_") for file in files), strict=True)
    return [read_audio(file).samples for file in files], np.array(digits), np.array(speakers), np.array(takes, int)


def cases(X: list[np.ndarray], y: np.ndarray, rows: np.ndarray, every: int = 1) -> Cases:
    """Return some of the cases, at a lower rate by a polyphase filter if `every` is more than one."""
    if every == 1:
        return Cases([X[row] for row in rows], y[rows])
    return Cases([resample(X[row], every, 1) for row in rows], y[rows])


def fsdd() -> Iterator[Split]:
    """Give the official split of the spoken digits at 8 kHz."""
    X, y, _, takes = spoken()
    yield Split(cases(X, y, np.flatnonzero(takes >= 5)), cases(X, y, np.flatnonzero(takes < 5)))


def fsdd_half_rate() -> Iterator[Split]:
    """Give the same, judged at 4 kHz without training for it."""
    X, y, _, takes = spoken()
    yield Split(cases(X, y, np.flatnonzero(takes >= 5)), cases(X, y, np.flatnonzero(takes < 5), 2), 2.0)


def fsdd_speakers() -> Iterator[Split]:
    """Give each speaker in turn to be judged by what was learnt of the others."""
    X, y, speakers, _ = spoken()
    for speaker in np.unique(speakers):
        yield Split(cases(X, y, np.flatnonzero(speakers != speaker)), cases(X, y, np.flatnonzero(speakers == speaker)))


SETS: dict[str, Callable[[], Iterator[Split]]] = {
    **{name: lambda name=name: archive(name) for name in PUBLISHED if name != "mnist1d"},
    "AllGestureWiimoteX": lambda: archive("AllGestureWiimoteX"),
    "mnist1d": mnist1d,
    "fsdd": fsdd,
    "fsdd-half-rate": fsdd_half_rate,
    "fsdd-speakers": fsdd_speakers,
    **{name: lambda name=name: iter([Split(load_cases(name), load_cases(name, "test"))]) for name in CASES},
}
USUAL = [name for name in SETS if name not in CASES and not name.startswith("fsdd")]


def judge(name: str, options: argparse.Namespace, given: dict[str, Any]) -> dict[str, Any]:
    """Fit and judge with each seed; return the row of the table."""
    accuracies, seconds, expected, size = [], [], [], ""
    for seed in range(options.seeds):
        right = total = left_out = count = 0.0
        start = time.perf_counter()
        for split in SETS[name]():
            model = Classifier(random_seed=seed, verbose=False, **given).fit(*split.train)
            right += float((model.predict(split.test.X, split.dt_scale) == split.test.y).sum())
            total += len(split.test.y)
            names = model.classes_[model.validation_scores_.argmax(1)]
            left_out += float((names == split.train.y[model.validation_rows_]).mean())
            count += 1
            longest = max(signal.shape[1] for signal in split.train.X)
            size = f"{len(split.train.y)} / {len(split.test.y)} × {split.train.X[0].shape[0]} × {longest}"
        seconds.append(time.perf_counter() - start)
        accuracies.append(right / total)
        expected.append(left_out / count)
        print(f"{name}, seed {seed}: {accuracies[-1]:.4f} in {seconds[-1]:.0f} s", file=sys.stderr, flush=True)
    return {
        "set": name,
        "train / test × channels × samples": size,
        "accuracy": f"{np.mean(accuracies):.4f} ± {np.std(accuracies):.4f}",
        "left out of training": f"{np.mean(expected):.3f}",
        "s": f"{np.mean(seconds):.0f}",
        "published": PUBLISHED.get(name, ""),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=USUAL, metavar="SET", help=f"of {', '.join(SETS)}")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--set", nargs="*", default=[], type=parameter, metavar="NAME=VALUE", help="parameters of the classifier"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="add the rows to what is there")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    given = dict(options.set)
    rows: dict[str, Any] = {}
    if options.json and options.json.is_file():
        rows = json.loads(options.json.read_text())
    for name in options.sets:
        try:
            rows[name] = judge(name, options, given)
        except (InputError, TypeError) as error:
            print(error, file=sys.stderr)
            sys.exit(2)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"torch {torch.__version__}; {machine(options.threads)}\n\n{markdown(list(rows.values()))}")


if __name__ == "__main__":
    main()
