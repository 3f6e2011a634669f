"""Where recordings lie and what is said of them, before any of them is read.

| source | taken as |
|---|---|
| folder ``folder/<label>/…`` with ``.wav`` and ``.npy`` files | one class for each folder within |
| folder with such files and no folders | recordings without a class |
| table (.csv, .csv.gz, .parquet) with the column ``path`` | rows with ``label``, ``group``, ``split`` beside it |
| a ``.wav`` or ``.npy`` file | one recording without a class |

Paths in a table are relative to it.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from statespace.errors import InputError

FILES = (".wav", ".npy")
_SHOWN = 5  # names in a message
PATH, LABEL, GROUP, SPLIT = "path", "label", "group", "split"


class Entry(NamedTuple):
    """A recording that is yet to be read.

    Attributes:
        path: the file.
        name: how it is called in the source.
        label: its class, or ``None``.
        group: whom it comes from, or ``None``.
        split: the part of the data that it belongs to, or ``None``.
    """

    path: Path
    name: str
    label: str | None = None
    group: str | None = None
    split: str | None = None


def _is_recording(path: Path) -> bool:
    return path.suffix.lower() in FILES and not path.name.startswith(".") and not path.is_dir()


def _some(names: list[str]) -> str:
    return ", ".join(map(repr, names[:_SHOWN])) + (" …" if len(names) > _SHOWN else "")


def _others(paths: Iterable[Path], folder: Path) -> str:
    """Say how many files of which kinds are no recordings; nothing where there are none."""
    kinds = Counter(
        path.suffix.lower() or "without a suffix"
        for path in paths
        if path.suffix.lower() not in FILES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(_SHOWN))
    return listed + (" …" if len(kinds) > _SHOWN else "")


def list_folder(where: str, folder: Path, tell: Callable[[str], None], skip_empty: bool = False) -> list[Entry]:
    """List the recordings of a folder; see the module.

    Args:
        where: the function, for messages.
        folder: the folder.
        tell: is called with what is left out: files of other kinds, and classes without recordings.
        skip_empty: whether classes without recordings are left out; else they are an error.
    Returns:
        An entry for each file, in order of the names.
    Raises:
        InputError: it holds no recordings, an empty class, or recordings beside its classes.
    """
    shown = repr(str(folder))
    try:
        inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        within = {path: sorted(path.rglob("*")) for path in inside if path.is_dir()}
    except OSError as error:
        raise InputError(f"{where}: {shown} cannot be read ({error.strerror}): check its name.") from error
    classes = {path: list(filter(_is_recording, paths)) for path, paths in within.items()}
    loose = [path for path in inside if _is_recording(path)]
    found = sum(map(len, classes.values()))
    others = _others(chain.from_iterable(within.values()) if found or not loose else inside, folder)
    if not found and not loose:
        but = f" but {others}" if others else ""
        raise InputError(
            f"{where}: {shown} holds no recordings{but}: {' or '.join(FILES)} files, in a folder for each class, are "
            "expected."
        )
    if others:
        tell(f"{shown} holds other files as well, which were left out: {others}. Convert to WAV what is a recording.")
    if not found:
        return [Entry(path, path.name) for path in loose]
    if loose:
        raise InputError(
            f"{where}: {shown} holds {len(loose)} recordings beside its class folders, such as {loose[0].name!r}: move "
            "each into the folder of its class."
        )
    empty = [path.name for path in classes if not classes[path]]
    if empty and not skip_empty:
        raise InputError(
            f"{where}: {len(empty)} of the class folders of {shown} hold no recordings ({_some(empty)}): put "
            f"{' or '.join(FILES)} files there, remove them, or skip what is unreadable."
        )
    if empty:
        tell(f"{len(empty)} of the class folders of {shown} hold no recordings and were left out ({_some(empty)}).")
    return [
        Entry(path, path.relative_to(folder).as_posix(), label.name)
        for label, paths in classes.items()
        for path in paths
    ]


def _column(where: str, table: pd.DataFrame, name: str, whole: bool) -> list[str | None]:
    """Return a column as text, ``None`` where it is empty; `whole` wants it full."""
    if name not in table.columns:
        return [None] * len(table)
    values = [
        None if pd.isna(value) or not str(value).strip() else str(value).strip() for value in table[name].tolist()
    ]
    if whole and None in values:
        raise InputError(
            f"{where}: column {name!r} is empty in row {values.index(None) + 1}: fill it, or leave the row out."
        )
    return values


def list_table(where: str, table: pd.DataFrame, base: Path) -> list[Entry]:
    """List the recordings that a table names; see the module.

    Args:
        where: the function, for messages.
        table: with the column ``path``, and ``label``, ``group`` and ``split`` where there are such.
        base: the folder that paths are relative to.
    Returns:
        An entry for each row, in order.
    Raises:
        InputError: a cell is empty that must not be, or a file is listed twice with two classes.
    """
    paths = _column(where, table, PATH, whole=True)
    labels = _column(where, table, LABEL, whole=not table.get(LABEL, pd.Series(dtype=object)).isna().all())
    groups = _column(where, table, GROUP, whole=GROUP in table.columns)
    splits = _column(where, table, SPLIT, whole=SPLIT in table.columns)
    entries = []
    known: dict[str, str | None] = {}
    for row, (name, label, group, split) in enumerate(zip(paths, labels, groups, splits, strict=True), 1):
        assert name is not None
        if "\0" in name:
            raise InputError(f"{where}: column {PATH!r} holds a zero byte in row {row}: write the name of a file.")
        if not name.lower().endswith(FILES):
            raise InputError(
                f"{where}: column {PATH!r} holds {name!r} in row {row}, but a file that ends in {' or '.join(FILES)} "
                "is expected."
            )
        if known.setdefault(name, label) != label:
            raise InputError(
                f"{where}: {name!r} is of class {known[name]!r}, but of class {label!r} in row {row}: keep one of them."
            )
        entries.append(Entry(base / name, name, label, group, split))
    return entries
