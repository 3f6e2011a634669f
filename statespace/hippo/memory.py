"""The online memory of HiPPO: a signal goes in sample by sample, a fixed number of coefficients stays.

For LegS, ``c'(t) = (A c + B u) / t`` varies in time. In the logarithm of time it does not: with ``t = exp(tau)`` it
is ``dc/dtau = A c + B u``, so the step from ``k dt`` to ``(k + 1) dt`` has the length ``log((k + 1) / k)``, any
discretization applies, and the zero-order hold is exact for a held signal. Over the first sample, a constant, the
memory is that constant.
"""

from math import log

import torch
from torch import Tensor

from statespace.discretization import discretize, find_method
from statespace.errors import InputError, ShapeError, choose
from statespace.hippo._order import check_order
from statespace.hippo.measures import MEASURES, check_scale, transition

CHUNK = 256  # samples of LegS whose matrices are made in one call


class HiPPOMemory:
    """Compresses a signal online into `n` coefficients, from which the past can be reconstructed.

    The input is held over each step, whatever the method does within it. With ``zoh`` the coefficients of ``legs`` and
    ``lagt`` are those of the exact projection of the held signal, up to rounding. Those of ``legt`` and ``fout`` differ
    from it by what the measure itself approximates.

    Args:
        measure: ``"legs"``, ``"legt"``, ``"lagt"`` or ``"fout"``.
        n: number of coefficients, at least 1; odd for ``fout``.
        dt: time between two samples, in s.
        scale: length of the window, or time constant, in s; ``legs`` has none, it remembers everything.
        method: a key of `statespace.discretization.METHODS`.
        alpha: its weight, where it takes one.
        dtype: type of the coefficients.
    Raises:
        InputError: `measure` or `method` is not known, or a number is not what it should be.
    Source:
        Gu, Dao, Ermon, Rudra and Ré, HiPPO: Recurrent Memory with Optimal Polynomial Projections, 2020, theorem 2 and
        appendix B.3; the change of time is ours.
    """

    def __init__(
        self,
        measure: str,
        n: int,
        dt: float = 1.0,
        scale: float = 1.0,
        method: str = "zoh",
        alpha: float | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        choose("HiPPOMemory", "measure", measure, MEASURES)
        check_order("HiPPOMemory", n)
        check_scale("HiPPOMemory", scale)
        self.measure, self.n, self.dt, self.scale = measure, n, dt, scale
        self.method, self.alpha = find_method("HiPPOMemory", method).name, alpha
        self.A, self.B = transition(measure, n, 1.0 if measure == "legs" else scale)
        self.samples = 0
        self.coefficients = torch.zeros(n, dtype=dtype)
        self._steady = None if measure == "legs" else self._matrices(torch.tensor(float(dt), dtype=torch.float64))

    @property
    def time(self) -> float:
        """Time since the first sample, in s."""
        return self.samples * self.dt

    def _matrices(self, dt: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``Abar`` and the whole weight of an input that is constant over the step."""
        A, B = self.A.expand(*dt.shape, -1, -1), self.B.expand(*dt.shape, -1, -1)
        eye = torch.eye(self.n, dtype=A.dtype)
        found = discretize(A, B, eye, torch.zeros_like(self.B), dt, self.method, self.alpha)
        # Where the method looks ahead to u[k+1], Dbar holds that part, and a constant input fills it too.
        drive = found.C @ found.B - found.A @ found.D + found.D
        dtype = self.coefficients.dtype
        return found.A.to(dtype), drive[..., 0].to(dtype)

    def _steps(self, count: int) -> Tensor:
        """Return the lengths in the logarithm of time of the next steps of LegS."""
        first = self.samples
        return torch.tensor([log((k + 1) / k) for k in range(first, first + count)], dtype=torch.float64)

    def update(self, u: Tensor) -> Tensor:
        """Take samples in, one or many.

        Args:
            u: ``(..., l)``, or one number; the leading axes must stay the same from call to call.
        Returns:
            The coefficients, ``(..., n)``, in units of the signal.
        Raises:
            InputError: `u` is not of a real floating type.
            ShapeError: the leading axes have changed.
        """
        if not isinstance(u, Tensor) or not u.is_floating_point():
            raise InputError(
                "HiPPOMemory.update: u is no tensor of real numbers: pass torch.as_tensor(u, dtype=torch.float64)."
            )
        c = self.coefficients
        u = torch.atleast_1d(u).to(c.dtype)
        if self.samples and u.shape[:-1] != c.shape[:-1]:
            raise ShapeError(
                f"HiPPOMemory.update: u has the leading axes {tuple(u.shape[:-1])}, but those so far were "
                f"{tuple(c.shape[:-1])}: keep them, or begin another memory."
            )
        if not self.samples:
            c = torch.zeros(*u.shape[:-1], self.n, dtype=c.dtype)
        if self._steady is not None:
            Abar, drive = self._steady
            for sample in u.unbind(-1):
                c = c @ Abar.mT + sample[..., None] * drive
                self.samples += 1
        else:
            samples = list(u.unbind(-1))
            if samples and not self.samples:
                c[..., 0] = samples.pop(0)
                self.samples = 1
            for start in range(0, len(samples), CHUNK):
                part = samples[start : start + CHUNK]
                Abar, drive = self._matrices(self._steps(len(part)))
                for k, sample in enumerate(part):
                    c = c @ Abar[k].mT + sample[..., None] * drive[k]
                self.samples += len(part)
        self.coefficients = c
        return c

    def reconstruct(self, t: Tensor) -> Tensor:
        """Return what the memory recalls of the signal.

        Args:
            t: times in s since the first sample, ``(l,)``, not after `time`, and not before the window begins.
        Returns:
            ``(..., l)``, in units of the signal.
        Raises:
            InputError: nothing has been taken in yet, or a time lies outside of what is remembered.
        """
        if not self.samples:
            raise InputError("HiPPOMemory.reconstruct: nothing is remembered yet: call update first.")
        measure = MEASURES[self.measure]
        span = self.time if self.measure == "legs" else self.scale
        age = (self.time - torch.as_tensor(t, dtype=torch.float64)) / span
        slack = 1e-9
        if bool((age < -slack).any()) or (measure.window and bool((age > 1 + slack).any())):
            start = f"{self.time - span:g} s" if measure.window else "the beginning"
            came = torch.as_tensor(t)
            raise InputError(
                f"HiPPOMemory.reconstruct: t runs from {came.min().item():g} to {came.max().item():g} s, "
                f"but the memory reaches from {start} to {self.time:g} s."
            )
        basis = measure.basis(self.n, age)
        return self.coefficients @ basis.to(self.coefficients.dtype).mT
