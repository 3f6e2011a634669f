"""LRU: the linear recurrent unit, a discrete diagonal recurrence whose poles start on a ring.

    h_t = λ h_{t-1} + γ B u_t,   y_t = Re C h_t + D u_t,        λ = exp(-exp(ν) + i exp(θ)),  elementwise,

with |λ| < 1 by construction. Of poles close to 1 the state would grow large: γ, which starts at √(1 - |λ|²), keeps it
at the size of the input where that is noise.

The LRU is defined by samples, not in time. Between them we let the input be held, so that λ and γ B at the rate of
training are the zero-order hold of a continuous system: after a time τ, in units of the sampling interval of training,

    h = λ^τ h + (λ^τ - 1) / (λ - 1) γ B u.

Two samples at half the interval that hold the same input are then the same as one at the full interval. Many
frequencies lead to one λ; λ^τ takes the slowest, the shorter way round the circle.

Source: Orvieto et al., Resurrecting Recurrent Neural Networks for Long Sequences, ICML 2023 (arXiv:2303.06349),
sections 3.3 and 3.4 and lemma 3.2. The time τ is ours. Symbols: `nu_log` is ν, `theta_log` is θ, `gamma_log` is log γ.
"""

from math import pi

import torch
from torch import Tensor, nn

from statespace.errors import InputError, at_least
from statespace.layers._mimo import elapsed, scan, step
from statespace.layers.base import SequenceLayer, check_dt, check_lengths, check_sample, check_sequence, full_type


class LRU(SequenceLayer[Tensor]):
    """Linear recurrent unit: one diagonal complex recurrence for all channels.

    Args:
        d_model: number of channels.
        d_state: number of complex states.
        r_min: smallest modulus of a pole at the start.
        r_max: largest modulus; the poles are uniform over the area of the ring between the two.
        max_phase: largest phase of a pole at the start, in rad a sample; phases are uniform from 0.
    Raises:
        InputError: an argument is out of range.
    """

    def __init__(
        self, d_model: int, d_state: int = 64, r_min: float = 0.9, r_max: float = 0.999, max_phase: float = 2 * pi
    ) -> None:
        super().__init__()
        at_least("LRU", 1, d_model=d_model, d_state=d_state)
        if not 0 <= r_min < r_max <= 1:
            raise InputError(f"LRU: r_min is {r_min} and r_max {r_max}, but 0 <= r_min < r_max <= 1 is expected.")
        if not 0 < max_phase <= 2 * pi:
            raise InputError(f"LRU: max_phase is {max_phase}, but an angle above 0 and up to 2 pi is expected.")
        self.d_model = d_model
        tiny = torch.finfo(torch.float32).tiny  # a draw of 0 has no logarithm
        squared = torch.empty(d_state).uniform_(max(r_min**2, tiny), r_max**2 * (1 - 1e-7))
        self.nu_log = nn.Parameter(torch.log(-0.5 * torch.log(squared)))
        self.theta_log = nn.Parameter(torch.log(torch.empty(d_state).uniform_(tiny, max_phase)))
        self.gamma_log = nn.Parameter(0.5 * torch.log1p(-squared))
        self.B = nn.Parameter(torch.randn(d_state, d_model, 2) * (2 * d_model) ** -0.5)
        self.C = nn.Parameter(torch.randn(d_model, d_state, 2) * d_state**-0.5)
        self.D = nn.Parameter(torch.randn(d_model))

    def ssm_parameters(self) -> list[nn.Parameter]:
        """Return ν, θ, γ and B: their learning rate is smaller, and they are not decayed."""
        return [self.nu_log, self.theta_log, self.gamma_log, self.B]

    def discretized(self, time: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
        """Return log(λ^τ), and what B is multiplied by, both in float64.

        Args:
            time: time τ since the sample before, in units of that in training; a number, or ``(...)``.
        Returns:
            ``log_a`` and ``w``, ``(n,)`` or ``(..., n)``, complex128.
        """
        phase = torch.exp(self.theta_log.double())
        shorter = phase - 2 * pi * torch.round(phase / (2 * pi))
        one = torch.complex(-torch.exp(self.nu_log.double()), shorter)
        gamma = torch.exp(self.gamma_log.double())
        if isinstance(time, float) and time == 1:
            return one, gamma.to(one.dtype)
        log_a = one * (time[..., None] if isinstance(time, Tensor) else time)
        return log_a, gamma * torch.expm1(log_a) / torch.expm1(one)

    def forward(
        self,
        x: Tensor,
        state: Tensor | None = None,
        lengths: Tensor | None = None,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Run over whole sequences; see `SequenceLayer.forward`. The state is ``(b, n)``, complex."""
        check_sequence("LRU.forward", x, self.d_model, state, "b n", n=len(self.nu_log))
        lengths = check_lengths("LRU.forward", lengths, x.shape[0], x.shape[1])
        dt = check_dt("LRU.forward", x, dt, dt_scale, lengths)
        u = x.to(full_type(self.D))  # half precision input: the state is kept in full precision
        y, final = scan(u, *self.discretized(elapsed(dt, dt_scale)), self.B, self.C, self.D, state, lengths)
        return y.to(x.dtype), final

    def step(self, x: Tensor, state: Tensor, dt: Tensor | None = None, dt_scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Take one sample ``(b, d)``; see `SequenceLayer.step`."""
        check_sample("LRU.step", x, self.d_model, state, "b n", n=len(self.nu_log))
        dt = check_dt("LRU.step", x, dt, dt_scale)
        y, after = step(
            x.to(full_type(self.D)), *self.discretized(elapsed(dt, dt_scale)), self.B, self.C, self.D, state
        )
        return y.to(x.dtype), after

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros, ``(batch, n)``, complex."""
        return torch.zeros(batch, len(self.nu_log), dtype=full_type(self.D).to_complex(), device=self.D.device)
