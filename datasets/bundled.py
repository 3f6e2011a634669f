"""Real series that come with the library: short, well known, and free to pass on.

Each is a file ``data/<name>.csv`` with the columns ``unique_id, ds, y``: the layout that the estimators take, so that
the same file also serves the command line. The stamps are complete and regular; a missing value is an empty field.
``data/TERMS.md`` states the source and the terms of every one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

import pandas as pd

from statespace.errors import choose


@dataclass(frozen=True)
class Series:
    """What is known of a bundled series.

    Attributes:
        title: one line in words.
        freq: distance between two stamps, an alias of pandas.
        season: steps in one season, 1 where there is none.
        unit: unit of ``y``.
        source: who measured and published it.
        terms: on which terms it may be passed on.
    """

    title: str
    freq: str
    season: int
    unit: str
    source: str
    terms: str


DATASETS: Mapping[str, Series] = MappingProxyType(
    {
        "airline": Series(
            title="International airline passengers, monthly totals, 1949 to 1960",
            freq="MS",
            season=12,
            unit="thousand passengers",
            source="Box, Jenkins and Reinsel, Time Series Analysis: Forecasting and Control, 1976, series G",
            terms="a table of published facts; no rights are claimed",
        ),
        "co2": Series(
            title="Carbon dioxide in the air at Mauna Loa, weekly means, 1958 to 2001, with gaps",
            freq="W-SAT",
            season=52,
            unit="parts per million by volume",
            source="Keeling and Whorf, Scripps Institution of Oceanography, in Trends, CDIAC, 2004",
            terms="public domain",
        ),
        "elnino": Series(
            title="Sea surface temperature off Peru (Niño 1+2), monthly means, 1950 to 2010",
            freq="MS",
            season=12,
            unit="degrees Celsius",
            source="National Oceanic and Atmospheric Administration, ERSST.V3B",
            terms="public domain",
        ),
        "nile": Series(
            title="Discharge of the Nile at Aswan, yearly, 1871 to 1970",
            freq="YS",
            season=1,
            unit="10^8 cubic metres",
            source="Cobb, The Problem of the Nile, Biometrika 65(2), 1978, 243-251",
            terms="public domain",
        ),
        "sunspots": Series(
            title="Sunspot numbers, yearly means, 1700 to 2008",
            freq="YS",
            season=11,
            unit="sunspot number",
            source="National Geophysical Data Center",
            terms="public domain",
        ),
    }
)


def names() -> list[str]:
    """Return the names of the bundled series, in alphabetical order."""
    return sorted(DATASETS)


def load(name: str) -> pd.DataFrame:
    """Load a bundled series as a long frame.

    Args:
        name: one of `names`; `DATASETS` tells its frequency, season, unit, source and terms.
    Returns:
        One row a stamp: ``unique_id`` (text, the name), ``ds`` (datetime64) and ``y`` (float64, in the series' unit,
        NaN where nothing was measured). The stamps are sorted and none is left out.
    Raises:
        InputError: no bundled series has this name.
    """
    choose("load", "name", name, names())
    with files("statespace.datasets").joinpath("data", f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype={"unique_id": "str", "y": "float64"}, parse_dates=["ds"])
