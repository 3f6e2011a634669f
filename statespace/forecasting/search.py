"""Which layer and learning rate serve a panel: short trainings, of which the better half goes on, judged on the tail.

    R = ⌈log₂ n⌉ rounds;  with k candidates left, each is trained for ⌊max_steps / (k R)⌋ more steps, and ⌈k / 2⌉ stay

So a search takes as many steps as one fit at most. What it leaves is a choice: the network is made and fitted anew.
Candidates share the linear path, which knows nothing of layers: it is fitted once, and without what series have of
their own.

Source: Jamieson and Talwalkar 2016 (arXiv:1502.07943), figure 3, for successive halving.
"""

from collections.abc import Callable, Sequence
from copy import copy
from math import ceil, log2
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from statespace.errors import InputError
from statespace.forecasting.training import fit_linear, strength_of
from statespace.layers import LAYERS
from statespace.models import ForecastNetwork
from statespace.training import Stages

if TYPE_CHECKING:
    from statespace.forecasting.estimator import Forecaster
    from statespace.training import WindowDataModule

SEARCHED = ("s4d", "s5", "lru", "s6")  # the default first: of two that do as well, the earlier is kept
FACTORS = (1.0, 2.5)  # of the learning rate


class Trial(NamedTuple):
    """A candidate, and how far it came.

    Attributes:
        layer: name of its layer.
        learning_rate: peak of its schedule.
        steps: optimiser steps that it was trained for.
        loss: the lowest that it reached on the validation tail, infinite where it has diverged.
    """

    layer: str
    learning_rate: float
    steps: int
    loss: float

    @property
    def choice(self) -> dict[str, Any]:
        """What is chosen, as arguments of a forecaster."""
        return {"layer": self.layer, "learning_rate": self.learning_rate}


def candidates(learning_rate: float, max_steps: int, irregular: bool) -> list[Trial]:
    """Return what is tried: as much as can be told apart in `max_steps` steps, and knows of time where that is asked.

    Args:
        learning_rate: as given.
        max_steps: of all trials together.
        irregular: whether stamps lie on no grid.
    """
    layers = [name for name in SEARCHED if not irregular or LAYERS[name].capabilities.irregular]
    found = [Trial(layer, factor * learning_rate, 0, float("inf")) for factor in FACTORS for layer in layers]
    while len(found) * _rounds(len(found)) > max_steps:
        found.pop()
    return found


def _rounds(count: int) -> int:
    return max(1, ceil(log2(count)))


def search(
    how: "Forecaster",
    make: Callable[["Forecaster"], ForecastNetwork],
    data: "WindowDataModule",
    irregular: bool,
    stages: Stages,
) -> tuple[dict[str, Any], tuple[Trial, ...]]:
    """Search for the layer and the learning rate of a forecaster.

    Args:
        how: the forecaster, whose parameters say how to train.
        make: gives the network of a forecaster.
        data: windows to train on, and of the tail to judge by.
        irregular: whether stamps lie on no grid.
        stages: what is kept of it on the way, and gone on from.
    Returns:
        What was chosen, as arguments of a forecaster, and all that was tried, in the order of candidates.
    Raises:
        InputError: there is no tail to judge by.
        KeyboardInterrupt: Ctrl-C was pressed; there is nothing to be kept yet.
    """
    if len(data.val[0]) == 0:
        raise InputError(
            "Forecaster.fit: layer is 'auto', but no steps are left to compare by: raise val_size, which is "
            f"{how.val_size}, pass longer series, or name a layer."
        )
    trials = candidates(how.learning_rate, how.max_steps, irregular)
    networks: list[ForecastNetwork] = []
    for trial in trials:
        torch.manual_seed(how.random_seed)
        networks.append(make(type(how)(**how.get_params() | trial.choice)))
        _share_linear(networks, data, how.verbose, stages)
    left, rounds = list(range(len(trials))), _rounds(len(trials))
    for number in range(rounds):
        steps = how.max_steps // (len(left) * rounds)
        batches = copy(data)
        batches.seed += number
        for place in left:
            torch.manual_seed(how.random_seed + number)
            loss = _train_on(networks[place], trials[place], steps, how, batches, stages, f"search {number}-{place}")
            trial = trials[place]
            trials[place] = trial._replace(steps=trial.steps + steps, loss=min(trial.loss, loss))
        left = sorted(left, key=lambda place: trials[place].loss)[: ceil(len(left) / 2)]
    return trials[left[0]].choice, tuple(trials)


def _share_linear(networks: Sequence[ForecastNetwork], data: "WindowDataModule", verbose: bool, stages: Stages) -> None:
    """Give the last of the networks its linear path: fitted if it is the first, or as the first has it."""
    first, last = networks[0], networks[-1]
    if last.linear is None or first.linear is None or last.output.positive:
        return
    if first is last:
        fit_linear(first, first.linear, data, verbose, stages, "search linear path")
    else:
        last.linear, last.across = first.linear, first.across
    last.linear.requires_grad_(False)


def _train_on(
    network: ForecastNetwork,
    trial: Trial,
    steps: int,
    how: "Forecaster",
    data: "WindowDataModule",
    stages: Stages,
    stage: str,
) -> float:
    """Train a candidate from where it is, and return the lowest validation loss on the way."""
    if (found := stages.recall(stage, network)) is not None:
        return float(found[0])
    from statespace.training import ForecastModule, fit

    outcome = fit(
        ForecastModule(network.train(), trial.learning_rate, how.weight_decay, steps, strength_of(how, data)),
        data,
        max_steps=steps,
        has_validation=True,
        check_every=how.val_check_steps,
        patience=-1,
        accelerator=how.accelerator,
        title=f"search: {trial.layer} at {trial.learning_rate:g}",
        verbose=how.verbose,
    )
    if outcome.interrupted:
        raise KeyboardInterrupt
    stages.keep(stage, network, (outcome.best_loss,))
    return outcome.best_loss
