"""A causal Transformer block: what state space models are compared with, under the same contract.

    q, k, v = W_in u,    q, k ← R(t) q, R(t) k                       rotary positions, t counts samples
    a_t = W_o Σ_{s ≤ t} softmax_s(q_tᵀ k_s / √e) v_s                  in each head of width e
    y = a + W_2 GELU(W_1 LayerNorm(u + a))

Inside a `ResidualBlock` without mixing, which normalises u and adds y, this is the pre-norm block, but that the
feed-forward reads the normalised input beside what attention wrote.

Its state is all that it has seen: keys and values of every sample, ``(b, t, d_model)`` each, which grow by one with
each step. A step takes time and memory in proportion to t, where a state space layer takes the same at any t. It counts
samples: there is no time between them, so `dt` and another rate are refused.

Source: Vaswani et al. 2017 (arXiv:1706.03762), section 3; Xiong et al. 2020 (arXiv:2002.04745) for pre-norm; Su et al.
2021 (arXiv:2104.09864), section 3.2, for the positions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from statespace.errors import InputError, at_least
from statespace.kernels.rotation import rotate
from statespace.layers.base import SequenceLayer, beyond, check_lengths, check_sample, check_sequence, refuse_time
from statespace.layers.capabilities import Capabilities

TransformerState = tuple[Tensor, Tensor, Tensor]
_STATE = ("b t d", "b t d", "b t")
BASE = 10000.0  # the slowest pair of coordinates turns once in 2π · BASE samples


class Transformer(SequenceLayer[TransformerState]):
    """Causal self-attention and a feed-forward, a baseline; it carries the keys and values of all samples so far.

    Args:
        d_model: number of channels.
        d_state: most channels of a head's keys and values; a key is to attention what the states of a channel are to
            `SSD`. There are as few heads as keep within it.
        heads: number of heads instead, a divisor of `d_model`.
        expand: hidden channels of the feed-forward for each channel.
    Raises:
        InputError: an argument is out of range.
    """

    capabilities = Capabilities(irregular=False, any_rate=False, selective=True, mixes=True, grows=True)

    def __init__(self, d_model: int, d_state: int = 64, heads: int | None = None, expand: int = 4) -> None:
        super().__init__()
        at_least("Transformer", 1, d_model=d_model, d_state=d_state, expand=expand)
        if heads is None:
            heads = next(n for n in range(-(-d_model // d_state), d_model + 1) if d_model % n == 0)
        if heads < 1 or d_model % heads:
            raise InputError(
                f"Transformer: heads is {heads}, but a divisor of d_model ({d_model}) is expected: all have one width."
            )
        self.d_model, self.heads = d_model, heads
        self.into = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)
        self.norm = nn.LayerNorm(d_model)
        self.feed_forward = nn.Sequential(
            nn.Linear(d_model, expand * d_model), nn.GELU(), nn.Linear(expand * d_model, d_model)
        )

    def _turned(self, rows: Tensor, positions: Tensor) -> Tensor:
        """Turn queries or keys ``(b, l, d)`` by their `positions` ``(b, l)``; in float64, or late ones lose digits."""
        rows = rows.unflatten(-1, (self.heads, -1))
        pairs = rows.shape[-1] // 2
        rates = BASE ** -(torch.arange(pairs, dtype=torch.float64, device=rows.device) / max(1, pairs))
        return rotate(rows, positions[..., None, None] * rates).flatten(-2)

    def _by_heads(self, rows: Tensor) -> Tensor:
        split: Tensor = rows.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return split

    def _run(self, x: Tensor, state: TransformerState, counted: Tensor) -> tuple[Tensor, TransformerState]:
        """Attend from each of ``x (b, l, d)`` to all before it; `counted` ``(b, l)`` says which are samples."""
        keys, values, known = state
        u = x.to(self.out.weight.dtype)
        query, key, value = self.into(u).chunk(3, dim=-1)
        positions = known.sum(1, keepdim=True) + counted.cumsum(1) - 1
        query, key = self._turned(query, positions), self._turned(key, positions)
        past, length = keys.shape[1], x.shape[1]
        keys, values, known = (torch.cat(both, dim=1) for both in ((keys, key), (values, value), (known, counted)))
        mask = None
        if past:
            earlier = torch.ones(length, past + length, dtype=torch.bool, device=x.device).tril(past)
            # A sample sees itself, also where it does not count: the softmax of nothing would be NaN.
            mask = (earlier & known[:, None] | earlier.triu(past))[:, None]
        # Without a past, what is no sample comes after all that are, and is out of their sight.
        attended = F.scaled_dot_product_attention(
            self._by_heads(query),
            self._by_heads(keys),
            self._by_heads(values),
            attn_mask=mask,
            is_causal=mask is None,
        )
        a = self.out(attended.transpose(1, 2).flatten(-2))
        y = a + self.feed_forward(self.norm(u + a))
        return y.to(x.dtype), (keys, values, known)

    def forward(
        self,
        x: Tensor,
        state: TransformerState | None = None,
        lengths: Tensor | None = None,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
    ) -> tuple[Tensor, TransformerState]:
        """Run over whole sequences; see `SequenceLayer.forward`. `dt` and a `dt_scale` other than 1 are refused.

        The state is the turned keys and the values, ``(b, t, d)``, and which of them are samples and not padding,
        ``(b, t)``, bool.
        """
        where = "Transformer.forward"
        check_sequence(where, x, self.d_model, state, _STATE)
        lengths = check_lengths(where, lengths, x.shape[0], x.shape[1])
        refuse_time(where, dt, dt_scale)
        before = self.initial_state(len(x)) if state is None else state
        padding = beyond(lengths, x.shape[1])
        if padding is None:
            return self._run(x, before, torch.ones(x.shape[:2], dtype=torch.bool, device=x.device))
        y, after = self._run(x.masked_fill(padding[..., None], 0), before, ~padding)
        return y.masked_fill(padding[..., None], 0), after

    def step(
        self, x: Tensor, state: TransformerState, dt: Tensor | None = None, dt_scale: float = 1.0
    ) -> tuple[Tensor, TransformerState]:
        """Take one sample ``(b, d)``; see `SequenceLayer.step`. `dt` and a `dt_scale` other than 1 are refused."""
        where = "Transformer.step"
        check_sample(where, x, self.d_model, state, _STATE)
        refuse_time(where, dt, dt_scale)
        y, after = self._run(x[:, None], state, torch.ones(len(x), 1, dtype=torch.bool, device=x.device))
        return y[:, 0], after

    def initial_state(self, batch: int) -> TransformerState:
        """Return no keys and no values: ``t = 0``."""
        weight = self.out.weight
        empty = weight.new_zeros(batch, 0, self.d_model)
        return empty, empty, weight.new_zeros(batch, 0, dtype=torch.bool)
