"""Train on hours, forecast half-hours: what another sampling rate costs on real data, without training again.

The load and the temperature of a transformer were recorded every 15 minutes (ETTm1); the values at full hours are
ETTh1. The forecaster is fitted on the hours before the test part. Then it forecasts from many origins in the test part:

- *hours*: from hours, and judged at hours alone;
- *half-hours*: from half-hours by ``dt_scale=0.5``, judged at both;
- *hours, interpolated*: the forecast from hours, drawn straight to the half-hours between, from the last value on;
- *fitted on half-hours*: a forecaster that has been fitted on half-hours, as a measure of what there is to win;
- *seasonal naive*: the half-hours of the last day.

Errors are mean squared, in standard deviations of the training part, over all seven channels.

    STATESPACE_DATA=… python benchmarks/sampling_rate.py
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
FIT, TEST = 16 * 30 * 24, 20 * 30 * 24  # hours up to which is fitted and tested, as the published split has them
VAL = 4 * 30 * 24
EVERY = 24  # hours from one origin to the next, and one more, so that they go through the hours of the day
SEASON = 24


def read() -> np.ndarray:
    """Return the half-hours, ``(steps, channels)``, in standard deviations of the hours of the training part."""
    path = FOLDER / "ett/ETTm1.csv.gz"
    if not path.is_file():
        raise InputError(f"sampling_rate: there is no {str(path)!r}: set STATESPACE_DATA.")
    values = pd.read_csv(path).iloc[::2, 1:].to_numpy(np.float64)
    train = values[: 2 * (FIT - VAL) : 2]
    return np.asarray((values - train.mean(0)) / train.std(0))


def table(windows: np.ndarray, freq: str) -> pd.DataFrame:
    """Lay series ``(series, steps)`` out one below the other."""
    count, steps = windows.shape
    stamps = pd.date_range("2016-07-01", periods=steps, freq=freq)
    return pd.DataFrame(
        {"unique_id": np.repeat(np.arange(count), steps), "ds": np.tile(stamps, count), "y": windows.reshape(-1)}
    )


def fitted(values: np.ndarray, rate: int, options: argparse.Namespace) -> Forecaster:
    """Fit on what comes before the test part, at `rate` values an hour."""
    usual: dict[str, Any] = {"val_size": VAL * rate, "season_length": SEASON * rate, "verbose": False, "point": "mean"}
    fc = Forecaster(options.h * rate, options.input_size * rate, **usual | dict(options.set))
    start = time.perf_counter()
    fc.fit(table(values[: 2 * FIT : 2 // rate].T, "h" if rate == 1 else "30min"))
    print(f"fitted at {rate} values an hour in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return fc


def forecasts(values: np.ndarray, origins: np.ndarray, options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Return each kind of forecast, ``(origins * channels, 2 h)``, NaN where it has no value."""
    h, back = options.h, 2 * options.input_size
    past = np.concatenate([values[2 * origin - back : 2 * origin].T for origin in origins])
    hourly = fitted(values, 1, options)
    # The last half-hour before an origin is no hour: so that both know as much, histories end at the hour before.
    known = past[:, :-1]

    channels = dict(enumerate(np.tile(np.arange(values.shape[1]), len(origins)).tolist()))

    def ask(fc: Forecaster, windows: np.ndarray, freq: str, **given: Any) -> np.ndarray:
        found = fc.predict(table(windows, freq), known_as=channels, **given)
        return found[fc.name].to_numpy().reshape(len(windows), -1)

    hours = ask(hourly, known[:, ::2], "h")  # at +1, +2 … hours after the last known
    half = ask(hourly, known, "30min", dt_scale=0.5)  # at +0.5, +1 …
    times = np.arange(1, 2 * h + 1) / 2
    straight = np.stack(
        [np.interp(times, np.arange(h + 1), np.append(x, y)) for x, y in zip(known[:, -1], hours, strict=True)]
    )
    only = np.full_like(half, np.nan)
    only[:, 1::2] = hours
    found = {"hours": only, "half-hours": half, "hours, interpolated": straight}
    if options.both:
        found["fitted on half-hours"] = ask(fitted(values, 2, options), known, "30min")
    found["seasonal naive"] = np.tile(known[:, -2 * SEASON :], (1, h // SEASON + 1))[:, : 2 * h]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--h", type=int, default=24, help="hours to forecast")
    parser.add_argument("--input-size", type=int, default=168, help="hours of history")
    parser.add_argument("--both", action="store_true", help="fit a forecaster on half-hours too")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--set", nargs="*", default=[], type=parameter, metavar="NAME=VALUE", help="parameters of the Forecaster"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        values = read()
        origins = np.arange(FIT, TEST - options.h, EVERY + 1)
        # The last known value is that of the hour before the origin.
        came = np.concatenate([values[2 * o - 1 : 2 * (o + options.h) - 1].T for o in origins])
        found = forecasts(values, origins, options)
    except (InputError, TypeError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)

    def row(name: str, forecast: np.ndarray) -> dict[str, Any]:
        square = (forecast - came) ** 2
        shown = {"at hours": square[:, 1::2], "between": square[:, ::2], "first half-hour": square[:, :1]}
        return {"forecast": name} | {
            kind: "–" if np.isnan(part).all() else f"{part.mean():.4f}" for kind, part in shown.items()
        }

    print(f"torch {torch.__version__}; {machine(options.threads)}; {len(origins)} origins\n")
    print(markdown([row(name, forecast) for name, forecast in found.items()]))


if __name__ == "__main__":
    main()
