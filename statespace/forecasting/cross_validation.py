"""Forecasts of steps that are known, each by a model that saw nothing after its cutoff, as long frames with a cutoff.

Windows are counted from the end of each series. With `n` steps in a series, the window `k` of `n_windows` begins at

    origin = n - h - (n_windows - 1 - k) step_size,    k = 0 … n_windows - 1,

and its cutoff is the stamp of the step before: what lies before the origin is history, the `h` steps from it on are
forecast. Series that end at different stamps have different cutoffs, so that a model may know of one series what for
another is still to come.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from statespace.datasets.frames import Table, as_pandas
from statespace.errors import InputError
from statespace.forecasting.calendar import IRREGULAR, Freq
from statespace.forecasting.fitting import read_series
from statespace.forecasting.levels import check_levels, check_quantiles
from statespace.forecasting.options import expect_apart
from statespace.forecasting.panel import Columns, Panel

if TYPE_CHECKING:
    from statespace.forecasting.estimator import Forecaster

CUTOFF = "cutoff"
BATCH = 1024  # windows that are forecast at once within the sample
_NAMED = 5  # series named in a warning


@dataclass(frozen=True)
class Grid:
    """A long frame with a row for each step of each series, in order, and where its series lie.

    Attributes:
        rows: the frame; NaN in gaps, all columns kept.
        ids: names of the series.
        starts: position of the first row of each series.
        lengths: steps of each series.
        freq: distance between two steps.
    """

    rows: pd.DataFrame
    ids: list[Any]
    starts: np.ndarray
    lengths: np.ndarray
    freq: Freq

    @classmethod
    def of(cls, series: Panel, columns: Columns) -> "Grid":
        """Return the rows of a panel."""
        lengths = series.lengths
        return cls(series.frame(columns), series.ids, lengths.cumsum() - lengths, lengths, series.freq)

    def cut(self, series: np.ndarray, first: np.ndarray, count: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
        """Return `count` rows from the row `first` of each of the `series` on, and which of them each row is of."""
        of = np.repeat(np.arange(len(series)), count)
        rank = np.arange(len(of)) - np.repeat(count.cumsum() - count, count)
        return self.rows.iloc[(self.starts[series] + first)[of] + rank], of


def _whole(where: str, name: str, value: object, others: str = "") -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InputError(f"{where}: {name} is {value!r}, but {others}a whole number from 1 on is expected.")
    return int(value)


def _note_short(where: str, grid: Grid, h: int, n_windows: int, step_size: int) -> None:
    """Warn, once, of series that are too short for some of the windows."""
    needed = h + (n_windows - 1) * step_size + 1
    short = np.flatnonzero(grid.lengths < needed)
    if len(short):
        named = ", ".join(f"{grid.ids[one]} ({grid.lengths[one]} steps)" for one in short[:_NAMED])
        warnings.warn(
            f"{where}: {n_windows} windows of h={h}, {step_size} steps apart, need {needed} steps, but fewer came of "
            f"{len(short)} series, which are left out of the windows before which they have none: "
            f"{named}{' …' if len(short) > _NAMED else ''}.",
            stacklevel=4,
        )


def _forecast(
    fc: "Forecaster",
    grid: Grid,
    series: np.ndarray,
    origin: np.ndarray,
    h: int,
    options: dict[str, Any],
    static_df: pd.DataFrame | None,
    longest: int | None = None,
) -> pd.DataFrame:
    """Forecast `h` steps from each origin in its series, and set what came beside them.

    Where `longest` is given, a window has that many steps of history at most. Where there are several of one series,
    each has a name of its own.
    """
    key, time, target = fc.columns.id, fc.columns.time, fc.columns.target
    count = origin if longest is None else np.minimum(origin, longest)
    past, past_of = grid.cut(series, origin - count, count)
    came, came_of = grid.cut(series, origin, np.full(len(series), h))
    cutoff = past[time].iloc[count.cumsum() - 1]
    names: list[Any] = [grid.ids[one] for one in series]
    own = names
    if len(np.unique(series)) < len(series):
        own = [f"{name} until {last}" for name, last in zip(names, cutoff, strict=True)]
    own_past = past.assign(**{key: pd.Series(own).iloc[past_of].to_numpy()})
    if fc.columns.futr or grid.freq == IRREGULAR:  # without a grid, the stamps are asked for
        future = came[[time, *fc.columns.futr]].assign(**{key: pd.Series(own).iloc[came_of].to_numpy()})
        options = options | {"futr_df": future}
    if static_df is not None:
        renamed = pd.DataFrame({key: names, "own": own}).merge(static_df, how="left", on=key)
        options = options | {"static_df": renamed.drop(columns=key).rename(columns={"own": key})}
    known = fc._ready("Forecaster").numbers(names) >= 0
    known_as = {one: name for one, name, there in zip(own, names, known, strict=True) if there}
    found = fc.predict(df=own_past, h=h, known_as=known_as, **options)
    # Back from the order of names, in which predict answers, to that of the windows.
    order = np.empty(len(own), np.int64)
    order[pd.Index(own).get_indexer(found[key].iloc[::h])] = np.arange(len(own))
    rows = found.iloc[(order[:, None] * h + np.arange(h)).reshape(-1)].reset_index(drop=True)
    rows[key] = pd.Series(names).iloc[came_of].to_numpy()
    rows.insert(2, CUTOFF, cutoff.iloc[came_of].to_numpy())
    rows[target] = came[target].to_numpy()
    return rows


def cross_validation(
    where: str,
    make: Callable[[], "Forecaster"],
    df: Table,
    n_windows: int = 1,
    step_size: int | None = None,
    refit: bool | int = False,
    freq: str | int | None = None,
    h: int | None = None,
    static_df: pd.DataFrame | None = None,
    level: Sequence[float] | float | None = None,
    quantiles: Sequence[float] | None = None,
) -> pd.DataFrame:
    """Forecast the last windows of each series by models that are fitted on what lies before them.

    Args:
        where: the function or option, for the messages.
        make: gives a new, unfitted forecaster.
        df: long frame, a row for each series and stamp.
        n_windows: windows of each series, counted from its end.
        step_size: steps from one window to the next; by default `h`, so that they do not overlap.
        refit: whether to fit again for each window, or after how many windows; the first is always fitted.
        freq: distance between two stamps; inferred if it can be.
        h: steps to forecast; by default the horizon that is trained.
        static_df: what does not change in a series, a row for each, where the forecaster has such covariates.
        level: coverage of the intervals in percent; ``None`` for none.
        quantiles: probabilities whose quantiles are wanted as columns; ``None`` for none.
    Returns:
        A row for each series, window and step: names of the series, stamps, ``cutoff``, the forecast and its intervals
        as `Forecaster.predict` gives them, and what came, NaN where nothing was observed.
    Raises:
        InputError: the table is too short for the windows, it or an option cannot be used, or two columns of the
            result would have one name.
        KeyboardInterrupt: a training was interrupted; what it would have forecast is not worth measuring.
    """
    fc = make()
    expect_apart(where, fc.columns, fc.name, CUTOFF, with_target=True)
    n_windows = _whole(where, "n_windows", n_windows)
    steps = fc.h if h is None else _whole(where, "h", h)
    step = steps if step_size is None else _whole(where, "step_size", step_size)
    every = int(refit) if isinstance(refit, bool) else _whole(where, "refit", refit, "True, False or ")
    check_levels(where, level)  # what is wrong with an option is said before the training
    check_quantiles(where, quantiles)
    asked = {"level": level, "quantiles": quantiles}
    static_df = None if static_df is None else as_pandas(where, static_df, "static_df")
    grid = Grid.of(read_series(where, fc, df, freq), fc.columns)
    ahead = steps + (n_windows - 1) * step
    needed, longest = ahead + fc.h + 1, int(grid.lengths.max())
    if longest < needed:
        raise InputError(
            f"{where}: {needed} steps are needed, {fc.h + 1} to fit the first model on and {ahead} for n_windows="
            f"{n_windows} of h={steps}, {step} steps apart, but the longest series has {longest}: ask for fewer "
            "windows, nearer to each other, or for a smaller h."
        )
    late = np.flatnonzero(grid.lengths <= ahead)
    if fc.multivariate and every != 1 and len(late):
        raise InputError(
            f"{where}: series {grid.ids[late[0]]!r} has {grid.lengths[late[0]]} steps and so none before the first "
            "window, but with multivariate=True every series must be there in training: leave it out, ask for fewer "
            "windows, or fit anew for each (refit=True)."
        )
    _note_short(where, grid, steps, n_windows, step)
    parts, of = [], []
    for window in range(n_windows):
        origin = grid.lengths - ahead + window * step
        series = np.flatnonzero(origin > 0)
        of.append(np.repeat(series, steps))
        if window == 0 or (every and window % every == 0):
            fc = make() if window else fc
            train, _ = grid.cut(series, np.zeros(len(series), np.int64), origin[series])
            fc.fit(train, grid.freq, static_df)
            if fc.outcome is not None and fc.outcome.interrupted:
                raise KeyboardInterrupt
        parts.append(_forecast(fc, grid, series, origin[series], steps, asked, static_df))
    by_series = np.argsort(np.concatenate(of), kind="stable")
    return pd.concat(parts, ignore_index=True).iloc[by_series].reset_index(drop=True)


def predict_insample(
    where: str,
    fc: "Forecaster",
    df: Table,
    static_df: pd.DataFrame | None = None,
    step_size: int = 1,
    level: Sequence[float] | float | None = None,
    quantiles: Sequence[float] | None = None,
) -> pd.DataFrame:
    """Forecast every window of the table that a forecaster was fitted on: what it makes of what it knows.

    Args:
        where: the function or option, for the messages.
        fc: the fitted forecaster.
        df: what it was fitted on.
        static_df: the static table that it was fitted on.
        step_size: steps from one window to the next, counted from the end of each series.
        level: coverage of the intervals in percent; ``None`` for none.
        quantiles: probabilities whose quantiles are wanted as columns; ``None`` for none.
    Returns:
        A table like that of `cross_validation`, from the first cutoff with one step of history on; of series that
        inform each other, in all of them.
    Raises:
        InputError: `step_size` is no whole number from 1 on, or two columns of the result would have one name.
    """
    expect_apart(where, fc.columns, fc.name, CUTOFF, with_target=True)
    step = _whole(where, "step_size", step_size)
    asked = {"level": level, "quantiles": quantiles}
    # What lies before a window tells nothing, unless windows are left in the units of their series.
    longest = None if fc.scaler_type == "none" else fc._ready(where).network.input_size
    grid = Grid.of(read_series(where, fc, df, fc.freq), fc.columns)
    count = np.maximum((grid.lengths - fc.h - 1) // step + 1, 0)
    if fc.multivariate:  # series that inform each other are forecast together, or not at all
        count[:] = count.min()
    series = np.repeat(np.arange(len(count)), count)
    rank = np.arange(len(series)) - np.repeat(count.cumsum() - count, count)
    ago = count[series] - 1 - rank
    origin = (grid.lengths - fc.h)[series] - ago * step
    at_once = np.array_split(np.arange(len(series)), -(-len(series) // BATCH))
    if fc.multivariate:
        at_once = [np.flatnonzero(ago == windows) for windows in np.unique(ago)]
    parts = [_forecast(fc, grid, series[part], origin[part], fc.h, asked, static_df, longest) for part in at_once]
    in_order = np.argsort(np.repeat(np.concatenate(at_once), fc.h), kind="stable")
    return pd.concat(parts, ignore_index=True).iloc[in_order].reset_index(drop=True)
