"""What ``forecast`` and ``backtest`` share: the options of a table and of a forecaster, and how results are shown."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statespace.cli import covariates
from statespace.cli.options import level, positive, whole
from statespace.errors import InputError
from statespace.layers import LAYERS

if TYPE_CHECKING:
    import pandas as pd

    from statespace.forecasting import Forecaster

_DRAWN = 6  # pictures, unless series are chosen


def add_arguments(parser: argparse.ArgumentParser, out: str, ahead: bool) -> None:
    """Add the options that describe the table, the forecaster, and what is written into the folder `out`.

    Args:
        parser: what they are added to.
        out: folder for the results, where no other is named.
        ahead: whether steps after the table are forecast.
    """
    parser.add_argument(
        "data",
        help="table with a row for each series and stamp: .csv, .csv.gz, .parquet, or a folder of .parquet parts",
    )
    parser.add_argument("--h", type=whole, required=True, help="steps to forecast")
    parser.add_argument("--freq", help="distance between two stamps, such as MS, h, W-SAT or 1; inferred if it can be")
    parser.add_argument(
        "--level", type=level, nargs="+", default=[80, 95], help="levels of the intervals in percent (80 95)"
    )
    parser.add_argument("--out", default=out, help=f"folder for the results ({out})")
    parser.add_argument("--id-col", default="unique_id", help="column with the names of the series (unique_id)")
    parser.add_argument("--time-col", default="ds", help="column with the stamps (ds)")
    parser.add_argument("--target-col", default="y", help="column with the values (y)")
    parser.add_argument("--layer", default="s4d", help=f"layer of the backbone: auto, {', '.join(LAYERS)} (s4d)")
    parser.add_argument("--input-size", type=whole, help="steps of history that are looked at; chosen by h and season")
    parser.add_argument("--max-steps", type=whole, default=500, help="training steps at most (500)")
    parser.add_argument("--season-length", type=whole, help="steps in a season; by default the usual one of freq")
    parser.add_argument("--learning-rate", type=positive, default=2e-3, help="peak of the learning rate (0.002)")
    parser.add_argument("--batch-size", type=whole, default=32, help="windows in a training batch (32)")
    parser.add_argument("--d-model", type=whole, default=32, help="channels (32)")
    parser.add_argument("--n-layers", type=whole, default=2, help="blocks (2)")
    parser.add_argument("--val-size", type=whole, help="steps at the end of each series for early stopping; a tenth")
    parser.add_argument("--accelerator", default="auto", help="device to train on: cpu, gpu, auto … (auto)")
    parser.add_argument("--transform", default="auto", help="auto, log, boxcox or none (auto)")
    parser.add_argument(
        "--scaler-type", default="standard", help="of windows: standard, robust, minmax, none, reversible (standard)"
    )
    parser.add_argument("--local-scaler-type", default="standard", help="of series: the same names (standard)")
    parser.add_argument(
        "--distribution",
        default="quantile",
        help="what is forecast: quantile, normal, student-t, negative-binomial for counts, tweedie for amounts with "
        "many zeros (quantile)",
    )
    parser.add_argument("--point", default="median", help="what the forecast's column holds: median or mean (median)")
    parser.add_argument("--alias", help="name of the forecast's column; by default that of the layer")
    parser.add_argument("--intervals", default="quantile", help="quantile or conformal (quantile)")
    parser.add_argument("--seed", type=whole, default=0, help="random seed (0)")
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv", help="of the table (csv)")
    parser.add_argument(
        "--plot", nargs="*", metavar="ID", help=f"series to draw; none after --plot alone (first {_DRAWN})"
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="write report.html too, a page with charts to zoom into, for any browser",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    covariates.add_arguments(parser, ahead)


def read(options: argparse.Namespace) -> "pd.DataFrame":
    """Read the table; of one that lies in parts only the columns that are named."""
    from statespace.datasets import read_frame, read_parts

    if not os.path.isdir(options.data):  # which a name too long is not, without an error
        return read_frame(options.data, text=[options.id_col])
    beside = [*(options.futr_exog or ()), *(options.hist_exog or ())] + [options.weight_col] * bool(options.weight_col)
    return read_parts(options.data, [options.id_col, options.time_col, options.target_col, *beside])


def make(options: argparse.Namespace) -> "Forecaster":
    """Return a new forecaster as the options describe it."""
    from statespace.forecasting import Forecaster

    return Forecaster(
        h=options.h,
        input_size=options.input_size,
        layer=options.layer,
        max_steps=options.max_steps,
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        d_model=options.d_model,
        n_layers=options.n_layers,
        val_size=options.val_size,
        accelerator=options.accelerator,
        season_length=options.season_length,
        transform=options.transform,
        scaler_type=options.scaler_type,
        local_scaler_type=options.local_scaler_type,
        distribution=options.distribution,
        point=options.point,
        alias=options.alias,
        intervals=options.intervals,
        random_seed=options.seed,
        id_col=options.id_col,
        time_col=options.time_col,
        target_col=options.target_col,
        verbose=not options.quiet,
        **covariates.chosen(options),
    )


def expect_possible(where: str, frame: "pd.DataFrame", options: argparse.Namespace) -> list[float]:
    """Say what is wrong with an option before the training; return the levels."""
    from statespace.forecasting.levels import check_levels
    from statespace.forecasting.page import expect_plotly
    from statespace.plotting import plotting_is_possible

    make(options)
    if options.report:
        expect_plotly(where)
    if options.plot and options.id_col in frame:
        if not plotting_is_possible():
            raise InputError(
                f'{where}: matplotlib is missing, so nothing can be drawn: pip install "statespace[plot]".'
            )
        _chosen(where, options.plot, list(dict.fromkeys(frame[options.id_col].dropna())))
    return check_levels(where, options.level)


def plotted(where: str, names: Sequence[Any], options: argparse.Namespace) -> list[Any]:
    """Return which of the series to draw: those that were asked for, or the first."""
    from statespace.plotting import plotting_is_possible

    if options.plot is None and not plotting_is_possible():
        if not options.quiet:
            print('note: no pictures, since matplotlib is missing: pip install "statespace[plot]"', file=sys.stderr)
        return []
    return _chosen(where, options.plot, list(dict.fromkeys(names)))


def _chosen(where: str, asked: list[str] | None, names: list[Any]) -> list[Any]:
    if asked is None:
        return names[:_DRAWN]
    by_text = {str(name): name for name in names}
    for name in asked:
        if name not in by_text:
            shown = ", ".join(list(by_text)[:8]) + (" …" if len(by_text) > 8 else "")
            raise InputError(f"{where}: there is no series {name!r} to plot: the series are {shown}.")
    return [by_text[name] for name in asked]


def summary(metrics: dict[str, Any]) -> str:
    """Return the metrics as a small table for the terminal."""
    if metrics["holdout"] is None:
        return f"not measured on held-out steps: {metrics['reason']}"
    held = metrics["holdout"]
    count, steps = held["series"], held["steps"]
    kinds = list(next(iter(metrics["models"].values())))
    lines = [f"last {steps} steps of {count} series held out, mean over series:"]
    if held.get("windows", 1) > 1:
        lines = [f"{held['windows']} windows of {steps} steps of {count} series held out, mean over all of them:"]
    lines.append(f"{'':16}" + "".join(f"{kind.upper():>10}" for kind in kinds))
    for model, values in metrics["models"].items():
        shown = (values[kind] for kind in kinds)
        lines.append(f"{model:16}" + "".join(f"{np.nan if v is None else v:>10.4g}" for v in shown))
    inside = ", ".join(f"{share:.0f} % in the {name} % band" for name, share in metrics["coverage"].items())
    return "\n".join([*lines, f"held-out values: {inside}"] if inside else lines)
