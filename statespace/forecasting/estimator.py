"""`Forecaster`: fit on a long data frame, predict a long data frame, with the conventions that forecasters know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from statespace.datasets.frames import Kind, Table, as_pandas, kind_of, like
from statespace.errors import InputError
from statespace.forecasting.calendar import Freq
from statespace.forecasting.calendar import season_length as usual_season
from statespace.forecasting.cross_validation import CUTOFF, cross_validation, predict_insample
from statespace.forecasting.fitted import Fitted, Quantiles, stored, unstored
from statespace.forecasting.fitting import MADE_WITH, check_values, fit, network_of, scaling_of, settled
from statespace.forecasting.levels import check_levels, check_quantiles, columns
from statespace.forecasting.live import Live
from statespace.forecasting.options import check_options, expect_apart, listed
from statespace.forecasting.panel import Columns, note_silent
from statespace.forecasting.paths import SAMPLE, simulate
from statespace.forecasting.scaling import expect_positive
from statespace.forecasting.search import Trial
from statespace.forecasting.together import expect_alike, expect_same_end
from statespace.forecasting.updating import advance, appended, new_rows
from statespace.model_folder import read as read_model
from statespace.model_folder import write as write_model
from statespace.parameters import Parameters
from statespace.training import Outcome, Stages
from statespace.training.processes import leave_if_read_anew


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """Write the infinite loss of a training without validation, or astray, as JSON can: null."""
    return {name: None if value == float("inf") else value for name, value in values.items()}


def _infinite(values: dict[str, Any]) -> dict[str, Any]:
    """Undo `_finite`."""
    return {name: float("inf") if value is None else value for name, value in values.items()}


def _names(where: str, ids: list[Any], known_as: Mapping[Any, Any] | None, trained: list[Any]) -> list[Any]:
    """Return the names by which series are known; None, which names none, for those that are not."""
    if known_as is None:
        return ids
    if not isinstance(known_as, Mapping):
        raise InputError(
            f"{where}: known_as is a {type(known_as).__name__}, but a dict is expected: the name of a series trained "
            "on for each series of df that belongs to one."
        )
    for given, there, what in (
        (known_as, ids, "is not in df"),
        (known_as.values(), trained, "was not trained on"),
    ):
        known = set(there)
        if wrong := [name for name in given if name not in known]:
            raise InputError(f"{where}: known_as names series {wrong[0]!r}, which {what}.")
    return [known_as.get(name) for name in ids]


@dataclass(eq=False, repr=False)
class Forecaster(Parameters):
    """Forecast one series or thousands with one state space model, with intervals, covariates and gaps.

    Each window of `input_size` steps is normalised and run through a stack of state space layers, which then runs on
    with nothing observed: what it puts out there is the forecast. See `statespace.models.ForecastNetwork` for the
    equations. A missing value or row is a gap: nothing enters the state, which moves on. Tables may be data frames of
    pandas or polars, or tables of pyarrow; what comes out is of the kind of what went in. The path of a folder of
    Parquet files is a table too, of which only the columns that are used are read.

    Args:
        h: horizon, in steps.
        input_size: steps of history in a window; by default three horizons, three seasons, or a week of hours or parts
            of hours, whichever is most, and at most 512; of shorter series what leaves a horizon to learn from, or two
            seasons.
        layer: the layer of the backbone, a key of `statespace.layers.LAYERS`; the forecast's column is named after it.
            ``"auto"`` chooses one, with its learning rate, on the validation tail: see `statespace.forecasting.search`.
        max_steps: optimiser steps at most.
        learning_rate: peak learning rate; the dynamics stay at or below 1e-3.
        batch_size: windows in a training batch.
        d_model: channels.
        n_layers: blocks.
        d_state: order of each system.
        mixing: ``"glu"``, ``"gated"``, ``"none"``, or ``"auto"``: none for a layer that mixes the channels itself, glu
            for the others.
        dropout: probability of dropping, in [0, 1).
        weight_decay: of the matrices.
        augmentation: strength with which histories are disturbed while training, 0 for not at all; by default 1 for
            up to 100 windows, falling to 0 at 10 000 (see `statespace.training.augmentation`).
        season_length: steps in a season; by default what is usual for the frequency: 12 for months, 24 for hours.
        transform: ``"log"``, ``"boxcox"`` (a power that is fitted), ``"none"``, or ``"auto"``: the logarithm if values
            are positive and their swings grow with their level.
        val_size: steps at the end of each series for early stopping; by default a tenth of the typical series, and
            at least `h`.
        val_check_steps: optimiser steps between two validations.
        early_stop_patience_steps: validations without improvement after which training stops; -1 for never.
        intervals: ``"quantile"``, as trained, or ``"conformal"``: moved until they cover the validation tail.
        random_seed: of initial weights, windows and dropout: the same seed gives the same model on a CPU.
        accelerator: Lightning's name of the device to train on.
        id_col: column with the name of the series.
        time_col: column with stamps, dates or whole numbers.
        target_col: column with the values.
        verbose: whether to show a progress bar.
        futr_exog_list: columns of covariates that are known beforehand, such as prices and plans; `predict` wants them
            for the steps to forecast.
        hist_exog_list: columns of covariates that are known up to now; where they are missing they are masked.
        stat_exog_list: columns of the static table, one row a series: numbers, or categories, which are embedded.
        calendar: features of the stamps to use as covariates known beforehand, such as ``["hour", "weekday"]``; see
            `statespace.forecasting.calendar_features`.
        holidays: codes of countries or of parts of them whose holidays are such covariates, such as ``["DE-BY"]``.
        weight_col: column that says how much a row counts as a target; rows without a number do not count.
        distribution: what is forecast: ``"quantile"``, ``"normal"``, ``"student-t"``, ``"negative-binomial"`` for
            counts, ``"tweedie"`` for amounts with many zeros.
        point: what the forecast's column holds, ``"median"`` or ``"mean"``.
        scaler_type: how each window is normalised: ``"standard"``, ``"robust"``, ``"minmax"``, ``"none"``, or
            ``"reversible"``: standard, with a learnt scale and shift that are undone at the end, known as RevIN. Counts
            and amounts are divided by their mean.
        local_scaler_type: how each series is scaled as a whole: ``"standard"``, ``"robust"``, ``"minmax"`` or
            ``"none"``.
        alias: name of the forecast's column; by default that of the layer.
        devices: how many to train on; each has a process of its own, and its share of each batch.
        strategy: Lightning's name of how they go together: ``"ddp"``, or ``"auto"``, which is the same.
        multivariate: whether series inform each other: each is told of the values of all at the same stamps. Only
            series that were trained on can be forecast then, all of them at once.
    Attributes:
        outcome: how the last fit went; ``None`` before it.
        chosen_: the arguments that ``layer="auto"`` stands for since the last fit; ``None`` for another layer.
        trials_: what was tried to find them, in order; empty for another layer.
    Raises:
        InputError: an argument is out of range or its name is not known.
    """

    h: int
    input_size: int | None = None
    layer: str = "s4d"
    max_steps: int = 500
    learning_rate: float = 2e-3
    batch_size: int = 32
    d_model: int = 32
    n_layers: int = 2
    d_state: int = 32
    mixing: str = "auto"
    dropout: float = 0.1
    weight_decay: float = 0.01
    augmentation: float | None = None
    season_length: int | None = None
    transform: str = "auto"
    val_size: int | None = None
    val_check_steps: int = 20
    early_stop_patience_steps: int = 10
    intervals: str = "quantile"
    random_seed: int = 0
    accelerator: str = "auto"
    id_col: str = "unique_id"
    time_col: str = "ds"
    target_col: str = "y"
    verbose: bool = True
    futr_exog_list: Sequence[str] | None = None
    hist_exog_list: Sequence[str] | None = None
    stat_exog_list: Sequence[str] | None = None
    calendar: Sequence[str] | None = None
    holidays: Sequence[str] | None = None
    weight_col: str | None = None
    distribution: str = "quantile"
    point: str = "median"
    scaler_type: str = "standard"
    local_scaler_type: str = "standard"
    alias: str | None = None
    devices: int = 1
    strategy: str = "auto"
    multivariate: bool = False

    outcome: Outcome | None = field(default=None, init=False)
    chosen_: dict[str, Any] | None = field(default=None, init=False)
    trials_: tuple[Trial, ...] = field(default=(), init=False)
    _fitted: Fitted | None = field(default=None, init=False)
    _live: Live | None = field(default=None, init=False)
    _kind: Kind = field(default_factory=Kind, init=False)
    _tables: tuple[Table, pd.DataFrame | None] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_options(self.get_params(), self.name)

    def __sklearn_is_fitted__(self) -> bool:
        return self._fitted is not None

    @property
    def name(self) -> str:
        """Name of the forecast's column."""
        return str(self.layer).upper() if self.alias is None else self.alias

    @property
    def columns(self) -> Columns:
        """Names of the columns of a table."""
        hist, futr = listed(self.hist_exog_list), listed(self.futr_exog_list)
        return Columns(self.id_col, self.time_col, self.target_col, hist, futr, self.weight_col)

    @property
    def freq(self) -> Freq:
        """Distance between two stamps, as given to `fit` or inferred; ``"irregular"`` where there is no grid."""
        return self._ready("Forecaster.freq").reader.freq

    @property
    def last_stamp(self) -> Any:
        """The stamp of the last row of the first series."""
        return self._ready("Forecaster.last_stamp").history.last[0]

    @property
    def season(self) -> int:
        """Steps in a season: as given, or what is usual for the frequency."""
        return self.season_length or usual_season(self.freq)

    # ------------------------------------------------------------------------------------------------------- fitting

    def fit(
        self,
        df: Table,
        freq: str | int | None = None,
        static_df: pd.DataFrame | None = None,
        warm_start: bool = False,
        checkpoint: Path | str | None = None,
    ) -> "Forecaster":
        """Train on all series of a long data frame.

        Args:
            df: a row for each series and stamp, in any order, with the columns of the covariates.
            freq: distance between two stamps, an alias of pandas or a whole number; inferred if it can be. Stamps
                without a grid are ``"irregular"``, and taken so where no freq fits: the time between two rows drives
                the system, in units of the typical one.
            static_df: a row for each series with the columns of ``stat_exog_list``.
            warm_start: whether to go on from the network that was fitted before, on these series or others.
            checkpoint: a folder of its own that the training is kept in. If it is there, the same call goes on from it,
                after Ctrl-C or kill -9, to what it would have come to; once it is through, the folder is taken away.
        Returns:
            The forecaster itself.
        Raises:
            InputError: a table or `freq` cannot be used, every series is too short, or `checkpoint` is of another fit.
        """
        self._fit("Forecaster.fit", df, freq, static_df, warm_start, checkpoint).clear()
        return self

    def _fit(
        self,
        where: str,
        df: Table,
        freq: str | int | None = None,
        static_df: pd.DataFrame | None = None,
        warm_start: bool = False,
        checkpoint: Path | str | None = None,
    ) -> Stages:
        """Fit, and return what was kept of it in the folder `checkpoint`."""
        if self.devices > 1:
            leave_if_read_anew()
        if not isinstance(warm_start, bool | np.bool_):
            raise InputError(f"{where}: warm_start is {warm_start!r}, but True or False is expected.")
        before = self._ready(where) if warm_start else None
        found = fit(where, self, df, freq, static_df, before, checkpoint)
        self._fitted, self.outcome, self._live = found.fitted, found.outcome, None
        if before is None:
            self.chosen_, self.trials_ = found.chosen, found.trials
        static_table = None if static_df is None else as_pandas(where, static_df, "static_df").copy()
        table = df if isinstance(df, str | Path) else as_pandas(where, df).copy()  # what lies on disk is read again
        self._tables, self._kind = (table, static_table), kind_of(df)
        note_silent(where, found.fitted.history)
        return found.stages

    # ---------------------------------------------------------------------------------------------------- predicting

    def _ready(self, where: str) -> Fitted:
        if self._fitted is None:
            raise InputError(f"{where}: this Forecaster is not fitted: call fit(df) first, or Forecaster.load(folder).")
        return self._fitted

    def predict(
        self,
        df: Table | None = None,
        h: int | None = None,
        level: Sequence[float] | float | None = None,
        quantiles: Sequence[float] | None = None,
        futr_df: pd.DataFrame | None = None,
        static_df: pd.DataFrame | None = None,
        dt_scale: float = 1.0,
        known_as: Mapping[Any, Any] | None = None,
    ) -> pd.DataFrame:
        """Forecast the steps after the last of each series.

        Args:
            df: history to forecast from, of the series trained on or of others; by default what `fit` was given.
            h: number of steps; by default the trained horizon. Beyond it, the median is fed back as if observed.
            level: coverage of the intervals in percent, from 1 to 99, such as ``[80, 95]``; ``None`` for none.
            quantiles: probabilities whose quantiles are wanted as columns, such as ``[0.1, 0.5]``; ``None`` for none.
            futr_df: covariates of the steps to forecast, a row for each series and step. Of irregular series, the
                stamps to forecast.
            static_df: the static table of `df`.
            dt_scale: time between two steps of `df` in units of that in training: 0.5 for half-hours after hours. The
                forecast is at the steps of `df`.
            known_as: the series trained on that series of `df` belong to, by name, such as windows of one of them; an
                empty one for none. By default each is known by its own name.
        Returns:
            A row for each series and step with the columns of the training table and ``S4D``, ``S4D-lo-80``,
            ``S4D-hi-80`` …, named after the layer, and ``S4D_ql0.1`` … for `quantiles`.
        Raises:
            InputError: not fitted, or an argument cannot be used.
        """
        where = "Forecaster.predict"
        levels, shares = check_levels(where, level), check_quantiles(where, quantiles)
        table, found = self._forecast(where, df, h, futr_df, static_df, dt_scale, known_as)
        point = found.mean if self.point == "mean" else None
        whole = self._ready(where).network.output.whole
        named = columns(found.values, levels, self.name, shares, point, whole)
        result = pd.DataFrame(table | {name: values.reshape(-1) for name, values in named.items()})
        return like(result, self._kind if df is None else kind_of(df))

    def update(self, df: Table) -> "Forecaster":
        """Take in new rows of the series trained on: they move the state that is carried, and nothing is trained.

        What is forecast afterwards follows the new rows, at the cost of a step each and not of a window: see
        `statespace.forecasting.live`, which also tells when a window is read again.

        Args:
            df: rows later than those that are known, of all series or some, with the columns of the training table.
                Of a multivariate forecaster, of all series up to one stamp.
        Returns:
            The forecaster itself.
        Raises:
            InputError: not fitted, a series is not known, or a row is not later than what is known.
        """
        where = "Forecaster.update"
        fitted = self._ready(where)
        rows, which = new_rows(where, fitted, df)
        if fitted.reader.together:
            expect_same_end(where, rows, fitted.reader.together)
        check_values(where, self, rows)
        if fitted.scaling.transforms:
            expect_positive(where, rows.values, rows.lengths, rows.ids, f"transform={self.transform!r}")
        advance(where, fitted, self.live(where), rows, which)
        history, scaling = appended(fitted.history, rows, which, fitted.network.input_size), fitted.scaling
        if (scaling.scale[which] == 0).any():  # a series that had been constant has a scale as soon as it moves
            own = scaling_of(where, self, history, scaling.log, scaling.power, scaling.scale)
            scaling, self._live = fitted.known_units(np.arange(len(history)), own), None
        self._fitted = replace(fitted, history=history, scaling=scaling)
        return self

    def live(self, where: str = "Forecaster.live") -> Live:
        """Return the states of the series trained on as they are carried from row to row."""
        fitted = self._ready(where)
        self._live = fitted.goes_on() if self._live is None else self._live
        return self._live

    def simulate(
        self,
        n_paths: int = 100,
        df: Table | None = None,
        h: int | None = None,
        futr_df: pd.DataFrame | None = None,
        static_df: pd.DataFrame | None = None,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Draw sample paths of the steps after the last of each series: what may come, the steps taken together.

        The steps of a path go together as the errors of the forecast did on the validation tail; see
        `statespace.forecasting.paths`.

        Args:
            n_paths: number of paths of each series.
            df: as in `predict`.
            h: as in `predict`.
            futr_df: as in `predict`.
            static_df: as in `predict`.
            seed: the same gives the same paths.
        Returns:
            A row for each series, path and step: the columns of `predict` with ``sample``, the number of the path.
        Raises:
            InputError: not fitted, or an argument cannot be used.
        """
        where = "Forecaster.simulate"
        expect_apart(where, self.columns, self.name, SAMPLE, with_target=False)
        table, found = self._forecast(where, df, h, futr_df, static_df, 1.0)
        fitted = self._ready(where)
        scaled = simulate(where, found.scaled, fitted.correlation, n_paths, seed)  # (series, paths, steps)
        paths = fitted.network.output.possible(torch.from_numpy(found.scaling.backward(scaled))).numpy()
        series, _, steps = paths.shape
        each = np.arange(series * steps).reshape(series, 1, steps).repeat(n_paths, 1).reshape(-1)
        number = np.arange(n_paths).repeat(steps)
        rows = pd.DataFrame(table).iloc[each].reset_index(drop=True)
        result = rows.assign(**{SAMPLE: np.tile(number, series), self.name: paths.reshape(-1)})
        return like(result, self._kind if df is None else kind_of(df))

    def _forecast(
        self,
        where: str,
        df: Table | None,
        h: int | None,
        futr_df: pd.DataFrame | None,
        static_df: pd.DataFrame | None,
        dt_scale: float,
        known_as: Mapping[Any, Any] | None = None,
    ) -> tuple[dict[str, Any], Quantiles]:
        """Forecast as `predict` does; return names and stamps of the rows as columns, and the quantiles."""
        fitted = self._ready(where)
        reader, history, scaling = fitted.reader, fitted.history, fitted.scaling
        if (
            isinstance(dt_scale, bool)
            or not isinstance(dt_scale, int | float | np.number)
            or not 0 < dt_scale < float("inf")
        ):
            raise InputError(f"{where}: dt_scale is {dt_scale!r}, but a positive number is expected.")
        dt_scale = float(dt_scale)
        steps = max(1, int(self.h / dt_scale + 1e-9)) if h is None else h
        if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
            raise InputError(f"{where}: h is {steps!r}, but a whole number from 1 on is expected.")
        number = np.arange(len(history))
        if df is not None:
            history = reader.panel(where, df, dt_scale)
            check_values(where, self, history)
            if reader.together:
                expect_alike(where, history.ids, reader.together, dt_scale)
            number = fitted.numbers(_names(where, history.ids, known_as, fitted.history.ids))
            own = scaling_of(where, self, history, scaling.log, scaling.power, scaling.scale)
            scaling = fitted.known_units(number, own)
            note_silent(where, history.tail(round(fitted.network.input_size / dt_scale)))
        elif known_as is not None:
            raise InputError(f"{where}: known_as is given without df: the series trained on are known.")
        elif dt_scale != 1:
            raise InputError(f"{where}: dt_scale is {dt_scale}, but df is missing: pass the history at that rate.")
        elif static_df is not None:
            raise InputError(f"{where}: static_df is given without df: that of the training series is known.")
        else:
            note_silent(where, history)
        ahead, stamps = reader.lead(where, history, futr_df, int(steps))
        z = scaling.forward_unseen(ahead.values, ahead.lengths)
        beside = reader.beside(where, ahead, z, static_df, None if df is not None else fitted.static)
        if df is None and self._live is not None:
            found = fitted.forecast_live(self._live, beside, int(steps))
        else:
            beside = beside._replace(number=torch.as_tensor(number))
            found = fitted.forecast(ahead, scaling, beside, int(steps), dt_scale)
        table = {
            self.id_col: pd.Series(history.ids).repeat(steps).to_numpy(),
            self.time_col: stamps[0] if len(stamps) == 1 else np.concatenate(stamps),
        }
        return table, found

    # ---------------------------------------------------------------------------------------------------- looking back

    def predict_insample(
        self,
        step_size: int = 1,
        level: Sequence[float] | float | None = None,
        quantiles: Sequence[float] | None = None,
    ) -> pd.DataFrame:
        """Forecast every window of the table that `fit` was given, as far as `h` steps came after it.

        How well a model fits what it was trained on says little of how well it forecasts: see `cross_validation`.

        Args:
            step_size: steps from one window to the next, counted from the end of each series.
            level: coverage of the intervals in percent; ``None`` for none.
            quantiles: probabilities whose quantiles are wanted as columns; ``None`` for none.
        Returns:
            A table like that of `cross_validation`.
        Raises:
            InputError: not fitted, loaded from a folder, which does not hold the table, or an option cannot be used.
        """
        where = "Forecaster.predict_insample"
        self._ready(where)
        if self._tables is None:
            raise InputError(f"{where}: a model from a folder has not kept what it was fitted on: call fit(df).")
        result = predict_insample(where, self, *self._tables, step_size, level=level, quantiles=quantiles)
        return like(result, self._kind, {CUTOFF: self.time_col})

    def cross_validation(
        self,
        df: Table,
        n_windows: int = 1,
        step_size: int | None = None,
        refit: bool | int = False,
        level: Sequence[float] | float | None = None,
        freq: str | int | None = None,
        h: int | None = None,
        quantiles: Sequence[float] | None = None,
        static_df: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Forecast the last windows of each series by new models that saw nothing after their cutoffs.

        This forecaster stays as it is, fitted or not. Covariates that are known beforehand are taken from the rows
        after the cutoff, and nothing else of these rows is used.

        Args:
            df: a row for each series and stamp, in any order, with the columns of the covariates.
            n_windows: windows of each series, counted from its end; a series takes part in those that leave it at
                least one step of history.
            step_size: steps from one window to the next; by default `h`, so that they do not overlap.
            refit: ``True`` to fit again for each window, ``False`` to fit once, before the first, and a whole number
                to fit again after so many windows.
            level: coverage of the intervals in percent, such as ``[80, 95]``; ``None`` for none.
            freq: distance between two stamps, as `fit` takes it; inferred if it can be.
            h: steps to forecast; by default the horizon that is trained.
            quantiles: probabilities whose quantiles are wanted as columns; ``None`` for none.
            static_df: a row for each series with the columns of ``stat_exog_list``.
        Returns:
            A row for each series, window and step with the columns ``unique_id``, ``ds``, ``cutoff`` (the last stamp
            that was known), ``S4D``, ``S4D-lo-80`` … and ``y``, NaN where nothing was observed.
        Raises:
            InputError: the table is too short for the windows, or it or an option cannot be used.
            KeyboardInterrupt: a training was interrupted.
        """
        where = "Forecaster.cross_validation"
        result = cross_validation(
            where,
            lambda: type(self)(**self.get_params()),
            df,
            n_windows,
            step_size,
            refit,
            freq,
            h,
            static_df,
            level=level,
            quantiles=quantiles,
        )
        return like(result, kind_of(df), {CUTOFF: self.time_col})

    # ------------------------------------------------------------------------------------------------------- storing

    def save(self, folder: Path | str) -> None:
        """Write the fitted model to a folder as plain data: ``model.json`` and ``weights.safetensors``.

        Args:
            folder: where to; it appears whole or not at all, and replaces a model that is there.
        Raises:
            InputError: not fitted, or the folder cannot be written.
        """
        fitted = self._ready("Forecaster.save")
        description, tensors = stored(fitted)
        if self._live is not None:
            tensors |= {f"live.{name}": part for name, part in self._live.state_dict().items()}
        outcome = None if self.outcome is None else _finite(self.outcome._asdict())
        write_model(
            "Forecaster.save",
            folder,
            "Forecaster",
            description
            | {
                "params": self.get_params() | fitted.made_with,
                "outcome": outcome,
                "chosen": self.chosen_,
                "trials": [_finite(trial._asdict()) for trial in self.trials_],
            },
            tensors,
        )

    @classmethod
    def load(cls, folder: Path | str) -> "Forecaster":
        """Read a model folder that `save` wrote; no code is run from it.

        Args:
            folder: the folder.
        Returns:
            The fitted forecaster, with the history it was fitted on.
        Raises:
            InputError: the folder is not there, not whole, was changed, or was made by another version.
        """
        description, tensors = read_model("Forecaster.load", folder, "Forecaster")
        try:
            fc = cls(**description["params"])
            calendar = listed(fc.calendar), listed(fc.holidays)
            made_with = {name: getattr(fc, name) for name in MADE_WITH}
            fc.chosen_ = description.get("chosen")
            fc.trials_ = tuple(Trial(**_infinite(trial)) for trial in description.get("trials", ()))
            fc._fitted = unstored(
                description, tensors, fc.columns, *calendar, made_with, partial(network_of, settled(fc, fc.chosen_))
            )
            if live := {n.removeprefix("live."): part for n, part in tensors.items() if n.startswith("live.")}:
                fc._live = fc._fitted.goes_on()
                fc._live.load_state_dict(live)
            if (outcome := description["outcome"]) is not None:
                fc.outcome = Outcome(**_infinite(outcome))
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise InputError(
                f"Forecaster.load: the model in {str(folder)!r} does not hold what a Forecaster needs "
                f"({type(error).__name__}): fit and save again."
            ) from error
        return fc
