"""The contract of every layer: one signature, and four views of one system that agree.

For any layer, convolution = scan = step by step = any split into chunks with the state carried over: for outputs,
final state and gradients. ``tests/layers/test_contract.py`` holds every layer in ``LAYERS`` to it.
"""

from abc import ABC, abstractmethod
from typing import Generic, TypeAlias, TypeVar

from torch import Tensor, nn

from statespace.errors import InputError
from statespace.shapes import expect

State: TypeAlias = Tensor | tuple[Tensor, ...]
"""What a layer carries from sample to sample: a tensor or several, the batch first."""

StateT = TypeVar("StateT", bound=State)


class SequenceLayer(nn.Module, ABC, Generic[StateT]):
    """A causal layer over sequences that can also be run one sample at a time.

    Attributes:
        d_model: number of channels, the same at input and output.
    """

    d_model: int

    @abstractmethod
    def forward(
        self, x: Tensor, state: StateT | None = None, lengths: Tensor | None = None, dt_scale: float = 1.0
    ) -> tuple[Tensor, StateT]:
        """Run over whole sequences.

        Args:
            x: input, ``(batch, length, d_model)``.
            state: state before the first sample, from `initial_state` or an earlier call; ``None`` is the zero state.
            lengths: number of samples that count in each sequence, ``(batch,)``, for right-padded batches; ``None``
                counts all. Outputs beyond them are zero and the state returned is the one after the last that counts.
            dt_scale: time between two samples in units of the time between two samples in training: 2 for a signal
                at half the rate.
        Returns:
            The output ``(batch, length, d_model)`` and the state after the last sample.
        Raises:
            ShapeError: `x` or `state` does not have the shape named here.
            InputError: `lengths` or `dt_scale` is out of range.
        """

    @abstractmethod
    def step(self, x: Tensor, state: StateT, dt_scale: float = 1.0) -> tuple[Tensor, StateT]:
        """Take one sample: constant time and memory, however long the past.

        Args:
            x: one sample a channel, ``(batch, d_model)``.
            state: state before the sample.
            dt_scale: time since the sample before, in units of the time between two samples in training.
        Returns:
            The output ``(batch, d_model)`` and the state after the sample.
        Raises:
            ShapeError: `x` or `state` does not have the shape named here.
            InputError: `dt_scale` is out of range.
        """

    @abstractmethod
    def initial_state(self, batch: int) -> StateT:
        """Return the state before any sample, zeros, with `batch` as the first axis of each tensor."""

    def ssm_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the dynamics, which take a smaller learning rate and no weight decay."""
        return []


def check_sequence(
    where: str, x: Tensor, d_model: int, state: Tensor | None = None, state_axes: str = "", **sizes: int
) -> None:
    """Check a layer's input ``(b, l, d)``, and its state if there is one.

    Args:
        where: the layer's name, for the message.
        x: the input.
        d_model: the layer's number of channels.
        state: the carried state or ``None``.
        state_axes: names of the state's axes, of which ``b`` and ``d`` are shared with the input.
        sizes: sizes of the state's other axes.
    Raises:
        ShapeError: an axis does not fit; the message says if the input looks transposed.
        InputError: `x` is not of a floating type.
    """
    transposed = x.ndim == 3 and x.shape[1] == d_model != x.shape[2]
    hint = "It looks transposed: pass x.transpose(1, 2)." if transposed else "Layers take (batch, length, channels)."
    _check(where, x, "b l d", hint, state, state_axes, {**sizes, "d": d_model})


def check_sample(where: str, x: Tensor, d_model: int, state: Tensor, state_axes: str, **sizes: int) -> None:
    """Check one sample ``(b, d)`` and a layer's state; as `check_sequence`, without the axis of time."""
    hint = "A step takes one sample, (batch, channels); whole sequences go to forward."
    _check(where, x, "b d", hint, state, state_axes, {**sizes, "d": d_model})


def _check(
    where: str, x: Tensor, axes: str, hint: str, state: Tensor | None, state_axes: str, sizes: dict[str, int]
) -> None:
    expect(where, "x", x, axes, sizes, hint)
    if not x.is_floating_point():
        raise InputError(f"{where}: x is {x.dtype}, but a real floating type is expected: pass x.float().")
    if state is not None:
        expect(where, "state", state, state_axes, sizes, "A state belongs to one layer and one batch size.")


def check_lengths(where: str, lengths: Tensor | None, batch: int, longest: int) -> Tensor | None:
    """Check the lengths of a ragged batch and return them as int64, or ``None`` as it came.

    Raises:
        ShapeError: there is not one length for each sequence.
        InputError: a length is not an integer from 0 to `longest`.
    """
    if lengths is None:
        return None
    expect(where, "lengths", lengths, "b", {"b": batch}, "One length a sequence is needed.")
    if lengths.is_floating_point() or lengths.is_complex():
        raise InputError(f"{where}: lengths is {lengths.dtype}, but integers are expected: pass lengths.long().")
    if batch and not (0 <= int(lengths.min()) and int(lengths.max()) <= longest):
        raise InputError(
            f"{where}: lengths go from {int(lengths.min())} to {int(lengths.max())}, but the input is {longest} "
            "long: each must lie between 0 and that."
        )
    return lengths.long()


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
