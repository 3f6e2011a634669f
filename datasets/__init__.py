"""Bundled series, readers of tables, and generators of tasks."""

if __name__ != "statespace.datasets":
    raise ImportError(f"{__name__} is a part of statespace: import it as statespace.datasets, after 'pip install -e .'")
