"""New rows of series that are known: put on their grid behind the last row, and taken into the states one by one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from statespace.datasets.frames import Table
from statespace.errors import InputError
from statespace.forecasting.calendar import as_ticks, positions
from statespace.forecasting.fitted import Fitted
from statespace.forecasting.live import Live
from statespace.forecasting.panel import Columns, Panel
from statespace.forecasting.stamps import in_kind, shown


def _steps_after(where: str, history: Panel, rows: Panel, which: np.ndarray) -> np.ndarray:
    """Return how many steps after the last of its history each series of `rows` begins, from 1 on."""
    firsts = [stamps[:1] for stamps in rows.stamps()]
    lasts = [history.last[place] for place in which]
    for name, first, last in zip(rows.ids, firsts, lasts, strict=True):
        stamp = pd.Series(first).iloc[0]
        if not stamp > last:
            raise InputError(
                f"{where}: series {shown(name)} has a row for {stamp}, but its history goes to {last}: pass only rows "
                "that are later."
            )
    if rows.ticks is not None:
        return np.ones(len(rows), np.int64)
    return positions(where, pd.Series(np.concatenate(firsts)), pd.Series(lasts), rows.freq)


def _expect_known_beforehand(where: str, rows: Panel, columns: Columns) -> None:
    """Expect covariates that are known beforehand where there is a value."""
    unknown = columns.unknown(rows.values, rows.beside)
    if unknown.any():
        row, column = np.argwhere(unknown)[0]
        place = int(np.searchsorted(rows.lengths.cumsum(), row, side="right"))
        stamp = pd.Series(np.concatenate(rows.stamps())[row : row + 1]).iloc[0]
        raise InputError(
            f"{where}: df has no number in column {columns.futr[column]!r} for series {shown(rows.ids[place])} at "
            f"{stamp}: what is in futr_exog_list must be known beforehand. Leave the value of this row out as well, or "
            "give the number."
        )


def new_rows(where: str, fitted: Fitted, df: Table) -> tuple[Panel, np.ndarray]:
    """Check rows that continue the histories of known series, and put them on the grid from the step after these on.

    Args:
        where: the function, for messages.
        fitted: what is known.
        df: rows, each series later than its history.
    Returns:
        The steps since the histories, NaN in gaps, and the places of these series among those known, ``(series,)``.
    Raises:
        InputError: a series is not known, a row is not later than its history, or has a value without covariates that
            are to be known beforehand.
    """
    history = fitted.history
    rows = fitted.reader.panel(where, df)
    last = in_kind(where, "df", pd.Series(rows.last), history.last[0])
    rows = replace(rows, last=last.tolist())
    _expect_known_beforehand(where, rows, fitted.reader.columns)
    place = {name: i for i, name in enumerate(history.ids)}
    for name in rows.ids:
        if name not in place:
            raise InputError(
                f"{where}: series {shown(name)} was not there in training: pass its whole history to "
                "predict(df) instead."
            )
    which = np.array([place[name] for name in rows.ids])
    # A gap as long as a window leaves nothing of what was before it in the window: more of it would change nothing.
    gaps = np.minimum(_steps_after(where, history, rows, which) - 1, fitted.network.input_size)
    lengths = rows.lengths + gaps
    at = np.arange(len(rows.values)) + np.repeat(gaps.cumsum(), rows.lengths)
    values = np.full(lengths.sum(), np.nan)
    beside = np.full((lengths.sum(), rows.beside.shape[1]), np.nan)
    values[at], beside[at] = rows.values, rows.beside
    return replace(rows, values=values, beside=beside, lengths=lengths), which


def appended(history: Panel, rows: Panel, which: np.ndarray, steps: int) -> Panel:
    """Return the last `steps` steps of histories with new rows behind those at the places `which`."""
    lengths, last = history.lengths.copy(), list(history.last)
    lengths[which] += rows.lengths
    for place, stamp in zip(which, rows.last, strict=True):
        last[place] = stamp
    ends = lengths.cumsum()
    start = ends - lengths
    old = np.arange(len(history.values)) + np.repeat(
        start - (history.lengths.cumsum() - history.lengths), history.lengths
    )
    behind = start[which] + history.lengths[which]
    new = np.arange(len(rows.values)) + np.repeat(behind - (rows.lengths.cumsum() - rows.lengths), rows.lengths)

    def joined(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        found = np.empty((ends[-1], *before.shape[1:]), before.dtype)
        found[old], found[new] = before, after
        return found

    ticks = None
    if history.ticks is not None and rows.ticks is not None:
        ticks = joined(history.ticks, rows.ticks)
    values, beside = joined(history.values, rows.values), joined(history.beside, rows.beside)
    return replace(history, values=values, beside=beside, lengths=lengths, last=last, ticks=ticks).tail(steps)


def advance(where: str, fitted: Fitted, live: Live, rows: Panel, which: np.ndarray) -> None:
    """Take new rows into the states of `live`, in order of time for each series."""
    first, second = (None if part is None else part[which] for part in fitted.static)
    scaled = fitted.scaling.of_series(which).forward_unseen(rows.values, rows.lengths)
    beside = fitted.reader.beside(where, rows, scaled, None, (first, second))
    if rows.ticks is not None and beside.dt is not None:
        begins = rows.lengths.cumsum() - rows.lengths
        lasts = as_ticks(pd.Series([fitted.history.last[place] for place in which]))
        beside.dt[begins] = torch.as_tensor((rows.ticks[begins] - lasts) / fitted.reader.step, dtype=torch.float32)
    z = torch.as_tensor(scaled, dtype=torch.float32)
    starts = rows.lengths.cumsum() - rows.lengths
    for step in range(int(rows.lengths.max(initial=0))):
        here = np.flatnonzero(rows.lengths > step)
        at, places = torch.as_tensor(starts[here] + step), torch.as_tensor(which[here])
        hist, futr, dt = (None if part is None else part[at] for part in (beside.hist, beside.futr, beside.dt))
        live.push(live.row(z[at], hist, futr, dt, places), live.among(places))
