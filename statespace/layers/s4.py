"""S4: a state matrix that is diagonal plus low rank, as HiPPO's is in the right basis, and the kernel that this gives.

    x'(t) = A x(t) + B u(t),   y(t) = 2 Re C x(t) + D u(t),        A x = Λ x - 2 P Re(Pᴴ x)

on one half of each conjugate pair: the low rank part leads from every state to every other, conjugates included, which
is where the real part comes from. With the bilinear transform and a step Δ for each channel,

    Abar = (1 - Δ A / 2)⁻¹ (1 + Δ A / 2),   Bbar = (1 - Δ A / 2)⁻¹ Δ B,   h_t = Abar h_{t-1} + Bbar u_t.

The convolution. At the points ω of the unit circle with ω^M = 1, the transform of the kernel's first M numbers is

    Kh(ω) = (1 + z/2) Δ (k_CB - Δ k_CP k_PB / (1 + Δ k_PP)),   z = 2 (1 - ω) / (1 + ω) = 2i tan(φ/2),

with ``k_XY = sum X Y / (z - Δ Λ)`` over both halves of each pair, and C replaced by ``C (1 - Abar^M)``, which takes the
tail away that would fold back. At the Nyquist point, ω = -1, z is infinite: there ``Kh = Δ/2 2 Re C B``. All of it is
computed in float64: in float32 the sum loses what LegS of order 64 needs.

The step. ``Abar h + Bbar u = 2 R h - h + Δ R B u`` with ``R = (1 - Δ A / 2)⁻¹``, diagonal plus rank one by Woodbury's
identity: O(n), exact, and for every Δ. Diagonalising A instead would cost as much a step, and lose: LegS in this basis
has eigenvectors of condition 8e10 at n = 16 and 8e14 at n = 64, where a step that goes through them keeps three digits,
or, with parameters rounded to float32, of condition 2e8. So it goes through them nowhere.

Source: Gu, Goel, Ré, Efficiently Modeling Long Sequences with Structured State Spaces, ICLR 2022 (arXiv:2111.00396),
theorems 2 and 3, lemma C.3 and algorithm 1; ``- P Pᴴ`` in place of ``- P Qᴴ``, which keeps A stable: Goel, Gu, Donahue,
Ré 2022 (SaShiMi, arXiv:2202.09729), section 4.1. Symbols: `A_log` is log(-Re Λ), `A_imag` is Im Λ, `log_dt` is log Δ.
Λ, P and B are shared by the channels, as in the authors' later code.
"""

from math import inf, log, pi

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from statespace.discretization import bilinear
from statespace.errors import InputError, at_least, choose
from statespace.hippo import nplr
from statespace.kernels.cauchy import cauchy
from statespace.layers._dense import Dense, run
from statespace.layers.base import SequenceLayer, check_dt, check_lengths, check_sample, check_sequence, full_type
from statespace.layers.capabilities import Capabilities

VIEWS = ("convolution", "scan")
BLOCK = 64  # steps of unequal length between two states that are kept


def _interleaved(z: Tensor) -> Tensor:
    """Return ``(..., n/2)`` complex numbers as ``(..., n)`` real ones: re, im, re, im, ..."""
    return torch.view_as_real(z.resolve_conj()).flatten(-2)


class S4(SequenceLayer[Tensor]):
    """State space layer with a matrix that is diagonal plus low rank, one system for each channel.

    Args:
        d_model: number of channels.
        d_state: order ``n`` of each system, even; one of each conjugate pair is kept, ``n/2``.
        dt_min: smallest step at the start, in units of the sampling interval.
        dt_max: largest step at the start; the steps are log-uniform between the two.
        view: ``"convolution"`` (the kernel by Cauchy sums, and FFT), ``"scan"`` (blocks of dense products), or
            ``"auto"``, which is the convolution.
    Raises:
        InputError: an argument is out of range or its name is not known.
    """

    capabilities = Capabilities(views=VIEWS)

    def __init__(
        self, d_model: int, d_state: int = 64, dt_min: float = 1e-3, dt_max: float = 1e-1, view: str = "auto"
    ) -> None:
        super().__init__()
        at_least("S4", 1, d_model=d_model, d_state=d_state)
        if d_state < 2 or d_state % 2:
            raise InputError(
                f"S4: d_state is {d_state}, but the states are conjugate pairs: pass {max(2, d_state + d_state % 2)}."
            )
        if not 0 < dt_min <= dt_max < inf:
            raise InputError(
                f"S4: dt_min is {dt_min} and dt_max {dt_max}, but 0 < dt_min <= dt_max is expected, both finite."
            )
        self.d_model = d_model
        self.view = choose("S4", "view", view, ("auto", *VIEWS))
        start, modes = nplr("legs", d_state), d_state // 2
        self.A_log = nn.Parameter(torch.log(-start.Lambda.real[modes:]).float())
        self.A_imag = nn.Parameter(start.Lambda.imag[modes:].float())
        self.P = nn.Parameter(torch.view_as_real(start.P[modes:, 0]).float())
        self.B = nn.Parameter(torch.view_as_real(start.B[modes:, 0]).float())
        self.C = nn.Parameter(torch.randn(d_model, modes, 2) * 0.5**0.5)
        self.D = nn.Parameter(torch.randn(d_model))
        self.log_dt = nn.Parameter(torch.empty(d_model).uniform_(log(dt_min), log(dt_max)))
        self._fixed: dict[float, Dense] = {}

    def fix(self, dt_scale: float) -> None:
        """Keep the discrete systems for this `dt_scale`; see `SequenceLayer.fix`."""
        self._fixed = {}
        with torch.no_grad():
            self._fixed = {dt_scale: self.discretized(dt_scale)}

    def ssm_parameters(self) -> list[nn.Parameter]:
        """Return log Δ, Λ, P and B: their learning rate is bounded and they are never decayed."""
        return [self.log_dt, self.A_log, self.A_imag, self.P, self.B]

    def _vectors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return Λ, P and B, ``(n/2,)``, and C, ``(d, n/2)``; complex128."""
        Lambda = torch.complex(-torch.exp(self.A_log.double()), self.A_imag.double())
        P, B, C = (torch.view_as_complex(part.double()) for part in (self.P, self.B, self.C))
        return Lambda, P, B, C

    def discretized(self, dt_scale: float = 1.0) -> Dense:
        """Return the discrete systems on real states ``Re h_0, Im h_0, Re h_1, ...``, dense and in float64.

        Args:
            dt_scale: factor on the step.
        Returns:
            ``Abar (d, n, n)``, ``Bbar (d, n)`` and the output weights ``(d, n)``.
        """
        if dt_scale in self._fixed:
            return self._fixed[dt_scale]
        Lambda, P, B, C = self._vectors()
        turns = torch.stack([Lambda.real, -Lambda.imag, Lambda.imag, Lambda.real], -1).unflatten(-1, (2, 2))
        p = _interleaved(P)
        A = torch.block_diag(*turns) - 2 * torch.outer(p, p)
        weights = 2 * _interleaved(C.conj())
        b = _interleaved(B)[:, None]
        found = bilinear(A, b, b.mT, A.new_zeros(1, 1), torch.exp(self.log_dt.double()) * dt_scale)
        return Dense(found.A, found.B[..., 0], weights)

    def kernel(self, length: int, dt_scale: float = 1.0) -> Tensor:
        """Return the convolution kernel by four Cauchy sums, without a power of a matrix but ``Abar^M``.

        Args:
            length: number of samples, at least 1.
            dt_scale: factor on the step.
        Returns:
            ``K_t = C Abar^t Bbar``, ``(d, length)``, float64.
        """
        return self._kernel(self.discretized(dt_scale), length, dt_scale)

    def _kernel(self, system: Dense, length: int, dt_scale: float) -> Tensor:
        M = max(2, 1 << (length - 1).bit_length())
        Lambda, P, B, _ = self._vectors()
        delta = torch.exp(self.log_dt.double())[:, None] * dt_scale  # (d, 1)
        folded = system.C - (system.C[:, None] @ system.powers(M))[:, 0]
        C = torch.view_as_complex(folded.unflatten(1, (-1, 2))).conj() / 2
        phase = torch.arange(M // 2, dtype=torch.float64, device=delta.device) * (pi / M)
        z = torch.complex(torch.zeros_like(phase), 2 * torch.tan(phase))  # of ω = exp(-2i phase)
        residues = [C * B, C * P, (P.conj() * B).expand_as(C), (P.conj() * P).expand_as(C)]
        k_CB, k_CP, k_PB, k_PP = cauchy(torch.stack(residues), z, delta * Lambda, conjugate=True)
        inner = (1 + z / 2) * delta * (k_CB - delta * k_CP * k_PB / (1 + delta * k_PP))
        nyquist = delta * (C * B).sum(-1, keepdim=True).real
        kernel: Tensor = torch.fft.irfft(torch.cat([inner, nyquist], 1), M)
        return kernel[:, :length]

    def forward(
        self,
        x: Tensor,
        state: Tensor | None = None,
        lengths: Tensor | None = None,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Run over whole sequences; see `SequenceLayer.forward`. The state is ``(b, d, n/2)``, complex.

        With `dt` the samples follow one another, for steps of unequal length make neither a convolution nor, with a
        matrix of low rank, a scan of small states: O(n) for each sample and channel, and slower than S4D or S5, whose
        matrices are diagonal.
        """
        check_sequence("S4.forward", x, self.d_model, state, "b d n", n=len(self.A_log))
        lengths = check_lengths("S4.forward", lengths, x.shape[0], x.shape[1])
        dt = check_dt("S4.forward", x, dt, dt_scale, lengths)
        u = x.to(full_type(self.D))  # half precision input: the state is kept in full precision
        narrow = u.dtype.to_complex()
        state = None if state is None else state.to(narrow)
        if dt is not None and x.shape[1]:
            y, final = self._unequal(u, dt.double() * dt_scale, state)
            return y.to(x.dtype), final.to(narrow)
        system = self.discretized(dt_scale)
        K = None if self.view == "scan" or not x.shape[1] else self._kernel(system, x.shape[1], dt_scale)
        y, final = run(u, system, K, self.D.to(u.dtype), None if state is None else _interleaved(state), lengths)
        return y.to(x.dtype), torch.view_as_complex(final.unflatten(-1, (-1, 2)).contiguous())

    def _steps(self, u: Tensor, delta: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Take steps one after the other, in float64: `u` and `delta` ``(b, t, d)``, `h` ``(b, d, n/2)``."""
        Lambda, P, B, C = self._vectors()
        diagonal = 1 / (1 - delta[..., None] / 2 * Lambda)  # (b, t, d, n/2)
        weight = delta / (1 + delta * (P.abs().square() * diagonal).sum(-1).real)
        drive = (delta * u)[..., None] * B
        outputs = []
        for d, w, driven in zip(diagonal.unbind(1), weight.unbind(1), drive.unbind(1), strict=True):
            r = d * (2 * h + driven)
            h = r - d * P * (w * (P.conj() * r).sum(-1).real)[..., None] - h
            outputs.append(2 * (C * h).sum(-1).real)
        return torch.stack(outputs, 1), h

    def _unequal(self, u: Tensor, dt: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Run over steps of unequal length; a block of them is computed again for its gradients."""
        padding = (dt == 0)[..., None]
        u = u.masked_fill(padding, 0)
        delta = torch.exp(self.log_dt.double()) * dt[..., None]
        h = (self.initial_state(u.shape[0]) if state is None else state).to(torch.complex128)
        outputs = []
        for begin in range(0, u.shape[1], BLOCK):
            rows, steps = (part[:, begin : begin + BLOCK] for part in (u.double(), delta))
            y, h = checkpoint(self._steps, rows, steps, h, use_reentrant=False)
            outputs.append(y)
        y = torch.cat(outputs, 1).to(u.dtype) + self.D * u
        return y.masked_fill(padding, 0), h

    def step(self, x: Tensor, state: Tensor, dt: Tensor | None = None, dt_scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Take one sample ``(b, d)`` in O(n) for each channel; see `SequenceLayer.step`."""
        check_sample("S4.step", x, self.d_model, state, "b d n", n=len(self.A_log))
        dt = check_dt("S4.step", x, dt, dt_scale)
        u = x.to(full_type(self.D))
        delta = torch.exp(self.log_dt.double()) * (dt_scale if dt is None else dt.double()[:, None] * dt_scale)
        # In float64: a step rounded to the state's type would drift over as many steps as it remembers.
        delta = delta.expand(*x.shape)[:, None]
        y, h = self._steps(u.double()[:, None], delta, state.to(torch.complex128))
        return (y[:, 0].to(u.dtype) + self.D * u).to(x.dtype), h.to(u.dtype.to_complex())

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros, ``(batch, d, n/2)``, complex."""
        return torch.zeros(batch, *self.C.shape[:2], dtype=full_type(self.D).to_complex(), device=self.D.device)
