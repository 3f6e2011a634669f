"""The residual block around a layer: x + Dropout(Mix(Layer(Norm(x)))).

Source: Gu, Gupta, Goel, Ré 2022 (S4D, arXiv:2206.11893), the block of the experiments; pre-norm as in Xiong et al. 2020
(arXiv:2002.04745).
"""

from typing import Any

from torch import Tensor, nn

from statespace.errors import InputError, choose
from statespace.layers.base import SequenceLayer, State, check_sequence
from statespace.layers.mixing import MIXINGS
from statespace.shapes import expect


class ResidualBlock(nn.Module):
    """Pre-norm residual block: normalise, run the layer, mix the channels, drop out, add.

    Args:
        layer: the layer over time.
        mixing: ``"glu"``, ``"gated"`` or ``"none"``.
        dropout: probability that a channel is zeroed at a time, in [0, 1).
        norm: what normalises ``(..., d)``; None for LayerNorm.
    Raises:
        InputError: an unknown `mixing`, or `dropout` out of range.
    """

    def __init__(
        self, layer: SequenceLayer[Any], mixing: str = "glu", dropout: float = 0.0, norm: nn.Module | None = None
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise InputError(f"ResidualBlock: dropout is {dropout}, but a probability in [0, 1) is expected.")
        self.norm: nn.Module = nn.LayerNorm(layer.d_model) if norm is None else norm
        self.layer: SequenceLayer[Any] = layer
        self.mixing = MIXINGS[choose("ResidualBlock", "mixing", mixing, MIXINGS)](layer.d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        state: State | None = None,
        lengths: Tensor | None = None,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
        observed: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Run over whole sequences; as `SequenceLayer.forward`, with gaps.

        Args:
            x: input, ``(b, l, d)``.
            state: the layer's state.
            lengths: samples that count in each sequence, ``(b,)``.
            dt: time since the sample before, ``(b, l)``.
            dt_scale: factor on the step.
            observed: 1 where a sample is there and 0 in a gap, ``(b, l)``: nothing enters the layer in a gap, but its
                state moves on.
        Returns:
            The output ``(b, l, d)`` and the layer's state.
        Raises:
            ShapeError: `x`, `state`, `dt` or `observed` does not have the shape named here.
            InputError: `lengths`, `dt` or `dt_scale` is out of range.
        """
        check_sequence("ResidualBlock.forward", x, self.layer.d_model)
        u = self.norm(x)
        if observed is not None:
            sizes = {"b": x.shape[0], "l": x.shape[1]}
            expect("ResidualBlock.forward", "observed", observed, "b l", sizes, "One mark a sample, for all channels.")
            u = u.masked_fill((observed == 0)[..., None], 0)
        y, state = self.layer(u, state, lengths, dt, dt_scale)
        return x + self.dropout(self.mixing(y, u)), state

    def step(self, x: Tensor, state: State, dt: Tensor | None = None, dt_scale: float = 1.0) -> tuple[Tensor, State]:
        """Take one sample ``(b, d)``; see `SequenceLayer.step`."""
        u = self.norm(x)
        y, state = self.layer.step(u, state, dt, dt_scale)
        return x + self.dropout(self.mixing(y, u)), state
