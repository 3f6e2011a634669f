"""Accuracy and time of the classifier on published splits, with one set of defaults for all of them.

The training part alone decides everything; the test part is looked at once, by the model that came out. Numbers beside
ours are published ones, on the same splits.

    STATESPACE_DATA=… python benchmarks/classification.py
    STATESPACE_DATA=… python benchmarks/classification.py --sets GunPoint OSULeaf --seeds 5
    STATESPACE_DATA=… python benchmarks/classification.py --sets fsdd --set scaler_type=instance
    STATESPACE_DATA=… python benchmarks/classification.py --sets fsdd-speakers --set scaler_type=instance --seeds 1
    python benchmarks/classification.py --sets gunpoint basic-motions italy-power-demand    # those that are bundled
"""

import argparse
import json
import os
import sys
import time
import zipfile
from collections import defaultdict
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
    """What is trained on, and what is judged on, by name, with how much longer its time step is."""

    train: Cases
    tests: dict[str, tuple[Cases, float]]
    groups: np.ndarray | None = None


def plain(train: Cases, test: Cases) -> Split:
    """Return a split whose test part is at the rate of training."""
    return Split(train, {"": (test, 1.0)})


def archive(name: str) -> Iterator[Split]:
    """Give the published split of an archive set."""
    parts = []
    for part in ("TRAIN", "TEST"):
        found = sorted((FOLDER / "classification" / name).glob(f"{name}_{part}.*"))
        if not found:
            raise InputError(f"classification: there is no {name} in {str(FOLDER)!r}: set STATESPACE_DATA.")
        parts.append(read_archive(found[0]))
    yield plain(*parts)


def mnist1d() -> Iterator[Split]:
    """Give the published split of MNIST-1D."""
    path = FOLDER / "mnist1d" / "mnist1d.npz"
    if not path.is_file():
        raise InputError(f"classification: there is no {str(path)!r}: set STATESPACE_DATA.")
    stored = np.load(path)
    x, y, x_test, y_test = (stored[name] for name in ("x", "y", "x_test", "y_test"))
    yield plain(Cases(list(x[:, None].astype(np.float32)), y), Cases(list(x_test[:, None].astype(np.float32)), y_test))


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
    """Give the official split of the spoken digits at 8 kHz, judged there and, without fitting again, at 4 kHz."""
    X, y, _, takes = spoken()
    test = np.flatnonzero(takes < 5)
    yield Split(
        cases(X, y, np.flatnonzero(takes >= 5)),
        {"": (cases(X, y, test), 1.0), " at 4 kHz": (cases(X, y, test, 2), 2.0)},
    )


def fsdd_speakers() -> Iterator[Split]:
    """Give each speaker in turn to be judged by what was learnt of the others."""
    X, y, speakers, _ = spoken()
    for speaker in np.unique(speakers):
        others = np.flatnonzero(speakers != speaker)
        test = {"": (cases(X, y, np.flatnonzero(speakers == speaker)), 1.0)}
        yield Split(cases(X, y, others), test, speakers[others])


SETS: dict[str, Callable[[], Iterator[Split]]] = {
    **{name: lambda name=name: archive(name) for name in PUBLISHED if name != "mnist1d"},
    "AllGestureWiimoteX": lambda: archive("AllGestureWiimoteX"),
    "mnist1d": mnist1d,
    "fsdd": fsdd,
    "fsdd-speakers": fsdd_speakers,
    **{name: lambda name=name: iter([plain(load_cases(name), load_cases(name, "test"))]) for name in CASES},
}
USUAL = [name for name in SETS if name not in CASES and not name.startswith("fsdd")]


def judge(name: str, options: argparse.Namespace, given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Fit and judge with each seed; return the rows of the table by name."""
    accuracies: dict[str, list[float]] = defaultdict(list)
    seconds, expected, size = [], [], ""
    for seed in range(options.seeds):
        right: dict[str, list[np.ndarray]] = defaultdict(list)
        left_out = []
        start = time.perf_counter()
        for split in SETS[name]():
            X, y = split.train
            model = Classifier(random_seed=seed, verbose=False, **given).fit(X, y, split.groups)
            for which, (test, dt_scale) in split.tests.items():
                right[which].append(model.predict(test.X, dt_scale) == test.y)
                shown = ", ".join(f"{part.mean():.4f}" for part in right[which])
                print(f"{name}{which}, seed {seed}: {shown}", file=sys.stderr, flush=True)
            if split.groups is not None and model.layer_ == "responses":
                test = split.tests[""][0]
                right[" adapted"].append(model.adapted(test.X).predict(test.X) == test.y)
            names = model.classes_[model.validation_scores_.argmax(1)]
            left_out.append(float((names == y[model.validation_rows_]).mean()))
            longest = max(signal.shape[1] for signal in X)
            size = f"{len(y)} / {len(split.tests[''][0].y)} × {X[0].shape[0]} × {longest}"
        seconds.append(time.perf_counter() - start)
        for which, parts in right.items():
            accuracies[which].append(float(np.concatenate(parts).mean()))
        expected.append(float(np.mean(left_out)))
    return {
        f"{name}{which}": {
            "set": f"{name}{which}",
            "train / test × channels × samples": size,
            "accuracy": f"{np.mean(found):.4f} ± {np.std(found):.4f}",
            "left out of training": f"{np.mean(expected):.3f}" if which == "" else "",
            "s": f"{np.mean(seconds):.0f}",
            "published": PUBLISHED.get(name, ""),
        }
        for which, found in accuracies.items()
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
            rows |= judge(name, options, given)
        except (InputError, TypeError) as error:
            print(error, file=sys.stderr)
            sys.exit(2)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"torch {torch.__version__}; {machine(options.threads)}\n\n{markdown(list(rows.values()))}")


if __name__ == "__main__":
    main()
