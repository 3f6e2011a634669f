"""How well the defaults forecast: bundled series beside seasonal naive, and the coverage of bands on M4 Hourly.

Run with ``python benchmarks/forecasting.py [--json FILE]``. Every series is forecast from several origins, the last
horizon first; every forecast is made by a model that has seen nothing after its origin. Values are means over seeds
and origins. M4 Hourly is looked for in the folder that STATESPACE_DATA names, and left out where it is absent.
"""

import argparse
import json
import os
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from statespace import Forecaster
from statespace.datasets import DATASETS, load
from statespace.forecasting.evaluation import metrics, seasonal_naive

# Horizon and history in steps, number of origins.
BUNDLED = {"airline": (12, 36, 3), "co2": (52, 156, 3), "sunspots": (11, 44, 5), "elnino": (12, 36, 3)}
LEVELS = (80, 95)


def _inside(frame: pd.DataFrame, actual: np.ndarray, level: int) -> float:
    seen = ~np.isnan(actual)
    low, high = frame[f"S4D-lo-{level}"].to_numpy(), frame[f"S4D-hi-{level}"].to_numpy()
    return 100 * float(((low <= actual) & (actual <= high))[seen].mean())


def bundled(name: str, seeds: int) -> list[dict[str, object]]:
    """Forecast a bundled series from each origin with each seed."""
    h, size, origins = BUNDLED[name]
    season, df = DATASETS[name].season, load(name)
    rows = []
    for origin in range(origins):
        end = len(df) - origin * h
        train, actual = df.iloc[: end - h], df["y"].to_numpy()[end - h : end]
        history = train["y"].to_numpy()
        naive = metrics(actual, seasonal_naive(history, h, season), history, season)
        for seed in range(seeds):
            start = time.perf_counter()
            fc = Forecaster(h, size, season_length=season, random_seed=seed, verbose=False).fit(
                train, DATASETS[name].freq
            )
            seconds = time.perf_counter() - start
            pred = fc.predict(level=LEVELS)
            own = metrics(actual, pred["S4D"].to_numpy(), history, season)
            rows.append(
                {"data": name, "origin": origin, "seed": seed, "mape": own["mape"], "naive_mape": naive["mape"]}
                | {"mae": own["mae"], "naive_mae": naive["mae"], "seconds": seconds}
                | {f"inside_{level}": _inside(pred, actual, level) for level in LEVELS}
            )
    return rows


def m4_hourly(folder: Path, count: int, seeds: int) -> list[dict[str, object]]:
    """Forecast the test windows of the first series of M4 Hourly with one global model for each seed."""
    tables = [pd.read_csv(folder / "m4" / f"Hourly-{part}.csv.gz", nrows=count) for part in ("train", "test")]
    frames = []
    for table in tables:
        long = table.melt(table.columns[0], var_name="column", value_name="y").dropna()
        long = long.rename(columns={table.columns[0]: "unique_id"})
        long["ds"] = long["column"].str.removeprefix("V").astype(int)
        frames.append(long.sort_values(["unique_id", "ds"])[["unique_id", "ds", "y"]])
    train, test = frames
    rows = []
    for seed in range(seeds):
        start = time.perf_counter()
        fc = Forecaster(48, 96, season_length=24, random_seed=seed, verbose=False).fit(train, 1)
        seconds = time.perf_counter() - start
        pred = fc.predict(level=LEVELS)
        parts = {name: part["y"].to_numpy() for name, part in test.groupby("unique_id")}
        past = {name: part["y"].to_numpy() for name, part in train.groupby("unique_id")}
        own, naive = [], []
        for name, part in pred.groupby("unique_id"):
            own.append(metrics(parts[name], part["S4D"].to_numpy(), past[name], 24))
            naive.append(metrics(parts[name], seasonal_naive(past[name], 48, 24), past[name], 24))
        actual = np.concatenate([parts[name] for name in dict.fromkeys(pred["unique_id"])])
        rows.append(
            {"data": f"m4 hourly, first {count}", "origin": 0, "seed": seed, "seconds": seconds}
            | {kind: float(np.mean([one[kind] for one in own])) for kind in ("smape", "mase")}
            | {f"naive_{kind}": float(np.mean([one[kind] for one in naive])) for kind in ("smape", "mase")}
            | {f"inside_{level}": _inside(pred, actual, level) for level in LEVELS}
        )
    return rows


def main() -> None:
    """Run everything and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[*BUNDLED, "m4"], help="which data")
    parser.add_argument("--json", type=Path, help="file for every single run")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    folder = Path(os.environ.get("STATESPACE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    rows: list[dict[str, object]] = []
    for name in options.only:
        if name != "m4":
            rows += bundled(name, options.seeds)
        elif (folder / "m4").is_dir():
            rows += m4_hourly(folder, 50, options.seeds)
        else:
            print(f"M4 Hourly left out: STATESPACE_DATA points to {folder}, where it is not.\n")
    table = pd.DataFrame(rows)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.seeds} seeds\n")
    print("| data | origin | S4D | seasonal naive | ratio | in the 80 % band | in the 95 % band | seconds a fit |")
    print("|---|---|---|---|---|---|---|---|")
    for (name, origin), part in table.groupby(["data", "origin"], sort=False):
        kind = "smape" if str(name).startswith("m4") else "mape" if name in ("airline", "co2") else "mae"
        own, naive = part[kind].astype(float), part[f"naive_{kind}"].astype(float).mean()
        unit = {"smape": "sMAPE", "mape": "MAPE %", "mae": "MAE"}[kind]
        when = "last" if origin == 0 else f"{origin} before"
        spread = f"{own.mean():.3g} ± {own.std(ddof=0):.2g} {unit}"
        print(
            f"| {name} | {when} | {spread} | {naive:.3g} | {own.mean() / naive:.2f} "
            f"| {part['inside_80'].mean():.0f} % | {part['inside_95'].mean():.0f} % | {part['seconds'].mean():.1f} |"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
