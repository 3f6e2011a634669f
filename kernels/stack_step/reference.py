"""One sample through a program in torch: the truth for the other ways, portable, and made of operators that export.

It is written for a runtime that takes the operators as they are, and a short last axis step by step: a product of
matrices stands where a multiplication would repeat a column along one.

Glossary: ``b`` batch, ``d`` channels, ``n`` states of one channel, ``k`` samples that a convolution sees,
``h`` heads of ``p`` channels.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from statespace.kernels.selective_scan.phi import phi
from statespace.kernels.softplus import softplus
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

Read = Callable[[Register], Tensor]


def _parts(row: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    # ``row.split`` is a function in Python, and takes twice as long to get here.
    return torch.split_with_sizes(row, sizes, -1) if len(sizes) > 1 else (row,)


def pointwise(instruction: Instruction, read: Read) -> tuple[Tensor, ...]:
    """Run an instruction without a state on rows ``(..., d)``, and return the parts of the row that it writes."""
    x = read(instruction.x)
    match instruction:
        case Norm(weight=weight, bias=bias, eps=eps, centred=True):
            return (F.layer_norm(x, weight.shape, weight, bias, eps),)
        case Norm(weight=weight, bias=bias, eps=eps):
            return (F.rms_norm(x, weight.shape, weight, eps) + bias,)
        case Linear(weight=weight, bias=None, sizes=(), plus=Register() as plus) if x.ndim == 2:
            return (torch.addmm(read(plus), x, weight.mT),)
        case Linear(weight=weight, bias=bias, sizes=sizes, plus=plus):
            y = F.linear(x, weight, bias)
            if plus is not None:
                y = read(plus) + y
            return _parts(y, sizes)
        case GroupNorm(weight=weight, eps=eps, groups=groups):
            width = len(weight) // groups
            return (F.rms_norm(x.unflatten(-1, (groups, width)), (width,), None, eps).flatten(-2) * weight,)
        case Gelu():
            return (F.gelu(x),)
        case Glu(gate=gate, plus=None):
            return (x * torch.sigmoid(read(gate)),)
        case Glu(gate=gate, plus=Register() as plus):
            return (torch.addcmul(read(plus), x, torch.sigmoid(read(gate))),)
        case Gate(gate=gate):
            return (x * F.silu(read(gate)),)
        case Add(plus=plus):
            return (x + read(plus),)
    raise AssertionError(f"{type(instruction).__name__} has a state")


def _convolution(of: Convolution, read: Read, state: Tensor) -> tuple[Tensor, Tensor]:
    window = torch.cat([state, read(of.x)[:, None]], 1)  # (b, k, d)
    y = (window * of.weight.mT).sum(1) + of.bias
    return (F.silu(y) if of.silu else y), window[:, 1:]


def _product(x: Tensor, y: Tensor) -> Tensor:
    # ``x @ y`` finds out that there is nothing to broadcast, and takes three times as long to get here.
    return torch.bmm(x, y) if x.ndim == 3 else x @ y


def selected(of: Selective, read: Read) -> tuple[Tensor, Tensor]:
    """Return ``exp(delta A)`` and what the input adds to the state, ``(..., d, n)`` each, for rows ``(..., d)``."""
    delta = softplus(read(of.dt))
    B = read(of.B)[..., None, :]
    exponent = _product(delta[..., None], torch.ones_like(B)) * of.A
    drive = _product((delta * read(of.x))[..., None], B)
    if of.method == "zoh":
        drive = phi(exponent) * drive
    return torch.exp(exponent), drive


def observed(of: Selective, read: Read, h: Tensor, drive: Tensor) -> Tensor:
    """Return the output ``(..., d)`` for states ``(..., d, n)``."""
    if of.method == "exponential-trapezoidal":
        h = h - drive / 2
    y = torch.addcmul(_product(h, read(of.C)[..., None]).squeeze(-1), of.D, read(of.x))
    return y if of.gate is None else y * F.silu(read(of.gate))


def _selective(of: Selective, read: Read, state: Tensor) -> tuple[Tensor, Tensor]:
    decay, drive = selected(of, read)
    h = torch.addcmul(drive, decay, state)
    return observed(of, read, h, drive), h


def output(of: Diagonal, h: Tensor, x: Tensor) -> Tensor:
    """Return ``Re sum_n c h + D x`` for states ``(..., d, n, 2)``."""
    return torch.addcmul((h * of.look).sum((-2, -1)), of.D, x)


def _diagonal(of: Diagonal, read: Read, state: Tensor) -> tuple[Tensor, Tensor]:
    x = read(of.x)
    # A flip of the last axis would go number by number, and products with 0 and 1 are rounded where floats are short.
    order = torch.arange(1, -1, -1, device=state.device)
    swapped = state.flatten(1, 2).mT.index_select(1, order).mT.reshape(state.shape)
    h = of.drive * x[..., None, None]
    for factor, times in zip(of.factors, (state, swapped, state, swapped), strict=True):  # the small parts first
        h = torch.addcmul(h, factor, times)
    return output(of, h, x), h


def _of_groups(of: Heads) -> tuple[int, int]:
    """How many groups, and how many channels each has: those of all its heads, which share B and C."""
    heads, channels, _ = of.shape
    return of.groups, heads // of.groups * channels


def headed(of: Heads, read: Read) -> tuple[Tensor, Tensor]:
    """Return ``delta A``, ``(..., h, 1, 1)``, and what the input adds to the state, ``(..., h, p, n)``."""
    delta = softplus(read(of.dt))
    if of.bounds != (0.0, inf):
        delta = delta.clamp(*of.bounds)
    delta = delta * of.scale
    x = (delta[..., None] * read(of.x).unflatten(-1, of.shape[:2])).flatten(-2)
    B = read(of.B).unflatten(-1, (of.groups, 1, -1))
    drive = x.unflatten(-1, (*_of_groups(of), 1)) @ B
    return (delta * of.A)[..., None, None], drive.flatten(-3, -2).unflatten(-2, of.shape[:2])


def spoken(of: Heads, read: Read, h: Tensor) -> Tensor:
    """Return the output ``(..., h p)`` for states ``(..., h, p, n)``."""
    C = read(of.C).unflatten(-1, (of.groups, -1, 1))
    y = h.flatten(-3, -2).unflatten(-2, _of_groups(of)) @ C
    return torch.addcmul(y.flatten(-3), of.D.repeat_interleave(of.shape[1]), read(of.x))


def _heads(of: Heads, read: Read, state: Tensor) -> tuple[Tensor, Tensor]:
    exponent, drive = headed(of, read)
    # The change of a state that remembers is small: a rounded decay would drift.
    h = state + torch.addcmul(drive, torch.expm1(exponent), state)
    return spoken(of, read, h), h


def run(
    program: Program,
    x: Tensor,
    states: Sequence[Tensor],
    with_state: Mapping[type[Instruction], Callable[[Any, Read, Tensor], tuple[Tensor, Tensor]]],
    known: Tensor | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Run the instructions one after the other, those that have a state by `with_state`: what each gives and leaves."""
    rows: list[tuple[Tensor, ...]] = [(x,)]

    def read(register: Register) -> Tensor:
        parts = rows[register.row][register.part : register.part + register.parts]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    before, after = iter(states), []
    for instruction, sizes in zip(program.instructions, program.rows[1:], strict=True):
        stateful = with_state.get(type(instruction))
        if stateful is None:
            row = pointwise(instruction, read)
            if known is not None and isinstance(instruction, Norm) and instruction.enters:
                row = tuple(part * known[..., None] for part in row)
            rows.append(row)
            continue
        y, state = stateful(instruction, read, next(before))
        rows.append(_parts(y, sizes))
        after.append(state)
    return read(program.result), after


def step(
    program: Program, x: Tensor, states: Sequence[Tensor], known: Tensor | None = None
) -> tuple[Tensor, list[Tensor]]:
    """Take one sample of each stream, and leave the states that came as they are.

    Args:
        program: the stack.
        x: samples, ``(b, d)``.
        states: one tensor for each of ``program.states``, with the batch in front.
        known: one truth value for each stream, ``(b)``, false for a gap; None for no gaps.
    Returns:
        The result of the program, ``(b, ...)``, and the states after the sample.
    """
    return run(
        program,
        x,
        states,
        {Convolution: _convolution, Selective: _selective, Diagonal: _diagonal, Heads: _heads},
        known,
    )
