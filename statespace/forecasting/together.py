"""Series that inform each other: the values of all of them at the stamp of each row, as covariates known up to now.

What a multivariate forecaster learns of them depends on which series is forecast, so its name is a category beside.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from statespace.errors import InputError
from statespace.forecasting.calendar import positions
from statespace.forecasting.panel import Panel
from statespace.forecasting.stamps import shown

MOST = 300_000_000  # values beside rows, each of 16 bytes while windows are cut
_NAMED = 5


def _listed(names: Sequence[Any]) -> str:
    return ", ".join(map(shown, names[:_NAMED])) + (" …" if len(names) > _NAMED else "")


def expect_all(where: str, ids: Sequence[Any], known: Sequence[Any]) -> None:
    """Check that the series are those that were trained on, all of them.

    Args:
        where: the function, for the message.
        ids: names of the series that came.
        known: names of those trained on.
    Raises:
        InputError: one is missing, or was not there in training.
    """
    there, given = set(known), set(ids)
    unseen = [name for name in ids if name not in there]
    if unseen:
        raise InputError(
            f"{where}: series {_listed(unseen)} was not there in training, and with multivariate=True only series that "
            f"were can be forecast: leave it out, or fit again. They are {_listed(known)}."
        )
    missing = [name for name in known if name not in given]
    if missing:
        raise InputError(
            f"{where}: series {_listed(missing)} is missing, and with multivariate=True every series informs the "
            "others: pass all that were trained on, with NaN where nothing was observed."
        )


def expect_alike(where: str, ids: Sequence[Any], known: Sequence[Any], dt_scale: float) -> None:
    """Check that histories are of all series that were trained on, at the rate of training.

    Args:
        where: the function, for the message.
        ids: names of the series that came.
        known: names of those trained on.
        dt_scale: time between two steps in units of that in training.
    Raises:
        InputError: they are not.
    """
    expect_all(where, ids, known)
    if dt_scale != 1:
        raise InputError(
            f"{where}: dt_scale is {dt_scale}, but with multivariate=True what the others say is known at the rate of "
            "training alone: fit each alone, or at that rate."
        )


def expect_same_end(where: str, rows: Panel, known: Sequence[Any]) -> None:
    """Check that new rows are of all series and end at one stamp: what came later would come too late for the others.

    Args:
        where: the function, for the message.
        rows: the rows.
        known: names of the series trained on.
    Raises:
        InputError: they are not, or do not.
    """
    expect_all(where, rows.ids, known)
    ends = dict(zip(rows.last, rows.ids, strict=True))
    if len(ends) > 1:
        (first, one), (second, other) = list(ends.items())[:2]
        raise InputError(
            f"{where}: the rows of series {shown(one)} end at {first} and those of {shown(other)} at {second}, but "
            "with multivariate=True rows of one stamp come together: hold back those that have come, or write NaN."
        )


def side_by_side(where: str, series: Panel, known: Sequence[Any], z: np.ndarray) -> np.ndarray:
    """Return the values of all series at the stamp of each row.

    Args:
        where: the function, for the message.
        series: on one grid, some of the series trained on or all.
        known: names of those trained on.
        z: their values, scaled, ``(total,)``.
    Returns:
        ``(total, len(known))``, NaN where nothing was observed.
    Raises:
        InputError: the series are on different grids, or too many for the memory.
    """
    if len(z) * len(known) > MOST:
        raise InputError(
            f"{where}: multivariate=True sets {len(known)} series beside each of {len(z)} rows, which takes too much "
            "memory: choose the series that matter, or forecast each alone."
        )
    firsts = pd.Series([pd.Series(stamps[:1]).iloc[0] for stamps in series.stamps()])
    begin = positions(where, firsts, pd.Series(firsts.min(), index=firsts.index), series.freq)
    rank = np.arange(len(z)) - np.repeat(series.lengths.cumsum() - series.lengths, series.lengths)
    row = np.repeat(begin, series.lengths) + rank
    place = {name: column for column, name in enumerate(known)}
    wide = np.full((int(row.max(initial=0)) + 1, len(known)), np.nan, np.float32)
    wide[row, np.repeat([place[name] for name in series.ids], series.lengths)] = z
    return np.asarray(wide[row])
