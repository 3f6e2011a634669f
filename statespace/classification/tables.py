"""Signals in long tables, of whichever library, and what is said of their cases.

| table | taken as |
|---|---|
| columns ``case``, ``time`` and one a channel, of pandas, polars or pyarrow | that |
| pandas with an index of two levels, as sktime's ``pd-multiindex`` | the levels are case and time |

The cases come in the order in which they first appear, their rows in that of time. A series or frame of pandas whose
index holds exactly the cases is brought to that order; anything else is taken to be in it.
"""

from typing import Any

import numpy as np
import pandas as pd

from statespace.datasets.frames import as_pandas, kind_of
from statespace.datasets.long_table import CASE, TIME
from statespace.datasets.time_steps import as_numbers, usual_step
from statespace.errors import InputError


def as_long(where: str, X: Any) -> Any:
    """Return a table as pandas with the columns ``case`` and ``time``; whatever is no table is passed through."""
    if kind_of(X).library != "pandas":
        return as_pandas(where, X, "X")
    if isinstance(X, pd.DataFrame) and X.index.nlevels == 2 and not {CASE, TIME} & set(X.columns):
        return X.rename_axis([CASE, TIME]).reset_index()
    return X


def by_case(X: Any, values: Any) -> Any:
    """Return what is said of each case in the order of the cases of `X`.

    Args:
        X: what `as_long` gave.
        values: of pandas, with an index that holds exactly the cases; all else is passed through.
    """
    if not isinstance(X, pd.DataFrame) or not isinstance(values, pd.Series | pd.DataFrame) or CASE not in X.columns:
        return values
    cases = list(X[CASE].unique())
    if not values.index.is_unique or set(values.index) != set(cases):
        return values
    return values.reindex(cases)


def _expect_usable(where: str, frame: pd.DataFrame, channels: list[Any]) -> None:
    if not channels:
        raise InputError(f"{where}: X is a data frame without channels: beside case and time, one column is needed.")
    for name in (CASE, TIME):
        if frame[name].isna().any():
            raise InputError(f"{where}: column {name!r} of X has missing values: say for each row what it belongs to.")
    if frame[TIME].dtype.kind not in "fiuMm":
        raise InputError(
            f"{where}: column 'time' of X holds {frame[TIME].dtype}, but numbers or stamps are expected: convert it, "
            "such as by pd.to_datetime."
        )
    for name in channels:
        if frame[name].dtype.kind not in "fiub":
            raise InputError(f"{where}: column {name!r} of X holds {frame[name].dtype}, but numbers are expected.")
    if frame.duplicated([CASE, TIME]).any():
        raise InputError(f"{where}: X has several rows for one case and time: keep one of each.")


def read_table(
    where: str, frame: pd.DataFrame, names: tuple[str, ...] | None
) -> tuple[list[np.ndarray], tuple[str, ...], float | None]:
    """Take the signals out of a long table.

    Args:
        where: the function, for messages.
        frame: what `as_long` gave.
        names: of the channels, in order, if they were told before.
    Returns:
        The signals, ``(channels, n)`` each, float64, the names of their channels, and the usual time between two
        samples, ``None`` where no case has two.
    Raises:
        InputError: a column is missing, or holds what cannot be used.
    """
    for name in (CASE, TIME):
        if name not in frame.columns:
            raise InputError(
                f"{where}: X is a data frame with the columns {', '.join(map(str, frame.columns))}, but {name!r} is "
                "missing: a long table has the columns case and time, or an index of these two levels, and a column "
                "for each channel."
            )
    channels = [name for name in frame.columns if name not in (CASE, TIME)]
    _expect_usable(where, frame, channels)
    wanted = list(names) if names is not None else channels
    if set(map(str, channels)) != set(map(str, wanted)):
        raise InputError(
            f"{where}: X has the channels {', '.join(map(str, channels))}, but {', '.join(map(str, wanted))} are "
            "expected, as in fit."
        )
    order = [str(name) for name in wanted]
    frame = frame.rename(columns=str).assign(**{TIME: as_numbers(frame[TIME])})
    parts = [(case, part.sort_values(TIME)) for case, part in frame.groupby(CASE, sort=False, observed=True)]
    step = usual_step(where, ((case, part[TIME].to_numpy()) for case, part in parts))
    return [part[order].to_numpy(dtype=np.float64, na_value=np.nan).T for _, part in parts], tuple(order), step
