"""The bundled series against what their sources say of them."""

from pathlib import Path

import pandas as pd
import pytest

from statespace.datasets import DATASETS, load, names
from statespace.errors import InputError

# name: (first stamp, last, stamps, values, first value, last, mean of the values), from the sources' own files
FACTS = {
    "airline": ("1949-01-01", "1960-12-01", 144, 144, 112.0, 432.0, 280.298611),
    "co2": ("1958-03-29", "2001-12-29", 2284, 2225, 316.1, 371.5, 340.142247),
    "elnino": ("1950-01-01", "2010-12-01", 732, 732, 23.11, 22.07, 23.092623),
    "nile": ("1871-01-01", "1970-01-01", 100, 100, 1120.0, 740.0, 919.35),
    "sunspots": ("1700-01-01", "2008-01-01", 309, 309, 5.0, 2.9, 49.752104),
}


def test_every_series_has_its_facts_its_file_and_its_terms(repository: Path) -> None:
    data = repository / "datasets" / "data"
    assert names() == sorted(FACTS)
    if data.is_dir():
        assert sorted(path.stem for path in data.glob("*.csv")) == names()
        terms = (data / "TERMS.md").read_text(encoding="utf-8")
        assert all(f"| `{name}` |" in terms for name in names())


@pytest.mark.parametrize("name", sorted(FACTS))
def test_a_series_is_what_its_source_says(name: str) -> None:
    first, last, stamps, values, start, end, mean = FACTS[name]
    frame = load(name)
    assert list(frame.columns) == ["unique_id", "ds", "y"]
    assert frame["unique_id"].tolist() == [name] * stamps
    assert all(isinstance(value, str) for value in frame["unique_id"])
    assert pd.api.types.is_datetime64_any_dtype(frame["ds"])
    assert frame["y"].dtype == "float64"
    assert (frame["ds"].iloc[0], frame["ds"].iloc[-1]) == (pd.Timestamp(first), pd.Timestamp(last))
    assert frame["y"].count() == values
    assert (frame["y"].iloc[0], frame["y"].iloc[-1]) == (start, end)
    assert frame["y"].mean() == pytest.approx(mean, abs=5e-7)  # the facts have six decimals


@pytest.mark.parametrize("name", sorted(FACTS))
def test_the_stamps_are_complete_and_regular(name: str) -> None:
    frame = load(name)
    expected = pd.date_range(frame["ds"].iloc[0], frame["ds"].iloc[-1], freq=DATASETS[name].freq)
    assert (frame["ds"].to_numpy() == expected.to_numpy()).all()


def test_each_call_gives_a_frame_of_its_own() -> None:
    frame = load("nile")
    frame.loc[0, "y"] = -1.0
    assert load("nile").loc[0, "y"] == 1120.0


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"load: name is 'airlines'.*airline, co2, .*Did you mean 'airline'"):
        load("airlines")
