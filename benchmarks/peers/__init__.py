"""Layers of torch in the clothes of ours: an LSTM, and causal attention with rotary positions and a cache.

They take ``(x, state)`` and give ``(y, state)``, which is all that a `ResidualBlock` asks of a layer in training.

Source: Hochreiter and Schmidhuber 1997 for the LSTM; Vaswani et al. 2017 (arXiv:1706.03762) for attention, Su et al.
2021 (arXiv:2104.09864) for the rotation of positions.
"""

import torch
from torch import Tensor, nn


class LSTM(nn.Module):
    """One layer of ``torch.nn.LSTM``."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.d_model = d_model
        self.lstm = nn.LSTM(d_model, d_model, batch_first=True)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None, *_: object) -> tuple[Tensor, object]:
        """Run over ``(b, l, d)``."""
        y, state = self.lstm(x, state)
        return y, state


class Attention(nn.Module):
    """Causal attention with rotary positions; the state is the keys and values so far."""

    def __init__(self, d_model: int, heads: int = 4) -> None:
        super().__init__()
        self.d_model, self.heads = d_model, heads
        self.into = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)

    def _rotated(self, x: Tensor, first: int) -> Tensor:
        """Turn each pair of ``(b, heads, l, e)`` by its position times its frequency."""
        half = x.shape[-1] // 2
        frequencies = 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        angle = torch.arange(first, first + x.shape[2], dtype=torch.float64)[:, None] * frequencies
        cos, sin = angle.cos().to(x), angle.sin().to(x)
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None, *_: object) -> tuple[Tensor, object]:
        """Run over ``(b, l, d)``."""
        q, k, v = self.into(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        first = 0 if state is None else state[0].shape[2]
        q, k = self._rotated(q, first), self._rotated(k, first)
        if state is not None:
            k, v = torch.cat([state[0], k], 2), torch.cat([state[1], v], 2)
        mask = None
        if first:  # the past is seen whole, the chunk causally
            mask = torch.ones(x.shape[1], k.shape[2], dtype=torch.bool).tril(first)
        y = nn.functional.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None)
        return self.out(y.transpose(1, 2).flatten(2)), (k, v)
