"""How well the defaults forecast: bundled series beside seasonal naive, and all of M4 Hourly beside its winners.

Run with ``python benchmarks/forecasting.py [--json FILE]``. Every series is forecast from several origins, the last
horizon first; every forecast is made by a model that has seen nothing after its origin. Values are means over seeds
and origins. M4 Hourly is looked for in the folder that STATESPACE_DATA names, and left out where it is absent.
"""

import argparse
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from measuring import machine, markdown, parameter

from statespace import Forecaster
from statespace.datasets import DATASETS, load
from statespace.forecasting.evaluation import coverage, mean_metrics, metrics, seasonal_naive

FOLDER = Path(os.environ.get("STATESPACE_DATA", "../shared/data"))
LEVELS = (80, 95)


class Bundled(NamedTuple):
    """A bundled series: horizon and history in steps, number of origins, what it is judged by."""

    name: str
    h: int
    input_size: int
    origins: int
    kind: str


BUNDLED = (
    Bundled("airline", 12, 36, 3, "mape"),
    Bundled("airline", 36, 72, 1, "mape"),
    Bundled("co2", 52, 156, 3, "mape"),
    Bundled("sunspots", 11, 33, 5, "mae"),
    Bundled("elnino", 12, 36, 3, "mae"),
)
M4 = "m4 hourly"
M4_HORIZON, M4_SEASON = 48, 24
M4_BEGIN = pd.Timestamp("2015-07-01")  # any will do: no feature of the calendar is used
UNITS = {"smape": "sMAPE", "mase": "MASE", "mape": "MAPE %", "mae": "MAE"}

# Of the last origin: the seasonal naive of logarithms with drift, and exponential smoothing (airline); the winner of
# the competition and its runner-up (M4).
PUBLISHED = {
    ("airline", 12, "mape"): "log naive 3.4",
    ("airline", 36, "mape"): "ETS 5.1",
    (M4, M4_HORIZON, "smape"): "9.328, 11.506",
    (M4, M4_HORIZON, "mase"): "0.893, 0.819",
}


def bundled(case: Bundled, seeds: int, given: dict[str, Any]) -> list[dict[str, Any]]:
    """Forecast a bundled series from each origin with each seed."""
    h, season, df = case.h, DATASETS[case.name].season, load(case.name)
    rows = []
    for origin in range(case.origins):
        end = len(df) - origin * h
        train, actual = df.iloc[: end - h], df["y"].to_numpy()[end - h : end]
        history = train["y"].to_numpy()
        naive = metrics(actual, seasonal_naive(history, h, season), history, season)
        for seed in range(seeds):
            start = time.perf_counter()
            fc = Forecaster(
                h,
                **{"input_size": case.input_size, "season_length": season, "random_seed": seed} | given,
                verbose=False,
            ).fit(train, DATASETS[case.name].freq)
            seconds = time.perf_counter() - start
            pred = fc.predict(level=LEVELS)
            own = metrics(actual, pred[fc.name].to_numpy(), history, season)
            rows.append(
                {"data": case.name, "h": h, "origin": origin, "seed": seed, "seconds": seconds}
                | {case.kind: own[case.kind], f"naive_{case.kind}": naive[case.kind]}
                | {f"inside_{level}": share for level, share in coverage(actual, pred, fc.name, LEVELS).items()}
            )
    return rows


def m4_tables(count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the training and test parts of the first series of M4 Hourly, with columns unique_id, ds and y."""
    tables = [pd.read_csv(FOLDER / "m4" / f"Hourly-{part}.csv.gz", nrows=count) for part in ("train", "test")]
    frames = []
    for table in tables:
        long = table.melt(table.columns[0], var_name="column", value_name="y").dropna()
        long = long.rename(columns={table.columns[0]: "unique_id"})
        long["ds"] = M4_BEGIN + pd.to_timedelta(long["column"].str.removeprefix("V").astype(int), unit="h")
        frames.append(long.sort_values(["unique_id", "ds"])[["unique_id", "ds", "y"]])
    return frames[0], frames[1]


def m4_errors(pred: pd.DataFrame, column: str, train: pd.DataFrame, test: pd.DataFrame) -> dict[str, float]:
    """Return what the forecasts in a column are off by, the mean over all series."""
    past = {name: part["y"].to_numpy() for name, part in train.groupby("unique_id")}
    actual = {name: part["y"].to_numpy() for name, part in test.groupby("unique_id")}
    own = [
        metrics(actual[name], part[column].to_numpy(), past[name], M4_SEASON)
        for name, part in pred.groupby("unique_id")
    ]
    return mean_metrics(own)


def m4_hourly(count: int, seeds: int, given: dict[str, Any]) -> list[dict[str, Any]]:
    """Forecast the test windows of the first series of M4 Hourly with one global model for each seed."""
    train, test = m4_tables(count)
    parts = {name: part["y"].to_numpy() for name, part in test.groupby("unique_id")}
    again = train.groupby("unique_id")["y"].apply(lambda y: seasonal_naive(y.to_numpy(), M4_HORIZON, M4_SEASON))
    naive = again.explode().astype(float).reset_index(name="naive")
    naive_means = m4_errors(naive, "naive", train, test)
    rows = []
    for seed in range(seeds):
        start = time.perf_counter()
        fc = Forecaster(M4_HORIZON, **{"random_seed": seed} | given, verbose=False).fit(train, "h")
        seconds = time.perf_counter() - start
        pred = fc.predict(level=LEVELS)
        actual = np.concatenate([parts[name] for name in dict.fromkeys(pred["unique_id"])])
        means = m4_errors(pred, fc.name, train, test)
        rows.append(
            {"data": M4, "series": len(parts), "h": M4_HORIZON, "origin": 0, "seed": seed, "seconds": seconds}
            | {kind: means[kind] for kind in ("smape", "mase")}
            | {f"naive_{kind}": naive_means[kind] for kind in ("smape", "mase")}
            | {f"inside_{level}": share for level, share in coverage(actual, pred, fc.name, LEVELS).items()}
        )
        print(f"{M4}, seed {seed}: {means['smape']:.3f}, {means['mase']:.3f}, {seconds:.0f} s", file=sys.stderr)
    return rows


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Average over seeds: a row for each series, horizon, origin and metric."""
    found = []
    for (name, h, origin), part in pd.DataFrame(rows).groupby(["data", "h", "origin"], sort=False):
        for kind, unit in UNITS.items():
            if kind not in part or part[kind].isna().all():
                continue
            own, naive = part[kind].astype(float), part[f"naive_{kind}"].astype(float).mean()
            found.append(
                {
                    "data": name,
                    "h": h,
                    "origin": "last" if origin == 0 else f"{origin} before",
                    "metric": unit,
                    "S4D": f"{own.mean():.3g} ± {own.std(ddof=0):.2g}",
                    "seasonal naive": float(naive),
                    "ratio": f"{own.mean() / naive:.2f}",
                    "published": PUBLISHED.get((name, h, kind)) if origin == 0 else None,
                    **{f"in the {level} % band": f"{part[f'inside_{level}'].mean():.0f} %" for level in LEVELS},
                    "s a fit": f"{part['seconds'].mean():.1f}",
                }
            )
    return found


def main() -> None:
    """Run everything and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [*dict.fromkeys(case.name for case in BUNDLED), "m4"]
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--only", nargs="*", default=names, choices=names, metavar="DATA", help=f"of {', '.join(names)}"
    )
    parser.add_argument("--series", type=int, default=414, help="of M4 Hourly, from the first on")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--set", nargs="*", default=[], type=parameter, metavar="NAME=VALUE", help="parameters of the Forecaster"
    )
    parser.add_argument("--json", type=Path, help="file for every single run")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    given = dict(options.set)
    rows: list[dict[str, Any]] = []
    for case in BUNDLED:
        if case.name in options.only:
            rows += bundled(case, options.seeds, given)
    if "m4" in options.only:
        if (FOLDER / "m4").is_dir():
            rows += m4_hourly(options.series, options.seeds, given)
        else:
            print(f"M4 Hourly left out: STATESPACE_DATA points to {FOLDER}, where it is not.\n")
    print(f"torch {torch.__version__}; {machine(options.threads)}; {options.seeds} seeds\n\n{markdown(summary(rows))}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
