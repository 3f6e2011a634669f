"""Signals from a long table: a row for each case and time, with a column for each channel."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from statespace.datasets.listing import GROUP, LABEL, SPLIT
from statespace.datasets.time_steps import as_numbers, usual_step
from statespace.errors import InputError

CASE, TIME = "case", "time"


class Long(NamedTuple):
    """What a long table holds, in order of the cases.

    Attributes:
        signals: ``(channels, n)`` each, float32.
        names: of the cases.
        labels: of the cases, or ``None``; `groups` and `splits` likewise.
    """

    signals: list[np.ndarray]
    names: list[str]
    labels: list[str] | None
    groups: list[str] | None
    splits: list[str] | None


def _said(where: str, cases: Any, name: str) -> list[str]:
    """Return what a column says of each case."""
    found = []
    for case, part in cases:
        values = part[name].unique()
        if len(values) != 1 or pd.isna(values[0]):
            raise InputError(
                f"{where}: column {name!r} holds {len(values)} values for case {str(case)!r}, or none, but one "
                "is expected."
            )
        found.append(str(values[0]))
    return found


def _check(where: str, table: pd.DataFrame, channels: list[str]) -> None:
    if not channels:
        raise InputError(f"{where} has no column but {', '.join(map(str, table.columns))}: a channel is missing.")
    for name in (CASE, TIME):
        if table[name].isna().any():
            raise InputError(f"{where}: column {name!r} has empty cells: fill them.")
    for name in channels:
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise InputError(f"{where}: channel {name!r} is not numeric: mend its values, or leave it out.")


def read_long(name: str, table: pd.DataFrame) -> Long:
    """Take the signals out of a long table.

    Args:
        name: of the table, for messages.
        table: with the columns ``case``, ``time``, perhaps ``label``, ``group`` and ``split``, and one a channel. The
            rows may come in any order.
    Returns:
        The signals, each in order of time, and what is said of them. A warning tells where times are not evenly spaced.
    Raises:
        InputError: a column is missing, empty or mixed, a time stands twice, or a label changes within a case.
    """
    where = f"read_recordings: {name!r}"
    channels = [column for column in table.columns if column not in (CASE, TIME, LABEL, GROUP, SPLIT)]
    _check(where, table, channels)
    try:
        table = table.sort_values(TIME, kind="stable", ignore_index=True)
    except TypeError as error:
        raise InputError(f"{where}: column {TIME!r} mixes numbers and text: write numbers.") from error
    twice = table.duplicated([CASE, TIME])
    if twice.any():
        first = table[twice].iloc[0]
        raise InputError(f"{where}: case {str(first[CASE])!r} has two rows for time {first[TIME]}: keep one of them.")
    cases = list(table.groupby(CASE, sort=True))
    times = as_numbers(table[TIME])
    if times is not None:
        usual_step(where, ((case, times[part.index].to_numpy()) for case, part in cases))
    with np.errstate(over="ignore"):
        signals = [part[channels].to_numpy(np.float32).T.copy() for _, part in cases]
    for (case, _), signal in zip(cases, signals, strict=True):
        if np.isinf(signal).any() or np.isnan(signal).all():
            raise InputError(f"{where}: case {str(case)!r} holds infinity, or no number at all: leave it out.")
    said = {
        column: _said(where, cases, column) if column in table.columns else None for column in (LABEL, GROUP, SPLIT)
    }
    return Long(signals, [str(case) for case, _ in cases], said[LABEL], said[GROUP], said[SPLIT])
