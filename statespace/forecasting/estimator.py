"""`Forecaster`: fit on a long data frame, predict a long data frame, with the conventions that forecasters know."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from statespace.errors import InputError, choose
from statespace.forecasting.calendar import Freq
from statespace.forecasting.calendar import season_length as usual_season
from statespace.forecasting.conformal import calibrate
from statespace.forecasting.drift import persistence
from statespace.forecasting.levels import check_levels, columns
from statespace.forecasting.panel import Columns, Panel, panel
from statespace.forecasting.scaling import Scaling, wants_log
from statespace.forecasting.stamps import as_plain, from_plain
from statespace.layers import LAYERS
from statespace.layers.mixing import MIXINGS
from statespace.model_folder import read as read_model
from statespace.model_folder import write as write_model
from statespace.models import QuantileForecaster
from statespace.training import (
    ForecastModule,
    Outcome,
    WindowDataModule,
    WindowSource,
    fit,
    threads_for,
    usual_strength,
)

INTERVALS = ("quantile", "conformal")
TRANSFORMS = ("auto", "log", "none")
BATCH = 1024  # windows that are forecast at once

# After early stopping has said how long, training goes on for this share of the steps with the validation tail
# included: on short series the newest season is worth more than the best stop.
TAIL_SHARE = 0.3


def _whole(name: str, value: object, least: int, most: int = 2**31 - 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"Forecaster: {name} is {value!r}, but a whole number from {least} on is expected.")
    if value > most:
        raise InputError(f"Forecaster: {name} is {value!r}, but a whole number up to {most} is expected.")


def _note_silent(where: str, history: Panel) -> None:
    """Warn of series whose whole window is a gap."""
    each = zip(history.ids, np.split(history.values, history.lengths.cumsum()[:-1]), strict=True)
    silent = [str(name) for name, values in each if np.isnan(values).all()]
    if silent:
        shown = ", ".join(silent[:5]) + (" …" if len(silent) > 5 else "")
        warnings.warn(
            f"{where}: nothing was observed in the last {int(history.lengths.max())} steps of series {shown}: "
            "the forecast is NaN.",
            stacklevel=3,
        )


def _number(name: str, value: object, low: float, high: float, expected: str, include_low: bool = True) -> None:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not (low < value < high or (include_low and value == low)):  # type: ignore[operator]  # a number
        raise InputError(f"Forecaster: {name} is {value!r}, but {expected} is expected.")


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """Write the infinite loss of a training without validation as JSON can: null."""
    return {name: None if value == float("inf") else value for name, value in values.items()}


class Forecaster:
    """Forecast one series or thousands with one state space model, direct over the horizon, with intervals.

    Each window of `input_size` steps is normalised, run through a stack of state space layers, and mapped to
    quantiles of the next `h` steps; see `statespace.models.QuantileForecaster` for the equations. A missing value or
    row is a gap: nothing enters the state, which moves on.

    Args:
        h: horizon, in steps.
        input_size: steps of history in a window; by default three horizons or three seasons, whichever is more, and
            at most 512.
        layer: the layer of the backbone, a key of `statespace.layers.LAYERS`; the forecast's column is named after it.
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
        transform: ``"log"``, ``"none"``, or ``"auto"``: the logarithm if values are positive and their swings grow
            with their level.
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
    Raises:
        InputError: an argument is out of range or its name is not known.
    """

    def __init__(
        self,
        h: int,
        input_size: int | None = None,
        layer: str = "s4d",
        max_steps: int = 500,
        learning_rate: float = 2e-3,
        batch_size: int = 32,
        d_model: int = 32,
        n_layers: int = 2,
        d_state: int = 32,
        mixing: str = "auto",
        dropout: float = 0.1,
        weight_decay: float = 0.01,
        augmentation: float | None = None,
        season_length: int | None = None,
        transform: str = "auto",
        val_size: int | None = None,
        val_check_steps: int = 20,
        early_stop_patience_steps: int = 10,
        intervals: str = "quantile",
        random_seed: int = 0,
        accelerator: str = "auto",
        id_col: str = "unique_id",
        time_col: str = "ds",
        target_col: str = "y",
        verbose: bool = True,
    ) -> None:
        self._params = {name: value for name, value in locals().items() if name != "self"}
        _whole("h", h, 1)
        for name in ("max_steps", "batch_size", "d_model", "n_layers", "d_state", "val_check_steps"):
            _whole(name, self._params[name], 1)
        for name, least in {"input_size": 1, "season_length": 1, "val_size": 0}.items():
            if self._params[name] is not None:
                _whole(name, self._params[name], least)
        _whole("early_stop_patience_steps", early_stop_patience_steps, -1)
        _whole("random_seed", random_seed, 0, 2**63 - 1)
        choose("Forecaster", "layer", layer, LAYERS)
        choose("Forecaster", "mixing", mixing, ("auto", *MIXINGS))
        choose("Forecaster", "transform", transform, TRANSFORMS)
        choose("Forecaster", "intervals", intervals, INTERVALS)
        infinity = float("inf")
        _number("learning_rate", learning_rate, 0, infinity, "a positive number", include_low=False)
        _number("dropout", dropout, 0, 1, "a probability in [0, 1)")
        _number("weight_decay", weight_decay, 0, infinity, "a number from 0 on")
        if augmentation is not None:
            _number("augmentation", augmentation, 0, infinity, "a number from 0 on, or None,")
        self.h, self.input_size, self.layer = h, input_size, layer
        self.transform, self.intervals, self.val_size = transform, intervals, val_size
        self.max_steps, self.batch_size = max_steps, batch_size
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.season_length, self.random_seed, self.accelerator = season_length, random_seed, accelerator
        self.val_check_steps, self.early_stop_patience_steps = val_check_steps, early_stop_patience_steps
        for option, column in {"id_col": id_col, "time_col": time_col}.items():
            if column == self.name or str(column).startswith((f"{self.name}-lo-", f"{self.name}-hi-")):
                raise InputError(
                    f"Forecaster: {option} is {column!r}, which is also a column of the forecast: rename that column."
                )
        self.columns = Columns(id_col, time_col, target_col)
        self.verbose = verbose
        self._model: QuantileForecaster | None = None
        self._history: Panel | None = None
        self._scaling: Scaling | None = None
        self.outcome: Outcome | None = None

    @property
    def name(self) -> str:
        """Name of the forecast's column."""
        return self.layer.upper()

    @property
    def freq(self) -> Freq:
        """Distance between two stamps, as given to `fit` or inferred."""
        return self._fitted("Forecaster.freq")[1].freq

    @property
    def season(self) -> int:
        """Steps in a season: as given, or what is usual for the frequency."""
        return self.season_length or usual_season(self.freq)

    def __repr__(self) -> str:
        fitted = "fitted" if self._model is not None else "not fitted"
        return f"Forecaster(h={self.h}, input_size={self.input_size}, layer={self.layer!r}): {fitted}"

    # ------------------------------------------------------------------------------------------------------- fitting

    def fit(self, df: pd.DataFrame, freq: str | int | None = None) -> "Forecaster":
        """Train on all series of a long data frame.

        Args:
            df: a row for each series and stamp, in any order.
            freq: distance between two stamps, an alias of pandas or a whole number; inferred if it can be.
        Returns:
            The forecaster itself.
        Raises:
            InputError: the table or `freq` cannot be used, or every series is too short.
        """
        where = "Forecaster.fit"
        series = panel(where, df, self.columns, freq)
        longest = int(series.lengths.max())
        if longest < self.h + 1:
            raise InputError(
                f"{where}: the longest series has {longest} steps, but h={self.h} needs at least {self.h + 1}: "
                "pass a longer series, or a smaller h."
            )
        season = self.season_length or usual_season(series.freq)
        size = self.input_size or min(512, max(3 * self.h, 3 * season))
        log = self.transform == "log" or (
            self.transform == "auto" and wants_log(series.values, series.lengths, max(season, 4))
        )
        scaling = Scaling.of(where, series.values, series.lengths, log, series.ids)
        scaled = scaling.forward(series.values, series.lengths)
        drift = persistence(scaled, series.lengths, season, size)
        z, lengths = torch.as_tensor(scaled, dtype=torch.float32), torch.as_tensor(series.lengths)
        with torch.random.fork_rng(devices=[]), threads_for(self.batch_size * size * self._params["d_model"]):
            torch.manual_seed(self.random_seed)
            model = QuantileForecaster(
                self.h,
                size,
                self.layer,
                self._params["d_model"],
                self._params["n_layers"],
                self._params["d_state"],
                self._params["mixing"],
                self._params["dropout"],
                season,
                drift,
            )
            self.outcome = self._train(where, series, WindowSource(z, lengths, size, self.h), lengths, model)
        self._model, self._scaling, self._history = model.eval(), scaling, series.tail(size)
        _note_silent(where, self._history)
        return self

    def _train(
        self, where: str, series: Panel, source: WindowSource, lengths: torch.Tensor, model: QuantileForecaster
    ) -> Outcome | None:
        """Train `model` with early stopping, then with the validation tail; return how it went."""
        if np.isnan(series.values).all():
            return None
        val_size = self.val_size
        if val_size is None:
            val_size = max(self.h, int(np.median(series.lengths)) // 10)
        data = WindowDataModule(source, lengths, val_size, self.batch_size, self.random_seed)
        if len(data.train[0]) == 0:
            raise InputError(
                f"{where}: no stretch of the series has observed values both in its past and in the {self.h} steps "
                f"after: fill some of the gaps, pass a smaller h, or check the freq, {series.freq!r}."
            )
        has_validation = len(data.val[0]) > 0
        asked = self._params["augmentation"]
        strength = usual_strength(len(data.train[0])) if asked is None else asked

        def run(data: WindowDataModule, steps: int, peak: float, validate: bool, title: str) -> Outcome:
            return fit(
                ForecastModule(model, peak, self.weight_decay, steps, strength),
                data,
                max_steps=steps,
                has_validation=validate,
                check_every=self.val_check_steps,
                patience=self.early_stop_patience_steps,
                accelerator=self.accelerator,
                title=title,
                verbose=self.verbose,
            )

        outcome = run(data, self.max_steps, self.learning_rate, has_validation, "fit")
        if has_validation and self.intervals == "conformal":
            calibrate(model.eval(), source.cut(*data.val))
        more = int(TAIL_SHARE * outcome.best_step)
        if has_validation and more and not outcome.interrupted:
            tail = WindowDataModule(source, lengths, 0, self.batch_size, self.random_seed + 1)
            last = run(tail, more, self.learning_rate / 2, False, "fit on the tail")
            outcome = outcome._replace(steps=outcome.steps + last.steps, interrupted=last.interrupted)
        return outcome

    # ---------------------------------------------------------------------------------------------------- predicting

    def _fitted(self, where: str) -> tuple[QuantileForecaster, Panel, Scaling]:
        if self._model is None or self._history is None or self._scaling is None:
            raise InputError(f"{where}: this Forecaster is not fitted: call fit(df) first, or Forecaster.load(folder).")
        return self._model, self._history, self._scaling

    def predict(
        self, df: pd.DataFrame | None = None, h: int | None = None, level: Sequence[float] | float | None = None
    ) -> pd.DataFrame:
        """Forecast the steps after the last of each series.

        Args:
            df: history to forecast from, of the series trained on or of others; by default what `fit` was given.
            h: number of steps; by default the trained horizon. Beyond it, the median is fed back as if observed.
            level: coverage of the intervals in percent, from 1 to 99, such as ``[80, 95]``; ``None`` for none.
        Returns:
            A row for each series and step with the columns of the training table and ``S4D``, ``S4D-lo-80``,
            ``S4D-hi-80`` …, named after the layer.
        Raises:
            InputError: not fitted, or `df`, `h` or `level` cannot be used.
        """
        where = "Forecaster.predict"
        model, history, scaling = self._fitted(where)
        steps = self.h if h is None else h
        if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
            raise InputError(f"{where}: h is {steps!r}, but a whole number from 1 on is expected.")
        levels = check_levels(where, level)
        if df is not None:
            history = panel(where, df, self.columns, history.freq)
            scaling = Scaling.of(where, history.values, history.lengths, scaling.log, history.ids)
            _note_silent(where, history.tail(model.input_size))
        quantiles = scaling.backward(self._quantiles(model, history, scaling, int(steps)))
        stamps = history.stamps_after(int(steps))
        table: dict[str, Any] = {
            self.columns.id: pd.Series(history.ids).repeat(steps).to_numpy(),
            self.columns.time: stamps[0] if len(stamps) == 1 else np.concatenate(stamps),
        }
        table |= {name: values.reshape(-1) for name, values in columns(quantiles, levels, self.name).items()}
        return pd.DataFrame(table)

    def _quantiles(self, model: QuantileForecaster, history: Panel, scaling: Scaling, steps: int) -> np.ndarray:
        """Forecast the scaled quantiles, ``(series, steps, quantiles)``; NaN for a series without observations."""
        z = torch.as_tensor(scaling.forward(history.values, history.lengths), dtype=torch.float32)
        source = WindowSource(z, torch.as_tensor(history.lengths), model.input_size, 0)
        parts = []
        work = min(len(history), BATCH) * model.input_size * self._params["d_model"]
        with torch.inference_mode(), threads_for(work):
            for series in torch.arange(len(history)).split(BATCH):
                window = source.cut(series, source.ends[series])
                part = model.extend(window.x, window.x_observed, steps)
                part[window.x_observed.sum(1) == 0] = torch.nan
                parts.append(part)
        return torch.cat(parts).double().numpy()

    # ------------------------------------------------------------------------------------------------------- storing

    def save(self, folder: Path | str) -> None:
        """Write the fitted model to a folder as plain data: ``model.json`` and ``weights.safetensors``.

        Args:
            folder: where to; it appears whole or not at all, and replaces a model that is there.
        Raises:
            InputError: not fitted, or the folder cannot be written.
        """
        model, history, scaling = self._fitted("Forecaster.save")
        tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
        tensors |= {
            "history.values": torch.as_tensor(history.values),
            "history.lengths": torch.as_tensor(history.lengths),
            "scaling.location": torch.as_tensor(scaling.location),
            "scaling.scale": torch.as_tensor(scaling.scale),
        }
        write_model(
            "Forecaster.save",
            folder,
            "Forecaster",
            {
                "params": self._params,
                "input_size": model.input_size,
                "log": scaling.log,
                "freq": history.freq,
                "ids": as_plain(history.ids),
                "last": as_plain(history.last),
                "outcome": None if self.outcome is None else _finite(self.outcome._asdict()),
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
            own = fc._params
            model = QuantileForecaster(
                fc.h,
                description["input_size"],
                fc.layer,
                own["d_model"],
                own["n_layers"],
                own["d_state"],
                own["mixing"],
            )
            model.load_state_dict(
                {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
            )
            fc._model = model.eval()
            fc._history = Panel(
                description["ids"],
                tensors["history.values"].numpy(),
                tensors["history.lengths"].numpy(),
                from_plain(description["last"]),
                description["freq"],
            )
            location, scale = tensors["scaling.location"].numpy(), tensors["scaling.scale"].numpy()
            fc._scaling = Scaling(description["log"], location, scale)
            if (outcome := description["outcome"]) is not None:
                best = float("inf") if outcome["best_loss"] is None else outcome["best_loss"]
                fc.outcome = Outcome(**outcome | {"best_loss": best})
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise InputError(
                f"Forecaster.load: the model in {str(folder)!r} does not hold what a Forecaster needs "
                f"({type(error).__name__}): fit and save again."
            ) from error
        return fc
