"""Bundled series, readers of tables, and generators of tasks."""

if __name__ != "statespace.datasets":
    raise ImportError(f"{__name__} is a part of statespace: import it as statespace.datasets, after 'pip install -e .'")

from statespace.datasets.bundled import DATASETS, Series, load, names
from statespace.datasets.readers import SUFFIXES, read_frame, write_frame

__all__ = ["DATASETS", "SUFFIXES", "Series", "load", "names", "read_frame", "write_frame"]
