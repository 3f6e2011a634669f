"""Tables of polars and pyarrow, and folders of Parquet files, at the edge: pandas inside, what came goes out again.

Neither library is loaded unless a table of it came.
"""

import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pandas as pd

from statespace.datasets.parts import read_parts
from statespace.errors import InputError

Table = pd.DataFrame | Path | str
"""What is taken for a table, besides those of polars and pyarrow: the path is that of a folder of Parquet files."""


def _is(table: object, library: str, name: str) -> bool:
    """Tell whether a table is of a class of a library, which nobody has loaded if it is not."""
    return library in sys.modules and isinstance(table, getattr(sys.modules[library], name))


@dataclass(frozen=True)
class Kind:
    """Of which library a table was, and the types of its columns.

    Attributes:
        library: ``"pandas"``, ``"polars"`` or ``"pyarrow"``.
        types: of each column in that library's words; empty for pandas.
    """

    library: str = "pandas"
    types: Mapping[str, Any] = field(default_factory=dict)


def kind_of(table: object) -> Kind:
    """Return the kind of a table; pandas for whatever is not known."""
    if _is(table, "polars", "DataFrame"):
        return Kind("polars", dict(table.schema))  # type: ignore[attr-defined]  # a polars DataFrame
    if _is(table, "pyarrow", "Table"):
        return Kind("pyarrow", {column.name: column.type for column in table.schema})  # type: ignore[attr-defined]
    return Kind()


def as_pandas(where: str, table: Any, argument: str = "df", only: Collection[str] | None = None) -> pd.DataFrame:
    """Return a table as a data frame of pandas, which is passed through.

    Args:
        where: the function, for the message.
        table: a DataFrame of pandas or polars, a Table of pyarrow, or the path of a folder of Parquet files.
        argument: its name, for the message.
        only: columns to read of such a folder; by default all.
    Raises:
        InputError: it is something else, or pyarrow is missing, which polars needs for that.
    """
    if isinstance(table, pd.DataFrame):
        return table
    if isinstance(table, str | Path) and (argument == "df" or os.path.isdir(table)):
        return read_parts(table, only)
    library = kind_of(table).library
    try:
        if library == "polars":
            return pd.DataFrame(table.to_pandas())
        if library == "pyarrow":
            return pd.DataFrame(table.to_pandas(date_as_object=False))
    except ImportError as error:
        raise InputError(
            f"{where}: pyarrow is missing, so {argument} cannot be read from {library}: "
            'pip install "statespace[polars]".'
        ) from error
    lazy = ": call collect() on it first" if _is(table, "polars", "LazyFrame") else ""
    raise InputError(
        f"{where}: {argument} is a {type(table).__name__}, but a DataFrame of pandas or polars, a Table of pyarrow, or "
        f"the path of a folder of Parquet files is expected{lazy}."
    )


def like(result: pd.DataFrame, kind: Kind, same: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return a result as a table of the kind that came.

    Args:
        result: the table.
        kind: as `kind_of` gives it.
        same: columns of the result that are of the type of another column, by its name, besides those of one name.
    Returns:
        The table, which only of pandas is what the annotation says; names of series and stamps have the types with
        which they came, so that it can be joined, where these hold them: text that was read as a date stays a date.
    """
    if kind.library == "pandas":
        return result
    types = {name: kind.types.get((same or {}).get(name, name)) for name in result.columns}
    if kind.library == "polars":
        import polars as pl

        frame = pl.from_pandas(result)
        own = frame.schema
        frame = frame.with_columns(
            pl.col(name).cast(dtype)
            for name, dtype in types.items()
            if dtype is not None and not own[name].is_float() and own[name].is_temporal() == dtype.is_temporal()
        )
        return cast(pd.DataFrame, frame)
    import pyarrow as pa

    table = pa.Table.from_pandas(result, preserve_index=False).replace_schema_metadata()
    for place, (name, dtype) in enumerate(types.items()):
        own = table.schema.field(name).type
        if dtype is None or pa.types.is_floating(own) or pa.types.is_temporal(own) != pa.types.is_temporal(dtype):
            continue
        column = table.column(name)
        fits = column.dictionary_encode() if pa.types.is_dictionary(dtype) else column.cast(dtype)
        table = table.set_column(place, name, fits)
    return cast(pd.DataFrame, table)
