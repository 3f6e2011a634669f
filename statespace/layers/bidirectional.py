"""Two layers over one signal, of which one runs from its end to its beginning.

    y = F(x) + R G(R x),        R reverses time, within each sequence of a ragged batch.

The time between two samples is the same from either side. The first sample's `dt`, the time before the signal, stays
where it is, so that two reversals are none: it is taken as the time after the signal too.

Source: Schuster and Paliwal 1997, "Bidirectional recurrent neural networks", IEEE Trans. Signal Processing 45(11),
2673-2681. Where we deviate: the two are summed, and each sample is seen by both of them.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from statespace.errors import InputError
from statespace.layers.base import SequenceLayer, State, check_dt, check_lengths, check_sequence


def reverse(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Reverse the samples of each sequence; the padding stays where it is.

    Args:
        x: ``(b, l, d)``.
        lengths: samples that count in each sequence, ``(b,)``, or ``None`` for all.
    Returns:
        The same shape.
    """
    if lengths is None:
        return x.flip(1)
    t = torch.arange(x.shape[1], device=x.device)
    source = torch.where(t < lengths[:, None], lengths[:, None] - 1 - t, t)
    return x.gather(1, source[..., None].expand_as(x))


def reverse_times(dt: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Return the times between samples as they are in the reversed signal: all but the first change places.

    Args:
        dt: time since the sample before, ``(b, l)``.
        lengths: samples that count in each sequence, ``(b,)``, or ``None`` for all.
    Returns:
        The same shape.
    """
    after = dt[:, 1:, None]
    return torch.cat([dt[:, :1], reverse(after, None if lengths is None else (lengths - 1).clamp(min=0))[..., 0]], 1)


def _flat(*states: State) -> tuple[Tensor, ...]:
    return tuple(part for state in states for part in (state if isinstance(state, tuple) else (state,)))


class Bidirectional(SequenceLayer[tuple[Tensor, ...]]):
    """Sum of two layers, one of them on the reversed signal. It sees all of a signal at once, so it cannot step.

    Args:
        ahead: the layer that runs with time.
        back: the layer that runs against it; of the same number of channels.
    Raises:
        InputError: the layers differ in their number of channels, or one of them is bidirectional already.
    """

    def __init__(self, ahead: SequenceLayer[Any], back: SequenceLayer[Any]) -> None:
        super().__init__()
        if ahead.d_model != back.d_model:
            raise InputError(
                f"Bidirectional: ahead has {ahead.d_model} channels and back {back.d_model}, but their outputs are "
                "added: make both with the same d_model."
            )
        if not (ahead.capabilities.steps and back.capabilities.steps):
            raise InputError("Bidirectional: one of its layers runs both ways already: pass two causal layers.")
        self.d_model = ahead.d_model
        self.ahead, self.back = ahead, back
        both = (ahead.capabilities, back.capabilities)
        self.capabilities = replace(
            both[0],
            steps=False,
            irregular=all(one.irregular for one in both),
            any_rate=all(one.any_rate for one in both),
            selective=any(one.selective for one in both),
            mixes=all(one.mixes for one in both),
            views=(),
        )

    def ssm_parameters(self) -> list[nn.Parameter]:
        """Return those of both layers."""
        return [*self.ahead.ssm_parameters(), *self.back.ssm_parameters()]

    def forward(
        self,
        x: Tensor,
        state: tuple[Tensor, ...] | None = None,
        lengths: Tensor | None = None,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run over whole signals; see `SequenceLayer.forward`, but for the state.

        Args:
            x: input, ``(b, l, d)``.
            state: ``None``: one direction begins at the end of the signal, so nothing can be carried into it.
            lengths: samples that count in each sequence, ``(b,)``.
            dt: time since the sample before, ``(b, l)``.
            dt_scale: factor on it.
        Returns:
            The output ``(b, l, d)``, and the final states of both layers, one after the other: that of `ahead` after
            the last sample, and that of `back` after the first.
        Raises:
            ShapeError: `x`, `lengths` or `dt` does not have the shape named here.
            InputError: a state is given, or an argument is out of range.
        """
        where = "Bidirectional.forward"
        check_sequence(where, x, self.d_model)
        lengths = check_lengths(where, lengths, x.shape[0], x.shape[1])
        dt = check_dt(where, x, dt, dt_scale, lengths)
        if state is not None:
            raise InputError(
                f"{where}: state is given, but one direction begins at the end of the signal and no state can be "
                "carried into it: pass whole signals without a state."
            )
        y, first = self.ahead(x, None, lengths, dt, dt_scale)
        back_dt = None if dt is None else reverse_times(dt, lengths)
        back, second = self.back(reverse(x, lengths), None, lengths, back_dt, dt_scale)
        return y + reverse(back, lengths), _flat(first, second)

    def step(  # the arguments are those of every layer
        self,
        x: Tensor,  # noqa: ARG002
        state: tuple[Tensor, ...],  # noqa: ARG002
        dt: Tensor | None = None,  # noqa: ARG002
        dt_scale: float = 1.0,  # noqa: ARG002
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Refuse: there is no step for a layer that begins at the end.

        Raises:
            InputError: always.
        """
        raise InputError(
            "Bidirectional.step: one direction begins at the end of the signal, so it cannot run sample by sample: "
            "pass whole signals to forward, or take a causal layer for a stream."
        )

    def initial_state(self, batch: int) -> tuple[Tensor, ...]:
        """Return the states of both layers before any sample."""
        return _flat(self.ahead.initial_state(batch), self.back.initial_state(batch))
