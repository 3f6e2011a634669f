"""Bundled series, readers of tables, and generators of tasks."""

if __name__ != "statespace.datasets":
    raise ImportError(f"{__name__} is a part of statespace: import it as statespace.datasets, after 'pip install -e .'")

from statespace.datasets.bundled import DATASETS, Series, load, names
from statespace.datasets.readers import SUFFIXES, read_frame, write_frame
from statespace.datasets.signals import SIGNALS, load_signal

__all__ = [
    "DATASETS",
    "SIGNALS",
    "SUFFIXES",
    "Series",
    "load",
    "load_signal",
    "names",
    "read_frame",
    "write_frame",
]
