"""The contract of every layer: one signature, and four views of one system that agree.

For any layer, convolution = scan = step by step = any split into chunks with the state carried over: for outputs,
final state and gradients. ``tests/layers/test_contract.py`` holds every layer in ``LAYERS`` to it.
"""

from abc import ABC, abstractmethod
from typing import Generic, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from statespace.errors import InputError
from statespace.layers.capabilities import Capabilities
from statespace.shapes import expect

State: TypeAlias = Tensor | tuple[Tensor, ...]
"""What a layer carries from sample to sample: a tensor or several, the batch first."""

StateT = TypeVar("StateT", bound=State)


class SequenceLayer(nn.Module, ABC, Generic[StateT]):
    """A causal layer over sequences that can also be run one sample at a time.

    Attributes:
        d_model: number of channels, the same at input and output.
        capabilities: what the layer can do.
    """

    d_model: int
    capabilities: Capabilities = Capabilities()

    @abstractmethod
    def forward(
        self,
        x: Tensor,
        state: StateT | None = None,
        lengths: Tensor | None = None,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
    ) -> tuple[Tensor, StateT]:
        """Run over whole sequences.

        Args:
            x: input, ``(batch, length, d_model)``.
            state: state before the first sample, from `initial_state` or an earlier call; ``None`` is the zero state.
            lengths: number of samples that count in each sequence, ``(batch,)``, for right-padded batches; ``None``
                counts all. Outputs beyond them are zero and the state returned is the one after the last that counts.
                What stands there in `x` and `dt`, NaN included, is not looked at.
            dt: time since the sample before, for each sample, ``(batch, length)``, positive, in units of the time
                between two samples in training; it multiplies the layer's own step. For the first sample, the sample
                before is the last one that `state` has seen. ``None`` is 1 throughout.
            dt_scale: a factor on `dt`, for all samples alike: 2 for a signal at half the rate.
        Returns:
            The output ``(batch, length, d_model)`` and the state after the last sample.
        Raises:
            ShapeError: `x`, `state`, `lengths` or `dt` does not have the shape named here.
            InputError: `lengths`, `dt` or `dt_scale` is out of range, or the layer has no time and takes neither.
        """

    @abstractmethod
    def step(self, x: Tensor, state: StateT, dt: Tensor | None = None, dt_scale: float = 1.0) -> tuple[Tensor, StateT]:
        """Take one sample: constant time and memory, however long the past.

        Args:
            x: one sample a channel, ``(batch, d_model)``.
            state: state before the sample; it is left as it is.
            dt: time since the sample before, ``(batch,)``, positive, in units of the time between two samples in
                training; ``None`` is 1.
            dt_scale: a factor on `dt`, for the whole batch.
        Returns:
            The output ``(batch, d_model)`` and the state after the sample.
        Raises:
            ShapeError: `x`, `state` or `dt` does not have the shape named here.
            InputError: `dt` or `dt_scale` is out of range, or the layer has no time and takes neither.
        """

    @abstractmethod
    def initial_state(self, batch: int) -> StateT:
        """Return the state before any sample, zeros, with `batch` as the first axis of each tensor."""

    def fix(self, dt_scale: float) -> None:
        """Keep what follows from the parameters and this `dt_scale`, in a copy whose parameters stay as they are."""

    def ssm_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the dynamics, which take a smaller learning rate and no weight decay."""
        return []


StateAxes: TypeAlias = str | tuple[str, ...]
"""Names of the axes of a state, or of each tensor of a state of several."""


def check_sequence(
    where: str, x: Tensor, d_model: int, state: State | None = None, state_axes: StateAxes = "", **sizes: int
) -> None:
    """Check a layer's input ``(b, l, d)``, and its state if there is one.

    Args:
        where: the layer's name, for the message.
        x: the input.
        d_model: the layer's number of channels.
        state: the carried state or ``None``.
        state_axes: names of the state's axes, of which ``b`` and ``d`` are shared with the input; one for each tensor
            of a state of several.
        sizes: sizes of the state's other axes.
    Raises:
        ShapeError: an axis does not fit; the message says if the input looks transposed.
        InputError: `x` is not of a floating type, or `state` is not one tensor, or not as many as there should be.
    """
    transposed = isinstance(x, Tensor) and x.ndim == 3 and x.shape[1] == d_model != x.shape[2]
    hint = "It looks transposed: pass x.transpose(1, 2)." if transposed else "Layers take (batch, length, channels)."
    _check(where, x, "b l d", hint, state, state_axes, {**sizes, "d": d_model})


def check_sample(
    where: str, x: Tensor, d_model: int, state: State | None = None, state_axes: StateAxes = "", **sizes: int
) -> None:
    """Check one sample ``(b, d)`` and a layer's state; as `check_sequence`, without the axis of time.

    Raises:
        ShapeError: an axis does not fit.
        InputError: `x` is not of a floating type, or `state` is None or another that the layer does not have.
    """
    if state is None and state_axes:
        raise no_state(where)
    hint = "A step takes one sample, (batch, channels); whole sequences go to forward."
    _check(where, x, "b d", hint, state, state_axes, {**sizes, "d": d_model})


def _check(
    where: str, x: Tensor, axes: str, hint: str, state: State | None, state_axes: StateAxes, sizes: dict[str, int]
) -> None:
    expect(where, "x", x, axes, sizes, hint)
    if not x.is_floating_point():
        raise InputError(f"{where}: x is {x.dtype}, but a real floating type is expected: pass x.float().")
    if state is not None:
        check_state(where, state, state_axes, sizes)


def no_state(where: str) -> InputError:
    """Return the error for a step without a state."""
    return InputError(
        f"{where}: state is None, but a step goes on from a state: pass what initial_state(batch) or an earlier call "
        "gave."
    )


def check_state(where: str, state: State, state_axes: StateAxes, sizes: dict[str, int]) -> None:
    """Check a state against the axes that it should have.

    Args:
        where: the layer's name, for the message.
        state: the state.
        state_axes: names of its axes; one for each tensor of a state of several.
        sizes: sizes of the axes, by name.
    Raises:
        ShapeError: an axis does not fit.
        InputError: `state` is not one tensor, or not as many as there should be.
    """
    hint = "A state belongs to one layer and one batch size."
    if isinstance(state, Tensor) and isinstance(state_axes, str):
        expect(where, "state", state, state_axes, sizes, hint)
    elif isinstance(state, tuple) and isinstance(state_axes, tuple) and len(state) == len(state_axes):
        for i, (part, part_axes) in enumerate(zip(state, state_axes, strict=True)):
            expect(where, f"state[{i}]", part, part_axes, sizes, hint)
    else:
        wanted = "one tensor" if isinstance(state_axes, str) else f"a tuple of {len(state_axes)} tensors"
        given = f"a tuple of {len(state)}" if isinstance(state, tuple) else f"a {type(state).__name__}"
        raise InputError(
            f"{where}: state is {given}, but {wanted} is expected: pass what this layer's initial_state or an earlier "
            "call of it gave."
        )


def full_type(parameter: Tensor) -> torch.dtype:
    """Return the type to compute in for a parameter: its own, and float32 for one in half precision.

    Dynamics and states in half precision would lose the past.
    """
    return torch.promote_types(parameter.dtype, torch.float32)


def multiplies(x: Tensor, weight: Tensor) -> bool:
    """Return whether `x` and `weight` go into one matrix product: they are of one type, or autocast makes them so."""
    if x.dtype == weight.dtype:
        return True
    return torch.float64 not in (x.dtype, weight.dtype) and torch.is_autocast_enabled(x.device.type)


def other_type(where: str, x: Tensor, weight: Tensor) -> InputError:
    """Return the error for an input that does not go together with the weights."""
    return InputError(f"{where}: x is {x.dtype}, but the weights are {weight.dtype}: pass x.to({weight.dtype}).")


def check_lengths(where: str, lengths: Tensor | None, batch: int, longest: int) -> Tensor | None:
    """Check the lengths of a ragged batch and return them as int64, or ``None`` as it came.

    Raises:
        ShapeError: there is not one length for each sequence.
        InputError: a length is not an integer from 0 to `longest`.
    """
    if lengths is None:
        return None
    expect(where, "lengths", lengths, "b", {"b": batch}, "One length a sequence is needed.")
    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise InputError(f"{where}: lengths is {lengths.dtype}, but integers are expected: pass lengths.long().")
    # Values cannot be looked at while a graph is traced.
    if batch and not torch.compiler.is_compiling() and not (0 <= int(lengths.min()) and int(lengths.max()) <= longest):
        raise InputError(
            f"{where}: lengths go from {int(lengths.min())} to {int(lengths.max())}, but the input is {longest} "
            "long: each must lie between 0 and that."
        )
    return lengths.long()


def beyond(lengths: Tensor | None, longest: int) -> Tensor | None:
    """Return where a right-padded batch is padding, ``(b, l)``, or ``None`` if nowhere."""
    return None if lengths is None else torch.arange(longest, device=lengths.device) >= lengths[:, None]


def check_dt(where: str, x: Tensor, dt: Tensor | None, dt_scale: float, lengths: Tensor | None = None) -> Tensor | None:
    """Check `dt` and `dt_scale`, which the layer multiplies.

    Whether `dt` is positive is checked where its values are at hand: on the CPU, outside of compilation.

    Args:
        where: the layer's name, for the message.
        x: the layer's input, ``(b, l, d)`` or, of a step, ``(b, d)``.
        dt: time since the sample before, ``(b, l)`` or ``(b,)``, or ``None``.
        dt_scale: factor on it.
        lengths: samples that count in each sequence, ``(b,)``, or ``None``.
    Returns:
        `dt` with 0 in the padding, which leaves a state as it is; or ``None`` as it came.
    Raises:
        ShapeError: `dt` is not of the shape of `x` without its channels.
        InputError: `dt` or `dt_scale` is not positive and finite, or not of a floating type.
    """
    check_dt_scale(where, dt_scale)
    if dt is None:
        return None
    sequence = x.ndim == 3
    sizes = {"b": x.shape[0], "l": x.shape[1]} if sequence else {"b": x.shape[0]}
    expect(where, "dt", dt, "b l" if sequence else "b", sizes, "One time a sample is needed, for all its channels.")
    if not dt.is_floating_point():
        raise InputError(f"{where}: dt is {dt.dtype}, but a real floating type is expected: pass dt.float().")
    padding = beyond(lengths, x.shape[1])
    counted = dt if padding is None else dt.masked_fill(padding, 1)
    if dt.device.type == "cpu" and not torch.compiler.is_compiling():
        bad = ~((counted > 0) & counted.isfinite())
        if bool(bad.any()):
            raise InputError(
                f"{where}: dt has {float(counted.detach()[bad][0])} among its values, but times since the sample "
                "before are positive and finite: leave out repeated samples, and mark a gap by a longer dt."
            )
    return dt if padding is None else dt.masked_fill(padding, 0)


def check_dt_scale(where: str, dt_scale: float) -> None:
    """Check that `dt_scale` is a positive finite number.

    Raises:
        InputError: it is not.
    """
    if not 0 < dt_scale < float("inf"):
        raise InputError(
            f"{where}: dt_scale is {dt_scale}, but a positive number is expected: the time between two samples in "
            "units of the one in training, 1.0 for the same rate."
        )


def refuse_time(where: str, dt: Tensor | None, dt_scale: float) -> None:
    """Refuse what a layer that counts samples, and knows no time between them, cannot take.

    Raises:
        InputError: `dt` is given, or `dt_scale` is not 1.
    """
    given = "dt is given" if dt is not None else f"dt_scale is {dt_scale}" if dt_scale != 1 else None
    if given:
        raise InputError(
            f"{where}: {given}, but this layer counts samples and knows no time between them: resample the signal to "
            "the rate of training, or choose a layer with a step size, such as s4d or mamba."
        )
