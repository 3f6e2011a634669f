"""S4D: a diagonal state space model for each channel.

    x'(t) = A x(t) + B u(t),   y(t) = Re C x(t) + D u(t),        A diagonal, complex, n/2 of n conjugate pairs,

discretised with a learnt step Δ and run as a convolution, a scan or a recurrence:

    h_t = Abar h_{t-1} + Bbar u_t,   y_t = 2 Re sum_n C h_t + D u_t.

Source: Gu, Gupta, Goel, Ré 2022 (S4D, arXiv:2206.11893), on the parameterization and the initialization of
diagonal state space models. Symbols: `log_dt` is log Δ, `A_log` is log(-Re A), `A_imag` is Im A.

Where we deviate: `B` is fixed to ones, since only the product of `B` and `C` is seen; the step
is that of S4, ``y_t`` sees ``u_t``, where SciPy's discrete systems answer one sample later.
"""

from math import inf, log

import torch
from torch import Tensor, nn

from statespace.discretization import METHODS
from statespace.errors import InputError, at_least, choose
from statespace.hippo import INITIALISATIONS
from statespace.kernels import native
from statespace.kernels.dispatch import looked_up_once
from statespace.kernels.lti_scan import lti_scan
from statespace.layers._convolution import convolve, exp
from statespace.layers._unequal import scan_unequal
from statespace.layers.base import SequenceLayer, check_dt, check_lengths, check_sample, check_sequence, full_type
from statespace.layers.capabilities import Capabilities

# The discretizations that leave the feed-through alone.
LOG_POLES = {name: method.log_poles for name, method in METHODS.items() if method.log_poles}


@looked_up_once
def _scan_is_compiled() -> bool:
    return native.why_missing() is None


class S4D(SequenceLayer[Tensor]):
    """Diagonal state space layer, one single-input single-output system for each channel.

    Args:
        d_model: number of channels.
        d_state: order ``n`` of each system. The complex initialisations keep one of each conjugate pair, ``n/2``.
        init: where the eigenvalues of `A` start: ``"legs"``, ``"lin"``, ``"inv"`` or ``"real"``.
        discretization: ``"zoh"`` or ``"bilinear"``.
        dt_min: smallest step at the start, in units of the sampling interval.
        dt_max: largest step at the start; the steps are log-uniform between the two.
        view: ``"convolution"`` (FFT), ``"scan"``, or ``"auto"``: the scan on a CPU that has it compiled, the
            convolution elsewhere. Where `dt` is given, the poles change from sample to sample, and all views are one
            scan.
    Raises:
        InputError: an argument is out of range or its name is not known.
    """

    A_imag: nn.Parameter | None
    capabilities = Capabilities(views=("convolution", "scan"))

    def __init__(
        self,
        d_model: int,
        d_state: int = 64,
        init: str = "legs",
        discretization: str = "zoh",
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
        view: str = "auto",
    ) -> None:
        super().__init__()
        at_least("S4D", 1, d_model=d_model)
        if not 0 < dt_min <= dt_max < inf:
            raise InputError(
                f"S4D: dt_min is {dt_min} and dt_max {dt_max}, but 0 < dt_min <= dt_max is expected, both finite."
            )
        self.d_model = d_model
        self.view = choose("S4D", "view", view, ("auto", *self.capabilities.views))
        self.method = choose("S4D", "discretization", discretization, LOG_POLES)
        A = INITIALISATIONS[choose("S4D", "init", init, INITIALISATIONS)](d_state)
        self.is_complex = A.is_complex()
        modes = len(A)
        self.log_dt = nn.Parameter(torch.empty(d_model).uniform_(log(dt_min), log(dt_max)))
        self.A_log = nn.Parameter(torch.log(-A.real).float().repeat(d_model, 1))
        self.A_imag = nn.Parameter(A.imag.float().repeat(d_model, 1)) if self.is_complex else None
        # Unit variance of C in total: a complex number has two parts.
        self.C = nn.Parameter(torch.randn(d_model, modes, 2 if self.is_complex else 1) * 0.5**0.5)
        self.D = nn.Parameter(torch.randn(d_model))
        self._fixed: dict[float, tuple[Tensor, Tensor, Tensor]] = {}

    def fix(self, dt_scale: float) -> None:
        """Keep the discrete system for this `dt_scale`; see `SequenceLayer.fix`."""
        self._fixed = {}
        with torch.no_grad():
            self._fixed = {dt_scale: self.discretized(dt_scale)}

    def ssm_parameters(self) -> list[nn.Parameter]:
        """Return log Δ and A: their learning rate is bounded and they are never decayed."""
        return [self.log_dt, self.A_log] + ([self.A_imag] if self.A_imag is not None else [])

    def _continuous(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return A ``(d, modes)``, complex, and Δ ``(d,)``, in float64, and the output weights ``(d, modes)``."""
        decay = -torch.exp(self.A_log.double())
        A = torch.complex(decay, self.A_imag.double() if self.A_imag is not None else torch.zeros_like(decay))
        C = self.C.to(full_type(self.D))
        weights = 2 * torch.view_as_complex(C) if self.is_complex else torch.complex(C, C * 0)[..., 0]
        return A, torch.exp(self.log_dt.double()), weights

    def discretized(self, dt_scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
        """Return log(Abar), Bbar and the output weights, each ``(d, modes)`` and complex.

        Computed in float64: a power of a rounded pole loses its phase over a long sequence.

        Args:
            dt_scale: factor on the step.
        Returns:
            ``log_a``, ``b`` and ``c`` of the recurrence in `kernels.lti_scan`.
        """
        if dt_scale in self._fixed:
            return self._fixed[dt_scale]
        A, dt, weights = self._continuous()
        log_a = LOG_POLES[self.method](A, dt * dt_scale)
        # A constant input drives the discrete system to where it drives the continuous one: Bbar / (1 - Abar) = -B / A,
        # with B = 1. A is never 0, and this takes a quarter of the time of the method's own formula, forward and back.
        Bbar = torch.expm1(log_a) / A
        return log_a.to(weights.dtype), Bbar.to(weights.dtype), weights

    def _at_times(self, dt: Tensor, dt_scale: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return A, the step of each sample ``(..., d)`` for `dt` ``(...)``, and the output weights.

        Both are rounded to the layer's type here, once, so that whole sequences and single steps see the same poles.
        """
        A, step, weights = self._continuous()
        return A.to(weights.dtype), (dt.double()[..., None] * (dt_scale * step)).to(full_type(self.D)), weights

    def forward(
        self,
        x: Tensor,
        state: Tensor | None = None,
        lengths: Tensor | None = None,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Run over whole sequences; see `SequenceLayer.forward`. The state is ``(b, d, modes)``, complex."""
        check_sequence("S4D.forward", x, self.d_model, state, "b d n", n=self.A_log.shape[1])
        lengths = check_lengths("S4D.forward", lengths, x.shape[0], x.shape[1])
        dt = check_dt("S4D.forward", x, dt, dt_scale, lengths)
        u = x.to(full_type(self.D))  # half precision input: the state is kept in full precision
        D = self.D.to(u.dtype)
        if state is not None:
            state = state.to(u.dtype.to_complex())
        if dt is not None:
            A, delta, c = self._at_times(dt, dt_scale)
            y, state = scan_unequal(u, delta, A, c, D, self.method, state, lengths)
            return y.to(x.dtype), state
        log_a, b, c = self.discretized(dt_scale)
        scan = self.view == "scan" or (self.view == "auto" and x.device.type == "cpu" and _scan_is_compiled())
        y, state = (lti_scan if scan else convolve)(u, log_a, b, c, D, state, lengths)
        return y.to(x.dtype), state

    def step(self, x: Tensor, state: Tensor, dt: Tensor | None = None, dt_scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Take one sample ``(b, d)``; see `SequenceLayer.step`."""
        check_sample("S4D.step", x, self.d_model, state, "b d n", n=self.A_log.shape[1])
        dt = check_dt("S4D.step", x, dt, dt_scale)
        if dt is None:
            log_a, b, c = self.discretized(dt_scale)
        else:
            A, delta, c = self._at_times(dt, dt_scale)
            log_a = LOG_POLES[self.method](A.to(torch.complex128), delta.double())
            b = (torch.expm1(log_a) / A).to(c.dtype)
        u = x.to(full_type(self.D))
        # The pole is known to more digits than the state's type holds; what rounding cuts off is carried along, or the
        # state would drift over as many steps as it remembers.
        exact = exp(log_a.to(torch.complex128))
        pole = exact.to(b.dtype)
        state = state.to(b.dtype)
        state = pole * state + ((exact - pole).to(b.dtype) * state + b * u[..., None])
        return ((c * state).sum(-1).real + self.D * u).to(x.dtype), state

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros, ``(batch, d, modes)``, complex."""
        return torch.zeros(batch, *self.A_log.shape, dtype=full_type(self.D).to_complex(), device=self.D.device)
