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

import torch
from torch import Tensor, nn

from statespace.errors import InputError, choose
from statespace.kernels.selective_scan import METHODS, selective_scan
from statespace.kernels.selective_state_update import selective_state_update
from statespace.layers.base import SequenceLayer, check_dt_scale, check_lengths, check_sample, check_sequence

# Before the softplus: what makes Δ zero, so that a sample neither moves the state nor enters it.
NO_STEP = -1e4


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
        for name, value in (("d_model", d_model), ("d_state", d_state), ("dt_rank", 1 if dt_rank is None else dt_rank)):
            if value < 1:
                raise InputError(f"S6: {name} is {value}, but at least 1 is expected.")
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

    def _selected(self, x: Tensor, dt_scale: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return Δ before bias and softplus, A, B and C."""
        low, B, C = self.select(x).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        dt = low @ self.dt_weight.mT
        A = -torch.exp(self.A_log)
        return (dt, A, B, C) if dt_scale == 1 else (dt, dt_scale * A, dt_scale * B, C)  # Δ stands with A and B alone

    def forward(
        self,
        x: Tensor,
        state: Tensor | None = None,
        lengths: Tensor | None = None,
        dt_scale: float = 1.0,
        gate: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run over whole sequences; see `SequenceLayer.forward`. The state is ``(b, d, n)``.

        Args:
            x: input, ``(b, l, d)``.
            state: state before the first sample.
            lengths: samples that count in each sequence, ``(b,)``.
            dt_scale: factor on the step.
            gate: ``(b, l, d)``; the output is multiplied by ``SiLU(gate)``. None: no gate.
        Returns:
            The output ``(b, l, d)`` and the state after the last sample.
        Raises:
            ShapeError: `x` or `state` does not have the shape named here.
            InputError: `lengths` or `dt_scale` is out of range.
        """
        check_sequence("S6.forward", x, self.d_model, state, "b d n", n=self.d_state)
        lengths = check_lengths("S6.forward", lengths, x.shape[0], x.shape[1])
        check_dt_scale("S6.forward", dt_scale)
        beyond = None
        if lengths is not None:
            beyond = (torch.arange(x.shape[1], device=x.device) >= lengths[:, None])[..., None]
            x = x.masked_fill(beyond, 0)
            gate = None if gate is None else gate.masked_fill(beyond, 0)
        dt, A, B, C = self._selected(x, dt_scale)
        if beyond is not None:
            dt = dt.masked_fill(beyond, NO_STEP)
        y, final = selective_scan(
            x, dt, A, B, C, self.D, gate, self.dt_bias, True, state, method=self.method, return_final_state=True
        )
        return y if beyond is None else y.masked_fill(beyond, 0), final

    def step(
        self, x: Tensor, state: Tensor, dt_scale: float = 1.0, gate: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Take one sample ``(b, d)``, and one of the gate if there is one; see `SequenceLayer.step`."""
        check_sample("S6.step", x, self.d_model, state, "b d n", n=self.d_state)
        check_dt_scale("S6.step", dt_scale)
        if torch.is_grad_enabled():  # the step in place has no gradients
            y, after = self(x[:, None], state, None, dt_scale, None if gate is None else gate[:, None])
            return y[:, 0], after
        dt, A, B, C = self._selected(x, dt_scale)
        after = state.clone()
        y = selective_state_update(after, x, dt, A, B, C, self.D, gate, self.dt_bias, True, method=self.method)
        return y, after

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros, ``(batch, d, n)``."""
        return torch.zeros(batch, self.d_model, self.d_state, dtype=self.A_log.dtype, device=self.A_log.device)
