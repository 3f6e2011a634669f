"""Tables from and to disk: comma-separated text and Parquet, and what to say about files that are neither.

The suffix decides. Text is UTF-8 with commas, points and a header line, whole or compressed with gzip.
"""

import gzip
import warnings
import zlib
from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from statespace.errors import InputError
from statespace.files import replace_atomically

SUFFIXES = (".csv", ".csv.gz", ".parquet")
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def _suffix(where: str, path: Path) -> str:
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return suffix
    raise InputError(
        f"{where}: {str(path)!r} ends in {path.suffix or 'no suffix'!r}, which is not a known kind of table: "
        f"use one of {', '.join(SUFFIXES)}."
    )


def _pyarrow(where: str, path: Path) -> ModuleType:
    try:
        return import_module("pyarrow")
    except ImportError as error:
        raise InputError(
            f"{where}: {str(path)!r} is a Parquet table, for which pyarrow is missing: "
            'pip install "statespace[parquet]", or use CSV.'
        ) from error


def _expect_readable(path: Path) -> None:
    """Open the file once, so that what the system refuses is said in the system's words and with the path."""
    try:
        if path.is_dir():
            raise InputError(f"read_frame: {str(path)!r} is a folder: name the table in it.")
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError as error:
        raise InputError(f"read_frame: there is no file {str(path)!r}: check the name and the folder.") from error
    except PermissionError as error:
        raise InputError(f"read_frame: {str(path)!r} may not be read: you have no permission for it.") from error
    except OSError as error:
        raise InputError(f"read_frame: {str(path)!r} cannot be read ({error.strerror}).") from error
    if empty:
        raise InputError(f"read_frame: {str(path)!r} is empty: a table with a header line is expected.")


def _expect_text(path: Path, compressed: bool) -> None:
    """Look at the start of the file: a NUL byte means anything but UTF-8 text."""
    with gzip.open(path) if compressed else path.open("rb") as file:
        if b"\0" in file.read(8192):
            raise InputError(f"read_frame: {str(path)!r} is not text: save the table as CSV in UTF-8.")


def _header(path: Path, compressed: bool) -> list[str]:
    """Return the names of the columns as they are written; pandas would number those that stand twice."""
    options: dict[str, Any] = {"compression": "gzip" if compressed else None, "skipinitialspace": True}
    first = pd.read_csv(path, header=None, nrows=1, dtype="str", **options)
    names = [str(name) for name in first.iloc[0].dropna()]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise InputError(f"read_frame: {str(path)!r} has several columns {twice[0]!r}: keep one of them.")
    return names


def _expect_commas(path: Path, header: list[str]) -> None:
    for separator, word in _OTHER_SEPARATORS.items():
        if len(header) == 1 and separator in header[0]:
            raise InputError(
                f"read_frame: the columns of {str(path)!r} are separated by {word}: use commas, and points in decimals."
            )


def _read_text(path: Path, compressed: bool, text: Collection[str]) -> pd.DataFrame:
    try:
        _expect_text(path, compressed)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # longer rows would lose their end without a word
            header = _header(path, compressed)
            _expect_commas(path, header)
            options: dict[str, Any] = {"compression": "gzip" if compressed else None, "skipinitialspace": True}
            frame: pd.DataFrame = pd.read_csv(path, index_col=False, low_memory=False, **options)
            names = [name for name in header if name in text]
            if names:  # once more, as they are written: a series may be called 007, NA or null
                frame[names] = pd.read_csv(
                    path, usecols=names, index_col=False, dtype="str", keep_default_na=False, na_values=[""], **options
                )[names]
    except UnicodeDecodeError as error:
        raise InputError(f"read_frame: {str(path)!r} is not UTF-8 text ({error.reason}): save it as UTF-8.") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"read_frame: {str(path)!r} is not a whole gzip file ({error}): copy it anew.") from error
    except pd.errors.EmptyDataError as error:
        raise InputError(f"read_frame: {str(path)!r} is empty: a table with a header line is expected.") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ").rstrip(".")
        raise InputError(f"read_frame: {str(path)!r} is not a regular CSV table ({reason}).") from error
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    arrow = _pyarrow("read_frame", path)
    try:
        return pd.read_parquet(path, engine="pyarrow")
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"read_frame: {str(path)!r} is not a whole Parquet file: write or copy it anew.") from error


def read_frame(path: Path | str, text: Collection[str] = ()) -> pd.DataFrame:
    """Read a table from a CSV or Parquet file.

    Args:
        path: the file, ending in one of `SUFFIXES`.
        text: columns of a CSV that are kept as they are written, so that an identifier ``007`` keeps its zeros;
            those that the table does not have are ignored.
    Returns:
        The table, one row a line, with pandas' own guesses of the types; stamps are still text.
    Raises:
        InputError: there is no such file, it is a folder, it may not be read, it is empty, broken, or not a table.
    """
    path = Path(path)
    _expect_readable(path)
    suffix = _suffix("read_frame", path)
    frame = _read_parquet(path) if suffix == ".parquet" else _read_text(path, suffix == ".csv.gz", text)
    if frame.empty:
        raise InputError(f"read_frame: {str(path)!r} has no rows: at least one is expected.")
    return frame


def write_frame(frame: pd.DataFrame, path: Path | str) -> None:
    """Write a table, without its index, to a CSV or Parquet file that appears whole or not at all.

    Numbers in CSV have as many digits as it takes to tell them from their neighbours.

    Args:
        frame: the table.
        path: the file, ending in one of `SUFFIXES`; missing folders on the way are made.
    Raises:
        InputError: the suffix is unknown, or the folder cannot be made or written.
    """
    path = Path(path)
    suffix = _suffix("write_frame", path)
    if suffix == ".parquet":
        _pyarrow("write_frame", path)
    with replace_atomically("write_frame", path) as place:
        if suffix == ".parquet":
            frame.to_parquet(place, engine="pyarrow", index=False)
        else:
            frame.to_csv(place, index=False, compression="gzip" if suffix == ".csv.gz" else None)
