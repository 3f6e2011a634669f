"""What is known beforehand of the steps to forecast: a row for each series and stamp, complete or refused."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from statespace.datasets.frames import as_pandas
from statespace.errors import InputError
from statespace.forecasting.panel import Columns, Panel, numbers
from statespace.forecasting.stamps import in_kind, read_stamps, shown


def _checked(where: str, table: pd.DataFrame | None, columns: Columns, names: Sequence[str], like: Any) -> pd.DataFrame:
    table = as_pandas(where, table, "futr_df")
    for name in names:
        if (table.columns == name).sum() != 1:
            found = ", ".join(map(str, table.columns)) or "none"
            raise InputError(f"{where}: futr_df must have one column {name!r}, but its columns are {found}.")
    time = read_stamps(f"{where}: futr_df", table[columns.time])
    return table.assign(**{columns.time: in_kind(where, "futr_df", time, like)})


def asked_stamps(
    where: str, table: pd.DataFrame | None, columns: Columns, series: Panel, steps: int
) -> list[np.ndarray]:
    """Return the stamps that the rows of a table ask for, of series without a grid.

    Args:
        where: the function, for the message.
        table: at least `steps` rows for each series, later than its history; the first of them are taken.
        columns: names of its columns.
        series: histories.
        steps: number of steps.
    Returns:
        Stamps of each series, ascending.
    Raises:
        InputError: a series has fewer rows after its last stamp.
    """
    rows = _checked(where, table, columns, (columns.id, columns.time), series.last[0])
    rows = rows.sort_values(columns.time)
    each = dict(iter(rows.groupby(columns.id, sort=False)[columns.time]))
    found = []
    for name, last in zip(series.ids, series.last, strict=True):
        stamps = each.get(name, rows[columns.time].iloc[:0])
        stamps = stamps[stamps > last].drop_duplicates()
        if len(stamps) < steps:
            raise InputError(
                f"{where}: futr_df has {len(stamps)} rows for series {shown(name)} after {last}, but {steps} are to be "
                "forecast: add rows, or pass a smaller h."
            )
        found.append(stamps.iloc[:steps].to_numpy())
    return found


def read_future(
    where: str, table: pd.DataFrame | None, columns: Columns, ids: Sequence[Any], stamps: Sequence[np.ndarray]
) -> np.ndarray:
    """Return the covariates of the future at the stamps to forecast.

    Args:
        where: the function, for the message.
        table: a row for each series and stamp; other rows and columns do not matter.
        columns: names of its columns.
        ids: names of the series.
        stamps: stamps to forecast of each series.
    Returns:
        ``(series, steps, covariates)``.
    Raises:
        InputError: the table or a column is missing, or a series has no row or no number for a stamp.
    """
    steps = len(stamps[0])
    if not columns.futr:
        return np.empty((len(ids), steps, 0))
    asked = ", ".join(columns.futr)
    first = pd.Series(stamps[0][:1]).iloc[0]
    if table is None:
        raise InputError(
            f"{where}: futr_df is missing, but the model was fitted with futr_exog_list={list(columns.futr)}: pass a "
            f"table with {columns.id}, {columns.time}, {asked} and a row for each of the {steps} steps to forecast, "
            f"from {first} on."
        )
    table = _checked(where, table, columns, (columns.id, columns.time, *columns.futr), first)
    time = table[columns.time]
    wanted = pd.MultiIndex.from_arrays(
        [np.repeat(np.array(ids, dtype=object), steps), pd.Index(np.concatenate(stamps))]
    )
    values = pd.DataFrame({name: numbers(f"{where}: futr_df", table[name]) for name in columns.futr})
    values.index = pd.MultiIndex.from_arrays([table[columns.id].astype(object).to_numpy(), pd.Index(time)])
    rows = values.index.isin(wanted)
    values = values[rows]
    doubled = values.index.duplicated()
    if doubled.any():
        series, stamp = values.index[int(doubled.argmax())]
        raise InputError(f"{where}: futr_df has two rows for series {shown(series)} at {stamp}: keep one.")
    missing = ~wanted.isin(values.index)
    if missing.any():
        series, stamp = wanted[int(missing.argmax())]
        known = table[columns.id].drop_duplicates()
        its = "" if known.isin([series]).any() else f" Its series are {', '.join(map(shown, known[:5]))} …"
        raise InputError(
            f"{where}: futr_df has no row for series {shown(series)} at {stamp}: every step to forecast needs one "
            f"({steps} a series; {int(missing.sum())} rows are missing in all).{its if len(known) else ''}"
        )
    found = values.reindex(wanted).to_numpy(np.float64)
    if np.isnan(found).any():
        row, column = np.argwhere(np.isnan(found))[0]
        series, stamp = wanted[row]
        raise InputError(
            f"{where}: futr_df has no number in column {columns.futr[column]!r} for series {shown(series)} at {stamp}: "
            "what is in futr_exog_list must be known beforehand; a covariate that is not belongs into hist_exog_list."
        )
    return found.reshape(len(ids), steps, len(columns.futr))
