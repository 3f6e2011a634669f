"""The residual block around a layer: x + Dropout(Mix(Layer(Norm(x)))).

Source: Gu, Gupta, Goel, Ré 2022 (S4D, arXiv:2206.11893), the block of the experiments; pre-norm as in Xiong et al. 2020
(arXiv:2002.04745).
"""

from typing import Any

from torch import Tensor, nn

from statespace.errors import InputError, choose
from statespace.layers.base import SequenceLayer, State, beyond, check_lengths, check_sequence
from statespace.layers.mixing import MIXINGS
from statespace.layers.norm import make_norm
from statespace.layers.stochastic_depth import StochasticDepth
from statespace.shapes import expect


class ResidualBlock(nn.Module):
    """Pre-norm residual block: normalise, run the layer, mix the channels, drop out, add.

    Args:
        layer: the layer over time.
        mixing: ``"glu"``, ``"gated"``, ``"none"``, or ``"auto"``: none for a layer that mixes the channels itself, glu
            for the others.
        dropout: probability that a channel is zeroed at a time, in [0, 1).
        norm: ``"layer"``, ``"rms"``, or a module that normalises ``(..., d)``.
        stochastic_depth: probability that all of the branch is left out for a sequence in training, in [0, 1).
    Raises:
        InputError: an unknown `mixing` or `norm`, or a probability out of range.
    """

    def __init__(
        self,
        layer: SequenceLayer[Any],
        mixing: str = "auto",
        dropout: float = 0.0,
        norm: str | nn.Module = "layer",
        stochastic_depth: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value in (("dropout", dropout), ("stochastic_depth", stochastic_depth)):
            if not 0 <= value < 1:
                raise InputError(f"ResidualBlock: {name} is {value}, but a probability in [0, 1) is expected.")
        self.norm = make_norm("ResidualBlock", norm, layer.d_model) if isinstance(norm, str) else norm
        self.layer: SequenceLayer[Any] = layer
        if choose("ResidualBlock", "mixing", mixing, ("auto", *MIXINGS)) == "auto":
            mixing = "none" if layer.capabilities.mixes else "glu"
        self.mixing = MIXINGS[mixing](layer.d_model)
        self.dropout = nn.Dropout(dropout)
        self.stochastic_depth = StochasticDepth(stochastic_depth)

    def _branch(self, y: Tensor, u: Tensor) -> Tensor:
        branch: Tensor = self.stochastic_depth(self.dropout(self.mixing(y, u)))
        return branch

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
        lengths = check_lengths("ResidualBlock.forward", lengths, x.shape[0], x.shape[1])
        padding = beyond(lengths, x.shape[1])
        if padding is not None:
            x = x.masked_fill(padding[..., None], 0)
        u = self.norm(x)
        if observed is not None:
            sizes = {"b": x.shape[0], "l": x.shape[1]}
            expect("ResidualBlock.forward", "observed", observed, "b l", sizes, "One mark a sample, for all channels.")
            u = u.masked_fill((observed == 0)[..., None], 0)
        y, state = self.layer(u, state, lengths, dt, dt_scale)
        return x + self._branch(y, u), state

    def step(
        self,
        x: Tensor,
        state: State,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
        observed: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Take one sample ``(b, d)``, of which `observed` ``(b,)`` says if it is there; see `SequenceLayer.step`."""
        u = self.norm(x)
        if observed is not None:
            expect("ResidualBlock.step", "observed", observed, "b", {"b": x.shape[0]}, "One mark a sequence.")
            u = u.masked_fill((observed == 0)[:, None], 0)
        y, state = self.layer.step(u, state, dt, dt_scale)
        return x + self._branch(y, u), state
