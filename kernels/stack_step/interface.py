"""A program with the states of a batch of streams: what is checked, and which backend computes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.kernels import native as core
from statespace.kernels.dispatch import pick
from statespace.kernels.stack_step import buffered, native, reference
from statespace.kernels.stack_step.instructions import Program

BACKENDS = ("native", "buffered", "reference")
_DTYPES = (torch.float32, torch.float64)


class StackStep:
    """Streams that go through one program together: each call takes the next samples of all of them.

    Constants are copied when it is made, and states live in it; nothing is recorded for gradients.

    Attributes:
        backend: the backend that computes.
        why_not_native: why the compiled core cannot, or None where it can.

    Args:
        program: the stack, its constants on one device.
        batch: number of streams.
        backend: ``native`` (compiled, CPU), ``buffered`` (torch over rows that are made once, any device),
            ``reference`` (torch, the truth), or ``auto`` for the first that can.
    Raises:
        InputError: `batch` is negative, the program's dtype cannot be used, or the backend is unknown or not there (it
            says why).
    """

    def __init__(self, program: Program, batch: int, backend: str = "auto") -> None:
        if batch < 0:
            raise InputError(f"StackStep: batch is {batch}, but a number of streams from 0 on is expected.")
        if program.dtype not in _DTYPES:
            raise InputError(f"StackStep: the program is in {program.dtype}: make it in float32 or float64.")
        device = program.device
        self.why_not_native = core.why_refused(device.type)
        self.backend = pick("StackStep", backend, {"native": self.why_not_native, "buffered": None, "reference": None})
        self.program = program
        self.batch = batch
        self._width = program.sample.width
        self._plan: native.Plan | buffered.Plan | None = None
        if self.backend != "reference":
            self._plan = (native if self.backend == "native" else buffered).Plan(program, batch)
        self._states = [torch.zeros(batch, *shape, dtype=program.dtype, device=device) for shape in program.states]

    def __reduce__(self) -> tuple[object, ...]:
        """Copy and pickle the program and the states; what is bound to places in memory is made again."""
        return _made, (self.program, self.batch, self.backend, self.states)

    def __call__(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """Take the next samples.

        Args:
            x: ``(b, d)`` for one sample of each stream, ``(b, l, d)`` for several in order; in the program's dtype and
                on its device.
            known: one truth value for each sample, ``(b)`` or ``(b, l)``, false for a gap: a norm that `enters` a layer
                gives zeros there. None for no gaps.
        Returns:
            The program's results, ``(b, ...)`` or ``(b, l, ...)``.
        Raises:
            ShapeError: `x` or `known` does not have the shape named here.
            InputError: `x` has another dtype or is on another device, or `known` holds no truth values.
        """
        self._check("x", x)
        known = self._known(known, x)
        if self._plan is not None:
            return self._plan.run(x, known=known)
        with torch.no_grad():
            if x.ndim == 2:
                y, self._states = reference.step(self.program, x, self._states, known)
                return y
            ys = []
            for t, sample in enumerate(x.unbind(1)):
                here = None if known is None else known[:, t]
                y, self._states = reference.step(self.program, sample, self._states, here)
                ys.append(y)
            return torch.stack(ys, 1) if ys else x.new_empty(self.batch, 0, self.program.result.width)

    def ask(self, x: Tensor) -> Tensor:
        """Return what a next sample would give, ``(b, ...)``; the states stay where they are.

        Args:
            x: ``(b, d)``.
        Raises:
            ShapeError: `x` does not have the shape named here.
            InputError: `x` has another dtype or is on another device.
        """
        self._check("x", x, (2,))
        if self._plan is not None:
            return self._plan.run(x, asks=True)
        with torch.no_grad():
            return reference.step(self.program, x, self._states)[0]

    def follow(self, asked: Tensor, x: Tensor, known: Tensor | None = None) -> Tensor:
        """Take the next samples, and ask before each of them: `ask` and a call for each, in one.

        Args:
            asked: ``(b, l, d)``.
            x: ``(b, l, d)``.
            known: of each sample that is taken, ``(b, l)``, as in a call.
        Returns:
            The answers, ``(b, l, ...)``.
        Raises:
            ShapeError: one does not have the shape named here, or another length than the other.
            InputError: one has another dtype or is on another device, or `known` holds no truth values.
        """
        self._check("x", x, (3,))
        self._check("asked", asked, (3,))
        if asked.shape[1] != x.shape[1]:
            raise ShapeError(
                f"StackStep: asked has {asked.shape[1]} samples and x {x.shape[1]}, but one for each is expected."
            )
        known = self._known(known, x)
        if self._plan is not None:
            return self._plan.run(torch.stack([asked, x], 2).flatten(1, 2), True, known)
        answers = []
        for t, (question, sample) in enumerate(zip(asked.unbind(1), x.unbind(1), strict=True)):
            answers.append(self.ask(question))
            self(sample, None if known is None else known[:, t])
        return torch.stack(answers, 1) if answers else x.new_empty(self.batch, 0, self.program.result.width)

    def _check(self, name: str, x: Tensor, axes: tuple[int, ...] = (2, 3)) -> None:
        shape = x.shape
        if len(shape) not in axes or shape[0] != self.batch or shape[-1] != self._width:
            expected = {
                2: f"({self.batch}, {self._width}) for one sample of each of {self.batch} streams",
                3: f"({self.batch}, length, {self._width}) for several",
            }
            raise ShapeError(
                f"StackStep: {name} is {tuple(shape)}, but {' or '.join(expected[n] for n in axes)} is expected."
            )
        if x.dtype is not self.program.dtype or x.device != self.program.device:
            raise InputError(
                f"StackStep: {name} is {x.dtype} on {x.device}, but the stack computes in {self.program.dtype} on "
                f"{self.program.device}: pass {name}.to({str(self.program.device)!r}, {self.program.dtype})."
            )

    def _known(self, known: Tensor | None, x: Tensor) -> Tensor | None:
        if known is None:
            return None
        if known.shape != x.shape[:-1]:
            raise ShapeError(
                f"StackStep: known is {tuple(known.shape)}, but {tuple(x.shape[:-1])} is expected: a truth value for "
                "each sample."
            )
        if known.dtype is not torch.bool or known.device != x.device:
            raise InputError(
                f"StackStep: known is {known.dtype} on {known.device}, but truth values on {x.device} are expected: "
                f"pass known.to({str(x.device)!r}, torch.bool)."
            )
        return known

    @property
    def _held(self) -> list[Tensor]:
        """The states as they are held, the streams first."""
        return self._states if self._plan is None else self._plan.packed

    def take(self, other: "StackStep", which: Tensor | None = None) -> None:
        """Take the states of other streams, which go on as they are.

        Args:
            other: as many streams of a program with the same states, on the same backend.
            which: the streams to take, as numbers or one truth value for each; None for all.
        Raises:
            ShapeError: the states of `other` are not those of this stack.
            InputError: `other` runs on another backend.
        """
        if other.backend != self.backend:
            raise InputError(f"StackStep.take: other runs on {other.backend}, but this stack on {self.backend}.")
        if other.batch != self.batch or other.program.states != self.program.states:
            raise ShapeError(
                f"StackStep.take: other has {other.batch} streams with states {other.program.states}, but {self.batch} "
                f"with {self.program.states} are expected."
            )
        for own, state in zip(self._held, other._held, strict=True):
            if which is None:
                own.copy_(state)
            else:
                own[which] = state[which]

    @property
    def states(self) -> list[Tensor]:
        """The state of each instruction that has one: copies, ``(b, *shape)`` with the shapes ``program.states``."""
        return [state.clone() for state in self._states] if self._plan is None else self._plan.save()

    @states.setter
    def states(self, states: Sequence[Tensor]) -> None:
        expected = [(self.batch, *shape) for shape in self.program.states]
        if [tuple(state.shape) for state in states] != expected:
            raise ShapeError(
                f"StackStep: the states are {[tuple(state.shape) for state in states]}, but {expected} is expected: "
                "states belong to one stack and one number of streams."
            )
        if self._plan is None:
            self._states = [state.detach().to(self.program.device, self.program.dtype, copy=True) for state in states]
        else:
            self._plan.load(states)


def _made(program: Program, batch: int, backend: str, states: list[Tensor]) -> StackStep:
    """Return a stack with these states; on another machine by what is there, if `backend` is not."""
    try:
        stack = StackStep(program, batch, backend)
    except InputError:
        stack = StackStep(program, batch)
    stack.states = states
    return stack
