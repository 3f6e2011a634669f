"""M4 Hourly by the defaults of neuralforecast and ours: errors, and how long a fit and a forecast take, in one run.

    pip install neuralforecast      # into an environment of its own, beside statespace
    STATESPACE_DATA=… python benchmarks/beside_neuralforecast.py --threads 1

Its models have no default window; here it is that of its own search, five horizons. All else is as it comes.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from forecasting import M4_HORIZON, m4_errors, m4_tables
from measuring import machine, markdown

from statespace import Forecaster

HORIZONS_SEEN = 5

Fit = Callable[[pd.DataFrame, int], tuple[Callable[[], pd.DataFrame], str]]  # what forecasts, and into which column


def ours(train: pd.DataFrame, seed: int) -> tuple[Callable[[], pd.DataFrame], str]:
    fc = Forecaster(M4_HORIZON, random_seed=seed, verbose=False).fit(train, "h")
    return fc.predict, fc.name


def theirs(name: str, options: dict[str, Any]) -> Fit:
    from neuralforecast import NeuralForecast, models

    def fit(train: pd.DataFrame, seed: int) -> tuple[Callable[[], pd.DataFrame], str]:
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
        size = HORIZONS_SEEN * M4_HORIZON
        model = getattr(models, name)(h=M4_HORIZON, input_size=size, random_seed=seed + 1, **options, **quiet)
        made = NeuralForecast(models=[model], freq="h")
        made.fit(train)
        return made.predict, name

    return fit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["NHITS", "PatchTST"], help="of neuralforecast")
    parser.add_argument("--series", type=int, default=414, help="from the first on")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--max-steps", type=int, help="of its models, in place of their defaults")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    given = {} if options.max_steps is None else {"max_steps": options.max_steps}
    try:
        sides: dict[str, Fit] = {"statespace": ours} | {name: theirs(name, given) for name in options.models}
        train, test = m4_tables(options.series)
    except (ImportError, OSError) as error:
        print(f"beside_neuralforecast: {error}. Install neuralforecast, and set STATESPACE_DATA.", file=sys.stderr)
        sys.exit(2)
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        for name, fit in sides.items():
            begin = time.perf_counter()
            predict, column = fit(train, seed)
            fitted = time.perf_counter()
            pred = predict()
            seconds = {"s to fit": fitted - begin, "s to forecast": time.perf_counter() - fitted}
            errors = m4_errors(pred, column, train, test)
            rows.append({"model": name, "seed": seed, "sMAPE": errors["smape"], "MASE": errors["mase"], **seconds})
            print(f"{name}, seed {seed}: {rows[-1]}", file=sys.stderr, flush=True)
    print(f"torch {torch.__version__}; {machine(options.threads)}\n\n{markdown(rows)}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
