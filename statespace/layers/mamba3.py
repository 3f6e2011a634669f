"""The Mamba-3 block: an exponential-trapezoidal rule, a state that turns, and no convolution.

    z, x, B, C, Δ, A, λ, θ = W_in u,    B ← RMSNorm(B) + b_B,   C ← RMSNorm(C) + b_C     (one bias a head)
    Δ = softplus(Δ + bias) · time since the sample before,   A = -softplus(A),   λ = σ(λ),   θ = π tanh(θ) Δ
    B ← R(S) B,   C ← R(S) C,   S_t = θ_1 + ... + θ_t                                     (a complex A, in real numbers)
    h_t = α_t h_{t-1} + (1 - λ_t) Δ_t α_t x_{t-1} B_{t-1}ᵀ + λ_t Δ_t x_t B_tᵀ,   α_t = exp(Δ_t A_t)
    y_t = h_t C_t + D x_t,    out = W_out (y ⊙ SiLU(z))

in each head, with ``h (p, n)``. The integral of the input over a step is weighed at both of its ends, and by how much
is learnt; λ = 1 is the Euler rule of Mamba-2, λ = 1/2 the trapezoid. Both ends take the *same* step, so the state
carries the last ``B`` and ``x`` beside ``h`` and the sums of angles. (``method="exponential-trapezoidal"`` of
`kernels.selective_scan` weighs what came earlier by its own step, which is the same for equal steps only.)

One pass of `kernels.ssd` is enough for a sequence: g holds what a sample adds to later states through both weights,

    g_t = α_t g_{t-1} + w_t x_t B_tᵀ,                          w_t = λ_t Δ_t + (1 - λ_{t+1}) Δ_{t+1},
    h_t = g_t - (1 - λ_{t+1}) Δ_{t+1} x_t B_tᵀ.

Where we deviate: one input and one output for each channel of a head, not the rank-R form; sums of angles are kept in
float64. docs/decisions/mamba-3.md says why.

Source: Lahoti, Li, Chen, Wang, Bick, Kolter, Dao, Gu 2026 (Mamba-3, arXiv:2603.15569), section 3. Order of the rows of
W_in, pairs of coordinates and starting values follow the authors' module.
"""

from collections.abc import Sequence
from math import pi
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from statespace.errors import InputError, at_least
from statespace.kernels.rotation import of_heads, rotate, rotation, wrapped
from statespace.kernels.ssd import ssd
from statespace.layers._heads import group_count, head_width, initial_dt_bias
from statespace.layers.base import SequenceLayer, beyond, check_dt, check_lengths, check_sample, check_sequence
from statespace.layers.capabilities import Capabilities

Mamba3State = tuple[Tensor, Tensor, Tensor, Tensor]
_STATE = ("b h p n", "b h n", "b h p", "b h r")
SLOWEST = 1e-4  # the least decay rate, in 1 / sampling interval
EPS = 1e-5  # added to mean squares


class _Selected(NamedTuple):
    """What a sample, or each of a sequence, brings: leading axes ``(b, l)`` or ``(b,)``."""

    gate: Tensor  # (..., e)
    x: Tensor  # (..., h, p)
    B: Tensor  # (..., g, n), before its norm, without the biases of the heads, and not yet turned
    C: Tensor  # (..., g, n), the same
    step: Tensor  # (..., h), Δ
    decay: Tensor  # (..., h), -ΔA
    now: Tensor  # (..., h), λ Δ
    earlier: Tensor  # (..., h), (1 - λ) Δ
    turn: Tensor  # (..., r), θ / Δ in radians


class Mamba3(SequenceLayer[Mamba3State]):
    """Mamba-3 block over sequences; it carries its states, the last B and x, and the sum of the angles.

    Args:
        d_model: number of channels.
        d_state: number of states for each inner channel.
        expand: inner channels for each channel.
        head_dim: inner channels of a head; None for 64, or for at most a quarter of the inner channels.
        n_groups: groups of heads that share B and C before their biases, a divisor of the number of heads.
        rotated: share of the states that turn, in (0, 1].
        dt_min: smallest step at the start, in units of the sampling interval.
        dt_max: largest step at the start; the steps are log-uniform between the two.
    Raises:
        InputError: an argument is out of range.
    """

    capabilities = Capabilities(selective=True, mixes=True)

    def __init__(
        self,
        d_model: int,
        d_state: int = 128,
        expand: int = 2,
        head_dim: int | None = None,
        n_groups: int = 1,
        rotated: float = 0.5,
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
    ) -> None:
        super().__init__()
        at_least("Mamba3", 1, d_model=d_model, expand=expand)
        at_least("Mamba3", 2, d_state=d_state)
        if not 0 < rotated <= 1:
            raise InputError(f"Mamba3: rotated is {rotated}, but a share of the states in (0, 1] is expected.")
        self.d_model, self.d_state, self.inner = d_model, d_state, expand * d_model
        self.head_dim = head_width("Mamba3", self.inner, head_dim)
        self.heads = self.inner // self.head_dim
        self.n_groups = group_count("Mamba3", self.heads, n_groups)
        self.angles = max(1, int(rotated * d_state) // 2)
        self.into = nn.Linear(d_model, sum(self._widths()), bias=False)
        self.B_norm = nn.Parameter(torch.ones(d_state))
        self.C_norm = nn.Parameter(torch.ones(d_state))
        self.B_bias = nn.Parameter(torch.ones(self.heads, d_state))
        self.C_bias = nn.Parameter(torch.ones(self.heads, d_state))
        self.dt_bias = nn.Parameter(initial_dt_bias("Mamba3", self.heads, dt_min, dt_max))
        self.D = nn.Parameter(torch.ones(self.heads))
        self.out = nn.Linear(self.inner, d_model, bias=False)

    def ssm_parameters(self) -> list[nn.Parameter]:
        """Return the bias of Δ and D: they are never decayed. A follows the input, and has no parameter of its own."""
        return [self.dt_bias, self.D]

    def _widths(self) -> list[int]:
        vectors = self.n_groups * self.d_state
        return [self.inner, self.inner, vectors, vectors, self.heads, self.heads, self.heads, self.angles]

    def _sizes(self) -> dict[str, int]:
        return {"h": self.heads, "p": self.head_dim, "n": self.d_state, "r": self.angles}

    def _projected(self, u: Tensor) -> Sequence[Tensor]:
        """Return the results of `into` for sequences, the wide ones by products of their own.

        So the gradients of all need not be laid side by side before the way back.
        """
        gate, x, B, C, *narrow = self._widths()
        *wide, rest = (F.linear(u, weight) for weight in self.into.weight.split([gate, x, B, C, sum(narrow)]))
        return *wide, *rest.split(narrow, dim=-1)

    def _selected(
        self, projected: Sequence[Tensor], elapsed: Tensor | float, padding: Tensor | None = None
    ) -> _Selected:
        gate, x, B, C, dt, A, blend, turn = projected
        step = F.softplus(dt + self.dt_bias)
        step = step * (elapsed[..., None].to(step.dtype) if isinstance(elapsed, Tensor) else elapsed)
        if padding is not None:
            step = step.masked_fill(padding[..., None], 0)  # a sample without a step changes nothing
        rate = F.softplus(A).clamp(min=SLOWEST)
        share = torch.sigmoid(blend)
        # Under autocast, products are in half precision; steps and parameters are not, nor is what is summed with them.
        x, B, C, turn = (part.to(step.dtype) for part in (x, B, C, turn))
        return _Selected(
            gate,
            x.unflatten(-1, (self.heads, self.head_dim)),
            B.unflatten(-1, (self.n_groups, self.d_state)),
            C.unflatten(-1, (self.n_groups, self.d_state)),
            step,
            step * rate,
            share * step,
            (1 - share) * step,
            pi * torch.tanh(turn),
        )

    def _vectors(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the weights of the norms of B and C, and the biases of both."""
        return self.B_norm.to(dtype), self.C_norm.to(dtype), self.B_bias.to(dtype), self.C_bias.to(dtype)

    def _out(self, y: Tensor, gate: Tensor) -> Tensor:
        """Return what comes out of the heads ``(..., h, p)`` under the gate, mixed."""
        mixed: Tensor = self.out((y.flatten(-2) * F.silu(gate)).to(self.out.weight.dtype))
        return mixed

    def forward(
        self,
        x: Tensor,
        state: Mamba3State | None = None,
        lengths: Tensor | None = None,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
    ) -> tuple[Tensor, Mamba3State]:
        """Run over whole sequences; see `SequenceLayer.forward`.

        The state is that of the heads, ``(b, h, p, n)``, the last turned B, ``(b, h, n)``, the last x, ``(b, h, p)``,
        and the sums of angles less whole turns, ``(b, h, r)``, in float64.
        """
        where = "Mamba3.forward"
        check_sequence(where, x, self.d_model, state, _STATE, **self._sizes())
        lengths = check_lengths(where, lengths, x.shape[0], x.shape[1])
        dt = check_dt(where, x, dt, dt_scale, lengths)
        before = self.initial_state(len(x)) if state is None else state
        if x.shape[1] == 0:
            return x, before
        padding = beyond(lengths, x.shape[1])
        u = (x if padding is None else x.masked_fill(padding[..., None], 0)).to(self.into.weight.dtype)
        given = self._selected(self._projected(u), dt_scale if dt is None else dt * dt_scale, padding)
        h, last_B, last_x, angle = before
        B, C, products, angle = rotation(
            given.B, given.C, *self._vectors(given.B.dtype), given.turn, given.step, angle, EPS
        )
        h = h + (given.earlier[:, 0, :, None] * last_x)[..., None] * last_B[:, :, None]
        later = F.pad(given.earlier[:, 1:], (0, 0, 0, 1))  # what the next sample adds for this one
        # The kernel multiplies by the same number that it decays by, so that is divided out. A decay of less than this
        # changes nothing, and keeps the quotient and its gradient finite.
        decay = given.decay.clamp(min=torch.finfo(given.decay.dtype).tiny ** (1 / 3))
        weight = (given.now + later) / decay
        minus_one = -torch.ones_like(self.D)
        y, h = ssd(
            given.x * weight[..., None],
            decay,
            minus_one,
            B,
            C,
            initial_state=h,
            lengths=lengths,
            return_final_state=True,
        )
        y = y + (self.D - later * products)[..., None] * given.x
        y = self._out(y, given.gate).to(x.dtype)
        if padding is None:
            return y, (h, B[:, -1], given.x[:, -1], angle)
        assert lengths is not None
        ends = torch.arange(len(x), device=x.device), (lengths - 1).clamp(min=0)
        some = (lengths > 0)[:, None, None]
        last_B, last_x = torch.where(some, B[ends], last_B), torch.where(some, given.x[ends], last_x)
        return y.masked_fill(padding[..., None], 0), (h, last_B, last_x, angle)

    def step(
        self, x: Tensor, state: Mamba3State, dt: Tensor | None = None, dt_scale: float = 1.0
    ) -> tuple[Tensor, Mamba3State]:
        """Take one sample ``(b, d)``; see `SequenceLayer.step`."""
        where = "Mamba3.step"
        check_sample(where, x, self.d_model, state, _STATE, **self._sizes())
        dt = check_dt(where, x, dt, dt_scale)
        projected = self.into(x.to(self.into.weight.dtype)).split(self._widths(), dim=-1)
        given = self._selected(projected, dt_scale if dt is None else dt * dt_scale)
        h, last_B, last_x, angle = state
        angle = wrapped(angle + (given.turn[:, None] * given.step[..., None]).double())
        B_norm, C_norm, B_bias, C_bias = self._vectors(given.B.dtype)
        B = rotate(of_heads(given.B, B_norm, B_bias, EPS), angle)
        C = rotate(of_heads(given.C, C_norm, C_bias, EPS), angle)
        h = h + (given.earlier[..., None] * last_x)[..., None] * last_B[:, :, None]
        # α - 1 is small where the memory is long: a rounded α would drift over as many steps as it remembers.
        change = torch.expm1(-given.decay)[..., None, None]
        h = h + (change * h + (given.now[..., None] * given.x)[..., None] * B[:, :, None])
        y = (h * C[:, :, None]).sum(-1) + self.D[:, None] * given.x
        y = y.to(given.x.dtype)  # a state that comes from a scan in half precision is in float32
        return self._out(y, given.gate).to(x.dtype), (h, B, given.x, angle)

    def initial_state(self, batch: int) -> Mamba3State:
        """Return zeros; see `forward` for their shapes."""
        sizes = (self.heads, self.head_dim, self.d_state)
        new = self.D.new_zeros
        angle = new(batch, self.heads, self.angles, dtype=torch.float64)
        return new(batch, *sizes), new(batch, self.heads, self.d_state), new(batch, *sizes[:2]), angle
