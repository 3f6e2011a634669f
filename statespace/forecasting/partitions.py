"""Forecasts of a table part by part: a plain function of a part and a model, which whoever maps functions can run.

A part holds all rows of its series, and nothing of others is needed to forecast them. So parts may be forecast one
after the other in bounded memory, or by the workers of Dask, Spark or Ray, each of which reads the model once.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from statespace.datasets.frames import Table, as_pandas, kind_of, like
from statespace.errors import InputError
from statespace.forecasting.estimator import Forecaster
from statespace.forecasting.levels import check_levels, check_quantiles, columns
from statespace.models.outputs.levels import QUANTILES

MODELS = 4  # that a process keeps


@lru_cache(maxsize=MODELS)
def _loaded(folder: str, _written: int) -> Forecaster:
    return Forecaster.load(folder)


def _model(model: Forecaster | Path | str) -> Forecaster:
    """Return a model, read from its folder once for each time that it was written."""
    if isinstance(model, Forecaster):
        return model
    description = Path(model) / "model.json"
    return _loaded(str(model), description.stat().st_mtime_ns if description.is_file() else 0)


def predict_part(
    part: Table,
    model: Forecaster | Path | str,
    h: int | None = None,
    level: Sequence[float] | float | None = None,
    quantiles: Sequence[float] | None = None,
    futr_df: pd.DataFrame | None = None,
    static_df: pd.DataFrame | None = None,
    dt_scale: float = 1.0,
) -> pd.DataFrame:
    """Forecast the series of one part of a table, which the model need not have seen.

    Args:
        part: all rows of some series; none at all gives a table without rows, which tells what the columns are.
        model: fitted, or the folder that it was saved to.
        h: as `Forecaster.predict` takes it.
        level: likewise.
        quantiles: likewise.
        futr_df: likewise; rows of other series do not matter.
        static_df: likewise.
        dt_scale: likewise.
    Returns:
        The forecast, as `Forecaster.predict` gives it.
    Raises:
        InputError: the model is not fitted or cannot be read, or what `Forecaster.predict` refuses.
    """
    where = "predict_part"
    fc = _model(model)
    fc._ready(where)
    rows = as_pandas(where, part, only=fc.columns.all)
    if len(rows) == 0:
        return like(_nothing(where, rows, fc, level, quantiles), kind_of(part))
    given = rows if isinstance(part, str | Path) else part  # what lies on disk is read once
    return fc.predict(given, h, level, quantiles, futr_df, static_df, dt_scale)


def _nothing(
    where: str,
    rows: pd.DataFrame,
    fc: Forecaster,
    level: Sequence[float] | float | None,
    quantiles: Sequence[float] | None,
) -> pd.DataFrame:
    """Return a forecast without rows, with the columns and types that one with rows would have."""
    key = [fc.columns.id, fc.columns.time]
    for name in key:
        if name not in rows:
            raise InputError(
                f"{where}: there is no column {name!r}; the columns found are {', '.join(map(str, rows))}: rename one."
            )
    found = rows[key].copy()
    if isinstance(found[fc.columns.id].dtype, pd.CategoricalDtype):
        found[fc.columns.id] = found[fc.columns.id].astype(found[fc.columns.id].cat.categories.dtype)
    none, shares = np.empty((0, len(QUANTILES))), check_quantiles(where, quantiles)
    return found.assign(**columns(none, check_levels(where, level), fc.name, shares))
