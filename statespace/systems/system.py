"""What every linear system offers, whatever the form of its state matrix.

    continuous   x'(t)  = A x(t) + B u(t),   y(t) = C x(t) + D u(t)
    discrete     x[k+1] = A x[k] + B u[k],   y[k] = C x[k] + D u[k]

A system is continuous while its ``dt`` is None. It is never changed: each operation gives a new one. Its matrices are
tensors with any leading axes, so a batch of systems is one system, and all but ``zeros`` can be differentiated.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from statespace.discretization._arguments import TYPES, surely_not_finite
from statespace.errors import InputError
from statespace.systems import analysis, composition, description, gramians, responses
from statespace.systems._arguments import as_tensor, as_time_step
from statespace.systems.simulation import Simulation, simulate_discrete, simulate_sampled

if TYPE_CHECKING:
    from statespace.systems.dense import StateSpace


@dataclass(frozen=True)
class Origin:
    """Where a discrete system comes from, so that it can be had at another step.

    Attributes:
        system: the continuous system.
        method: the discretization.
        alpha: its weight, where it takes one.
    """

    system: "System"
    method: str
    alpha: float | Tensor | None


class System(ABC):
    """A linear time-invariant system, continuous or discrete: the base of `StateSpace`, `Diagonal` and `DPLR`.

    Attributes:
        B: input matrix, ``(..., n, m)``.
        C: output matrix, ``(..., p, n)``.
        D: feed-through, ``(..., p, m)``.
        dt: step in s of a discrete system, a number or a tensor ``(...)``; None for a continuous one.
        origin: the continuous system that it was discretised from, if it was.
    """

    B: Tensor
    C: Tensor
    D: Tensor
    dt: Tensor | float | None
    origin: Origin | None

    # What a form has to say for itself.

    @abstractmethod
    def to_dense(self) -> "StateSpace":
        """Return the same system with a dense state matrix.

        Returns:
            The system; real where the outputs are those of a real system.
        """

    @abstractmethod
    def discretize(self, dt: Tensor | float, method: str = "zoh", alpha: float | Tensor | None = None) -> "System":
        """Return the discrete counterpart, which remembers `dt` and where it comes from.

        Args:
            dt: step in s, positive; a number or a tensor that broadcasts with the leading axes. It may be learnt.
            method: a key of `statespace.discretization.METHODS`.
            alpha: weight, for the methods that take one.
        Returns:
            The discrete system.
        Raises:
            InputError: the system is discrete, the method is not known, or `dt` or `alpha` is not what it takes.
        """

    @abstractmethod
    def transfer(self, s: Tensor) -> Tensor:
        """Return the transfer function ``C (s I - A)⁻¹ B + D``.

        Args:
            s: points of the complex plane, ``(..., w)``: in rad/s for a continuous system, no unit for a discrete one.
        Returns:
            ``(..., w, p, m)``, complex, in output units per input unit.
        """

    # Sizes.

    @property
    def n(self) -> int:
        """Number of states in `B`."""
        return self.B.shape[-2]

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.B.shape[-1]

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self.C.shape[-2]

    @property
    def is_discrete(self) -> bool:
        """Whether time comes in steps."""
        return self.dt is not None

    def __repr__(self) -> str:
        return description.in_short(self)

    def __str__(self) -> str:
        return description.in_full(self)

    def __iter__(self) -> Iterator[Tensor | float | None]:
        """Yield ``A, B, C, D, dt`` of the dense form, as SciPy's ``cont2discrete`` returns them."""
        dense = self.to_dense()
        yield from (dense.A, dense.B, dense.C, dense.D, dense.dt)

    # Discrete time.

    def resample(self, dt: Tensor | float) -> "System":
        """Return the same system at another step.

        A system that was discretised goes back to the one it came from, without loss. One that was born discrete is
        first brought to continuous time, as if its input had been held; see `to_continuous`.

        Args:
            dt: the new step in s, positive.
        Returns:
            The discrete system at the new step.
        Raises:
            InputError: the system is continuous, `dt` is not positive, or no continuous system has these samples.
        """
        if self.dt is None:
            raise InputError("resample: the system is continuous and has no step yet: call discretize(dt).")
        if self.origin is not None:
            return self.origin.system.discretize(dt, self.origin.method, self.origin.alpha)
        return self.to_continuous().discretize(dt, "zoh")

    def to_continuous(self) -> "StateSpace":
        """Return the continuous system that, with its input held, gives this discrete one.

        Through the logarithm of ``[[A, B], [0, I]]``, by the eigenvalues of `A`.

        Returns:
            The continuous system.
        Raises:
            InputError: the system is continuous, an eigenvalue is 0 or negative, or the eigenvectors are too close to
                dependent for float64.
        """
        return analysis.undo_hold(self.to_dense())

    # Responses.

    def frequency_response(self, w: Tensor | float) -> Tensor:
        """Return the response to sinusoids, ``G(i w)``, or ``G(exp(i w dt))`` in discrete time.

        Args:
            w: angular frequencies, ``(w,)`` or one number, in rad/s.
        Returns:
            ``(..., w, p, m)``, complex, in output units per input unit.
        Raises:
            InputError: `w` is complex or not finite, or a pole lies exactly on a frequency.
        """
        return responses.frequency_response(self, w)

    def impulse_response(self, t: Tensor | int) -> Tensor:
        """Return the response to a unit impulse from rest.

        In continuous time ``C exp(A t) B``; the impulse that `D` hands on at 0 is left out. In discrete time the
        response to ``1, 0, 0, ...``, which begins with `D`.

        Args:
            t: times in s, ``(l,)``, not negative; or the number of steps of a discrete system.
        Returns:
            ``(..., l, p, m)``; in output units per (input unit x s), in discrete time per input unit.
        Raises:
            InputError: `t` is not what the system's time asks for, or the response overflows.
        """
        return responses.impulse_response(self.to_dense(), t)

    def step_response(self, t: Tensor | int) -> Tensor:
        """Return the response to an input that is 1 from time 0 on, from rest.

        Args:
            t: times in s, ``(l,)``, not negative; or the number of steps of a discrete system.
        Returns:
            ``(..., l, p, m)``, in output units per input unit.
        Raises:
            InputError: `t` is not what the system's time asks for, or the response overflows.
        """
        return responses.step_response(self.to_dense(), t)

    def kernel(self, length: int) -> Tensor:
        """Return the convolution kernel of a discrete system: ``D``, ``C B``, ``C A B``, ``C A² B`` and so on.

        Args:
            length: number of taps.
        Returns:
            ``(..., length, p, m)``, in output units per input unit.
        Raises:
            InputError: the system is continuous, or the kernel overflows.
        """
        if self.dt is None:
            raise InputError("kernel: the system is continuous and has no taps: call discretize(dt) first.")
        return responses.impulse_response(self.to_dense(), length, where="kernel")

    def simulate(
        self,
        u: Tensor,
        t: Tensor | None = None,
        dt: Tensor | float | None = None,
        x0: "Tensor | Simulation | None" = None,
        view: str = "scan",
        method: str = "zoh",
        alpha: float | Tensor | None = None,
    ) -> Simulation:
        """Run the system over a signal, by one of three views that agree.

        A discrete system takes its own steps. A continuous one takes stamps `t`, or `dt`, and is discretised by
        `method`; with one step per sample it may be sampled irregularly. Its state is then the one *before* a sample
        arrives; for the methods that hold the input (zoh, euler, euler-b) it is ``x(t)`` itself. The other methods look
        from one sample to the next: what a sample adds to the state depends on the length of the step before it, and
        before the first step they assume one of the same length.

        A signal in pieces gives the same as the whole: pass what the piece before gave as `x0`. Its state ``x`` alone
        is enough for the methods that hold the input, and for all where every step is as long as the others; else the
        length of its last step is needed too. With stamps, name for each piece but the last the time of its final
        state, which is the first stamp of the next.

        The views agree to rounding, which in the parallel ones is relative to the largest output and the largest power
        of the state matrix: take ``"recurrent"`` for an unstable system that grows by orders of magnitude.

        Args:
            u: input, ``(..., l, m)``; ``(l,)`` for one signal into one input.
            t: stamps in s, rising, ``(..., l)``, or ``(..., l + 1)`` with the time of the final state; otherwise the
                last step is taken as long as the one before. Each series of a batch may have its own.
            dt: step in s; a number, or one for each sample, ``(..., l)``. Give `t` or `dt`, not both.
            x0: state at the start, ``(..., n)``, or the `Simulation` that is continued; zero if left out.
            view: ``"scan"`` (parallel over time), ``"convolution"`` (FFT, equal steps only) or ``"recurrent"``.
            method: discretization of a continuous system.
            alpha: its weight, where it takes one.
        Returns:
            The outputs ``(..., l, p)``, the initial state and the final state ``(..., n)``, which carries on.
        Raises:
            InputError: the steps are missing, given twice or not positive, the view is not known or cannot take
                irregular steps, or the state overflows.
            ShapeError: `u` or `x0` does not fit the system.
        """
        dense = self.to_dense()
        if self.dt is not None:
            if t is not None or dt is not None:
                raise InputError(
                    "simulate: the system is discrete and has its own dt: leave t and dt out, or resample."
                )
            return simulate_discrete(dense, u, x0, view)
        return simulate_sampled(dense, u, t, dt, x0, view, method, alpha)

    # Analysis.

    def poles(self) -> Tensor:
        """Return the eigenvalues of the state matrix.

        Returns:
            ``(..., n)``, complex, in rad/s; no unit in discrete time.
        """
        poles: Tensor = torch.linalg.eigvals(self.to_dense().A)
        return poles

    def zeros(self) -> Tensor:
        """Return the invariant zeros: the points where the transfer function loses rank.

        For one system, not a batch; not differentiable.

        Returns:
            ``(z,)``, complex, in rad/s; no unit in discrete time.
        Raises:
            InputError: the system is a batch.
        """
        return analysis.zeros(self.to_dense())

    def dc_gain(self) -> Tensor:
        """Return the gain for constant input, ``D - C A⁻¹ B``, or ``D + C (I - A)⁻¹ B`` in discrete time.

        Returns:
            ``(..., p, m)``, in output units per input unit; infinite where an integrator stands in the way.
        """
        return analysis.dc_gain(self.to_dense())

    def stability_margin(self) -> Tensor:
        """Return how far the poles are from instability; negative for an unstable system.

        Returns:
            ``(...)``: the least decay rate ``-max Re(pole)`` in 1/s, in discrete time ``1 - max |pole|``; infinity
            where there is no state.
        """
        poles = self.poles()
        if not self.n:  # nothing that could grow
            return torch.full(poles.shape[:-1], torch.inf, dtype=self.B.dtype.to_real(), device=self.B.device)
        return -poles.real.amax(-1) if self.dt is None else 1 - poles.abs().amax(-1)

    def is_stable(self) -> Tensor:
        """Return whether all poles lie where responses decay.

        Returns:
            ``(...)``, bool.
        """
        return self.stability_margin() > 0

    def controllability_gramian(self) -> Tensor:
        """Return ``W`` with ``A W + W Aᴴ + B Bᴴ = 0``, in discrete time ``A W Aᴴ - W + B Bᴴ = 0``.

        Returns:
            ``(..., n, n)``, Hermitian.
        Raises:
            InputError: the system is not stable.
        """
        dense = self.to_dense()
        return gramians.gramian("controllability_gramian", dense.A, dense.B, self.is_discrete)

    def observability_gramian(self) -> Tensor:
        """Return ``W`` with ``Aᴴ W + W A + Cᴴ C = 0``, in discrete time ``Aᴴ W A - W + Cᴴ C = 0``.

        Returns:
            ``(..., n, n)``, Hermitian.
        Raises:
            InputError: the system is not stable.
        """
        dense = self.to_dense()
        return gramians.gramian("observability_gramian", dense.A.mH, dense.C.mH, self.is_discrete)

    def hankel_singular_values(self) -> Tensor:
        """Return what each balanced state contributes, falling.

        Returns:
            ``(..., n)``, in output units per input unit.
        Raises:
            InputError: the system is not stable.
        """
        return gramians.hankel_singular_values(self.to_dense())

    def balanced_truncation(self, order: int) -> "StateSpace":
        """Return a system of fewer states that keeps the largest Hankel singular values.

        The error of the frequency response is at most twice the sum of those left out.

        Args:
            order: number of states to keep, at most n.
        Returns:
            The reduced system, in balanced coordinates.
        Raises:
            InputError: `order` is not from 1 to n, the system is not stable, or a kept value is zero to rounding.
        Source:
            Moore, IEEE Transactions on Automatic Control 26(1), 1981, 17-32; the square-root method by Tombs and
            Postlethwaite, International Journal of Control 46(4), 1987, 1319-1330.
        """
        return gramians.balanced_truncation(self.to_dense(), order)

    # Interconnection.

    def series(self, other: "System") -> "StateSpace":
        """Return the system that feeds its output to `other`.

        Args:
            other: the system that comes after, with as many inputs as this one has outputs.
        Returns:
            The system with the states of both, this one's first.
        Raises:
            InputError: one is continuous and the other discrete, or their steps differ.
            ShapeError: the signal between them does not fit.
        """
        return composition.series(self.to_dense(), as_dense("series", other))

    def parallel(self, other: "System") -> "StateSpace":
        """Return the system whose output is the sum of both outputs for the same input.

        Args:
            other: a system with the same numbers of inputs and outputs.
        Returns:
            The system with the states of both.
        Raises:
            InputError: one is continuous and the other discrete, or their steps differ.
            ShapeError: the inputs or outputs do not fit.
        """
        return composition.parallel(self.to_dense(), as_dense("parallel", other))

    def feedback(self, other: "System | None" = None, sign: int = -1) -> "StateSpace":
        """Return the closed loop, in which `other` returns the output to the input.

        Args:
            other: the system in the return path; the identity if left out.
            sign: -1 for negative feedback, 1 for positive.
        Returns:
            The closed loop from the outer input to the output of this system.
        Raises:
            InputError: `sign` is neither, the times differ, or the loop is ill-posed.
            ShapeError: the loop does not fit.
        """
        return composition.feedback(self.to_dense(), None if other is None else as_dense("feedback", other), sign)

    # For the forms.

    def _expect_continuous(self) -> None:
        if self.dt is not None:
            raise InputError("discretize: the system is already discrete: call resample(dt) for another step.")

    def _settle(self, where: str, **matrices: object) -> dict[str, Tensor]:
        """Bring matrices to tensors of one type on one device, and check dt; for ``__post_init__``."""
        for name, matrix in matrices.items():
            if matrix is None and name != "D":
                raise InputError(f"{where}: {name} is missing: only D may be left out.")
        tensors = {name: as_tensor(where, name, matrix) for name, matrix in matrices.items() if matrix is not None}
        if "D" in tensors and tensors["D"].ndim == 0:
            one = tensors["B"].shape[-1:] == tensors["C"].shape[-2:-1] == (1,)
            if one:
                tensors["D"] = tensors["D"].reshape(1, 1)
            elif bool(tensors["D"].detach() == 0):
                del tensors["D"]
        devices = {tensor.device for tensor in tensors.values()}
        if len(devices) > 1:
            raise InputError(
                f"{where}: the matrices are on {', '.join(map(str, sorted(map(str, devices))))}: move all to one."
            )
        dtype = tensors["B"].dtype
        for tensor in tensors.values():
            dtype = torch.promote_types(dtype, tensor.dtype)
        self._set(dt=as_time_step(where, self.dt))
        for name, tensor in tensors.items() if self.origin is None else ():  # else `discretize` has looked at them
            if surely_not_finite(tensor):
                raise InputError(f"{where}: {name} holds NaN or infinity: all entries must be finite numbers.")
        return {name: tensor.to(dtype) for name, tensor in tensors.items()}

    def matrices(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the matrices of this form by name.

        Yields:
            Name and matrix.
        """
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Tensor) and name != "dt")

    def _set(self, **fields: object) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def _moved(self, **fields: object) -> Self:
        return replace(self, **fields)  # type: ignore[type-var]  # each form is a dataclass

    def to(self, target: torch.dtype | torch.device | str) -> Self:
        """Return the system in another type or on another device.

        Args:
            target: a type such as ``torch.float32``, or a device such as ``"cuda"``. Complex matrices stay complex:
                a real type is taken as their precision.
        Returns:
            The system; a discrete one forgets where it comes from.
        Raises:
            InputError: it is no such type, or no device that is there.
        """
        if isinstance(target, torch.dtype) and target not in TYPES:
            known = ", ".join(str(dtype).removeprefix("torch.") for dtype in TYPES)
            raise InputError(f"to: the type is {target}, but one of {known} is expected.")

        def move(tensor: Tensor) -> Tensor:
            if isinstance(target, torch.dtype) and tensor.is_complex():
                return tensor.to(target.to_complex())
            return tensor.to(target)

        try:
            fields = {name: move(value) for name, value in self.matrices()}
        except RuntimeError as error:
            raise InputError(f"to: {target!r} is neither a type nor a device that is there: {error}.") from error
        return self._moved(**fields, origin=None)

    def select(self, *index: int | slice | Tensor) -> Self:
        """Return one system, or some, of a batch.

        Args:
            *index: as for a tensor with the batch's leading axes.
        Returns:
            The systems there.
        Raises:
            InputError: the system is no batch, or has no such entry.
        """
        batch = self.B.shape[:-2]
        axes = {
            name: 1 if name in ("A", "Lambda") and value.ndim == len(batch) + 1 else 2
            for name, value in self.matrices()
        }
        try:
            fields: dict[str, object] = {
                name: value[(*index, ..., *[slice(None)] * axes[name])] for name, value in self.matrices()
            }
        except IndexError as error:
            raise InputError(f"select: the batch is {tuple(batch)}, which has no entry {index}.") from error
        if isinstance(self.dt, Tensor) and self.dt.ndim:
            fields["dt"] = self.dt.expand(batch)[index]
        origin = self.origin
        if origin is not None and origin.system.B.shape[:-2] == batch:
            origin = replace(origin, system=origin.system.select(*index))
        elif origin is not None and origin.system.B.ndim > 2:
            origin = None
        return self._moved(**fields, origin=origin)


def as_dense(where: str, system: object) -> "StateSpace":
    """Return the dense form of what should be a system, or raise a helpful error."""
    if not isinstance(system, System):
        raise InputError(
            f"{where}: a {type(system).__name__} came, but a StateSpace, Diagonal or DPLR is expected: "
            "other libraries' systems go through from_scipy or from_control."
        )
    return system.to_dense()
