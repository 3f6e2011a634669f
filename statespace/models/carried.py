"""The states of many series that a backbone carries, moved row by row, with gaps, and asked without being moved.

Where the stack has a compiled form, a row is one call of it for all series. In a gap nothing enters its layers, and a
question leaves the states as they are.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from statespace.kernels.stack_step import StackStep
from statespace.models.backbone import Backbone
from statespace.models.program import flatten, program_of, unflatten


def along(moved: Tensor, part: Tensor) -> Tensor:
    """Return one truth value for each series, ``(b,)``, with as many axes as `part`."""
    return moved.reshape(-1, *(1,) * (part.ndim - 1))


class Carried:
    """States of a batch of series.

    Attributes:
        why: why there is no compiled form; empty where there is.

    Args:
        backbone: the stack, in evaluation mode.
        weight: linear map from a row to its channels, ``(d_model, channels)``.
        bias: of that map, ``(d_model,)``.
        batch: number of series.
    """

    def __init__(self, backbone: Backbone, weight: Tensor, bias: Tensor, batch: int) -> None:
        self._backbone, self._weight, self._bias, self._batch = backbone, weight.detach(), bias.detach(), batch
        self._like = backbone.initial_state(batch)
        self._state: Any = self._like
        program = program_of(backbone.blocks, backbone.norm, into=(self._weight, self._bias))
        self.why = program if isinstance(program, str) else ""
        self._stack = None if isinstance(program, str) else StackStep(program, batch)
        self._held: StackStep | None = None  # what must not move, made when first needed

    def embedded(self, rows: Tensor) -> Tensor:
        """Return the channels of rows, ``(..., channels)``."""
        return F.linear(rows, self._weight, self._bias)

    @property
    def state(self) -> Any:
        """The states in the form of the backbone."""
        return self._state if self._stack is None else unflatten(self._stack.states, self._like)

    @state.setter
    def state(self, state: Any) -> None:
        if self._stack is None:
            self._state = state
        else:
            self._stack.states = flatten(state)

    def read(self, rows: Tensor, known: Tensor, which: Tensor, dt: Tensor | None = None) -> None:
        """Start some series again from whole windows.

        Args:
            rows: ``(n, l, channels)``.
            known: where anything enters, ``(n, l)``.
            which: their numbers, ``(n,)``.
            dt: time since the row before, ``(n, l)``.
        """
        _, state = self._backbone(self.embedded(rows), dt=dt, observed=known)
        if len(which) == self._batch:
            self.state = state
            return
        parts = [part.clone() for part in flatten(self.state)]
        for part, new in zip(parts, flatten(state), strict=True):
            part[which] = new
        self.state = unflatten(parts, self._like)

    def move(self, rows: Tensor, known: Tensor, moved: Tensor | None = None, dt: Tensor | None = None) -> None:
        """Take in a row of each series.

        Args:
            rows: ``(b, channels)``.
            known: where anything enters, ``(b,)``; elsewhere it is a gap.
            moved: which series have a row at all, ``(b,)``; None for all.
            dt: time since the row before, ``(b,)``.
        """
        if self._stack is None or dt is not None:
            before = self.state
            _, state = self._backbone.step(self.embedded(rows), before, dt=dt, observed=known)
            if moved is not None:
                parts = [
                    torch.where(along(moved, new), new, old)
                    for new, old in zip(flatten(state), flatten(before), strict=True)
                ]
                state = unflatten(parts, before)
            self.state = state
            return
        if moved is None:
            self._stack(rows, known)
            return
        if self._held is None:
            self._held = StackStep(self._stack.program, self._batch, self._stack.backend)
        self._held.take(self._stack)
        self._stack(rows, known)
        self._stack.take(self._held, ~moved)

    def follow(self, asked: Tensor, rows: Tensor, known: Tensor) -> Tensor:
        """Take in several rows of each series, and ask before each of them.

        Args:
            asked: what is asked before each row, ``(b, n, channels)``.
            rows: ``(b, n, channels)``.
            known: where anything enters, ``(b, n)``; elsewhere it is a gap.
        Returns:
            The answers, ``(b, n, d_model)``.
        """
        if self._stack is not None:
            return self._stack.follow(asked, rows, known)
        answers = []
        for step in range(rows.shape[1]):
            answers.append(self.ask(asked[:, step : step + 1])[:, 0])
            self.move(rows[:, step], known[:, step])
        return torch.stack(answers, 1)

    def ask(self, rows: Tensor, dt: Tensor | None = None) -> Tensor:
        """Return what would be put out for rows to come, ``(b, steps, d_model)``; the states stay where they are.

        Args:
            rows: ``(b, steps, channels)``.
            dt: time before each of them, ``(b, steps)``.
        """
        if self._stack is not None and rows.shape[1] == 1 and dt is None:
            return self._stack.ask(rows[:, 0])[:, None]
        z: Tensor = self._backbone(self.embedded(rows), self.state, dt=dt)[0]
        return z
