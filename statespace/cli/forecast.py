"""``statespace forecast data.csv --h 12``: from a table to forecasts, pictures, metrics and a saved model."""

import argparse
import sys
from typing import Any

import numpy as np

from statespace.cli.options import level, whole
from statespace.errors import InputError
from statespace.layers import LAYERS

_DRAWN = 6  # pictures, unless series are chosen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``statespace forecast``."""
    parser.add_argument("data", help="table with a row for each series and stamp: .csv, .csv.gz or .parquet")
    parser.add_argument("--h", type=whole, required=True, help="steps to forecast")
    parser.add_argument("--freq", help="distance between two stamps, such as MS, h, W-SAT or 1; inferred if it can be")
    parser.add_argument(
        "--level", type=level, nargs="+", default=[80, 95], help="levels of the intervals in percent (80 95)"
    )
    parser.add_argument("--out", default="forecast/", help="folder for the results (forecast/)")
    parser.add_argument("--id-col", default="unique_id", help="column with the names of the series (unique_id)")
    parser.add_argument("--time-col", default="ds", help="column with the stamps (ds)")
    parser.add_argument("--target-col", default="y", help="column with the values (y)")
    parser.add_argument("--layer", default="s4d", help=f"layer of the backbone: {', '.join(LAYERS)} (s4d)")
    parser.add_argument("--input-size", type=whole, help="steps of history that are looked at; chosen by h and season")
    parser.add_argument("--max-steps", type=whole, default=500, help="training steps at most (500)")
    parser.add_argument("--season-length", type=whole, help="steps in a season; by default the usual one of freq")
    parser.add_argument("--transform", default="auto", help="auto, log or none (auto)")
    parser.add_argument("--intervals", default="quantile", help="quantile or conformal (quantile)")
    parser.add_argument("--seed", type=whole, default=0, help="random seed (0)")
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv", help="of the forecast (csv)")
    parser.add_argument(
        "--plot", nargs="*", metavar="ID", help=f"series to draw; none after --plot alone (first {_DRAWN})"
    )
    parser.add_argument("--no-holdout", action="store_true", help="skip the second fit that measures on held-out steps")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run(options: argparse.Namespace) -> int:
    """Do the job; see the options."""
    from statespace.datasets import read_frame
    from statespace.files import expect_writable_folder

    expect_writable_folder("forecast", options.out)
    frame = read_frame(options.data, text=[options.id_col])

    # Loading these takes seconds: what is wrong with the files is said before.
    from statespace.forecasting import Forecaster
    from statespace.forecasting.levels import check_levels
    from statespace.forecasting.report import run as forecast
    from statespace.forecasting.report import write
    from statespace.plotting import plotting_is_possible

    def make() -> Forecaster:
        return Forecaster(
            h=options.h,
            input_size=options.input_size,
            layer=options.layer,
            max_steps=options.max_steps,
            season_length=options.season_length,
            transform=options.transform,
            intervals=options.intervals,
            random_seed=options.seed,
            id_col=options.id_col,
            time_col=options.time_col,
            target_col=options.target_col,
            verbose=not options.quiet,
        )

    make()  # what is wrong with an option is said before the training
    levels = check_levels("forecast", options.level)
    possible = plotting_is_possible()
    if options.plot and options.id_col in frame:
        if not possible:
            raise InputError(
                'forecast: matplotlib is missing, so nothing can be drawn: pip install "statespace[plot]".'
            )
        _chosen(options.plot, list(dict.fromkeys(frame[options.id_col].dropna())))
    report = forecast(frame, make, options.freq, levels, holdout=not options.no_holdout)
    plotted = _chosen(options.plot, list(dict.fromkeys(report.history[options.id_col])))
    if options.plot is None and not possible:
        plotted = []
        if not options.quiet:
            print('note: no pictures, since matplotlib is missing: pip install "statespace[plot]"', file=sys.stderr)
    written = write(report, options.out, options.format, plotted)
    if not options.quiet:
        print(summary(report.metrics))
        print(f"written to {options.out}: {', '.join(written)}")
    return 0


def _chosen(asked: list[str] | None, names: list[Any]) -> list[Any]:
    if asked is None:
        return names[:_DRAWN]
    by_text = {str(name): name for name in names}
    for name in asked:
        if name not in by_text:
            shown = ", ".join(list(by_text)[:8]) + (" …" if len(by_text) > 8 else "")
            raise InputError(f"forecast: there is no series {name!r} to plot: the series are {shown}.")
    return [by_text[name] for name in asked]


def summary(metrics: dict[str, Any]) -> str:
    """Return the metrics as a small table for the terminal."""
    if metrics["holdout"] is None:
        return f"not measured on held-out steps: {metrics['reason']}"
    count, steps = metrics["holdout"]["series"], metrics["holdout"]["steps"]
    kinds = list(next(iter(metrics["models"].values())))
    lines = [f"last {steps} steps of {count} series held out, mean over series:"]
    lines.append(f"{'':16}" + "".join(f"{kind.upper():>10}" for kind in kinds))
    for model, values in metrics["models"].items():
        shown = (values[kind] for kind in kinds)
        lines.append(f"{model:16}" + "".join(f"{np.nan if v is None else v:>10.4g}" for v in shown))
    inside = ", ".join(f"{share:.0f} % in the {name} % band" for name, share in metrics["coverage"].items())
    return "\n".join([*lines, f"held-out values: {inside}"] if inside else lines)
