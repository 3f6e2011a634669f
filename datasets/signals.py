"""Real signals that come with the library: samples in a row, counted and not dated.

Each is a file ``data/signals/<name>.csv`` with the columns ``unique_id, ds, y``, as the series have them, but with
whole numbers for stamps. ``data/TERMS.md`` states the source and the terms.
"""

from importlib.resources import files

import pandas as pd

from statespace.errors import choose

SIGNALS = {"ecg": "Electrocardiogram, 1024 samples with three heart beats, in units of the recorder"}
"""Each bundled signal with a line in words."""


def load_signal(name: str) -> pd.DataFrame:
    """Load a bundled signal as a long frame.

    Args:
        name: a key of `SIGNALS`.
    Returns:
        One row a sample: ``unique_id`` (text, the name), ``ds`` (int64, from 0) and ``y`` (float64).
    Raises:
        InputError: no bundled signal has this name.
    """
    choose("load_signal", "name", name, SIGNALS)
    with files("statespace.datasets").joinpath("data", "signals", f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype={"unique_id": "str", "ds": "int64", "y": "float64"})
