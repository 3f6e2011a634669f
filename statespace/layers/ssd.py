"""SSD: the selective state space model of Mamba-2, one decay for all channels and states of a head.

    dt_t, B_t, C_t = W x_t,   Δ_t = softplus(dt_t + bias),
    h_t = exp(Δ_t A) h_{t-1} + Δ_t x_t B_tᵀ,   y_t = h_t C_t + D x_t        in each head, A a negative number.

With a number in place of a diagonal matrix, the map from inputs to outputs is a matrix of inner products under a mask
of decays, ``(C Bᵀ) ∘ L``, as in attention without the softmax: the state space duality by which `kernels.ssd` computes
it.

Source: Dao and Gu 2024 (Mamba-2, arXiv:2405.21060), sections 3 and 6.
"""

from torch import Tensor, nn

from statespace.errors import at_least
from statespace.layers._heads import Heads, group_count, head_width
from statespace.layers.base import SequenceLayer, beyond, check_dt, check_lengths, check_sample, check_sequence
from statespace.layers.capabilities import Capabilities

_STATE = "b h p n"


class SSD(SequenceLayer[Tensor]):
    """Selective state space layer with one decay for each head.

    Args:
        d_model: number of channels.
        d_state: number of states for each channel.
        head_dim: channels of a head, a divisor of `d_model`; None for 64, or for at most a quarter of the channels.
        n_groups: groups of heads that share B and C, a divisor of the number of heads.
        dt_min: smallest step at the start, in units of the sampling interval.
        dt_max: largest step at the start; the steps are log-uniform between the two.
    Raises:
        InputError: an argument is out of range.
    """

    capabilities = Capabilities(selective=True)

    def __init__(
        self,
        d_model: int,
        d_state: int = 64,
        head_dim: int | None = None,
        n_groups: int = 1,
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
    ) -> None:
        super().__init__()
        at_least("SSD", 1, d_model=d_model, d_state=d_state)
        self.d_model, self.d_state = d_model, d_state
        self.head_dim = head_width("SSD", d_model, head_dim)
        heads = d_model // self.head_dim
        self.n_groups = group_count("SSD", heads, n_groups)
        self.select = nn.Linear(d_model, heads + 2 * n_groups * d_state, bias=False)
        self.heads = Heads("SSD", heads, dt_min, dt_max)

    def ssm_parameters(self) -> list[nn.Parameter]:
        """Return the bias of Δ, A and D: they are never decayed."""
        return list(self.heads.parameters())

    def _sizes(self) -> dict[str, int]:
        return {"h": self.d_model // self.head_dim, "p": self.head_dim, "n": self.d_state}

    def _selected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return x by heads, Δ before bias and softplus, and B and C by groups."""
        vectors = self.n_groups * self.d_state
        dt, B, C = self.select(x.to(self.select.weight.dtype)).split(
            [self.d_model // self.head_dim, vectors, vectors], dim=-1
        )
        groups = (self.n_groups, self.d_state)
        return x.unflatten(-1, (-1, self.head_dim)), dt, B.unflatten(-1, groups), C.unflatten(-1, groups)

    def forward(
        self,
        x: Tensor,
        state: Tensor | None = None,
        lengths: Tensor | None = None,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Run over whole sequences; see `SequenceLayer.forward`. The state is ``(b, h, p, n)``."""
        where = "SSD.forward"
        check_sequence(where, x, self.d_model, state, _STATE, **self._sizes())
        lengths = check_lengths(where, lengths, x.shape[0], x.shape[1])
        dt = check_dt(where, x, dt, dt_scale, lengths)
        padding = beyond(lengths, x.shape[1])
        u = x if padding is None else x.masked_fill(padding[..., None], 0)
        selected = self._selected(u.to(self.heads.D.dtype))
        y, state = self.heads.scan(*selected, state, lengths, dt_scale if dt is None else dt * dt_scale)
        return y.flatten(-2).to(x.dtype), state

    def step(self, x: Tensor, state: Tensor, dt: Tensor | None = None, dt_scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Take one sample ``(b, d)``; see `SequenceLayer.step`."""
        where = "SSD.step"
        check_sample(where, x, self.d_model, state, _STATE, **self._sizes())
        dt = check_dt(where, x, dt, dt_scale)
        selected = self._selected(x.to(self.heads.D.dtype))
        y, state = self.heads.step(*selected, state, dt_scale if dt is None else dt * dt_scale)
        return y.flatten(-2).to(x.dtype), state

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros, ``(batch, h, p, n)``."""
        return self.heads.D.new_zeros(batch, *self._sizes().values())
