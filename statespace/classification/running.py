"""What a live model carries from sample to sample: states, and sums from which the answer so far is read.

    responses:  count_kq ← count_kq + [what feature q of system k says],           share_kq = count_kq / n
    mean:       s ← s + h_t,                                                       h = s / n
    attention:  M ← max(M, w·h_t),  s ← e^(M_old - M) s + e^(w·h_t - M) h_t,       h = s / Σ_t e^(w·h_t - M)

Source: Milakov, Gimelshein, Online normalizer calculation for softmax, 2018 (arXiv:1805.02867), for the last line.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from statespace.classification.bank import Bank
from statespace.classification.network import Network
from statespace.errors import InputError
from statespace.layers import LAYERS
from statespace.models.program import flatten, unflatten
from statespace.models.stream import snapshot

_AT_ONCE = 2**20  # numbers in memory: longer chunks are taken in parts, in which float32 counts exactly


class Carried(ABC):
    """A model in the course of one signal."""

    at_once: int

    @abstractmethod
    def reset(self) -> None:
        """Go back to before the first sample."""

    @abstractmethod
    def tensors(self) -> list[Tensor]:
        """Return all that is carried, as real tensors."""

    @abstractmethod
    def restore(self, tensors: list[Tensor]) -> None:
        """Take what `tensors` gave."""


class Running(Carried):
    """A model that has one answer for all of the signal so far.

    Attributes:
        heard: samples that counted so far, int64.
    """

    heard: Tensor

    @abstractmethod
    def take(self, x: Tensor, observed: Tensor | None) -> None:
        """Take samples ``(n, channels)``, at most `at_once`; those where `observed` ``(n,)`` is false do not count."""

    @abstractmethod
    def scores(self) -> Tensor:
        """Return the scores ``(1, k)`` of what was taken; NaN while there is nothing to go by."""


class RunningResponses(Running):
    """Random systems, each with its state, and counts of the samples at which what its features say held."""

    def __init__(self, bank: Bank, dt_scale: float) -> None:
        self._readout = bank.readout(dt_scale)
        self._banks = bank.responses()
        systems = sum(len(one.A) for one in self._banks)
        self.at_once = max(1, _AT_ONCE // systems)
        self._blocks = [one.blocks(self.at_once, dt_scale) for one in self._banks]
        self.reset()

    def reset(self) -> None:
        """Go back to before the first sample."""
        self._states = [[block.systems.initial_state() for block in blocks] for blocks in self._blocks]
        self._counts = [torch.zeros(len(one.A), one.kinds, dtype=torch.int64) for one in self._banks]
        self.heard = torch.zeros((), dtype=torch.int64)

    def take(self, x: Tensor, observed: Tensor | None) -> None:
        """Take samples; see `Running`."""
        if len(x) == 0:
            return
        weights = (x.new_ones(len(x)) if observed is None else observed.to(x.dtype))[None]
        for blocks, states, counts in zip(self._blocks, self._states, self._counts, strict=True):
            for number, block in enumerate(blocks):
                y, states[number] = block.systems.respond(x, states[number])
                counts[block.rows] += block.shares(y, weights)[0].round().long()
        self.heard += int(weights.sum())

    def scores(self) -> Tensor:
        """Return the scores; see `Running`."""
        if not self.heard:
            return torch.full_like(self._readout.offset[None], torch.nan)
        shares = [(counts.double() / self.heard).float().flatten() for counts in self._counts]
        return self._readout(torch.cat(shares)[None])

    def tensors(self) -> list[Tensor]:
        """Return all that is carried."""
        return [*flatten(self._states), *self._counts, self.heard]

    def restore(self, tensors: list[Tensor]) -> None:
        """Take what `tensors` gave."""
        *rest, self.heard = tensors
        states, self._counts = rest[: -len(self._counts)], rest[-len(self._counts) :]
        self._states = unflatten(states, self._states)


def _expect_constant_memory(where: str, network: Network) -> None:
    names = network.options["layer"]
    for name in [names] if isinstance(names, str) else names:
        can = LAYERS[name].capabilities
        if can.grows or not can.steps:
            raise InputError(
                f"{where}: layer {name!r} does not run in constant memory, so it cannot be run live: fit with another, "
                "such as 's4d'."
            )


class RunningLabels(Carried):
    """A causal stack without pooling, with its states: an answer at each sample."""

    def __init__(self, network: Network, dt_scale: float) -> None:
        _expect_constant_memory("Labeler.stream", network)
        self._model, self._dt_scale = snapshot(network.model, dt_scale), dt_scale
        self.at_once = max(1, _AT_ONCE // network.model.backbone.d_model)
        self.reset()

    def reset(self) -> None:
        """Go back to before the first sample."""
        self._state = self._model.initial_state(1)

    def take(self, x: Tensor, observed: Tensor | None) -> Tensor:
        """Return the scores ``(n, k)`` of the next samples ``(n, channels)``; see `Running.take`."""
        mask = None if observed is None else observed[None].float()
        scores, self._state = self._model(x[None], self._state, dt_scale=self._dt_scale, observed=mask)
        found: Tensor = scores[0]
        return found

    def tensors(self) -> list[Tensor]:
        """Return all that is carried."""
        return flatten(self._state)

    def restore(self, tensors: list[Tensor]) -> None:
        """Take what `tensors` gave."""
        self._state = unflatten(tensors, self._state)


class RunningNetwork(Running):
    """A causal stack with its states, and the sums of its pooling."""

    def __init__(self, network: Network, dt_scale: float) -> None:
        _expect_constant_memory("Classifier.stream", network)
        self._model, self._dt_scale = snapshot(network.model, dt_scale), dt_scale
        self.at_once = max(1, _AT_ONCE // network.model.backbone.d_model)
        self.reset()

    def reset(self) -> None:
        """Go back to before the first sample."""
        self._state = self._model.backbone.initial_state(1)
        self._sum = torch.zeros(self._model.backbone.d_model, dtype=torch.float64)
        self._mass = torch.zeros((), dtype=torch.float64)
        self._top = torch.full((), -torch.inf, dtype=torch.float64)
        self.heard = torch.zeros((), dtype=torch.int64)

    def take(self, x: Tensor, observed: Tensor | None) -> None:
        """Take samples; see `Running`."""
        model = self._model
        self.heard = self.heard + (len(x) if observed is None else int(observed.sum()))
        mask = None if observed is None else observed[None].float()
        found, self._state = model.backbone(model.into(x[None]), self._state, dt_scale=self._dt_scale, observed=mask)
        h = found[0].double()
        if len(h) == 0:  # no window has ended
            return
        if model.pooling == "last":
            self._sum, self._mass = h[-1], torch.ones_like(self._mass)
            return
        weights = h.new_zeros(len(h)) if model.attention is None else model.attention(found)[0, :, 0].double()
        top = torch.maximum(self._top, weights.max())
        shrunk, fresh = torch.exp(self._top - top), torch.exp(weights - top)
        self._sum, self._mass, self._top = shrunk * self._sum + fresh @ h, shrunk * self._mass + fresh.sum(), top

    def scores(self) -> Tensor:
        """Return the scores; see `Running`."""
        found: Tensor = self._model.head((self._sum / self._mass).float()[None])
        return found

    def tensors(self) -> list[Tensor]:
        """Return all that is carried."""
        return [*flatten(self._state), self._sum, self._mass, self._top, self.heard]

    def restore(self, tensors: list[Tensor]) -> None:
        """Take what `tensors` gave."""
        *states, self._sum, self._mass, self._top, self.heard = tensors
        self._state = unflatten(states, self._state)
