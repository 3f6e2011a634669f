"""How a forecaster is trained: its linear path in closed form, and what is left, with the spread, by gradient.

1. The linear path is fitted on the windows before the validation tail, with penalties from blocked cross-validation,
   and stays as it is: a large penalty leaves it at exponential smoothing, where the data say no more. Of several
   series each may get a part of its own, drawn to what they have in common; where they inform each other, what the
   others say of its errors is fitted in the same way.
2. The network learns what is left, and how wide the quantiles are, with early stopping on the tail.
3. What it adds to the linear path is shrunk by the factor that serves the tail best, and like what it says of the
   spread the more the fewer horizons the tail holds.
4. Both go on with the tail included: on short series the newest season is worth more than the best stop. What the
   network had added to make up for a path that did not know the tail is shrunk once more.

An output of counts or amounts is trained by gradient alone, from exponential smoothing on.
"""

from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from statespace.forecasting.conformal import calibrate
from statespace.forecasting.late_windows import widen
from statespace.forecasting.paths import copula
from statespace.models import ForecastNetwork
from statespace.models.instance_norm import normalise
from statespace.models.linear_path import FEATURES, LEVEL, LinearPath
from statespace.models.outputs.levels import normal_score
from statespace.training import Outcome, Stages, Windows, WindowSource, usual_strength
from statespace.training.across_readout import fit_across
from statespace.training.closed_form import Choice, Origins, fit_readout
from statespace.training.own_readout import fit_own

if TYPE_CHECKING:
    from statespace.forecasting.estimator import Forecaster
    from statespace.training import WindowDataModule

TAIL_SHARE = 0.3  # of the steps up to the best one, that are trained again with the tail
MOST_HELD_OUT = 4096  # windows that intervals and paths are fitted to; more would tell little and take memory
MOST_WINDOWS = 60_000  # that the linear path is fitted to; more would tell little
_DOUBT = 2.0  # horizons in which the network is taken to have found nothing, beside those that are held out
_BLOCKS = 5  # stretches of time that are left out in turn


class Chosen(NamedTuple):
    """Penalties of what is fitted in closed form.

    Attributes:
        common: of what the series have in common; None before it was fitted.
        own: of what each has of its own; None where there is no such part.
        across: of what the others say of each; None where they say nothing.
    """

    common: Choice | None = None
    own: Tensor | None = None
    across: list[float] | None = None


def _blocks(source: WindowSource, origins: Origins) -> tuple[list[Origins], Origins]:
    """Return windows of each stretch of time, and those with targets in two of them."""
    series, position = origins
    rank = (position - source.starts[series]).double()
    count = len(source.starts)
    first = torch.full((count,), torch.inf, dtype=torch.float64).scatter_reduce(0, series, rank, "amin")[series]
    last = torch.zeros(count, dtype=torch.float64).scatter_reduce(0, series, rank, "amax")[series] + source.h
    width = (last - first) / _BLOCKS
    block = ((rank - first) / width).long().clamp(max=_BLOCKS - 1)
    crosses = ((rank + source.h - 1 - first) / width).long().clamp(max=_BLOCKS - 1) != block
    parts = [(block == number) & ~crosses for number in range(_BLOCKS)]
    return [(series[part], position[part]) for part in parts], (series[crosses], position[crosses])


def _some(blocks: list[Origins], between: Origins, seed: int) -> tuple[list[Origins], Origins]:
    """Return as many of the windows as the common path is fitted to."""
    sizes = [len(series) for series, _ in (*blocks, between)]
    kept = torch.zeros(sum(sizes), dtype=torch.bool)
    kept[torch.randperm(len(kept), generator=torch.Generator().manual_seed(seed))[:MOST_WINDOWS]] = True
    *parts, last = (
        (series[here], position[here])
        for (series, position), here in zip((*blocks, between), kept.split(sizes), strict=True)
    )
    return parts, last


def fit_linear(
    network: ForecastNetwork,
    linear: LinearPath,
    data: "WindowDataModule",
    verbose: bool,
    stages: Stages,
    stage: str,
    before: Chosen | None = None,
) -> Chosen:
    """Fit what is in a straight line in closed form, from where it is, unless that was done before a kill.

    Args:
        network: the network; what its series say of each other is changed.
        linear: its linear path, which is changed.
        data: the windows.
        verbose: whether to show a progress bar.
        stages: what is kept of the training, and gone on from.
        stage: name of this one.
        before: what was chosen before, to be taken again.
    Returns:
        What was chosen.
    """
    if (kept := stages.recall(stage, network)) is not None:
        common, own, across = kept
        return Chosen(None if common is None else Choice(*common), own, across)
    common, own, across = before or Chosen()
    whole = data.source.without(network.effect)
    source = whole.bare()
    blocks, between = _blocks(source, data.train)
    fresh = not bool(linear.weight[:, linear.groups == FEATURES].any())
    # Weights that are there belong to the features as they are.
    if linear.bank is not None and fresh and common is None:
        some = torch.linspace(0, len(data.train[0]) - 1, min(2000, len(data.train[0]))).long()
        past = source.cut(*(part[some] for part in data.train)).past
        linear.bank.standardise(normalise(past.x, past.observed, network.scaler).x)
    fewer = _some(blocks, between, data.seed)
    found = fit_readout(
        linear,
        lambda _, window: linear.known(window),
        linear.groups,
        source,
        *fewer,
        (LEVEL,),
        network.scaler,
        common,
        [F.pad(start, (0, linear.in_features - linear.input_size)) for start in linear.starts[1:]],
    )
    if len(linear.own):
        own = fit_own(linear, source, blocks, between, found, network.scaler, own, verbose)
    if network.across is not None:
        drawn = [float("inf")] * network.across.series if own is None else own.tolist()
        across = fit_across(network.across, linear, whole, *fewer, found, drawn, network.scaler, across)
    stages.keep(stage, network, (tuple(found.choice), own, across))
    return Chosen(found.choice, own, across)


def _spread(origins: Origins) -> Origins:
    """Return so many of the windows as are held out, of all series alike."""
    series, position = origins
    chosen = torch.linspace(0, len(series) - 1, min(MOST_HELD_OUT, len(series)), dtype=torch.float64).round().long()
    return series[chosen], position[chosen]


@torch.no_grad()
def _correlation(network: ForecastNetwork, windows: Windows) -> np.ndarray:
    """Return how the errors of a forecast go together over the horizon, from held-out windows."""
    y = windows.y.masked_fill(windows.y_observed == 0, torch.nan)
    return copula(normal_score(network(windows.past).quantiles, y).double().numpy())


def _stretches(origins: Origins, h: int) -> float:
    """Return how many horizons the targets of windows fill, of all series together: what overlaps says the same."""
    series, position = origins
    each = series.unique()
    first, last = (
        torch.zeros(int(each.max()) + 1, dtype=position.dtype).scatter_reduce(
            0, series, position, how, include_self=False
        )
        for how in ("amin", "amax")
    )
    return float(((last - first)[each] / h + 1).sum())


@torch.no_grad()
def _share(network: ForecastNetwork, linear: LinearPath, windows: Windows) -> float:
    """Return the share of what the network adds to the linear path that serves held-out windows best, 0 to 1."""
    raw = network.raw(windows.past)
    window = normalise(network.bare(windows.past), windows.past.observed, network.scaler)
    straight = network.straight(linear, window, windows.past)
    added = raw.raw[..., 0] - straight
    left = (windows.y - raw.location) / raw.scale - straight
    counts = (windows.weight > 0).to(added.dtype)
    square = float((added.square() * counts).sum())
    return min(1.0, max(0.0, float((added * left * counts).sum()) / square)) if square > 0 else 1.0


@torch.no_grad()
def _shrink(network: ForecastNetwork, share: float, trust: float) -> None:
    """Keep a share of what the network adds to the linear path, and one of what it says of the spread."""
    kept = torch.tensor([share] + [trust] * (len(network.head.bias) - 1))
    network.head.weight.mul_(kept[:, None].to(network.head.weight))
    network.head.bias.mul_(kept.to(network.head.bias))


def strength_of(how: "Forecaster", data: "WindowDataModule") -> float:
    """Return the strength of the augmentation: as given, or what is usual for so many windows."""
    return usual_strength(len(data.train[0])) if how.augmentation is None else how.augmentation


def train(
    network: ForecastNetwork, data: "WindowDataModule", lengths: Tensor, how: "Forecaster", stages: Stages
) -> tuple[Outcome, np.ndarray]:
    """Train a forecaster.

    Args:
        network: it is changed.
        data: windows to train on, and of the tail.
        lengths: of the series, ``(series,)``.
        how: the forecaster, whose parameters say how.
        stages: what is kept of it on the way, and gone on from.
    Returns:
        How it went, and the correlation of errors over the horizon on the tail.
    """
    from statespace.training import ForecastModule, WindowDataModule, fit

    network.wider.fill_(1.0)
    source, has_validation = data.source, len(data.val[0]) > 0
    strength = strength_of(how, data)
    linear = None if network.output.positive else network.linear
    chosen = Chosen()
    start = None if linear is None else (linear.weight.detach().clone(), linear.bias.detach().clone())
    warm = linear is not None and not torch.equal(linear.weight[:, : linear.input_size], linear.starts[0])
    if linear is not None:
        chosen = fit_linear(network, linear, data, how.verbose, stages, "linear path")
        linear.requires_grad_(False)

    def run(data: "WindowDataModule", steps: int, peak: float, validate: bool, title: str) -> Outcome:
        if (found := stages.recall(title, network)) is not None:
            return Outcome(*found)
        kept = stages.checkpoint(title, None if validate else how.val_check_steps)
        outcome = fit(
            ForecastModule(network, peak, how.weight_decay, steps, strength),
            data,
            max_steps=steps,
            has_validation=validate,
            check_every=how.val_check_steps,
            patience=how.early_stop_patience_steps,
            accelerator=how.accelerator,
            devices=how.devices,
            strategy=how.strategy,
            title=title,
            verbose=how.verbose,
            callbacks=[kept] if kept else [],
            resume_from=kept.found if kept else None,
        )
        if outcome.interrupted:
            stages.interrupted = True
        else:
            stages.keep(title, network, outcome)
        return outcome

    # What the linear path does not know at all, and what it knows in a straight line at most.
    beyond = bool(network.hist or network.static or len(network.embed_codes))
    told = beyond or bool(network.futr)
    # Series too short to hold anything out do not say what a network has learnt: it would know them by heart.
    if has_validation or linear is None or told or warm:
        outcome = run(data, how.max_steps, how.learning_rate, has_validation, "fit")
    else:
        outcome = Outcome(0, 0, float("inf"), False)
        _shrink(network, 0.0, 0.0)
    correlation, share = np.eye(source.h), 1.0
    if has_validation:
        held_out = source.cut(*_spread(data.val))
        if linear is not None:
            # Where two stretches of time cannot be held against each other, nothing says that it is worth anything, but
            # that the linear path knows no covariates.
            judged = told or (chosen.common is not None and isfinite(chosen.common.error))
            stretches = _stretches(data.val, source.h)
            trust = 1.0 if warm else stretches / (stretches + _DOUBT)
            believed = 1.0 if beyond else trust
            share = believed * _share(network.eval(), linear, held_out) if judged else 0.0
            before = network.head.weight.detach().clone(), network.head.bias.detach().clone()
            _shrink(network, share, trust)
        if how.intervals == "conformal":
            calibrate(network.eval(), held_out)
        correlation = _correlation(network.eval(), held_out)
    more = int(TAIL_SHARE * outcome.best_step)
    if has_validation and not outcome.interrupted:
        tail = WindowDataModule(source, lengths, 0, data.batch_size, data.seed + 1)
        if linear is not None and start is not None:
            with torch.no_grad():
                for part, first in zip((linear.weight, linear.bias), start, strict=True):
                    part.copy_(first)
                for part, first in zip((network.head.weight, network.head.bias), before, strict=True):
                    part.copy_(first)
            fit_linear(network, linear, tail, how.verbose, stages, "linear path on the tail", chosen)
        if more:
            last = run(tail, more, how.learning_rate / 2, False, "fit on the tail")
            outcome = outcome._replace(steps=outcome.steps + last.steps, interrupted=last.interrupted)
        if linear is not None:
            # The linear path knows the tail by now: what made up for that it did not is to go.
            _shrink(network, min(share, believed * _share(network.eval(), linear, held_out)), trust)
    widen(network.eval(), source, (torch.cat([data.train[0], data.val[0]]), torch.cat([data.train[1], data.val[1]])))
    return outcome, correlation
