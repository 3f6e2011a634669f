"""Live streams: a model that takes samples as they come, many streams at once, each at constant time and memory.

What `push` returns, sample by sample or in chunks of any length, is what the model's `forward` gives for the whole
signal at once: the recurrence is one of the views of the same system.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from statespace.errors import InputError, ShapeError, choose
from statespace.kernels.stack_step import BACKENDS, Program, StackStep
from statespace.layers import SequenceLayer
from statespace.models.program import flatten, unflatten
from statespace.models.vocabulary import check_tokens

WAYS = (*BACKENDS, "layers")
# Samples from which on a chunk is faster in the parallel form of the layers than by steps in one call.
LONG = 64


class StreamedModel(nn.Module, ABC):
    """A causal model over sequences that can also be run sample by sample, and so as a stream.

    Attributes:
        has_time: whether there is a time between two samples, `dt` and `dt_scale`; words have none.
    """

    has_time: bool = True

    @abstractmethod
    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Run over whole sequences.

        Args:
            x: samples ``(b, l, d)``, or tokens ``(b, l)``.
            state: state before the first of them; None for none before.
        Returns:
            The outputs and the state after the last sample.
        """

    @abstractmethod
    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Take one sample, ``(b, d)`` or a token ``(b,)``, and the state before it; return the output and the state."""

    @abstractmethod
    def initial_state(self, batch: int) -> Any:
        """Return the state before any sample: tensors with the batch in front, in lists and tuples."""

    def outputs_of(self, x: Tensor, state: Any, dt: Tensor | None = None, dt_scale: float = 1.0) -> tuple[Tensor, Any]:
        """Return what a stream puts out for a chunk, and the state: `forward`, unless that has one answer for all."""
        options: dict[str, Any] = {} if dt is None else {"dt": dt}
        if dt_scale != 1:
            options["dt_scale"] = dt_scale
        result: tuple[Tensor, Any] = self(x, state, **options)
        return result

    def token_embedding(self) -> nn.Embedding | None:
        """Return what makes rows of channels of the tokens that this model takes, or None if it takes samples."""
        return None

    def program(self, dt_scale: float = 1.0) -> Program | str:  # noqa: ARG002  for those that have one
        """Return one step of this model as a program for `statespace.kernels.stack_step`, or why there is none.

        The program of a model of tokens takes the rows that `token_embedding` makes of them.

        Args:
            dt_scale: time between two samples in units of the time between two samples in training.
        Returns:
            The program, or a sentence.
        """
        return f"there is no compiled form of {type(self).__name__}."

    def stream(self, batch: int = 1, dt_scale: float = 1.0, backend: str = "auto") -> "Stream":
        """Return live streams of this model as it is now; see `Stream`.

        Args:
            batch: number of streams.
            dt_scale: time between two samples in units of the time between two samples in training.
            backend: ``native``, ``buffered``, ``reference``, ``layers``, or ``auto`` for the first that can.
        Returns:
            The streams, before any sample.
        Raises:
            InputError: an argument is out of range, the model has no time, or the backend cannot run it; the message
                says why.
        """
        return Stream(self, batch, dt_scale, backend)


@contextmanager
def _alone() -> Iterator[None]:
    """One thread and no gradients: a step is too small to be shared, and a busy machine would make it wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(before)


ModelT = TypeVar("ModelT", bound=nn.Module)


def snapshot(model: ModelT, dt_scale: float) -> ModelT:
    """Return a copy of a model in evaluation mode, to be run at one rate: its parameters stay as they are.

    Args:
        model: the model; it is left as it is.
        dt_scale: time between two samples in units of the time between two samples in training.
    Returns:
        The copy, whose layers keep what does not change from chunk to chunk.
    """
    copy = deepcopy(model).eval().requires_grad_(False)
    for layer in copy.modules():
        if isinstance(layer, SequenceLayer):
            layer.fix(dt_scale)
    return copy


def _without_length(part: Tensor) -> tuple[int, ...]:
    return (*part.shape[:1], *part.shape[2:])


def _expect_finite(samples: Tensor) -> None:
    wrong = (~samples.isfinite()).nonzero()
    if len(wrong):
        at = wrong[0].tolist()
        raise InputError(
            f"Stream.push: samples holds {samples[tuple(at)]} in stream {at[0]}, which its state would keep for ever: "
            "leave missing samples out and give the time since the last one as dt, or fill them."
        )


class Stream:
    """Live streams of a model: each `push` takes the next samples of all of them; nothing is recorded for gradients.

    A stream is a snapshot in evaluation mode: it copies the parameters, and what the model learns afterwards reaches it
    by `refresh` alone. `state_dict` moves it to another process, whatever backend runs there.

    Attributes:
        batch: number of streams.
        backend: how single samples and short chunks are run: ``native`` (the whole stack by one call of the compiled
            core), ``buffered`` (the same stack in torch, over rows that are made once), ``reference`` (in plain
            torch), or ``layers`` (the steps of the layers). Long chunks and samples with stamps of their own take the
            layers on each of them.
        why: why a faster backend does not run this model; empty where the fastest does.

    Args:
        model: the model.
        batch: number of streams.
        dt_scale: time between two samples in units of the time between two samples in training.
        backend: as the attribute, or ``auto`` for the first that can.
    Raises:
        InputError: an argument is out of range, or the backend cannot run this model; the message says why.
    """

    def __init__(self, model: StreamedModel, batch: int = 1, dt_scale: float = 1.0, backend: str = "auto") -> None:
        choose("Stream", "backend", backend, ("auto", *WAYS))
        if isinstance(batch, bool) or not isinstance(batch, int | np.integer) or batch < 1:
            raise InputError(f"Stream: batch is {batch!r}, but a number of streams from 1 on is expected.")
        if (
            isinstance(dt_scale, bool)
            or not isinstance(dt_scale, int | float | np.number)
            or not 0 < dt_scale < math.inf
        ):
            raise InputError(
                f"Stream: dt_scale is {dt_scale!r}, but a positive number is expected, 1.0 for the same rate."
            )
        self._check_time(model, "dt_scale", dt_scale != 1)
        for layer in model.modules():
            if isinstance(layer, SequenceLayer) and not layer.capabilities.steps:
                raise InputError(
                    f"Stream: {type(layer).__name__} takes no single steps, since it looks ahead: run whole signals by "
                    "the model itself, or make the model of causal layers."
                )
        self.batch = batch
        self.dt_scale = dt_scale
        self._asked = backend
        self._source = model
        self._state = model.initial_state(batch)
        self._stack: StackStep | None = None
        self._take()

    @staticmethod
    def _check_time(model: StreamedModel, argument: str, given: bool) -> None:
        if given and not model.has_time:
            raise InputError(
                f"Stream: {argument} is given, but {type(model).__name__} counts tokens and knows no time between "
                f"them: leave {argument} out."
            )

    def _take(self) -> None:
        """Copy the model as it is now, and choose the backend."""
        self._model = snapshot(self._source, self.dt_scale)
        self._embedding = self._model.token_embedding()
        program = self._model.program(self.dt_scale) if self._asked != "layers" else "the layers were asked for."
        self._stack, self.backend, self.why = None, "layers", ""
        if isinstance(program, str):
            if self._asked in BACKENDS:
                raise InputError(
                    f"Stream: backend {self._asked!r} cannot run this model: {program} Take backend='layers' or 'auto'."
                )
            self.why = program
        else:
            self._stack = StackStep(program, self.batch, self._asked)
            self.backend = self._stack.backend
            self.why = "" if self.backend == "native" else self._stack.why_not_native or "another one was asked for."

    def push(self, samples: Tensor, dt: Tensor | None = None) -> Tensor:
        """Take the next samples of all streams.

        Args:
            samples: one sample of each stream, ``(b, d)``, or a chunk of any length, ``(b, l, d)``; of a model of
                tokens ``(b,)`` or ``(b, l)``.
            dt: time since the sample before, in units of the time between two samples in training, ``(b,)`` or
                ``(b, l)``; None where all come at the same rate.
        Returns:
            The outputs ``(b, ...)`` or ``(b, l, ...)``: one for each sample, but from a stack that ends at a slower
            rate one for each sample pushed alone, and for a chunk one for each window that has ended in it.
        Raises:
            ShapeError: `samples` or `dt` does not have the shape named here.
            InputError: `samples` is no tensor or of another type than the model, `dt` is out of range, the model has no
                time, a sample is not finite, or a token is not in the vocabulary.
        """
        if not isinstance(samples, Tensor):
            raise InputError(
                f"Stream.push: samples is a {type(samples).__name__}, but a tensor is expected: pass "
                "torch.as_tensor(samples)."
            )
        axes = samples.ndim if self._embedding is None else samples.ndim + 1
        if axes not in (2, 3) or samples.shape[0] != self.batch:
            expected = "(b, d) or (b, l, d)" if self._embedding is None else "(b,) or (b, l)"
            raise ShapeError(
                f"Stream.push: samples is {tuple(samples.shape)}, but {expected} with b = {self.batch} is expected: "
                "the streams of a batch advance together."
            )
        # Long chunks go by the layers, which may take other types, but what is taken does not depend on the length.
        if self._stack is not None and self._embedding is None and samples.dtype is not self._stack.program.dtype:
            wanted = self._stack.program.dtype
            raise InputError(
                f"Stream.push: samples is {samples.dtype}, but this stream computes in {wanted}: pass "
                f"samples.to({wanted})."
            )
        # One sum tells of nearly all: it costs a quarter of what asking each value does.
        if samples.is_floating_point() and not math.isfinite(samples.sum().item()):
            _expect_finite(samples)
        chunk = axes == 3
        if self._stack is not None and dt is None and not (chunk and samples.shape[1] > LONG):
            if self._embedding is not None:
                samples = self._embedding(check_tokens("Stream.push", samples, self._embedding.num_embeddings))
            return self._stack(samples)
        self._check_time(self._model, "dt", dt is not None)
        options: dict[str, Any] = {} if dt is None else {"dt": dt}
        if self.dt_scale != 1:
            options["dt_scale"] = self.dt_scale
        if chunk:
            with torch.no_grad():
                y, state = self._model.outputs_of(samples, self.state, **options)
        else:
            with _alone():
                y, state = self._model.step(samples, self.state, **options)
        self.state = state
        result: Tensor = y
        return result

    @property
    def state(self) -> Any:
        """The state in the model's own form, as its `step` takes and returns it."""
        return self._state if self._stack is None else unflatten(self._stack.states, self._state)

    @state.setter
    def state(self, state: Any) -> None:
        if self._stack is None:
            self._state = state
        else:
            self._stack.states = flatten(state)

    def reset(self, indices: Tensor | Sequence[int] | None = None) -> None:
        """Bring streams back to before their first sample.

        Args:
            indices: numbers of the streams, from 0 on, or one truth value for each; None resets all.
        Raises:
            InputError: a number is out of range.
        """
        if indices is None:
            self.state = self._model.initial_state(self.batch)
            return
        which = torch.as_tensor(indices)
        if not which.numel():
            return
        if which.dtype == torch.bool and which.shape == (self.batch,):
            which = which.nonzero()[:, 0]
        if (
            which.ndim != 1
            or which.is_floating_point()
            or which.dtype == torch.bool
            or not (((which >= 0) & (which < self.batch)).all())
        ):
            raise InputError(
                f"Stream.reset: indices is {which.tolist()}, but numbers of streams from 0 to {self.batch - 1} are "
                f"expected, or {self.batch} truth values."
            )
        parts = [part.clone() for part in flatten(self.state)]
        for part, fresh in zip(parts, flatten(self._model.initial_state(self.batch)), strict=True):
            part[which] = fresh[which] if part.shape == fresh.shape else 0  # a cache that grew: nothing in it is known
        self.state = unflatten(parts, self._state)

    def refresh(self) -> None:
        """Copy the model's parameters again, as they are now; the streams go on from where they are."""
        state = self.state
        self._take()
        self.state = state

    def _layers(self) -> list[str]:
        return [type(layer).__name__ for layer in self._model.modules() if isinstance(layer, SequenceLayer)]

    def state_dict(self) -> dict[str, Any]:
        """Return where the streams are, copied: tensors and plain values, for `torch.save` and a safe `torch.load`."""
        return {
            "model": type(self._model).__name__,
            "layers": self._layers(),
            "batch": self.batch,
            "dt_scale": self.dt_scale,
            "states": [part.clone() for part in flatten(self.state)],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where other streams of the same model were, in this process or another.

        Args:
            state: what `state_dict` returned.
        Raises:
            InputError: it is of another model, of other layers, of another number of streams, or of another rate.
            ShapeError: it is of layers of another size.
        """
        where = "Stream.load_state_dict"
        mine = self.state_dict()
        if not isinstance(state, dict) or mine.keys() != state.keys():
            raise InputError(f"{where}: state is no state of a stream: pass what Stream.state_dict returned.")
        for name, what in (
            ("model", "a"),
            ("layers", "layers"),
            ("batch", "a batch of"),
            ("dt_scale", "a dt_scale of"),
        ):
            if state[name] != mine[name]:
                raise InputError(
                    f"{where}: state is of {what} {state[name]}, but this stream is of {what} {mine[name]}: load it "
                    "into a stream that was made as the one it comes from."
                )
        fresh = flatten(self._model.initial_state(self.batch))
        count = len(mine["states"])
        held = state["states"]
        if not isinstance(held, list) or len(held) != count or not all(isinstance(part, Tensor) for part in held):
            raise InputError(
                f"{where}: state['states'] is no list of {count} tensors, as this stream has them: load it into a "
                "stream of a model that was made as the one it comes from."
            )
        for given, own, first in zip(held, mine["states"], fresh, strict=True):
            grows = first.shape[1:2] == (0,)  # and so has any length
            fits = _without_length(given) == _without_length(own) if grows else given.shape == own.shape
            if not fits or given.dtype != own.dtype:
                raise ShapeError(
                    f"{where}: state holds {given.dtype} of shape {tuple(given.shape)}, but {own.dtype} of shape "
                    f"{tuple(own.shape)} is expected: the layers are of another size or type."
                )
        device = [part.device for part in flatten(self._state)]
        parts = [part.to(at, copy=True) for part, at in zip(held, device, strict=True)]
        self.state = unflatten(parts, self._state)
