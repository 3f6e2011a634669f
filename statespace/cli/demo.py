"""``statespace demo``: the forecasting job on the bundled series."""

import argparse
from pathlib import Path

from statespace.cli.series import summary

_JOBS = {"airline": (12, 36), "co2": (52, 156), "sunspots": (11, 33)}  # horizon and history, in steps
_STEPS = 300
_LEVELS = (80, 95)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``statespace demo``."""
    parser.add_argument("--out", default="demo/", help="folder for the results (demo/)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run(options: argparse.Namespace) -> int:
    """Forecast each bundled series of the demo into a folder of its own."""
    from statespace.datasets import DATASETS, load
    from statespace.files import expect_writable_folder
    from statespace.forecasting import Forecaster
    from statespace.forecasting.report import run as forecast
    from statespace.forecasting.report import write
    from statespace.plotting import plotting_is_possible

    out = Path(options.out)
    expect_writable_folder("demo", out)
    pictures = []
    for name, (h, input_size) in _JOBS.items():
        known = DATASETS[name]

        def make(h: int = h, input_size: int = input_size, season: int = known.season) -> Forecaster:
            return Forecaster(
                h, input_size, max_steps=_STEPS, season_length=season, random_seed=0, verbose=not options.quiet
            )

        if not options.quiet:
            print(f"\n{known.title}", flush=True)
        report = forecast(load(name), make, known.freq, _LEVELS)
        written = write(report, out / name, "csv", [name] if plotting_is_possible() else [])
        pictures += [out / name / file for file in written if file.endswith(".png")]
        if not options.quiet:
            print(summary(report.metrics), flush=True)
    if not options.quiet:
        print("\n".join(["", "pictures:", *(f"  {picture.resolve()}" for picture in pictures)]))
    return 0
