"""``statespace forecast data.csv --h 12``: from a table to forecasts, pictures, metrics and a saved model."""

import argparse

from statespace.cli import covariates, series


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``statespace forecast``."""
    series.add_arguments(parser, out="forecast/", ahead=True)
    parser.add_argument("--no-holdout", action="store_true", help="skip the second fit that measures on held-out steps")
    parser.add_argument(
        "--checkpoint",
        metavar="FOLDER",
        help="keep the training there, a folder of its own; the same command goes on from it",
    )


def run(options: argparse.Namespace) -> int:
    """Do the job; see the options."""
    from statespace.files import expect_writable_folder

    expect_writable_folder("forecast", options.out)
    frame = series.read(options)
    static, future = covariates.read("forecast", options)

    # Loading this takes seconds: what is wrong with the files is said before.
    from statespace.forecasting.report import run as forecast
    from statespace.forecasting.report import write

    levels = series.expect_possible("forecast", frame, options)
    report = forecast(
        frame,
        lambda: series.make(options),
        options.freq,
        levels,
        not options.no_holdout,
        options.checkpoint,
        static,
        future,
    )
    plotted = series.plotted("forecast", report.history[options.id_col], options)
    title = f"Forecast of {options.data}" if options.report else None
    written = write(report, options.out, options.format, plotted, title)
    for kept in report.kept:
        kept.clear()
    if not options.quiet:
        print(series.summary(report.metrics))
        print(f"written to {options.out}: {', '.join(written)}")
    return 0
