"""S6: the selective state space model, whose step and matrices follow the input.

    x'(t) = A x(t) + B(t) u(t),   y(t) = C(t) x(t) + D u(t),        A diagonal, real, one row for each channel,

    Δ_t = softplus(W_Δ W_x u_t + bias),   B_t = W_B u_t,   C_t = W_C u_t,
    h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t u_t,   y_t = C_t h_t + D u_t.

A small Δ passes a sample by, a large one forgets the past for it: that is the selection.

Source: Gu and Dao 2023 (Mamba, arXiv:2312.00752), algorithm 2 and section 3.6. Symbols: `A_log` is log(-A), `dt_bias`
the bias of Δ before the softplus.

Where we deviate: `discretization` may also be ``"zoh"``, exact for a constant input, and ``"exponential-trapezoidal"``
(Mamba-3); the published models take ``"euler-b"``, which this layer does too by default.
"""

from math import inf, log
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from statespace.errors import InputError, at_least, choose
from statespace.kernels.selective_scan import METHODS, selective_scan
from statespace.kernels.selective_state_update import selective_state_update
from statespace.layers.base import SequenceLayer, beyond, check_dt, check_lengths, check_sample, check_sequence
from statespace.layers.capabilities import Capabilities

# Before the softplus: what makes Δ zero, so that a sample neither moves the state nor enters it.
NO_STEP = -1e4


class _Selected(NamedTuple):
    """What follows the input, for the scan: the step with its bias before the softplus, or without one as it is."""

    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    bias: Tensor | None


class S6(SequenceLayer[Tensor]):
    """Selective state space layer: diagonal systems whose step, input and output vectors follow the input.

    Args:
        d_model: number of channels.
        d_state: number of states for each channel.
        discretization: ``"euler-b"``, ``"zoh"`` or ``"exponential-trapezoidal"``.
        dt_rank: width of the bottleneck that Δ goes through; None for ``d_model / 16``, rounded up.
        dt_min: smallest step at the start, in units of the sampling interval.
        dt_max: largest step at the start; the steps are log-uniform between the two.
    Raises:
        InputError: an argument is out of range or its name is not known.
    """

    capabilities = Capabilities(selective=True)

    def __init__(
        self,
        d_model: int,
        d_state: int = 16,
        discretization: str = "euler-b",
        dt_rank: int | None = None,
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
    ) -> None:
        super().__init__()
        at_least("S6", 1, d_model=d_model, d_state=d_state, dt_rank=1 if dt_rank is None else dt_rank)
        if not 0 < dt_min <= dt_max < inf:
            raise InputError(
                f"S6: dt_min is {dt_min} and dt_max {dt_max}, but 0 < dt_min <= dt_max is expected, both finite."
            )
        self.d_model = d_model
        self.d_state = d_state
        self.method = choose("S6", "discretization", discretization, METHODS)
        self.dt_rank = -(-d_model // 16) if dt_rank is None else dt_rank
        self.select = nn.Linear(d_model, self.dt_rank + 2 * d_state, bias=False)
        self.dt_weight = nn.Parameter(torch.empty(d_model, self.dt_rank).uniform_(-1, 1) * self.dt_rank**-0.5)
        dt = torch.exp(torch.empty(d_model).uniform_(log(dt_min), log(dt_max)))
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))  # the softplus of which is dt
        self.A_log = nn.Parameter(torch.log(torch.arange(1, d_state + 1).float()).repeat(d_model, 1))
        self.D = nn.Parameter(torch.ones(d_model))

    def ssm_parameters(self) -> list[nn.Parameter]:
        """Return A, the bias of Δ and D: they are never decayed."""
        return [self.A_log, self.dt_bias, self.D]

    def _selected(self, x: Tensor, dt: Tensor | None, dt_scale: float) -> _Selected:
        """Return what follows the input, and the step: before bias and softplus where it needs no more than those."""
        # A, D and the bias may be kept in a wider type than the matrices.
        low, B, C = self.select(x.to(self.select.weight.dtype)).split(
            [self.dt_rank, self.d_state, self.d_state], dim=-1
        )
        # As a matrix of its own: the gradient of a transposed view takes ten times as long at so few rows.
        delta = low.to(self.dt_weight.dtype) @ self.dt_weight.mT.contiguous()
        A = -torch.exp(self.A_log)
        if dt is not None:
            # Beyond 40, the softplus is its argument to the last digit of float64.
            scale = (dt * dt_scale)[..., None].to(A.dtype)
            return _Selected(scale * F.softplus(delta + self.dt_bias, threshold=40), A, B, C, None)
        if dt_scale != 1:  # Δ stands with A and B alone
            A, B = dt_scale * A, dt_scale * B
        return _Selected(delta, A, B, C, self.dt_bias)

    def step_sizes(self, x: Tensor) -> Tensor:
        """Return the steps that follow from the input, of samples one unit apart.

        ``Δ = softplus(W_Δ W_x x + b)``; a large one lets the sample in, a small one holds the state.

        Args:
            x: input, ``(b, l, d)``.
        Returns:
            ``(b, l, d)``, positive.
        """
        selected = self._selected(x, torch.ones_like(x[..., 0]), 1.0)
        return selected.delta

    def forward(
        self,
        x: Tensor,
        state: Tensor | None = None,
        lengths: Tensor | None = None,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
        gate: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run over whole sequences; see `SequenceLayer.forward`. The state is ``(b, d, n)``.

        Args:
            x: input, ``(b, l, d)``.
            state: state before the first sample.
            lengths: samples that count in each sequence, ``(b,)``.
            dt: time since the sample before, ``(b, l)``; it multiplies the Δ that follows from the input.
            dt_scale: factor on the step.
            gate: ``(b, l, d)``; the output is multiplied by ``SiLU(gate)``. None: no gate.
        Returns:
            The output ``(b, l, d)`` and the state after the last sample.
        Raises:
            ShapeError: `x`, `state`, `lengths` or `dt` does not have the shape named here.
            InputError: `lengths`, `dt` or `dt_scale` is out of range.
        """
        check_sequence("S6.forward", x, self.d_model, state, "b d n", n=self.d_state)
        lengths = check_lengths("S6.forward", lengths, x.shape[0], x.shape[1])
        dt = check_dt("S6.forward", x, dt, dt_scale, lengths)
        u = x.to(self.D.dtype)  # half precision input: the state is kept in full precision
        padding = beyond(lengths, x.shape[1])
        if padding is not None:
            padding = padding[..., None]
            u = u.masked_fill(padding, 0)
            gate = None if gate is None else gate.masked_fill(padding, 0)
        delta, A, B, C, bias = self._selected(u, dt, dt_scale)
        if padding is not None and bias is not None:
            delta = delta.masked_fill(padding, NO_STEP)
        y, final = selective_scan(
            u, delta, A, B, C, self.D, gate, bias, bias is not None, state, method=self.method, return_final_state=True
        )
        y = y if padding is None else y.masked_fill(padding, 0)
        return y.to(x.dtype), final

    def step(
        self,
        x: Tensor,
        state: Tensor,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
        gate: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Take one sample ``(b, d)``, and one of the gate if there is one; see `SequenceLayer.step`."""
        check_sample("S6.step", x, self.d_model, state, "b d n", n=self.d_state)
        dt = check_dt("S6.step", x, dt, dt_scale)
        if torch.is_grad_enabled():  # the step in place has no gradients
            dt, gate = (None if value is None else value[:, None] for value in (dt, gate))
            y, after = self(x[:, None], state, None, dt, dt_scale, gate)
            return y[:, 0], after
        u = x.to(self.D.dtype)
        delta, A, B, C, bias = self._selected(u, dt, dt_scale)
        after = state.clone()
        y = selective_state_update(after, u, delta, A, B, C, self.D, gate, bias, bias is not None, method=self.method)
        return y.to(x.dtype), after

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros, ``(batch, d, n)``, in float32 at least: a state in half precision would lose the past."""
        dtype = torch.promote_types(self.A_log.dtype, torch.float32)
        return torch.zeros(batch, self.d_model, self.d_state, dtype=dtype, device=self.A_log.device)
