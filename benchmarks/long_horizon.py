"""Long horizons on published splits: the forecaster beside linear maps and naive forecasts, all of one run.

Each channel is a series of its own, in standard deviations of the training part. The training part is learnt from; what
a model chooses, it chooses on the validation part; the test part is looked at once, by the model that came out, at
every window in it. NLinear and DLinear are trained as their authors do, with the learning rates and batches of their
scripts. Numbers beside ours are published ones on the same splits.

    STATESPACE_DATA=… python benchmarks/long_horizon.py
    STATESPACE_DATA=… python benchmarks/long_horizon.py --data ETTh1 --horizons 96 --input-size 336 --seeds 1
    STATESPACE_DATA=… python benchmarks/long_horizon.py --models NLinear Repeat --input-size 336 --drop-last-batch

Published code judges test windows in batches of 32 and leaves the last one out unless it is full; `--drop-last-batch`
does the same. On the longest horizons that is not a trifle.
"""

import argparse
import copy
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from measuring import machine, markdown, parameter
from torch import Tensor
from torch.nn.functional import mse_loss

from statespace import Forecaster
from statespace.errors import InputError
from statespace.models import DLinear, NLinear

FOLDER = Path(os.environ.get("STATESPACE_DATA", "../shared/data"))
HORIZONS = (96, 192, 336, 720)
PUBLISHED_BATCH = 32
CHUNK = 512  # origins judged at once

LEVELS = (80, 95)  # percent of the values that a band is to hold
# Windows (b, input_size) to forecasts (b, h, 1 or 5): what to expect, and where each band begins and ends.
Predict = Callable[[Tensor], Tensor]


class Data(NamedTuple):
    """Where a data set lies, how it is split, and how the linear maps are trained on it.

    `months` of 30 days are the ends of training, validation and test part; without them, 70, 10 and 20 percent.
    """

    file: str
    season: int
    steps_an_hour: int = 0
    months: tuple[int, int, int] | None = None
    learning_rate: float = 1e-3
    batch_size: int = 32


DATA = {
    "ETTh1": Data("ett/ETTh1.csv.gz", 24, 1, (12, 16, 20), 5e-3, 32),
    "ETTm1": Data("ett/ETTm1.csv.gz", 96, 4, (12, 16, 20), 1e-4, 8),
    "exchange_rate": Data("exchange_rate/exchange_rate.csv.gz", 1, learning_rate=5e-4, batch_size=8),
}

# Mean squared errors at horizons of 96, 192, 336, 720; look-backs of 336 (DLinear, NLinear) and 512 (PatchTST/64, or
# /42 with 336 where it is better).
PUBLISHED: dict[str, dict[str, tuple[float, ...]]] = {
    "ETTh1": {
        "Repeat": (1.295, 1.325, 1.323, 1.339),
        "NLinear": (0.374, 0.408, 0.429, 0.440),
        "DLinear": (0.375, 0.405, 0.439, 0.472),
        "PatchTST": (0.370, 0.413, 0.422, 0.447),
    },
    "ETTm1": {
        "Repeat": (1.214, 1.261, 1.283, 1.319),
        "NLinear": (0.306, 0.349, 0.375, 0.433),
        "DLinear": (0.299, 0.335, 0.369, 0.425),
        "PatchTST": (0.290, 0.332, 0.366, 0.416),
    },
    "exchange_rate": {
        "Repeat": (0.081, 0.167, 0.305, 0.823),
        "NLinear": (0.089, 0.180, 0.331, 1.033),
        "DLinear": (0.081, 0.157, 0.305, 0.643),
    },
}


class Series(NamedTuple):
    """A data set.

    Attributes:
        values: in standard deviations of the training part, ``(steps, channels)``.
        ends: ends of the training, validation and test part, in steps.
    """

    values: Tensor
    ends: tuple[int, int, int]
    data: Data

    def windows(self, first: int, last: int, input_size: int, h: int) -> Tensor:
        """Return views of histories and targets, ``(origins, channels, input_size + h)``, with targets in a part."""
        return self.values[max(first - input_size, 0) : last].unfold(0, input_size + h, 1)


def read(name: str) -> Series:
    """Read a data set and standardise it by its training part."""
    data = DATA[name]
    path = FOLDER / data.file
    if not path.is_file():
        raise InputError(f"long_horizon: there is no {str(path)!r}: set STATESPACE_DATA.")
    table = pd.read_csv(path).iloc[:, 1:].to_numpy(np.float64)
    steps = len(table)
    if data.months:
        train, val, test = (30 * 24 * data.steps_an_hour * month for month in data.months)
    else:
        train, val, test = int(0.7 * steps), steps - int(0.2 * steps), steps
    location, scale = table[:train].mean(0), table[:train].std(0)
    return Series(torch.as_tensor((table[:test] - location) / scale, dtype=torch.float32), (train, val, test), data)


class Job(NamedTuple):
    """What a model is to learn."""

    series: Series
    input_size: int
    h: int
    seed: int
    given: dict[str, Any]  # parameters of the Forecaster


def repeat(job: Job) -> Predict:
    """Repeat the last value."""
    return lambda x: x[:, -1:].expand(-1, job.h)[..., None]


def seasonal_naive(job: Job) -> Predict:
    """Repeat the last season."""
    season = job.series.data.season
    steps = torch.arange(job.h) % season
    return lambda x: x[:, -season:][:, steps, None]


def linear(make: type[NLinear | DLinear], job: Job) -> Predict:
    """Train a linear map as its authors do: squared error, a learning rate that halves each epoch, at most 10 of them.

    Source: Zeng et al. 2023 (arXiv:2205.13504), and the scripts of the repository LTSF-Linear.
    """
    series, size = job.series, job.input_size
    torch.manual_seed(job.seed)
    model = make(job.h, size)

    def point(x: Tensor) -> Tensor:
        return model(x)[..., None]

    optimizer = torch.optim.Adam(model.parameters(), series.data.learning_rate)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    windows = series.windows(0, series.ends[0], size, job.h)
    best, kept, waited = float("inf"), copy.deepcopy(model.state_dict()), 0
    for _ in range(10):
        for origins in torch.randperm(len(windows)).split(series.data.batch_size):
            batch = windows[origins].flatten(0, 1)
            optimizer.zero_grad()
            mse_loss(model(batch[:, :size]), batch[:, size:]).backward()
            optimizer.step()
        schedule.step()
        error = judge(point, series.windows(*series.ends[:2], size, job.h), size)["mse"]
        waited += 1
        if error < best:
            best, kept, waited = error, copy.deepcopy(model.state_dict()), 0
        if waited == 3:
            break
    model.load_state_dict(kept)
    return point


def forecaster(job: Job) -> Predict:
    """Fit a `Forecaster` with its defaults; the validation part is the tail that it validates on."""
    train, val, _ = job.series.ends
    usual = {"season_length": job.series.data.season, "val_size": val - train, "random_seed": job.seed}
    fc = Forecaster(job.h, job.input_size, **{"verbose": False} | usual | job.given)
    channels = job.series.values[:val].T
    fc.fit(_table(channels), 1)
    wanted = [fc.name, *(f"{fc.name}-{end}-{level}" for level in LEVELS for end in ("lo", "hi"))]

    def predict(x: Tensor) -> Tensor:
        known_as = {row: row % len(channels) for row in range(len(x))}
        found = fc.predict(_table(x), known_as=known_as, level=LEVELS)
        return torch.as_tensor(found[wanted].to_numpy(np.float32)).view(-1, job.h, len(wanted))

    return predict


def _table(rows: Tensor) -> pd.DataFrame:
    """Lay series ``(series, steps)`` out one below the other."""
    count, steps = rows.shape
    return pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(count), steps),
            "ds": np.tile(np.arange(steps), count),
            "y": rows.reshape(-1).numpy(),
        }
    )


MODELS: dict[str, Callable[[Job], Predict]] = {
    "Forecaster": forecaster,
    "NLinear": partial(linear, NLinear),
    "DLinear": partial(linear, DLinear),
    "Repeat": repeat,
    "seasonal naive": seasonal_naive,
}
NAIVE = ("Repeat", "seasonal naive")


@torch.no_grad()
def judge(predict: Predict, windows: Tensor, input_size: int) -> dict[str, float]:
    """Judge forecasts over windows ``(origins, channels, input_size + h)``.

    ``mse`` and ``mae`` are the mean squared and absolute error; ``80`` and ``95``, where there are bands, are how many
    percent of the values lie in them.
    """
    sums: Counter[str] = Counter()
    for part in windows.split(CHUNK):
        rows = part.flatten(0, 1)
        actual = rows[:, input_size:]
        expected, *ends = predict(rows[:, :input_size]).unbind(-1)
        error = (expected - actual).double()
        sums["mse"] += float(error.square().sum())
        sums["mae"] += float(error.abs().sum())
        for level, low, high in zip(LEVELS, ends[::2], ends[1::2], strict=False):
            sums[str(level)] += 100 * int(((low <= actual) & (actual <= high)).sum())
    count = len(windows) * windows.shape[1] * (windows.shape[2] - input_size)
    return {kind: total / count for kind, total in sums.items()}


def run(name: str, h: int, model: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train and judge a model with each seed; return its row of the table."""
    series, size = read(name), options.input_size
    test = series.windows(*series.ends[1:], size, h)
    if options.drop_last_batch:
        test = test[: len(test) // PUBLISHED_BATCH * PUBLISHED_BATCH]
    errors, seconds = [], []
    for seed in range(1 if model in NAIVE else options.seeds):
        start = time.perf_counter()
        predict = MODELS[model](Job(series, size, h, seed, dict(options.set)))
        seconds.append(time.perf_counter() - start)
        errors.append(judge(predict, test, size))
        print(f"{name} {h} {model}, seed {seed}: {errors[-1]['mse']:.4f}, {seconds[-1]:.0f} s", file=sys.stderr)

    def spread(kind: str, digits: int = 4) -> str | None:
        values = [error[kind] for error in errors if kind in error]
        return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}" if values else None

    peer = "PatchTST" if model == "Forecaster" else model
    published = PUBLISHED[name].get(peer) if h in HORIZONS else None
    return {
        "data": name,
        "h": h,
        "model": model,
        "MSE": spread("mse"),
        "MAE": spread("mae"),
        "published MSE": f"{peer} {published[HORIZONS.index(h)]:.3f}" if published else None,
        **{f"in the {level} % band, %": spread(str(level), 1) for level in LEVELS},
        "windows": len(test),
        "look-back": size,
        "seeds": len(errors),
        "s a fit": f"{np.mean(seconds):.0f}",
    }


def chosen(options: argparse.Namespace) -> Iterator[tuple[str, int, str]]:
    """Give what is to be run, in the order of the table."""
    for name in options.data:
        for h in options.horizons:
            for model in options.models:
                if model != "seasonal naive" or DATA[name].season > 1:
                    yield name, h, model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", nargs="+", choices=DATA, default=[*DATA], metavar="NAME", help=f"of {', '.join(DATA)}"
    )
    parser.add_argument("--horizons", nargs="+", type=int, default=HORIZONS, metavar="H", help="in steps")
    parser.add_argument(
        "--models", nargs="+", choices=MODELS, default=[*MODELS], metavar="MODEL", help=f"of {', '.join(MODELS)}"
    )
    parser.add_argument("--input-size", type=int, default=512, help="steps of history in a window")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--drop-last-batch", action="store_true", help="leave out test windows beyond a multiple of 32")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--set", nargs="*", default=[], type=parameter, metavar="NAME=VALUE", help="parameters of the Forecaster"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="add the rows to what is there")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows: dict[str, Any] = {}
    if options.json and options.json.is_file():
        rows = json.loads(options.json.read_text())
    fresh = []
    for name, h, model in chosen(options):
        try:
            fresh.append(run(name, h, model, options))
        except (InputError, TypeError) as error:
            print(error, file=sys.stderr)
            sys.exit(2)
        rows[f"{name} {h} {model}"] = fresh[-1]
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"torch {torch.__version__}; {machine(options.threads)}\n\n{markdown(fresh)}")


if __name__ == "__main__":
    main()
