"""LSSL: the linear state space layer, with a dense matrix, in which the three views first met.

    x'(t) = A x(t) + B u(t),   y(t) = C x(t) + D u(t),        A (n, n), shared by the channels,

discretised with a learnt step Δ for each channel, and run as

    h_t = Abar h_{t-1} + Bbar u_t,  y_t = C h_t + D u_t       the recurrence,
    y = K * u + D u,  K_t = C Abar^t Bbar                      the convolution, K a Krylov sequence,
    blocks of samples, the states between them one another     the scan.

It costs what dense matrices cost, ``n²`` a sample and channel and ``n³`` a channel to discretise: S4 is the answer to
that. It is here because the story starts with it, because it takes every HiPPO matrix, and as a check on the others.

Source: Gu, Johnson, Goel, Saab, Dao, Rudra, Ré, Combining Recurrent, Convolutional, and Continuous-time Models with
Linear State-Space Layers, NeurIPS 2021 (arXiv:2110.13985). Symbols: `log_dt` is log Δ.

Where we deviate: `A` is learnt as ``K - diag(exp(A_log)) - P Pᵀ`` with K skew-symmetric, the form that every HiPPO
matrix has, so that ``A + Aᵀ`` is never positive and no training step can make the system unstable.
"""

from math import inf, log

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from statespace.discretization import METHODS
from statespace.errors import InputError, at_least, choose
from statespace.hippo import MEASURES
from statespace.layers._dense import Dense, kernel, run
from statespace.layers.base import SequenceLayer, check_dt, check_lengths, check_sample, check_sequence, full_type
from statespace.layers.capabilities import Capabilities
from statespace.layers.s4d import LOG_POLES

VIEWS = ("convolution", "scan")
NUMBERS_IN_A_BLOCK = 1 << 22  # of 8 bytes, of the matrices of unequal steps


def _march(u: Tensor, Abar: Tensor, Bbar: Tensor, C: Tensor, holds: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """Take steps one after the other, each with matrices of its own ``(b, t, d, n, n)``; `holds` keeps the state."""
    outputs = []
    for sample, A, B, hold in zip(u.unbind(1), Abar.unbind(1), Bbar.unbind(1), holds.unbind(1), strict=True):
        moved = (A @ h[..., None])[..., 0] + B * sample[..., None]
        h = torch.where(hold[:, None, None], h, moved)
        outputs.append((C * h).sum(-1))
    return torch.stack(outputs, 1), h


class LSSL(SequenceLayer[Tensor]):
    """Dense state space layer, one single-input single-output system for each channel.

    Args:
        d_model: number of channels.
        d_state: order ``n`` of each system.
        init: the HiPPO measure whose matrices `A` and `B` start from: ``"legs"``, ``"legt"``, ``"lagt"`` or ``"fout"``.
        discretization: ``"bilinear"`` or ``"zoh"``.
        dt_min: smallest step at the start, in units of the sampling interval.
        dt_max: largest step at the start; the steps are log-uniform between the two.
        view: ``"convolution"`` (FFT), ``"scan"``, or ``"auto"``, which is the convolution.
    Raises:
        InputError: an argument is out of range or its name is not known.
    """

    capabilities = Capabilities(views=VIEWS)
    A_log: nn.Parameter | None

    def __init__(
        self,
        d_model: int,
        d_state: int = 64,
        init: str = "legs",
        discretization: str = "bilinear",
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
        view: str = "auto",
    ) -> None:
        super().__init__()
        at_least("LSSL", 1, d_model=d_model)
        if not 0 < dt_min <= dt_max < inf:
            raise InputError(
                f"LSSL: dt_min is {dt_min} and dt_max {dt_max}, but 0 < dt_min <= dt_max is expected, both finite."
            )
        self.d_model = d_model
        self.view = choose("LSSL", "view", view, ("auto", *VIEWS))
        self.method = choose("LSSL", "discretization", discretization, LOG_POLES)
        measure = MEASURES[choose("LSSL", "init", init, MEASURES)]
        (A, B), P = measure.matrices(d_state), measure.low_rank(d_state)
        S = A + P @ P.mT
        self.skew = nn.Parameter(((S - S.mT) / 2).float())
        decays = torch.full((d_state,), -measure.centre)
        self.A_log = nn.Parameter(torch.log(decays)) if measure.centre else None
        self.P = nn.Parameter(P.float())
        self.B = nn.Parameter(B[:, 0].float())
        self.C = nn.Parameter(torch.randn(d_model, d_state))
        self.D = nn.Parameter(torch.randn(d_model))
        self.log_dt = nn.Parameter(torch.empty(d_model).uniform_(log(dt_min), log(dt_max)))
        self._fixed: dict[float, Dense] = {}

    def fix(self, dt_scale: float) -> None:
        """Keep the discrete systems for this `dt_scale`; see `SequenceLayer.fix`."""
        self._fixed = {}
        with torch.no_grad():
            self._fixed = {dt_scale: self.discretized(dt_scale)}

    def ssm_parameters(self) -> list[nn.Parameter]:
        """Return log Δ, what `A` is made of, and B: their learning rate is bounded and they are never decayed."""
        return [self.log_dt, self.skew, self.P, self.B] + ([] if self.A_log is None else [self.A_log])

    def matrix(self) -> Tensor:
        """Return `A`, ``(n, n)``, in units of 1/Δ, in float64."""
        skew, P = self.skew.double(), self.P.double()
        A = (skew - skew.mT) / 2 - P @ P.mT
        return A if self.A_log is None else A - torch.diag(torch.exp(self.A_log.double()))

    def discretized(self, time: Tensor | float = 1.0) -> Dense:
        """Return the discrete systems, in float64.

        Args:
            time: time since the sample before, in units of that in training; a number, or ``(..., 1)``.
        Returns:
            ``Abar (..., d, n, n)``, ``Bbar (..., d, n)`` and the output weights ``(d, n)``.
        """
        if not isinstance(time, Tensor) and time in self._fixed:
            return self._fixed[time]
        A, B = self.matrix(), self.B.double()[:, None]
        delta = torch.exp(self.log_dt.double()) * time
        found = METHODS[self.method].dense(A, B, B.mT, A.new_zeros(1, 1), delta)
        return Dense(found.A, found.B[..., 0], self.C.double())

    def forward(
        self,
        x: Tensor,
        state: Tensor | None = None,
        lengths: Tensor | None = None,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Run over whole sequences; see `SequenceLayer.forward`. The state is ``(b, d, n)``.

        With `dt` every sample has matrices of its own, ``n³`` operations for each sample and channel, and the samples
        follow one another: correct, and slow.
        """
        check_sequence("LSSL.forward", x, self.d_model, state, "b d n", n=len(self.B))
        lengths = check_lengths("LSSL.forward", lengths, x.shape[0], x.shape[1])
        dt = check_dt("LSSL.forward", x, dt, dt_scale, lengths)
        u = x.to(full_type(self.D))  # half precision input: the state is kept in full precision
        state = None if state is None else state.to(u.dtype)
        if dt is not None and x.shape[1]:
            y, final = self._unequal(u, dt.double() * dt_scale, state)
        else:
            system = self.discretized(dt_scale)
            K = None if self.view == "scan" or not x.shape[1] else kernel(system, x.shape[1])
            y, final = run(u, system, K, self.D.to(u.dtype), state, lengths)
        return y.to(x.dtype), final

    def _unequal(self, u: Tensor, dt: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Discretise for each sample; a block of time is computed again for its gradients."""
        holds = dt == 0  # the padding
        u = u.masked_fill(holds[..., None], 0)
        h = u.new_zeros(u.shape[0], *self.C.shape).double() if state is None else state.double()
        block = max(1, NUMBERS_IN_A_BLOCK // (max(1, u.shape[0]) * self.C.numel() * len(self.B)))

        def march(u: Tensor, dt: Tensor, holds: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
            system = self.discretized(dt.masked_fill(holds, 1)[..., None])
            return _march(u, system.Abar, system.Bbar, system.C, holds, h)

        outputs = []
        for begin in range(0, u.shape[1], block):
            given = (part[:, begin : begin + block] for part in (u.double(), dt, holds))
            y, h = checkpoint(march, *given, h, use_reentrant=False)
            outputs.append(y)
        y = torch.cat(outputs, 1).to(u.dtype) + self.D * u
        return y.masked_fill(holds[..., None], 0), h.to(u.dtype)

    def step(self, x: Tensor, state: Tensor, dt: Tensor | None = None, dt_scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Take one sample ``(b, d)``; see `SequenceLayer.step`. Unless `fix` was called, it discretises anew."""
        check_sample("LSSL.step", x, self.d_model, state, "b d n", n=len(self.B))
        dt = check_dt("LSSL.step", x, dt, dt_scale)
        u = x.to(full_type(self.D))
        system = self.discretized(dt_scale if dt is None else dt.double()[:, None] * dt_scale)
        # In float64: a matrix rounded to the state's type would drift over as many steps as it remembers.
        h = (system.Abar @ state.double()[..., None])[..., 0] + system.Bbar * u.double()[..., None]
        y = (system.C * h).sum(-1).to(u.dtype) + self.D * u
        return y.to(x.dtype), h.to(u.dtype)

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros, ``(batch, d, n)``."""
        return self.C.new_zeros(batch, *self.C.shape)
