"""``statespace backtest data.csv --h 12 --n-windows 4``: how good forecasts of a table would have been."""

import argparse

from statespace.cli import covariates, series
from statespace.cli.options import whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``statespace backtest``."""
    series.add_arguments(parser, out="backtest/", ahead=False)
    parser.add_argument("--n-windows", type=whole, default=4, help="windows of each series, counted from its end (4)")
    parser.add_argument("--step-size", type=whole, help="steps from one window to the next; h by default")
    parser.add_argument(
        "--refit",
        type=whole,
        nargs="?",
        const=True,
        default=False,
        metavar="N",
        help="fit again for each window, or after every N windows; by default once, before the first",
    )


def run(options: argparse.Namespace) -> int:
    """Do the job; see the options."""
    from statespace.files import expect_writable_folder

    expect_writable_folder("backtest", options.out)
    frame = series.read(options)
    static, _ = covariates.read("backtest", options)

    # Loading this takes seconds: what is wrong with the files is said before.
    from statespace.forecasting.backtest import run as backtest
    from statespace.forecasting.report import write

    levels = series.expect_possible("backtest", frame, options)
    report = backtest(
        frame,
        lambda: series.make(options),
        options.freq,
        levels,
        options.n_windows,
        options.step_size,
        options.refit,
        static,
    )
    assert report.backtest is not None
    plotted = series.plotted("backtest", report.backtest[options.id_col], options)
    title = f"Backtest of {options.data}" if options.report else None
    written = write(report, options.out, options.format, plotted, title)
    if not options.quiet:
        print(series.summary(report.metrics))
        print(f"written to {options.out}: {', '.join(written)}")
    return 0
