"""Tables in parts: folders of Parquet files, whole or a part at a time, and of their columns only those asked for.

A folder may have folders inside, and these may name a column and its value, as in ``unique_id=a/0.parquet``. Names of
series are read as categories, a small number for each row and each name once: a table takes a fraction of the memory
that text for each row would.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from statespace.datasets.readers import _pyarrow
from statespace.errors import InputError

SUFFIX = ".parquet"


def part_files(path: Path | str) -> list[Path]:
    """List the files of a table, in the order of their names.

    Args:
        path: a folder with Parquet files in it, or in folders inside; or one such file.
    Returns:
        The files; those whose name, or whose folder's, begins with a point or an underscore are none of its parts.
    Raises:
        InputError: there is no such folder or file, or nothing in it.
    """
    folder = Path(path)
    if folder.is_file() and folder.suffix == SUFFIX:
        return [folder]
    if not folder.exists():
        raise InputError(f"read_parts: there is no folder {str(path)!r}: check the name.")
    if not folder.is_dir():
        raise InputError(
            f"read_parts: {str(path)!r} is no folder of Parquet files, nor one of them: read it with read_frame."
        )
    files = sorted(
        file
        for file in folder.rglob(f"*{SUFFIX}")
        if file.is_file() and not any(name.startswith((".", "_")) for name in file.relative_to(folder).parts)
    )
    if not files:
        raise InputError(
            f"read_parts: {str(path)!r} is a folder: name the table in it, or a folder with parts that end in "
            f"{SUFFIX!r}, of which it has none."
        )
    return files


@contextmanager
def _refusing(path: Path | str) -> Iterator[None]:
    """Turn what pyarrow says of a file into one sentence."""
    arrow = _pyarrow("read_parts", Path(path))
    try:
        yield
    except (arrow.ArrowException, OSError, TypeError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise InputError(
            f"read_parts: {str(path)!r} holds a part that does not fit or is no whole Parquet file ({reason}): write "
            "it anew."
        ) from error


def _open(path: Path | str, columns: Collection[str] | None) -> tuple[Any, list[str]]:
    """Return a dataset of pyarrow, and which of its columns are to be read: all, where one that is asked for is not."""
    files = part_files(path)
    arrow, data = _pyarrow("read_parts", Path(path)), import_module("pyarrow.dataset")
    base = Path(path) if Path(path).is_dir() else Path(path).parent
    where = {
        "partitioning": data.HivePartitioning.discover(infer_dictionary=True),
        "partition_base_dir": str(base),
    }
    names = [str(file) for file in files]
    found = data.dataset(names, format="parquet", **where)
    asked = [name for name in found.schema.names if columns is None or name in columns]
    whole = columns is None or all(name in asked for name in columns)
    kept = asked if whole else list(found.schema.names)

    def only(schema: Any) -> Any:
        return arrow.schema([field for field in schema if field.name in kept])

    schemas = [only(found.schema)]
    for part in found.get_fragments():
        inside = {*part.physical_schema.names, *data.get_partition_keys(part.partition_expression)}
        if lost := [name for name in asked if name not in inside]:
            raise InputError(
                f"read_parts: part {part.path!r} has no column {lost[0]!r}, which others have: add it, or take the "
                "part out of the folder."
            )
        schemas.append(only(part.physical_schema))
    # A column may hold whole numbers in one part and others in the next.
    schema = arrow.unify_schemas(schemas, promote_options="permissive")
    text = [name for name in asked if schema.field(name).type in (arrow.string(), arrow.large_string())]
    for name in text:
        category = arrow.field(name, arrow.dictionary(arrow.int32(), schema.field(name).type))
        schema = schema.set(schema.get_field_index(name), category)
    form = data.ParquetFileFormat(read_options=data.ParquetReadOptions(dictionary_columns=text))
    return data.dataset(names, schema, form, **where), kept


def _as_frame(table: Any) -> pd.DataFrame:
    """Hand a table over column by column, so that no column is there twice for long."""
    whole = table.unify_dictionaries()
    # What pandas wrote beside the table would make an index of a column.
    return pd.DataFrame(whole.to_pandas(split_blocks=True, self_destruct=True, ignore_metadata=True))


def read_parts(path: Path | str, columns: Collection[str] | None = None) -> pd.DataFrame:
    """Read a table that lies in parts.

    Args:
        path: a folder with Parquet files in it, or in folders inside; or one such file.
        columns: those to read; by default all. Where one of them is not there, all are read.
    Returns:
        The rows of all parts; text as categories.
    Raises:
        InputError: there is no such folder, a part is broken or lacks a column, or pyarrow is missing.
    """
    with _refusing(path):
        found, names = _open(path, columns)
        return _as_frame(found.to_table(columns=names))


def each_part(path: Path | str, columns: Collection[str] | None = None) -> Iterator[pd.DataFrame]:
    """Give the parts of a table one after the other, each read when it is asked for.

    Args:
        path: as `read_parts` takes it.
        columns: as `read_parts` takes them.
    Yields:
        The rows of each part.
    Raises:
        InputError: as `read_parts` does.
    """
    with _refusing(path):
        found, names = _open(path, columns)
        fragments = list(found.get_fragments())
    for fragment in fragments:
        with _refusing(path):
            table = fragment.to_table(schema=found.schema, columns=names)
        yield _as_frame(table)
