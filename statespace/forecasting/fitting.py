"""How a table becomes a fitted forecaster: read, scaled, begun at smoothing, searched where asked, and trained."""

import warnings
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from statespace.datasets.frames import Table
from statespace.errors import InputError
from statespace.forecasting.boxcox import best_power
from statespace.forecasting.calendar import IRREGULAR, Freq, week_length
from statespace.forecasting.calendar import season_length as usual_season
from statespace.forecasting.drift import persistence, typical_change
from statespace.forecasting.effects import effects
from statespace.forecasting.fitted import Fitted
from statespace.forecasting.inference import NoGridError
from statespace.forecasting.intermittent import note_zeros
from statespace.forecasting.options import AUTO, LISTS, listed
from statespace.forecasting.panel import Panel
from statespace.forecasting.partitioned import read_panel
from statespace.forecasting.reader import Reader
from statespace.forecasting.scaling import Scaling, expect_positive, wants_log
from statespace.forecasting.search import SEARCHED, Trial, search
from statespace.forecasting.smoothing import Start, smoothed
from statespace.forecasting.static import Static
from statespace.forecasting.together import expect_all
from statespace.forecasting.training import train
from statespace.layers import LAYERS
from statespace.models import OUTPUTS, ForecastNetwork
from statespace.training import Beside, Outcome, Stages, WindowSource, fingerprint, threads_for

if TYPE_CHECKING:
    from statespace.forecasting.estimator import Forecaster
    from statespace.training import WindowDataModule

FEATURES = 1024  # of random systems in the linear path, where there are enough windows to fit their weights
ENOUGH = 5000  # windows
MOST_STEPS = 512  # of a window, by default
MADE_WITH = (
    *("h", "layer", "d_model", "n_layers", "d_state", "mixing", "distribution", "scaler_type"),
    *("futr_exog_list", "hist_exog_list", "stat_exog_list", "calendar", "holidays", "weight_col", "multivariate"),
    *("id_col", "time_col", "target_col"),
)  # arguments that a network and the tables it reads cannot do without


class Found(NamedTuple):
    """What a fit came to.

    Attributes:
        fitted: what forecasts.
        outcome: how the training went; None where there was nothing to train on.
        chosen: the arguments that ``layer="auto"`` stands for; None for another layer.
        trials: what was tried to find them.
        stages: what was kept of it on the way.
    """

    fitted: Fitted
    outcome: Outcome | None
    chosen: dict[str, Any] | None
    trials: tuple[Trial, ...]
    stages: Stages


def fit(
    where: str,
    how: "Forecaster",
    df: Table,
    freq: str | int | None = None,
    static_df: pd.DataFrame | None = None,
    before: Fitted | None = None,
    checkpoint: Path | str | None = None,
) -> Found:
    """Fit on a table.

    Args:
        where: name of the caller, for messages.
        how: the forecaster, whose parameters say how.
        df: the table.
        freq: distance between two stamps; None to infer it.
        static_df: a row for each series.
        before: what to go on from; None to begin anew.
        checkpoint: a folder of its own that the training is kept in.
    Returns:
        What the fit came to; the forecaster stays as it is.
    Raises:
        InputError: a table or `freq` cannot be used, every series is too short, or `checkpoint` is of another fit.
    """
    if before is not None:
        _expect_same(where, how, before, freq)
    series = read_series(where, how, df, freq if before is None else before.reader.freq)
    longest = int(series.lengths.max())
    if longest < how.h + 1:
        raise InputError(
            f"{where}: the longest series has {longest} steps, but h={how.h} needs at least {how.h + 1}: "
            "pass a longer series, or a smaller h."
        )
    season = how.season_length or usual_season(series.freq)
    size = before.network.input_size if before is not None else how.input_size or _usual_size(how.h, series, season)
    reader = _reader(where, how, series, static_df) if before is None else before.reader
    if before is not None and reader.together:
        expect_all(where, series.ids, reader.together)
    series = replace(series, step=reader.step)
    check_values(where, how, series)
    if how.distribution == "quantile":
        note_zeros(where, series.values, season)
    scaling = _scaling(where, how, series, season)
    scaled = scaling.forward(series.values, series.lengths)
    drift = persistence(scaled, series.lengths, season, size)
    beside = reader.beside(where, series, scaled, static_df)._replace(number=torch.arange(len(series)))
    if how.point == "median":  # is judged by absolute errors, in which hard series shall not rule over the others
        beside = beside._replace(unit=torch.as_tensor(typical_change(scaled, series.lengths, season)))
    z, lengths = torch.as_tensor(scaled, dtype=torch.float32), torch.as_tensor(series.lengths)
    stages = _stages(where, how, checkpoint, series.freq, (z, lengths, *beside), before)
    with torch.random.fork_rng(devices=[]), threads_for(how.batch_size * size * how.d_model):
        torch.manual_seed(how.random_seed)
        windows = int(np.maximum(series.lengths - size - how.h, 0).sum())
        # Counts and amounts are trained by gradient alone, which does not fit so many weights.
        closed = series.ticks is None and not OUTPUTS[how.distribution]().positive
        features = FEATURES if closed and windows >= ENOUGH else 0
        source = WindowSource(z, lengths, size, how.h, beside)
        data = _windows(where, how, series, source, lengths)
        start = None
        if series.ticks is None:
            start = _start(how, scaled, series.lengths, season, size, beside, closed, before is not None)

        def made(of: "Forecaster") -> ForecastNetwork:
            network = network_of(of, size, series.ticks is None, features, reader, 0, season, drift)
            if start is not None:
                network.begin_at(*(torch.as_tensor(part) for part in start[:3]))
            return network

        chosen, trials = (None, ()) if before is None else (how.chosen_, how.trials_)
        if how.layer == AUTO and before is None and data is not None:
            chosen, trials = search(how, made, data, series.ticks is not None, stages)
            torch.manual_seed(how.random_seed)
        plain = settled(how, chosen)
        network = made(plain) if before is None else _gone_on(before, start, series)
        if closed and network.linear is not None:
            network.linear.belong_to(len(series))
        outcome, correlation = None, np.eye(how.h)
        if data is not None:
            outcome, correlation = train(network, data, lengths, plain, stages)
    history, static = series.tail(network.input_size), (beside.static, beside.codes)
    made_with = {name: getattr(how, name) for name in MADE_WITH}
    fitted = Fitted(network.eval(), reader, history, static, scaling, correlation, made_with)
    return Found(fitted, outcome, chosen, trials, stages)


def read_series(where: str, how: "Forecaster", df: Table, freq: str | int | None) -> Panel:
    """Put the series on their grid, or on none where no frequency fits and the layer knows of time."""
    try:
        return read_panel(where, df, how.columns, freq)
    except NoGridError:
        if freq is not None or not _knows_time(how):
            raise
        series = read_panel(where, df, how.columns, IRREGULAR)
        warnings.warn(
            f"{where}: the stamps lie on no grid, so each row is taken at its own time; freq={IRREGULAR!r} says so "
            "without this note.",
            stacklevel=5,
        )
        return series


def check_values(where: str, how: "Forecaster", series: Panel) -> None:
    """Refuse values that the distribution does not know."""
    output = OUTPUTS[how.distribution]()
    for name, values in zip(series.ids, np.split(series.values, series.lengths.cumsum()[:-1]), strict=True):
        output.check(where, name, values)


def scaling_of(
    where: str, how: "Forecaster", series: Panel, log: bool, power: float | None, others: np.ndarray | None = None
) -> Scaling:
    """Return how series come to a common scale; counts and amounts are kept, since their zero means something."""
    if OUTPUTS[how.distribution]().positive:
        return Scaling.of(where, series.values, series.lengths, False, series.ids, "none")
    return Scaling.of(where, series.values, series.lengths, log, series.ids, how.local_scaler_type, power, others)


def network_of(
    how: "Forecaster",
    size: int,
    linear: bool,
    features: int,
    reader: Reader,
    series: int,
    season: int = 1,
    drift: float = 0.0,
) -> ForecastNetwork:
    """Return the network of a forecaster, untrained."""
    return ForecastNetwork(
        how.h,
        size,
        how.layer,
        how.d_model,
        how.n_layers,
        how.d_state,
        how.mixing,
        how.dropout,
        season,
        drift,
        OUTPUTS[how.distribution](),
        how.scaler_type,
        linear=linear,
        features=features,
        series=series,
        **reader.sizes,
    )


def settled(how: "Forecaster", chosen: dict[str, Any] | None) -> "Forecaster":
    """Return the forecaster whose arguments say what the network is: this one, or what a search has chosen."""
    if how.layer != AUTO:
        return how
    # Where nothing was observed there was nothing to search by.
    return type(how)(**how.get_params() | {"alias": how.name, "layer": SEARCHED[0]} | (chosen or {}))


def _knows_time(how: "Forecaster") -> bool:
    """Whether the layer takes the time between samples; a search finds one that does."""
    return how.layer == AUTO or LAYERS[how.layer].capabilities.irregular


def _expect_same(where: str, how: "Forecaster", before: Fitted, freq: str | int | None) -> None:
    """Expect that training can go on from what was fitted before."""
    for name, value in before.made_with.items():
        if (now := getattr(how, name)) != value:
            raise InputError(
                f"{where}: warm_start goes on with a network of {name}={value!r}, but {name} is {now!r} now: set "
                "it back, or fit without warm_start."
            )
    if freq is not None and freq != before.reader.freq:
        raise InputError(
            f"{where}: warm_start goes on at freq {before.reader.freq!r}, but freq is {freq!r}: leave it out, or "
            "fit without warm_start."
        )


def _usual_size(h: int, series: Panel, season: int) -> int:
    """Return the length of a window: it sees a week of hours where the series are long enough to learn from it."""
    week = week_length(series.freq)
    if week > MOST_STEPS or np.median(series.lengths) < 3 * week:
        week = 1
    size = min(MOST_STEPS, max(3 * h, 3 * season, week))
    # One whole window with its horizon is left to learn from, unless it would see less than two seasons.
    return max(min(size, 2 * season), min(size, int(np.median(series.lengths)) - h))


def _reader(where: str, how: "Forecaster", series: Panel, static_df: pd.DataFrame | None) -> Reader:
    if series.ticks is not None and not _knows_time(how):
        raise InputError(
            f"{where}: freq is {series.freq!r}, but layer {how.layer!r} knows no time between samples: choose one "
            "such as 's4d', 's5' or 's6', or put the stamps on a grid."
        )
    static = Static.of(where, static_df, how.id_col, listed(how.stat_exog_list), series.ids)
    if series.ticks is not None and how.multivariate:
        raise InputError(
            f"{where}: freq is {series.freq!r}, but with multivariate=True the series are to share their stamps: "
            "put them on a grid, or forecast each alone."
        )
    reader = Reader.of(how.columns, series, listed(how.calendar), listed(how.holidays), static)
    return replace(reader, together=tuple(series.ids)) if how.multivariate else reader


def _scaling(where: str, how: "Forecaster", series: Panel, season: int) -> Scaling:
    """Return the transform and the scales of the series to fit."""
    log = how.transform == "log" or (
        how.transform == "auto" and wants_log(series.values, series.lengths, max(season, 4))
    )
    power = None
    if how.transform == "boxcox":
        expect_positive(where, series.values, series.lengths, series.ids, "transform='boxcox'")
        power = best_power(series.values, series.lengths)
    return scaling_of(where, how, series, log, power)


def _stages(
    where: str,
    how: "Forecaster",
    checkpoint: Path | str | None,
    freq: Freq,
    data: Sequence[torch.Tensor | None],
    before: Fitted | None,
) -> Stages:
    """Return what keeps a training on these data, in the folder `checkpoint` if there is one."""
    if checkpoint is None:
        return Stages(where)
    told = {name: listed(value) if name in LISTS else value for name, value in how.get_params().items()}
    begun = () if before is None else before.network.state_dict().values()
    return Stages(where, Path(checkpoint), fingerprint((freq, told | {"verbose": None}), (*data, *begun)))


def _windows(
    where: str, how: "Forecaster", series: Panel, source: WindowSource, lengths: torch.Tensor
) -> "WindowDataModule | None":
    """Return the windows to train on, and those of the validation tail; ``None`` where nothing was observed."""
    if np.isnan(series.values).all():
        return None
    val_size = how.val_size
    if val_size is None:
        val_size = max(how.h, int(np.median(series.lengths)) // 10)
    from statespace.training import WindowDataModule

    data = WindowDataModule(source, lengths, val_size, how.batch_size, how.random_seed)
    if len(data.train[0]) == 0:
        if (nearest := series.nearest) > 1:
            raise InputError(
                f"{where}: at freq {series.freq!r} no two values are neighbours, the nearest are {nearest} steps "
                "apart: pass the freq of the stamps."
            )
        raise InputError(
            f"{where}: no stretch of the series has observed values both in its past and in the {how.h} steps "
            f"after: fill some of the gaps, pass a smaller h, or check the freq, {series.freq!r}"
            + ("." if how.weight_col is None else f", or the weights in column {how.weight_col!r}.")
        )
    return data


def _start(
    how: "Forecaster",
    scaled: np.ndarray,
    lengths: np.ndarray,
    season: int,
    size: int,
    beside: Beside,
    closed: bool,
    goes_on: bool,
) -> Start | None:
    """Return what the forecast starts from; of a network that goes on, what covariates add alone."""
    # What does not count as a target is not fitted to.
    counts = scaled if beside.weight is None else np.where(beside.weight.numpy() > 0, scaled, np.nan)
    futr = beside.futr.nan_to_num(0.0).double().numpy() if closed and beside.futr is not None else None
    if goes_on and futr is None:
        return None
    start = smoothed(counts, lengths, season, size, how.h, how.scaler_type, futr)
    if start is None or futr is None:
        return start
    return start._replace(effect=effects(start, counts, lengths, futr))


def _gone_on(before: Fitted, start: Start | None, series: Panel) -> ForecastNetwork:
    """Return the network that was fitted before, with what covariates add to these series."""
    network = deepcopy(before.network)  # what fails leaves it as it was
    if start is not None and start.effect.any():
        network.effect = torch.as_tensor(start.effect).to(network.effect)
    elif len(network.effect) > 1:  # too little is told: each is taken as it was
        known = torch.as_tensor(before.numbers(series.ids)) + 1
        network.effect = network.effect[torch.cat([torch.zeros(1, dtype=known.dtype), known])]
    return network
