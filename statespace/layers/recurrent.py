"""LSTM and GRU: the recurrent networks that state space models are compared with, under the same contract.

    LSTM:   i, f, o = σ(W x_t + U h_{t-1} + b),   c_t = f ⊙ c_{t-1} + i ⊙ tanh(W_c x_t + U_c h_{t-1} + b_c),
            h_t = o ⊙ tanh(c_t)
    GRU:    r, z = σ(W x_t + U h_{t-1} + b),   n = tanh(W_n x_t + b_n + r ⊙ (U_n h_{t-1} + c_n)),
            h_t = (1 - z) ⊙ n + z ⊙ h_{t-1}

Both count samples: there is no time between them, so `dt` and another rate are refused.

Source: Hochreiter and Schmidhuber 1997, Neural Computation 9(8), with the forget gate of Gers et al. 2000; Cho et al.
2014 (arXiv:1406.1078), section 2.3. The arithmetic is that of `torch.nn.LSTM` and `torch.nn.GRU`.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from statespace.errors import at_least
from statespace.layers.base import SequenceLayer, beyond, check_lengths, check_sample, check_sequence, refuse_time
from statespace.layers.capabilities import Capabilities

_WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")

RecurrentStateT = TypeVar("RecurrentStateT", Tensor, tuple[Tensor, Tensor])


def _each(function: Callable[..., Tensor], *states: Any) -> Any:
    """Apply `function` to the states, part by part where they have several."""
    if isinstance(states[0], tuple):
        return tuple(function(*parts) for parts in zip(*states, strict=True))
    return function(*states)


class _Recurrent(SequenceLayer[RecurrentStateT]):
    """What the two have in common: everything but the cell and what it carries."""

    capabilities = Capabilities(irregular=False, any_rate=False, selective=True, mixes=True)
    axes: str | tuple[str, ...]
    kind: type[nn.LSTM] | type[nn.GRU]

    def __init__(self, d_model: int, d_state: int | None = None) -> None:
        super().__init__()
        units = d_model if d_state is None else d_state
        at_least(type(self).__name__, 1, d_model=d_model, d_state=units)
        self.d_model, self.d_state = d_model, units
        self.cell = self.kind(d_model, units, batch_first=True)
        self.out = nn.Identity() if units == d_model else nn.Linear(units, d_model)

    @abstractmethod
    def _one(self, x: Tensor, state: RecurrentStateT) -> tuple[Tensor, RecurrentStateT]:
        """Run the cell over one sample; return what it gives out, ``(b, d_state)``, and its state."""

    def forward(
        self,
        x: Tensor,
        state: RecurrentStateT | None = None,
        lengths: Tensor | None = None,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
    ) -> tuple[Tensor, RecurrentStateT]:
        """Run over whole sequences; see `SequenceLayer.forward`. `dt` and a `dt_scale` other than 1 are refused."""
        where = f"{type(self).__name__}.forward"
        check_sequence(where, x, self.d_model, state, self.axes, n=self.d_state)
        lengths = check_lengths(where, lengths, x.shape[0], x.shape[1])
        refuse_time(where, dt, dt_scale)
        before = self.initial_state(len(x)) if state is None else state
        if x.numel() == 0:
            return x, before
        padding = beyond(lengths, x.shape[1])
        u = (x if padding is None else x.masked_fill(padding[..., None], 0)).to(self._weights()[0].dtype)
        carried = _each(lambda part: part[None], before)  # torch's modules have an axis of stacked layers
        if lengths is None or padding is None:
            hidden, carried = self.cell(u, carried)
            return self.out(hidden).to(x.dtype), _each(lambda part: part[0], carried)
        # torch packs no empty sequence: one sample is run, and its result put aside.
        packed = pack_padded_sequence(u, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False)
        packed, carried = self.cell(packed, carried)
        hidden, _ = pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])
        y = self.out(hidden).to(x.dtype).masked_fill(padding[..., None], 0)
        empty = lengths[:, None] == 0
        return y, _each(lambda old, new: torch.where(empty, old, new[0]), before, carried)

    def step(
        self, x: Tensor, state: RecurrentStateT, dt: Tensor | None = None, dt_scale: float = 1.0
    ) -> tuple[Tensor, RecurrentStateT]:
        """Take one sample ``(b, d)``; see `SequenceLayer.step`. `dt` and a `dt_scale` other than 1 are refused."""
        where = f"{type(self).__name__}.step"
        check_sample(where, x, self.d_model, state, self.axes, n=self.d_state)
        refuse_time(where, dt, dt_scale)
        hidden, after = self._one(x.to(self._weights()[0].dtype), state)
        return self.out(hidden).to(x.dtype), after

    def _weights(self) -> list[Tensor]:
        return [getattr(self.cell, name) for name in _WEIGHTS]

    def _zeros(self, batch: int) -> Tensor:
        return self._weights()[0].new_zeros(batch, self.d_state)


class LSTM(_Recurrent[tuple[Tensor, Tensor]]):
    """Long short-term memory over sequences, a baseline; it carries the hidden and the cell state.

    Args:
        d_model: number of channels.
        d_state: number of units; None for `d_model`. Where it differs, a linear map leads back to `d_model` channels.
    Raises:
        InputError: an argument is out of range.
    """

    axes = ("b n", "b n")
    kind = nn.LSTM

    def _one(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        hidden, cell = torch.lstm_cell(x, state, *self._weights())
        return hidden, (hidden, cell)

    def initial_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """Return zeros, the hidden and the cell state, each ``(batch, d_state)``."""
        return self._zeros(batch), self._zeros(batch)


class GRU(_Recurrent[Tensor]):
    """Gated recurrent unit over sequences, a baseline; it carries the hidden state.

    Args:
        d_model: number of channels.
        d_state: number of units; None for `d_model`. Where it differs, a linear map leads back to `d_model` channels.
    Raises:
        InputError: an argument is out of range.
    """

    axes = "b n"
    kind = nn.GRU

    def _one(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.gru_cell(x, state, *self._weights())
        return hidden, hidden

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros, ``(batch, d_state)``."""
        return self._zeros(batch)
