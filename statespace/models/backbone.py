"""A stack of residual blocks, at one rate or several: the common trunk of forecasters and classifiers."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from statespace.errors import InputError, at_least, choose
from statespace.kernels.stack_step import Program
from statespace.layers import ResidualBlock, State
from statespace.layers.base import (
    beyond,
    check_dt,
    check_lengths,
    check_sample,
    check_sequence,
    check_state,
    multiplies,
    no_state,
    other_type,
)
from statespace.layers.mixing import Unmixed
from statespace.layers.norm import make_norm
from statespace.layers.resampling import POOLINGS, Downsample, Hold, Signal, Upsample
from statespace.models.program import program_of
from statespace.models.stack import blocks_of, for_each, with_rates
from statespace.models.stream import StreamedModel
from statespace.shapes import expect


def _move(ready: Tensor | None, after: State, before: State) -> State:
    """Return the state after a step for the rows that take it, and the one before elsewhere."""
    if ready is None or (not torch.compiler.is_compiling() and bool(ready.all())):
        return after
    if isinstance(after, tuple):
        return tuple(_row(ready, new, old) for new, old in zip(after, before, strict=True))
    assert isinstance(before, Tensor)
    return _row(ready, after, before)


def _row(ready: Tensor, new: Tensor, old: Tensor) -> Tensor:
    if new.shape != old.shape:
        raise InputError(
            "Backbone.step: some sequences end a window and others do not, but a layer at the slower rate has a state "
            "that grows with each sample: step sequences of one phase together, or take a layer of constant state."
        )
    return torch.where(ready.view(-1, *[1] * (new.ndim - 1)), new, old.to(new.dtype))


class Backbone(StreamedModel):
    """Pre-norm residual blocks with a normalisation at the end.

    ``x_{i+1} = x_i + Dropout(Mix(Layer(Norm(x_i))))``, ``y = Norm(x_last)``.

    With `stride`, blocks run at slower rates: ``stride=[1, 1, 4, 4, 1]`` takes means over four samples before the third
    block, and adds what comes out of the fourth to the signal at full rate, held until the next is there. A stack that
    ends at a slower rate returns one output for each window that has ended; its `step` returns the newest of them,
    zeros before the first, and `is_new` says whether it is a new one.

    Args:
        d_model: number of channels.
        n_layers: number of blocks; with a list of layers, as many as these.
        layer: name of the layer, a key of `statespace.layers.LAYERS`, or one for each block.
        d_state: order of each system, in layers that have such; ``None`` leaves it to the layer.
        mixing: ``"glu"``, ``"gated"``, ``"none"``, or ``"auto"``: none for a layer that mixes the channels itself, glu
            for the others; one for all blocks, or a list.
        dropout: probability of dropping, in [0, 1).
        norm: ``"layer"`` or ``"rms"``.
        stochastic_depth: probability of leaving the last block out for a sequence in training; that of the others is
            less, in proportion to their depth.
        stride: samples of the input to one of the block, or one for each block.
        pooling: ``"causal"``, or ``"whole"``: windows may end with the signal, and their means are known within
            them, so that there is no delay, no step and no carried state.
        bidirectional: whether each layer has a twin that runs against time.
        options: other arguments of the layers, by name; for all blocks, or a list.
    Attributes:
        d_model: number of channels.
        stride: samples of the input to one output.
    Raises:
        InputError: an argument is out of range or its name is not known.
    """

    def __init__(
        self,
        d_model: int,
        n_layers: int | None = None,
        layer: str | Sequence[str] = "s4d",
        d_state: int | None = 64,
        mixing: str | Sequence[str] = "auto",
        dropout: float = 0.0,
        norm: str = "layer",
        stochastic_depth: float = 0.0,
        stride: int | Sequence[int] = 1,
        pooling: str = "causal",
        bidirectional: bool = False,
        options: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        where = "Backbone"
        count = n_layers
        if count is None:
            count = len(layer) if isinstance(layer, Sequence) and not isinstance(layer, str) else 2
        at_least(where, 1, d_model=d_model, n_layers=count)
        self.pooling = choose(where, "pooling", pooling, POOLINGS)
        blocks = blocks_of(
            where,
            d_model,
            for_each(where, "layer", layer, count),
            d_state,
            for_each(where, "mixing", mixing, count),
            dropout,
            norm,
            stochastic_depth,
            for_each(where, "options", {} if options is None else options, count),
            bidirectional,
        )
        nodes, self.stride = with_rates(where, blocks, for_each(where, "stride", stride, count), pooling)
        self.d_model = d_model
        self.blocks = nn.ModuleList(nodes)
        self.norm = make_norm(where, norm, d_model)
        self.hold = Hold() if self.stride > 1 else None

    def _check_type(self, where: str, x: Tensor) -> None:
        """Refuse an input of another type than the weights where a norm or a mixing needs the same."""
        weight = self.norm.weight
        if x.dtype == weight.dtype:
            return
        normed = isinstance(self.norm, nn.LayerNorm) and (weight.dtype != torch.float32 or x.dtype == torch.float64)
        mixed = any(isinstance(node, ResidualBlock) and not isinstance(node.mixing, Unmixed) for node in self.blocks)
        if normed or (mixed and not multiplies(x, weight)):
            raise other_type(where, x, weight)

    def _check_observed(self, where: str, x: Tensor, observed: Tensor | None) -> None:
        if observed is not None:
            axes = "b l" if x.ndim == 3 else "b"
            sizes = dict(zip(axes.split(), x.shape, strict=False))
            expect(where, "observed", observed, axes, sizes, "One mark a sample, for all channels.")

    def _check_states(self, where: str, state: list[State], batch: int | None = None) -> list[State]:
        wanted = len(self.blocks) + (self.hold is not None)
        if len(state) != wanted:
            raise InputError(
                f"{where}: state holds {len(state)} states, but {wanted} are expected, one for each of the blocks and "
                "changes of rate: pass what initial_state or an earlier call gave."
            )
        if batch is not None:
            for node, part in zip([*self.blocks, self.hold], state, strict=False):
                if isinstance(node, Downsample | Upsample | Hold):
                    check_state(where, part, node.state_axes, {"b": batch, "d": self.d_model})
        return state

    def _check_causal(self, where: str) -> None:
        if self.pooling == "whole" and any(isinstance(node, Downsample) for node in self.blocks):
            raise InputError(
                f"{where}: pooling='whole' looks at windows that have not ended, so nothing can be carried from call "
                "to call: pass whole signals to forward, or take pooling='causal'."
            )

    def forward(
        self,
        x: Tensor,
        state: list[State] | None = None,
        lengths: Tensor | None = None,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
        observed: Tensor | None = None,
    ) -> tuple[Tensor, list[State]]:
        """Run over whole sequences; as `ResidualBlock.forward`, with one state for each block and change of rate.

        Returns:
            The output ``(b, l, d)``, zero beyond `lengths`, and the states. Of a stack that ends at a slower rate,
            ``(b, windows, d)``: see `output_lengths`.
        """
        where = "Backbone.forward"
        check_sequence(where, x, self.d_model)
        self._check_type(where, x)
        self._check_observed(where, x, observed)
        lengths = check_lengths(where, lengths, x.shape[0], x.shape[1])
        dt = check_dt(where, x, dt, dt_scale, lengths)
        if state is not None:
            self._check_causal(where)
        nothing: list[Any] = [None] * (len(self.blocks) + 1)
        given = nothing if state is None else self._check_states(where, state, len(x))
        padding = beyond(lengths, x.shape[1])
        signal = Signal(x if padding is None else x.masked_fill(padding[..., None], 0), lengths, dt, observed)
        left: list[Signal] = []
        states: list[State] = []
        for node, before in zip(self.blocks, given, strict=False):
            if isinstance(node, Downsample):
                left.append(signal)
                signal, after = node(signal, before)
            elif isinstance(node, Upsample):
                slow, signal = signal.x, left.pop()
                held, after = node(slow, signal, before)
                signal = signal._replace(x=signal.x + held)
            else:
                y, after = node(signal.x, before, signal.lengths, signal.dt, dt_scale, signal.observed)
                signal = signal._replace(x=y)
            states.append(after)
        y = self.norm(signal.x)
        padding = beyond(signal.lengths, y.shape[1])
        y = y if padding is None else y.masked_fill(padding[..., None], 0)
        if self.hold is not None:
            states.append(self.hold(signal._replace(x=y), given[-1]))
        return y, states

    def step(
        self,
        x: Tensor,
        state: list[State],
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
        observed: Tensor | None = None,
    ) -> tuple[Tensor, list[State]]:
        """Take one sample ``(b, d)`` with one state for each block and change of rate; see `SequenceLayer.step`.

        A block at a slower rate does nothing until its window has ended.
        """
        where = "Backbone.step"
        self._check_causal(where)
        if state is None:
            raise no_state(where)
        check_sample(where, x, self.d_model)
        self._check_type(where, x)
        self._check_observed(where, x, observed)
        dt = check_dt(where, x, dt, dt_scale)
        self._check_states(where, state, len(x))
        ready: Tensor | None = None  # rows whose window has ended, at the rate of the node; None for all
        left: list[tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]] = []
        states: list[State] = []
        for node, before in zip(self.blocks, state, strict=False):
            after: State
            if isinstance(node, Downsample):
                left.append((x, ready, dt, observed))
                assert isinstance(before, tuple)
                x, dt, observed, done, after = node.step(x, before, dt, observed)
                after = _move(ready, after, before)
                ready = done if ready is None else ready & done
            elif isinstance(node, Upsample):
                slow, ended = x, ready
                x, ready, dt, observed = left.pop()
                assert isinstance(before, tuple)
                held, after = node.step(slow, ended, before)
                x, after = x + held, _move(ready, after, before)
            elif isinstance(node, ResidualBlock) and (
                ready is None or torch.compiler.is_compiling() or bool(ready.any())
            ):
                x, after = node.step(x, before, dt, dt_scale, observed)
                after = _move(ready, after, before)
            else:
                after = before
            states.append(after)
        y: Tensor = self.norm(x)
        if self.hold is not None:
            last = state[-1]
            assert isinstance(last, tuple)
            y, held_state = self.hold.step(y, ready, last)
            states.append(held_state)
        return y, states

    def is_new(self, state: list[State]) -> Tensor:
        """Return whether the step that left `state` had an output of its own, ``(b,)``: always, at the full rate."""
        self._check_states("Backbone.is_new", state)
        first = state[0] if isinstance(state[0], Tensor) else state[0][0]
        new = torch.ones(len(first), dtype=torch.bool, device=first.device)
        if self.hold is None:
            return new
        depth = 0
        # Only the descents that the stack never comes back from count.
        for node, part in zip(reversed(self.blocks), reversed(state[:-1]), strict=True):
            depth += isinstance(node, Upsample)
            if isinstance(node, Downsample):
                if depth == 0:
                    new = new & (part[-1] == 0)
                depth = max(0, depth - 1)
        return new

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return how many outputs `forward` gives for sequences of these lengths ``(b,)`` from their start."""
        whole = self.stride - 1 if self.pooling == "whole" else 0
        return (lengths + whole) // self.stride

    def initial_state(self, batch: int) -> list[State]:
        """Return the state of each block and change of rate before any sample."""
        like = next(self.norm.parameters()).new_zeros(batch, self.d_model)
        states: list[State] = []
        for node in self.blocks:
            if isinstance(node, Downsample | Upsample):
                states.append(node.initial_state(like))
            elif isinstance(node, ResidualBlock):
                states.append(node.layer.initial_state(batch))
        return states if self.hold is None else [*states, self.hold.initial_state(like)]

    def program(self, dt_scale: float = 1.0) -> Program | str:
        """Return one step of the blocks and the norm as a program; see `StreamedModel.program`."""
        return program_of(self.blocks, self.norm, dt_scale)
