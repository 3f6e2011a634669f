"""A program for the compiled core (kernels/native/stack_step*): packed once, then run by one call a step.

Rows, constants and states are cut into panels of `PANEL` channels, the last one filled up with zeros, so that the core
knows no remainders. A row that nobody reads any more makes room for later ones: the rows of a stream then stay in the
first cache.
"""

import ctypes
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from statespace.kernels import native as core
from statespace.kernels.selective_state_update.native import RULES
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

PANEL = 16
# The numbers of kernels/native/stack_step.h.
_KINDS = (Norm, Linear, Convolution, Selective, Diagonal, Gelu, Glu, Gate, Add, Heads, GroupNorm)
_OPERATIONS = {kind: i for i, kind in enumerate(_KINDS)}
# About what a multiplication in a matrix takes, and one state of a channel, without and with a decay of its own, in ns.
_PRODUCT, _SHARED, _STATE = 0.06, 0.1, 0.8


def _filled(count: int) -> int:
    """A number of channels, filled up to whole panels."""
    return -(-count // PANEL) * PANEL


def _fill(value: Tensor, axis: int = -1) -> Tensor:
    """Zeros behind the channels of `axis`, up to the end of the last panel."""
    axis %= value.ndim
    filled: Tensor = F.pad(
        value, (0, 0) * (value.ndim - 1 - axis) + (0, _filled(value.shape[axis]) - value.shape[axis])
    )
    return filled


def _panels(value: Tensor, axis: int = 0) -> Tensor:
    """``(..., d, *rest)``, the channels being `axis`, as ``(..., panels, *rest, PANEL)``."""
    panels: Tensor = _fill(value, axis).unflatten(axis, (-1, PANEL))
    return panels.movedim(axis + 1, -1)


def _rows(weight: Tensor, sizes: Sequence[int]) -> Tensor:
    """The rows of a matrix, or the numbers of a vector, with each part filled up to whole panels."""
    return torch.cat([_fill(part, 0) for part in weight.split(list(sizes))])


def _constants(of: Instruction, width: int) -> tuple[Tensor, ...]:
    """What the core reads beside rows and state, in the order that stack_step_kernels.h names."""
    match of:
        case Norm(weight=weight, bias=bias, eps=eps):
            ones = torch.ones_like(weight)
            return _fill(ones), _fill(weight), _fill(bias), weight.new_tensor([eps])
        case Linear(weight=weight, bias=bias, sizes=sizes):
            parts = sizes or (len(weight),)
            start = weight.new_zeros(width) if bias is None else _rows(bias, parts)
            return start, _panels(_rows(weight, parts))
        case Convolution(weight=weight, bias=bias, sizes=sizes):
            parts = sizes or (len(weight),)
            return _rows(bias, parts), _rows(weight, parts).mT
        case Selective(A=A, D=D):
            return _fill(D), _panels(A)
        case Diagonal(c=c, D=D, pole=pole, rest=rest, drive=drive):
            return _fill(D), _panels(torch.stack([pole, rest, drive, torch.view_as_real(c.resolve_conj())], 2))
        case Heads(A=A, D=D, bounds=bounds, scale=scale, shape=(_, channels, _)):
            scales = torch.full_like(A, scale)  # 0 behind the channels: what stands there does not enter a state
            by_channel = [_fill(of.repeat_interleave(channels)) for of in (D, A, scales)]
            return *by_channel, A.new_tensor(bounds)
        case GroupNorm(weight=weight, eps=eps, groups=groups):
            ones = weight.new_ones(1, len(weight) // groups)
            return _fill(torch.block_diag(*[ones] * groups)), _fill(weight), weight.new_tensor([eps])
        case _:
            return ()


class _Place(NamedTuple):
    """How a state is packed."""

    shape: tuple[int, ...]  # without the batch
    channels: int  # of its first axis, or its first two; in a row of its last
    parts: tuple[int, ...]  # of a row (b, k, d), filled up in place; empty for what lies in panels

    @classmethod
    def of(cls, instruction: Instruction, shape: tuple[int, ...]) -> "_Place":
        match instruction:
            case Convolution(sizes=sizes):
                return cls(shape, shape[1], sizes or shape[1:])
            case Heads():
                return cls(shape, shape[0] * shape[1], ())
            case _:
                return cls(shape, shape[0], ())

    @property
    def states(self) -> int:
        """Numbers of a channel."""
        return prod(self.shape) // self.channels


def _pack(state: Tensor, place: _Place) -> Tensor:
    if place.parts:
        return torch.cat([_fill(part) for part in state.split(place.parts, -1)], -1)
    return _panels(state.reshape(len(state), place.channels, place.states), 1).contiguous()


def _unpack(packed: Tensor, place: _Place) -> Tensor:
    if place.parts:
        filled = packed.split([_filled(size) for size in place.parts], -1)
        return torch.cat([part[..., :size] for part, size in zip(filled, place.parts, strict=True)], -1)
    rows = packed.movedim(-1, 2).flatten(1, 2)[:, : place.channels]
    return rows.reshape(len(packed), *place.shape).contiguous()


def _reads(of: Instruction) -> tuple[Register | None, ...]:
    """The rows that an instruction reads, in the order of the core."""
    match of:
        case Selective(x=x, dt=dt, B=B, C=C, gate=gate):
            return x, dt, B, C, gate
        case Heads(x=x, dt=dt, B=B, C=C):
            return x, dt, B, C
        case Glu(x=x, gate=gate, plus=plus):
            return x, gate, plus
        case Gate(x=x, gate=gate):
            return x, gate
        case Linear(x=x, plus=plus) | Add(x=x, plus=plus):
            return x, plus
        case _:
            return (of.x,)


def _allocate(program: Program) -> tuple[list[int], int]:
    """Where each row begins in the workspace, and how long that is; rows whose last reader is past are used again."""
    reads = [[row.row for row in _reads(of) if row is not None] for of in program.instructions]
    last = [-1] * len(program.rows)
    for i, rows in enumerate(reads):
        for row in rows:
            last[row] = i
    # The sample's room stays its own: the core writes no zeros behind the channels of the next one.
    last[0] = last[program.result.row] = len(reads)
    begins, end = [], 0
    free: list[tuple[int, int]] = []  # (width, begin)
    for row, sizes in enumerate(program.rows):  # row is written by instruction row - 1
        width = sum(map(_filled, sizes))
        fits = next((room for room in free if room[0] == width), None)
        if fits is None:
            begins.append(end)
            end += width
        else:
            free.remove(fits)
            begins.append(fits[1])
        free += [(sum(map(_filled, program.rows[old])), begins[old]) for old in range(row) if last[old] == row - 1]
    return begins, end


class Plan:
    """A program in the form of the core, and the states of its streams.

    Attributes:
        packed: the states as the core reads and writes them, the streams first.
    """

    def __init__(self, program: Program, batch: int, instruction_set: str | None = None) -> None:
        begins, width = _allocate(program)

        def place(register: Register | None) -> int:
            if register is None:
                return -1
            return begins[register.row] + sum(map(_filled, program.rows[register.row][: register.part]))

        shapes = iter(program.states)
        self._constants: list[Tensor] = []
        self._places: list[_Place] = []
        self.packed: list[Tensor] = []
        calls: list[int] = []
        nanoseconds = 0.0
        for i, of in enumerate(program.instructions):
            panels = sum(map(_filled, program.rows[i + 1])) // PANEL
            parts = [part.detach().to(program.dtype).reshape(-1) for part in _constants(of, panels * PANEL)]
            constants = torch.cat(parts) if parts else torch.empty(0, dtype=program.dtype)
            self._constants.append(constants)
            states = option = state_at = 0
            groups = 1
            match of:
                case Norm(centred=centred, enters=enters):
                    option = (not centred) + 2 * enters
                case Linear():
                    nanoseconds += _PRODUCT * panels * PANEL * of.x.width
                case Convolution(silu=silu):
                    option = silu
                case Selective(method=method):
                    option = RULES[method]
                case Heads(groups=groups, shape=(_, option, _)):
                    pass
                case GroupNorm(groups=groups):
                    pass
                case _:
                    pass
            if isinstance(of, Convolution | Selective | Diagonal | Heads):
                shape = next(shapes)
                self._places.append(_Place.of(of, shape))
                states = self._places[-1].states // (2 if isinstance(of, Diagonal) else 1)
                self.packed.append(_pack(torch.zeros(batch, *shape, dtype=program.dtype), self._places[-1]))
                state_at = self.packed[-1].data_ptr()
                nanoseconds += (_SHARED if isinstance(of, Heads) else _STATE) * panels * PANEL * states
            froms = [place(register) for register in _reads(of)]
            froms += [-1] * (5 - len(froms))
            begin = begins[i + 1]
            calls += [_OPERATIONS[type(of)], begin, *froms, panels, of.x.width, states, option, groups]
            calls += [constants.data_ptr(), state_at]
        self._instructions = (ctypes.c_int64 * len(calls))(*calls)
        self._batch, self._outputs = batch, program.result.width
        self._dtype = program.dtype
        self._function: Any = core.library().statespace_stack_step
        self._function.argtypes = [ctypes.c_void_p]
        # The C struct ``statespace::StackStep`` of kernels/native/stack_step.h: 24 fields of 8 bytes.
        self._call = (ctypes.c_int64 * 24)(
            batch, 1, program.sample.width, self._outputs, program.dtype == torch.float64, 1,
            core.instruction_set(instruction_set), len(program.instructions), ctypes.addressof(self._instructions),
            width, int(nanoseconds), place(program.sample), place(program.result),
        )  # fmt: skip
        self._call[20] = max((state[0].numel() for state in self.packed if batch), default=0)
        self._at = ctypes.addressof(self._call)

    def run(self, x: Tensor, asks: bool = False, known: Tensor | None = None) -> Tensor:
        """Take the samples ``(b, d)`` or ``(b, l, d)`` of the program's dtype, and return its results.

        With `asks`, the first sample, the third and so on leave the states as they are, and only they have results.
        What is not `known`, ``(b, samples that are taken)``, is a gap.
        """
        shape, call = x.shape, self._call
        strides = x.stride()
        if strides[-1] != 1 or x.is_neg():
            x = x.resolve_neg().contiguous()
            strides = x.stride()
        if len(shape) == 2:
            y = torch.empty(shape[0], self._outputs, dtype=self._dtype)
            call[1], call[15], call[18] = 1, 0, 0
        else:
            y = torch.empty(shape[0], (shape[1] + 1) // 2 if asks else shape[1], self._outputs, dtype=self._dtype)
            call[1], call[15], call[18] = shape[1], strides[1], self._outputs
        call[5] = torch.get_num_threads()
        call[13], call[14] = x.data_ptr(), strides[0]
        call[16], call[17] = y.data_ptr(), y.stride(0)
        call[19] = asks
        call[21] = 0
        if known is not None:
            call[21], call[22] = known.data_ptr(), known.stride(0)
            call[23] = known.stride(1) if known.ndim == 2 else 0
        if self._function(self._at):
            raise MemoryError("StackStep: no memory left for the rows of the stack.")
        return y

    def save(self) -> list[Tensor]:
        """Return the states in the program's own layout, copied."""
        return [_unpack(state, place) for state, place in zip(self.packed, self._places, strict=True)]

    def load(self, states: Sequence[Tensor]) -> None:
        """Take states in the program's own layout."""
        for mine, state, place in zip(self.packed, states, self._places, strict=True):
            mine.copy_(_pack(state.detach(), place))
