"""S5: one diagonal state space model with many inputs and outputs, run as a scan.

    x'(t) = A x(t) + B u(t),   y(t) = Re C x(t) + D u(t),        A diagonal, complex; B and C matrices; D diagonal,

discretised with a learnt step Δ for each state:

    h_t = Abar h_{t-1} + Bbar u_t,   y_t = 2 Re C h_t + D u_t    (half of each conjugate pair).

S4 has a small system for each channel; here one larger state serves all channels, which makes it cheap enough to be
scanned. `A` starts as several HiPPO-LegS matrices beside one another, their normal part (HiPPO-N) made diagonal.

Source: Smith, Warrington, Linderman, Simplified State Space Layers for Sequence Modeling, ICLR 2023
(arXiv:2208.04933), section 3, and appendix B.1 for the start. Symbols:
`A_log` is log(-Re A), `A_imag` is Im A, `log_dt` is log Δ.

Where we deviate: the real part of `A` is -exp(·), so that it cannot become positive; B and C start as Gaussian matrices
of variance 1/d and 1/n before the change of basis.
"""

from math import inf, log

import torch
from torch import Tensor, nn

from statespace.errors import InputError, at_least, choose
from statespace.hippo import nplr
from statespace.layers._mimo import elapsed, scan, step
from statespace.layers.base import SequenceLayer, check_dt, check_lengths, check_sample, check_sequence, full_type
from statespace.layers.s4d import LOG_POLES


class S5(SequenceLayer[Tensor]):
    """Diagonal state space layer with many inputs and outputs: a single state for all channels.

    Args:
        d_model: number of channels.
        d_state: order ``n`` of the system. With `conj_sym` one of each conjugate pair is kept, ``n/2`` numbers.
        blocks: number of HiPPO matrices that `A` starts from, each of order ``n / blocks``.
        conj_sym: whether the system is real, its eigenvalues conjugate pairs of which one is kept; else `A` has ``n``
            complex eigenvalues of its own, and the output is the real part.
        discretization: ``"zoh"`` or ``"bilinear"``.
        dt_min: smallest step at the start, in units of the sampling interval.
        dt_max: largest step at the start; the steps are log-uniform between the two.
    Raises:
        InputError: an argument is out of range or its name is not known.
    """

    def __init__(
        self,
        d_model: int,
        d_state: int = 64,
        blocks: int = 1,
        conj_sym: bool = True,
        discretization: str = "zoh",
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
    ) -> None:
        super().__init__()
        at_least("S5", 1, d_model=d_model, d_state=d_state, blocks=blocks)
        whole = 2 * blocks if conj_sym else blocks
        if d_state % whole:
            raise InputError(
                f"S5: d_state is {d_state}, but {blocks} blocks{' of conjugate pairs' if conj_sym else ''} take a "
                f"multiple of {whole}: pass {max(1, d_state // whole) * whole}."
            )
        if not 0 < dt_min <= dt_max < inf:
            raise InputError(
                f"S5: dt_min is {dt_min} and dt_max {dt_max}, but 0 < dt_min <= dt_max is expected, both finite."
            )
        self.d_model = d_model
        self.conj_sym = conj_sym
        self.method = choose("S5", "discretization", discretization, LOG_POLES)
        order = d_state // blocks
        block = nplr("legs", order)
        kept = slice(order // 2 if conj_sym else 0, None)
        A, V = block.Lambda[kept].repeat(blocks), block.V[:, kept]
        B = torch.randn(blocks, order, d_model, dtype=torch.float64) * d_model**-0.5
        C = torch.randn(d_model, blocks, order, dtype=torch.float64) * d_state**-0.5
        to_basis, from_basis = (V.mH @ B.to(V.dtype)).flatten(0, 1), (C.to(V.dtype) @ V).flatten(1)
        self.A_log = nn.Parameter(torch.log(-A.real).float())
        self.A_imag = nn.Parameter(A.imag.float())
        self.B = nn.Parameter(torch.view_as_real(to_basis).float())
        self.C = nn.Parameter(torch.view_as_real(from_basis).float())
        self.D = nn.Parameter(torch.randn(d_model))
        self.log_dt = nn.Parameter(torch.empty(len(A)).uniform_(log(dt_min), log(dt_max)))

    def ssm_parameters(self) -> list[nn.Parameter]:
        """Return log Δ, A and B: their learning rate is smaller, and they are not decayed."""
        return [self.log_dt, self.A_log, self.A_imag, self.B]

    def discretized(self, time: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
        """Return log(Abar), and what B is multiplied by, both in float64.

        A constant input drives the discrete system to where it drives the continuous one, so that
        ``Bbar = (Abar - 1) / A B``, for the bilinear transform as for the zero-order hold.

        Args:
            time: time since the sample before, in units of that in training; a number, or ``(...)``.
        Returns:
            ``log_a`` and ``w``, ``(n,)`` or ``(..., n)``, complex128.
        """
        A = torch.complex(-torch.exp(self.A_log.double()), self.A_imag.double())
        log_a = LOG_POLES[self.method](A * torch.exp(self.log_dt.double()), time)
        return log_a, torch.expm1(log_a) / A

    def _weights(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.B, 2 * self.C if self.conj_sym else self.C, self.D

    def forward(
        self,
        x: Tensor,
        state: Tensor | None = None,
        lengths: Tensor | None = None,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Run over whole sequences; see `SequenceLayer.forward`. The state is ``(b, n)``, complex."""
        check_sequence("S5.forward", x, self.d_model, state, "b n", n=len(self.A_log))
        lengths = check_lengths("S5.forward", lengths, x.shape[0], x.shape[1])
        dt = check_dt("S5.forward", x, dt, dt_scale, lengths)
        u = x.to(full_type(self.D))  # half precision input: the state is kept in full precision
        y, final = scan(u, *self.discretized(elapsed(dt, dt_scale)), *self._weights(), state, lengths)
        return y.to(x.dtype), final

    def step(self, x: Tensor, state: Tensor, dt: Tensor | None = None, dt_scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Take one sample ``(b, d)``; see `SequenceLayer.step`."""
        check_sample("S5.step", x, self.d_model, state, "b n", n=len(self.A_log))
        dt = check_dt("S5.step", x, dt, dt_scale)
        y, after = step(x.to(full_type(self.D)), *self.discretized(elapsed(dt, dt_scale)), *self._weights(), state)
        return y.to(x.dtype), after

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros, ``(batch, n)``, complex."""
        return torch.zeros(batch, len(self.A_log), dtype=full_type(self.D).to_complex(), device=self.D.device)
