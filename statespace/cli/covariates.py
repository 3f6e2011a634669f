"""The options of ``forecast`` and ``backtest`` that tell a forecaster more than the values of the series."""

import argparse
from typing import TYPE_CHECKING, Any

from statespace.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

OPTIONS = {
    "futr_exog": "futr_exog_list",
    "hist_exog": "hist_exog_list",
    "stat_exog": "stat_exog_list",
    "calendar": "calendar",
    "holidays": "holidays",
    "weight_col": "weight_col",
}
"""The name of each option with that of the argument of `Forecaster` that it fills."""


def add_arguments(parser: argparse.ArgumentParser, ahead: bool) -> None:
    """Add the options; `ahead` says whether steps are forecast of which the table does not hold the covariates."""
    group = parser.add_argument_group("covariates")
    group.add_argument(
        "--futr-exog", nargs="+", metavar="COL", help="columns known beforehand too, such as prices and plans"
    )
    group.add_argument(
        "--hist-exog", nargs="+", metavar="COL", help="columns known up to now; what is missing is masked"
    )
    group.add_argument(
        "--stat-exog", nargs="+", metavar="COL", help="columns of --static: numbers, or categories, which are embedded"
    )
    group.add_argument("--static", metavar="FILE", help="table with a row for each series (static_df)")
    if ahead:
        group.add_argument(
            "--future",
            metavar="FILE",
            help="table with a row for each series and step to forecast: columns of --futr-exog, or the stamps "
            "that are asked for where there is no grid (futr_df)",
        )
    group.add_argument(
        "--calendar", nargs="+", metavar="NAME", help="what to make of the stamps: hour, weekday, month, weekend …"
    )
    group.add_argument(
        "--holidays", nargs="+", metavar="CODE", help="countries whose holidays matter, such as DE or DE-BY"
    )
    group.add_argument("--weight-col", metavar="COL", help="column that says how much a row counts as a target")


def chosen(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `Forecaster` that the options fill."""
    return {argument: getattr(options, name) for name, argument in OPTIONS.items()}


def read(where: str, options: argparse.Namespace) -> "tuple[pd.DataFrame | None, pd.DataFrame | None]":
    """Return the static table and that of the future, None where there is none.

    Args:
        where: the subcommand, for messages.
        options: as they were given.
    Raises:
        InputError: a table is missing or cannot be read, or no column of it is asked for.
    """
    from statespace.datasets import read_frame

    if options.stat_exog and not options.static:
        raise InputError(
            f"{where}: --stat-exog asks for {', '.join(options.stat_exog)}, but --static is missing: name the table "
            f"with a row for each series that holds them beside {options.id_col!r}."
        )
    if options.static and not options.stat_exog:
        raise InputError(f"{where}: --static is given, but nothing of it is used: name columns with --stat-exog.")
    future = getattr(options, "future", None)
    if hasattr(options, "future") and options.futr_exog and not future:
        raise InputError(
            f"{where}: --futr-exog asks for {', '.join(options.futr_exog)}, but --future is missing: name the table "
            f"with {options.id_col}, {options.time_col} and these for each of the {options.h} steps to forecast."
        )
    text = [options.id_col]
    return (
        read_frame(options.static, text) if options.static else None,
        read_frame(future, text) if future else None,
    )
