"""The online memory of HiPPO: a signal goes in sample by sample, a fixed number of coefficients stays.

For LegS, ``c'(t) = (A c + B u) / t`` varies in time. In the logarithm of time it does not: with ``t = exp(tau)`` it
is ``dc/dtau = A c + B u``, so the step from ``k dt`` to ``(k + 1) dt`` has the length ``log((k + 1) / k)``, any
discretization applies, and the zero-order hold is exact for a held signal. Over the first sample, a constant, the
memory is that constant.
"""

from collections.abc import Sequence
from math import log

import numpy as np
import torch
from torch import Tensor

from statespace.discretization import discretize, find_method
from statespace.discretization._arguments import surely_not_finite
from statespace.errors import InputError, ShapeError, choose
from statespace.hippo._order import check_order
from statespace.hippo.dilation import CACHED, take_in
from statespace.hippo.measures import MEASURES, check_scale, transition


def _real(where: str, name: str, values: object, dtype: torch.dtype) -> Tensor:
    """Return numbers as a tensor with one axis at least."""
    try:
        tensor = values if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values))
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {name} is {values!r:.80}, but real numbers are expected.") from error
    if tensor.is_complex():
        raise InputError(f"{where}: {name} is {tensor.dtype}, but real numbers are expected: pass {name}.real.")
    tensor = tensor.reshape(tensor.shape or (1,)).to(dtype)
    if surely_not_finite(tensor):
        raise InputError(f"{where}: {name} holds NaN or infinity, which no memory would forget: fill the gaps first.")
    return tensor


class HiPPOMemory:
    """Compresses a signal online into `n` coefficients, from which the past can be reconstructed.

    The input is held over each step, whatever the method does within it. With ``zoh`` the coefficients of ``legs`` and
    ``lagt`` are those of the exact projection of the held signal, up to rounding. Those of ``legt`` and ``fout`` differ
    from it by what the measure itself approximates. How far back ``lagt`` can be asked depends on `n`: beyond some n/2
    time constants its polynomials magnify rounding, so that a reconstruction there means nothing.

    A sample costs O(n²), for ``legs`` with another method than ``zoh`` the discretization of an n by n matrix. The
    memory is on the device of its first samples.

    Args:
        measure: ``"legs"``, ``"legt"``, ``"lagt"`` or ``"fout"``.
        n: number of coefficients, at least 1; odd for ``fout``.
        dt: time between two samples, in s.
        scale: length of the window, or time constant, in s; ``legs`` has none, it remembers everything.
        method: a key of `statespace.discretization.METHODS`.
        alpha: its weight, where it takes one.
        dtype: type of the coefficients, float32 or float64.
    Raises:
        InputError: `measure` or `method` is not known, or a number or type is not what it should be.
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
        check_scale("HiPPOMemory", dt, "dt")
        if dtype not in (torch.float32, torch.float64):
            raise InputError(f"HiPPOMemory: dtype is {dtype}, but torch.float32 or torch.float64 is expected.")
        self.measure, self.n, self.dt, self.scale = measure, n, dt, scale
        self.method, self.alpha = find_method("HiPPOMemory", method).name, alpha
        self.A, self.B = transition(measure, n, 1.0 if measure == "legs" else scale)
        self.samples = 0
        self.coefficients = torch.zeros(n, dtype=dtype)
        step = 0.1 if measure == "legs" else float(dt)  # that of LegS varies: this one shows that the method can be had
        matrices = self._matrices(torch.tensor(step, dtype=torch.float64))
        self._steady = None if measure == "legs" else matrices

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

    def update(self, u: Tensor | np.ndarray | Sequence[float] | float) -> Tensor:
        """Take samples in, one or many.

        Args:
            u: ``(..., l)``, a tensor, an array or a list, or one number; the leading axes must stay the same from call
                to call.
        Returns:
            The coefficients, ``(..., n)``, in units of the signal.
        Raises:
            InputError: `u` is not made of finite real numbers.
            ShapeError: the leading axes have changed.
        """
        u = _real("HiPPOMemory.update", "u", u, self.coefficients.dtype)
        c = self.coefficients.to(u.device)
        if self.samples and u.shape[:-1] != c.shape[:-1]:
            raise ShapeError(
                f"HiPPOMemory.update: u has the leading axes {tuple(u.shape[:-1])}, but those so far were "
                f"{tuple(c.shape[:-1])}: keep them, or begin another memory."
            )
        if not self.samples:
            c = torch.zeros(*u.shape[:-1], self.n, dtype=c.dtype, device=u.device)
        if self._steady is not None:
            Abar, drive = (matrix.to(u.device) for matrix in self._steady)
            for sample in u.unbind(-1):
                c = c @ Abar.mT + sample[..., None] * drive
                self.samples += 1
        else:
            if u.shape[-1] and not self.samples:
                c[..., 0], u = u[..., 0], u[..., 1:]
                self.samples = 1
            if self.method == "zoh":
                c = take_in(c, u, self.samples)
                self.samples += u.shape[-1]
            else:
                c = self._stepped(c, u)
        self.coefficients = c
        return c

    def _stepped(self, c: Tensor, u: Tensor) -> Tensor:
        """Take samples in step by step, each with matrices of its own."""
        for part in u.split(max(1, CACHED // self.n**2), -1):
            Abar, drive = (matrix.to(u.device) for matrix in self._matrices(self._steps(part.shape[-1])))
            for k, sample in enumerate(part.unbind(-1)):
                c = c @ Abar[k].mT + sample[..., None] * drive[k]
            self.samples += part.shape[-1]
        return c

    def reconstruct(self, t: Tensor | float) -> Tensor:
        """Return what the memory recalls of the signal.

        Args:
            t: times in s since the first sample, ``(l,)`` or one number, not after `time`, and not before the window
                begins.
        Returns:
            ``(..., l)``, in units of the signal.
        Raises:
            InputError: nothing has been taken in yet, or a time lies outside of what is remembered.
        """
        if not self.samples:
            raise InputError("HiPPOMemory.reconstruct: nothing is remembered yet: call update first.")
        measure = MEASURES[self.measure]
        span = self.time if self.measure == "legs" else self.scale
        came = _real("HiPPOMemory.reconstruct", "t", t, torch.float64)
        if came.ndim != 1:
            raise ShapeError(f"HiPPOMemory.reconstruct: t is {tuple(came.shape)}, but times (l,) are expected.")
        age = (self.time - came.to(self.coefficients.device)) / span
        slack = 1e-9
        if bool((age < -slack).any()) or (measure.window and bool((age > 1 + slack).any())):
            start = f"{self.time - span:g} s" if measure.window else "the beginning"
            raise InputError(
                f"HiPPOMemory.reconstruct: t runs from {came.min().item():g} to {came.max().item():g} s, "
                f"but the memory reaches from {start} to {self.time:g} s."
            )
        basis = measure.basis(self.n, age)
        return self.coefficients @ basis.to(self.coefficients.dtype).mT
