"""Series that inform each other: a forecaster of each alone beside a multivariate one, on the same windows.

- *pair*: a series of an autoregression that nobody can forecast for long, and one that follows it six hours later;
- *ETTh1*: the seven channels of a transformer, in standard deviations of the training part; the test part is forecast.

Errors are mean squared, over all windows of the horizon, each horizon after the one before; all models are fitted once.

    STATESPACE_DATA=… python benchmarks/multivariate.py
    python benchmarks/multivariate.py --only pair --set max_steps=200
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from measuring import machine, markdown, parameter

from statespace import Forecaster
from statespace.errors import InputError

FOLDER = Path(os.environ.get("STATESPACE_DATA", "../shared/data"))
TRAIN, VAL, TEST = (30 * 24 * month for month in (12, 16, 20))
LAG = 6


def pair(seed: int = 0, steps: int = 1200) -> pd.DataFrame:
    """Return a leader and its follower."""
    rng = np.random.default_rng(seed)
    leader = np.zeros(steps + LAG)
    for t, shock in enumerate(rng.normal(size=steps + LAG)):
        leader[t] = 0.8 * leader[t - 1] + shock
    follower = 5 + 2 * leader[:-LAG] + 0.1 * rng.normal(size=steps)
    return table(np.stack([leader[LAG:], follower], 1), ["leader", "follower"])


def transformer() -> pd.DataFrame:
    """Return ETTh1 up to the end of its test part."""
    path = FOLDER / "ett/ETTh1.csv.gz"
    if not path.is_file():
        raise InputError(f"multivariate: there is no {str(path)!r}: set STATESPACE_DATA.")
    rows = pd.read_csv(path).iloc[:TEST, 1:]
    values = rows.to_numpy(np.float64)
    return table((values - values[:TRAIN].mean(0)) / values[:TRAIN].std(0), list(rows))


def table(values: np.ndarray, names: list[str]) -> pd.DataFrame:
    """Lay channels ``(steps, channels)`` out one below the other."""
    stamps = pd.date_range("2016-07-01", periods=len(values), freq="h")
    return pd.concat(
        [pd.DataFrame({"unique_id": name, "ds": stamps, "y": values[:, i]}) for i, name in enumerate(names)]
    )


# How each table is made, and the horizon, the window, the steps to validate on, and the windows to be forecast.
JOBS = {
    "pair": (pair, {"h": LAG, "input_size": 48}, 30),
    "ETTh1": (transformer, {"h": 24, "input_size": 168, "val_size": VAL - TRAIN}, (TEST - VAL) // 24),
}


def run(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Forecast a table in both ways; return a row for each series and one for all."""
    make, sizes, windows = JOBS[name]
    frame, found, seconds = make(), {}, {}
    for kind in (False, True):
        given = {"point": "mean", "verbose": False, "random_seed": options.seed} | sizes | dict(options.set)
        start = time.perf_counter()
        forecast = Forecaster(**given, multivariate=kind, alias="model").cross_validation(frame, windows)
        seconds[kind] = time.perf_counter() - start
        error = (forecast["model"] - forecast["y"]) ** 2
        found[kind] = error.groupby(forecast["unique_id"]).mean()
        found[kind]["all"] = error.mean()
    return [
        {"data": name, "series": series, "each alone": found[False][series], "multivariate": found[True][series]}
        | {"s": f"{seconds[False]:.0f}, {seconds[True]:.0f}" if series == "all" else None}
        for series in found[False].index
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=JOBS, default=[*JOBS], help=f"of {', '.join(JOBS)}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--set", nargs="*", default=[], type=parameter, metavar="NAME=VALUE", help="parameters of the Forecaster"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        rows = [row for name in options.only for row in run(name, options)]
    except (InputError, TypeError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(f"torch {torch.__version__}; {machine(options.threads)}\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
