"""A program in torch that makes no views and no room in a step: all rows, views and states are there, and are filled.

A step of a small stack is as long as its list of operators, a microsecond each. So no operator here reshapes, splits or
allocates: each is bound to its tensors beforehand, with the place of its result, and a step calls the list. States lie
twice, before and after: a step reads one half and writes the other, and a question is a step whose half is not taken.

Glossary: ``b`` batch, ``d`` channels, ``n`` states of one channel, ``k`` samples that a convolution sees,
``h`` heads of ``p`` channels in ``g`` groups.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from math import inf, sqrt
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from statespace.kernels.selective_scan.phi import phi
from statespace.kernels.softplus import SOFTPLUS_IS_LINEAR
from statespace.kernels.stack_step.instructions import (
    Add,
    Convolution,
    Diagonal,
    Gate,
    Gelu,
    Glu,
    GroupNorm,
    Heads,
    Instruction,
    Linear,
    Norm,
    Program,
    Register,
    Selective,
)

Call: TypeAlias = Callable[[], object]
# What `torch.nn.functional` calls: unlike it, these take the place of their result.
_silu: Callable[..., Tensor] = torch._C._nn.silu
_softplus: Callable[..., Tensor] = torch._C._nn.softplus


class _Half(NamedTuple):
    """A state before or after a sample: what holds it, and the state in it as the program knows it."""

    room: Tensor
    state: Tensor


class _Bound:
    """What the instructions are bound to: the rows of a batch of streams, and how their parts are found."""

    def __init__(self, program: Program, batch: int) -> None:
        self.program, self.batch = program, batch
        self.rows = [self.empty(sum(sizes)) for sizes in program.rows]
        self.known = self.empty(1)  # 0 in a gap
        self._spare: dict[tuple[str | int, ...], Tensor] = {}

    def empty(self, *shape: int) -> Tensor:
        """Return room for a tensor of all streams."""
        return torch.zeros(self.batch, *shape, dtype=self.program.dtype, device=self.program.device)

    def spare(self, name: str, *shape: int) -> Tensor:
        """Return room for what lives no longer than an instruction: the same for all that ask by this name."""
        if (name, *shape) not in self._spare:
            self._spare[name, *shape] = self.empty(*shape)
        return self._spare[name, *shape]

    def at(self, register: Register) -> Tensor:
        """Return the part of a row that a register names, ``(b, d)``: a view."""
        begin = sum(self.program.rows[register.row][: register.part])
        return self.rows[register.row][:, begin : begin + register.width]

    def halves(self, of: Instruction, shape: tuple[int, ...]) -> tuple[_Half, _Half]:
        """Return room for a state, twice; that of a convolution is a window, with the sample behind the state."""
        if isinstance(of, Convolution):
            rooms = [self.empty(shape[0] + 1, shape[1]) for _ in range(2)]
            return _Half(rooms[0], rooms[0][:, 1:]), _Half(rooms[1], rooms[1][:, 1:])
        states = [self.empty(*shape) for _ in range(2)]
        return _Half(states[0], states[0]), _Half(states[1], states[1])


def _root_mean_square(bound: _Bound, x: Tensor, weight: Tensor, eps: float, y: Tensor) -> Iterator[Call]:
    """``y = weight x / sqrt(mean x^2 + eps)`` for x ``(b, g, d)``; torch's own takes three times as long."""
    width = x.shape[-1]
    scale = bound.spare("scale", x.shape[1], 1)
    least = torch.full_like(scale, sqrt(eps * width))
    yield partial(torch.linalg.vector_norm, x, dim=-1, keepdim=True, out=scale)
    yield partial(torch.hypot, scale, least, out=scale)
    yield partial(torch.mul, x, weight * sqrt(width), out=y)
    yield partial(torch.div, y, scale, out=y)


def _norm(bound: _Bound, of: Norm, y: Tensor) -> Iterator[Call]:
    x, weight, bias = bound.at(of.x), of.weight, of.bias
    if of.centred:
        shape, eps = weight.shape, of.eps
        yield lambda: y.copy_(torch.layer_norm(x, shape, weight, bias, eps))  # it takes no place for its result
        return
    yield from _root_mean_square(bound, x[:, None], weight, of.eps, y[:, None])
    if bias.any():
        yield partial(torch.add, y, bias, out=y)


def _linear(bound: _Bound, of: Linear, y: Tensor) -> Iterator[Call]:
    x, weight = bound.at(of.x), of.weight.mT.contiguous()
    first = of.bias if of.plus is None else bound.at(of.plus)
    if first is None:
        yield partial(torch.mm, x, weight, out=y)
        return
    yield partial(torch.addmm, first, x, weight, out=y)
    if of.plus is not None and of.bias is not None:
        yield partial(torch.add, y, of.bias, out=y)


def _pointwise(bound: _Bound, of: Instruction, y: Tensor) -> Iterator[Call]:
    x = bound.at(of.x)
    spare = bound.spare("row", y.shape[1])
    match of:
        case Norm():
            yield from _norm(bound, of, y)
        case Linear():
            yield from _linear(bound, of, y)
        case GroupNorm(weight=weight, eps=eps, groups=groups):
            parts = (groups, -1)
            x, y = (row.unflatten(-1, parts) for row in (x, y))
            yield from _root_mean_square(bound, x, weight.unflatten(-1, parts), eps, y)
        case Gelu():  # x erfc(-x / sqrt 2) / 2: torch's own takes three times as long
            yield partial(torch.mul, x, -sqrt(0.5), out=spare)
            yield partial(torch.erfc, spare, out=spare)
            yield partial(torch.addcmul, torch.zeros_like(y[:1]), x, spare, value=0.5, out=y)
        case Glu(gate=gate, plus=plus):
            yield partial(torch.sigmoid, bound.at(gate), out=spare)
            yield (
                partial(torch.mul, x, spare, out=y)
                if plus is None
                else partial(torch.addcmul, bound.at(plus), x, spare, out=y)
            )
        case Gate(gate=gate):
            yield partial(_silu, bound.at(gate), out=spare)
            yield partial(torch.mul, x, spare, out=y)
        case Add(plus=plus):
            yield partial(torch.add, x, bound.at(plus), out=y)
        case _:
            raise AssertionError(f"{type(of).__name__} has a state")


def _convolution(bound: _Bound, of: Convolution, before: _Half, after: _Half, y: Tensor) -> Iterator[Call]:
    window = after.room  # (b, k, d)
    product = bound.spare("window", *window.shape[1:])
    ones = window.new_ones(1, window.shape[1]).expand(bound.batch, 1, -1)
    yield partial(torch.cat, [before.state, bound.at(of.x)[:, None]], 1, out=window)
    yield partial(torch.mul, window, of.weight.mT.contiguous(), out=product)
    yield partial(torch.baddbmm, of.bias.expand(bound.batch, 1, -1), ones, product, out=y[:, None])
    if of.silu:
        yield partial(_silu, y, out=y)


def _selective(bound: _Bound, of: Selective, before: _Half, after: _Half, y: Tensor) -> Iterator[Call]:
    x, h, B, C = bound.at(of.x), after.state, bound.at(of.B)[:, None], bound.at(of.C)[:, :, None]
    delta, into = (bound.spare(name, y.shape[1]) for name in ("delta", "into"))
    decay = bound.spare("decay", *of.A.shape)
    yield partial(_softplus, bound.at(of.dt), 1, SOFTPLUS_IS_LINEAR, out=delta)
    yield partial(torch.mul, delta[:, :, None], of.A, out=decay)
    yield partial(torch.mul, delta, x, out=into)
    drive = bound.spare("drive", *of.A.shape) if of.method == "exponential-trapezoidal" else h
    yield partial(torch.mul, into[:, :, None], B, out=drive)
    if of.method == "zoh":
        yield lambda: drive.mul_(phi(decay))
    yield partial(torch.exp, decay, out=decay)
    yield partial(torch.addcmul, drive, decay, before.state, out=h)
    column = y[:, :, None]
    yield partial(torch.bmm, h, C, out=column)
    if of.method == "exponential-trapezoidal":
        yield partial(torch.baddbmm, column, drive, C, alpha=-0.5, out=column)
    yield partial(torch.addcmul, y, of.D, x, out=y)
    if of.gate is not None:
        yield partial(_silu, bound.at(of.gate), out=into)
        yield partial(torch.mul, y, into, out=y)


def _diagonal(bound: _Bound, of: Diagonal, before: _Half, after: _Half, y: Tensor) -> Iterator[Call]:
    x, last, h = bound.at(of.x), before.state, after.state
    flat = h.flatten(-2)  # (b, d, 2 n)
    product, turned = bound.spare("product", *flat.shape[1:]), bound.spare("turned", *h.shape[1:])
    i = torch.tensor(1j, dtype=of.D.dtype.to_complex())  # a number would be made a tensor in each step
    yield partial(torch.mul, torch.view_as_complex(last), i, out=torch.view_as_complex(turned))
    yield partial(torch.mul, of.drive.flatten(-2), x[:, :, None], out=flat)
    # a h = Re a h + Im a (i h), the small parts first: a product that is rounded before it is added loses them.
    for factor in (of.rest, of.pole):
        for part, state in zip(factor.unbind(-1), (last, turned), strict=True):
            yield partial(torch.addcmul, h, torch.stack([part, part], -1), state, out=h)
    yield partial(torch.mul, flat, of.look.flatten(-2), out=product)
    yield partial(torch.sum, product, -1, out=y)
    yield partial(torch.addcmul, y, of.D, x, out=y)


def _heads(bound: _Bound, of: Heads, before: _Half, after: _Half, y: Tensor) -> Iterator[Call]:
    heads, p, n = of.shape
    x, h = bound.at(of.x).unflatten(-1, (heads, p)), after.state
    delta, decay = bound.spare("delta", heads), bound.spare("decay", heads, 1, 1)
    into = bound.spare("into", heads, p)
    yield partial(_softplus, bound.at(of.dt), 1, SOFTPLUS_IS_LINEAR, out=delta)
    if of.bounds != (0.0, inf):
        yield partial(torch.clamp, delta, *of.bounds, out=delta)
    if of.scale != 1:
        yield partial(torch.mul, delta, of.scale, out=delta)
    yield partial(torch.mul, delta, of.A, out=decay[:, :, 0, 0])
    yield partial(torch.expm1, decay, out=decay)
    yield partial(torch.mul, delta[:, :, None], x, out=into)
    groups = (of.groups, heads // of.groups * p)  # channels of a group share B and C
    of_groups = h.view(bound.batch, *groups, n)
    B, C = (bound.at(rows).unflatten(-1, (of.groups, n)) for rows in (of.B, of.C))
    yield partial(torch.mul, into.view(bound.batch, *groups, 1), B[:, :, None], out=of_groups)
    # The change of a state that remembers is small: a rounded decay would drift.
    yield partial(torch.addcmul, h, decay, before.state, out=h)
    yield partial(torch.add, h, before.state, out=h)
    for group, column in enumerate(y.unflatten(-1, (*groups, 1)).unbind(1)):
        yield partial(torch.bmm, of_groups[:, group], C[:, group, :, None], out=column)
    rows = y.unflatten(-1, (heads, p))
    yield partial(torch.addcmul, rows, of.D[:, None], x, out=rows)


_STATEFUL: dict[type[Instruction], Callable[[_Bound, Any, _Half, _Half, Tensor], Iterator[Call]]] = {
    Convolution: _convolution,
    Selective: _selective,
    Diagonal: _diagonal,
    Heads: _heads,
}


class Plan:
    """A program bound to its rows and states: the counterpart of `native.Plan` in torch, on any device."""

    def __init__(self, program: Program, batch: int) -> None:
        with torch.inference_mode(False), torch.no_grad():
            self._bind(_Bound(deepcopy(program), batch))

    def _bind(self, bound: _Bound) -> None:
        self._known, self._sample, self._result = bound.known, bound.rows[0], bound.at(bound.program.result)
        self._halves: list[tuple[_Half, _Half]] = []
        self._now = 0  # the half that holds the states
        self._steps: list[list[Call]] = [[], [], [], []]  # from the first half, with gaps too; from the second
        shapes = iter(bound.program.states)
        for of, y in zip(bound.program.instructions, bound.rows[1:], strict=True):
            stateful = _STATEFUL.get(type(of))
            if stateful is None:
                calls = list(_pointwise(bound, of, y))
                for which, step in enumerate(self._steps):
                    step += calls
                    if which % 2 and isinstance(of, Norm) and of.enters:
                        step.append(partial(torch.mul, y, bound.known, out=y))
                continue
            both = bound.halves(of, next(shapes))
            self._halves.append(both)
            for before in (0, 1):
                calls = list(stateful(bound, of, both[before], both[1 - before], y))
                for step in self._steps[2 * before : 2 * before + 2]:
                    step += calls

    @property
    def packed(self) -> list[Tensor]:
        """The states as they are held, the streams first: views."""
        return [both[self._now].state for both in self._halves]

    def _take(self, x: Tensor, known: Tensor | None, asks: bool, y: Tensor | None) -> None:
        self._sample.copy_(x)
        if known is not None:
            self._known.copy_(known[:, None])
        for call in self._steps[2 * self._now + (known is not None)]:
            call()
        if y is not None:
            y.copy_(self._result)
        if not asks:
            self._now = 1 - self._now

    def run(self, x: Tensor, asks: bool = False, known: Tensor | None = None) -> Tensor:
        """As `native.Plan.run`."""
        if x.ndim == 2:
            y = x.new_empty(len(x), self._result.shape[1])
            with torch.inference_mode():
                self._take(x, known, asks, y)
            return y
        every = 1 + asks
        y = x.new_empty(len(x), -(-x.shape[1] // every), self._result.shape[1])
        with torch.inference_mode():
            for t, sample in enumerate(x.unbind(1)):
                asked = asks and t % 2 == 0
                here = None if known is None or asked else known[:, t // every]
                self._take(sample, here, asked, y[:, t // every] if asked or not asks else None)
        return y

    def save(self) -> list[Tensor]:
        """Return the states in the program's own layout, copied."""
        return [state.clone() for state in self.packed]

    def load(self, states: Sequence[Tensor]) -> None:
        """Take states in the program's own layout."""
        for mine, state in zip(self.packed, states, strict=True):
            mine.copy_(state.detach())
