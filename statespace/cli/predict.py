"""``statespace predict model/ data.parquet``: forecasts by a trained model, of a table or of one part after another."""

import argparse
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from statespace.cli.options import level, positive, whole
from statespace.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``statespace predict``."""
    parser.add_argument("model", help="folder of a model that 'statespace forecast' or Forecaster.save wrote")
    parser.add_argument(
        "data", help="histories: .csv, .csv.gz, .parquet, or a folder of .parquet parts, read one by one"
    )
    parser.add_argument("--h", type=whole, help="steps to forecast; as many as were trained by default")
    parser.add_argument(
        "--level", type=level, nargs="*", default=[80, 95], help="levels of the intervals in percent (80 95)"
    )
    parser.add_argument("--quantiles", type=positive, nargs="+", help="probabilities whose quantiles are wanted")
    parser.add_argument("--future", metavar="FILE", help="covariates of the steps to forecast (futr_df)")
    parser.add_argument("--static", metavar="FILE", help="table with a row for each series (static_df)")
    parser.add_argument(
        "--dt-scale", type=positive, default=1.0, help="step of the data in units of that in training (1)"
    )
    parser.add_argument("--out", default="predict/", help="folder for the forecast, a file for each part (predict/)")
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv", help="of the forecast (csv)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _parts(data: str, columns: Any) -> "Iterator[tuple[str, pd.DataFrame]]":
    """Give each part of a table with the name of the file that its forecast goes to."""
    from statespace.datasets import each_part, read_frame

    if not os.path.isdir(data):
        yield "forecast", read_frame(data, text=[columns.id])
        return
    known: set[object] = set()
    for place, part in enumerate(each_part(data, columns.all)):
        ids = set(part[columns.id].unique()) if columns.id in part else set()
        if twice := known & ids:
            raise InputError(
                f"predict: series {next(iter(twice))!r} goes on from one part of {data!r} into another, but a part "
                "must hold all rows of its series: write the parts by series."
            )
        known |= ids
        if len(part):
            yield f"part-{place:05}", part


def run(options: argparse.Namespace) -> int:
    """Do the job; see the options."""
    from statespace.datasets import read_frame, write_frame
    from statespace.files import expect_writable_folder, replace_folder_atomically

    expect_writable_folder("predict", options.out)
    from statespace.forecasting import Forecaster, predict_part

    fc = Forecaster.load(options.model)
    text = [fc.id_col]
    beside = {
        "futr_df": read_frame(options.future, text) if options.future else None,
        "static_df": read_frame(options.static, text) if options.static else None,
    }
    rows = files = 0
    with replace_folder_atomically("predict", options.out, ("forecast.*", "part-*")) as fresh:
        for name, part in _parts(options.data, fc.columns):
            found = predict_part(
                part, fc, options.h, options.level, options.quantiles, **beside, dt_scale=options.dt_scale
            )
            write_frame(found, fresh / f"{name}.{options.format}")
            rows, files = rows + len(found), files + 1
        if not files:
            raise InputError(f"predict: the parts in {options.data!r} have no rows: at least one is expected.")
    if not options.quiet:
        print(f"written to {options.out}: {rows} rows in {files} {'file' if files == 1 else 'files'}")
    return 0
