"""What a step of a stack consists of: instructions that read rows of numbers and write one, and some keep a state.

A program is in single assignment form: row 0 is the sample, and instruction i writes row i + 1, which nobody writes
again. A `Register` names a row, or a part of one, since a product with a matrix often brings forth several things at
once. All arithmetic is real: a complex number is a pair on a last axis of 2.

Glossary: ``d`` channels of a row, ``n`` states of a channel, ``k`` inputs of a sum; ``h`` heads of ``p`` channels.
"""

from dataclasses import dataclass, field, fields, replace
from math import inf
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor


class Register(NamedTuple):
    """A part of a row, or some beside each other: which row, the first of them, how many numbers and parts they are."""

    row: int
    part: int
    width: int
    parts: int = 1


def joined(first: Register, *others: Register) -> Register:
    """Return parts of one row that stand beside each other as one.

    Args:
        first: the first of them.
        others: those behind it, in order.
    Returns:
        A register as wide as all of them.
    """
    return first._replace(width=sum(of.width for of in (first, *others)), parts=1 + len(others))


def turned(pair: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two factors of a product of pairs: ``a h = first h + second h[..., (1, 0)]``."""
    re, im = pair.unbind(-1)
    return torch.stack([re, re], -1), torch.stack([-im, im], -1)


@dataclass(frozen=True, eq=False)
class Norm:
    """``y = weight (x - mean) / sqrt(variance + eps) + bias``; without the mean if not `centred` (RMSNorm).

    Args:
        x: the row.
        weight: ``(d)``.
        bias: ``(d)``.
        eps: added to the variance.
        centred: whether the mean is taken off.
        enters: whether y is what enters a layer, and so 0 in a gap.
    """

    x: Register
    weight: Tensor
    bias: Tensor
    eps: float
    centred: bool = True
    enters: bool = False


@dataclass(frozen=True, eq=False)
class Linear:
    """``y = weight x + bias + plus``, in parts.

    Args:
        x: the row, k wide.
        weight: ``(d, k)``.
        bias: ``(d)``, or None for none.
        sizes: widths of the parts of y; empty for one.
        plus: a row as wide as y, as of a residual connection; None for none.
    """

    x: Register
    weight: Tensor
    bias: Tensor | None = None
    sizes: tuple[int, ...] = ()
    plus: Register | None = None


@dataclass(frozen=True, eq=False)
class Convolution:
    """``y = act(bias + sum_j weight[j] window[j])``, the window being the state ``(k - 1, d)`` and x.

    Args:
        x: the row.
        weight: ``(d, k)``, for the present sample last.
        bias: ``(d)``.
        silu: whether act is SiLU.
        sizes: widths of the parts of x, which are those of y; empty for one.
    """

    x: Register
    weight: Tensor
    bias: Tensor
    silu: bool
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Selective:
    """One step of `kernels.selective_state_update` with a softplus over the step; the state: ``(d, n)``.

    Args:
        x: the row.
        dt: the step before the softplus, as wide as x.
        B: input vector, n wide.
        C: output vector, n wide.
        gate: as wide as x; None for none.
        A: eigenvalues, ``(d, n)``, real.
        D: feedthrough, ``(d)``.
        method: ``euler-b``, ``zoh`` or ``exponential-trapezoidal``.
    """

    x: Register
    dt: Register
    B: Register
    C: Register
    gate: Register | None
    A: Tensor
    D: Tensor
    method: str = "euler-b"


@dataclass(frozen=True, eq=False)
class Diagonal:
    """``h <- a h + b x``, ``y = Re sum_n c h + D x``; the state: ``(d, n, 2)``.

    A rounded a would let the state drift, so the pole is given in complex128, and what rounding cuts off is kept.

    Args:
        x: the row.
        a: poles, ``(d, n)``, complex128.
        b: input weights, ``(d, n)``, complex.
        c: output weights, ``(d, n)``, complex.
        D: feedthrough, ``(d)``.
    """

    x: Register
    a: Tensor
    b: Tensor
    c: Tensor
    D: Tensor
    exact: Tensor = field(init=False)  # a in float64, as pairs, as all that follows
    pole: Tensor = field(init=False)  # a in the program's precision
    rest: Tensor = field(init=False)  # a - pole
    drive: Tensor = field(init=False)  # b
    look: Tensor = field(init=False)  # conj(c), so that Re c h is the product of pairs, summed
    factors: tuple[Tensor, ...] = field(init=False)  # `turned` rest, and then pole

    def __post_init__(self) -> None:
        pole = self.a.to(self.D.dtype.to_complex())
        rest = torch.view_as_real((self.a - pole).to(pole.dtype))
        found: dict[str, Tensor | tuple[Tensor, ...]] = {
            "exact": torch.view_as_real(self.a.resolve_conj()),
            "pole": torch.view_as_real(pole),
            "rest": rest,
            "drive": torch.view_as_real(self.b.resolve_conj()),
            "look": torch.view_as_real(self.c.conj().resolve_conj()),
        }
        found["factors"] = (*turned(rest), *turned(torch.view_as_real(pole)))
        for name, value in found.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, eq=False)
class Heads:
    """One step of `kernels.ssd`: one decay for all channels and states of a head; the state: ``(h, p, n)``.

    ``h <- exp(delta A) h + delta x B^T``, ``y = h C + D x``, where ``delta = scale min(max(softplus(dt), low), high)``.

    Args:
        x: the row, h p wide.
        dt: the step before the softplus, h wide.
        B: input vectors, one for each group of heads, n wide each.
        C: output vectors, as wide as B.
        A: eigenvalues, ``(h)``, real.
        D: feedthrough, ``(h)``.
        groups: how many groups.
        bounds: low and high.
        scale: of the step.
    """

    x: Register
    dt: Register
    B: Register
    C: Register
    A: Tensor
    D: Tensor
    groups: int = 1
    bounds: tuple[float, float] = (0.0, inf)
    scale: float = 1.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Heads, channels of a head, and states of a channel."""
        heads = len(self.A)
        return heads, self.x.width // heads, self.B.width // self.groups


@dataclass(frozen=True, eq=False)
class GroupNorm:
    """``y = weight x / sqrt(mean x^2 + eps)``, the mean being over each of a number of equal groups of channels.

    Args:
        x: the row.
        weight: ``(d)``.
        eps: added to the mean.
        groups: how many groups.
    """

    x: Register
    weight: Tensor
    eps: float
    groups: int


@dataclass(frozen=True, eq=False)
class Gelu:
    """``y = x Phi(x)``, Phi being the distribution function of the normal distribution.

    Args:
        x: the row.
    """

    x: Register


@dataclass(frozen=True, eq=False)
class Glu:
    """``y = x sigma(gate) + plus``.

    Args:
        x: the row.
        gate: as wide as x.
        plus: as wide as x; None for none.
    """

    x: Register
    gate: Register
    plus: Register | None = None


@dataclass(frozen=True, eq=False)
class Gate:
    """``y = x SiLU(gate)``.

    Args:
        x: the row.
        gate: as wide as x.
    """

    x: Register
    gate: Register


@dataclass(frozen=True, eq=False)
class Add:
    """``y = x + plus``.

    Args:
        x: the row.
        plus: as wide as x.
    """

    x: Register
    plus: Register


Instruction: TypeAlias = (
    Norm | Linear | Convolution | Selective | Diagonal | Gelu | Glu | Gate | Add | Heads | GroupNorm
)


class Program:
    """A stack as instructions, written from the first to the last: `add` returns what later ones read.

    Args:
        width: channels of a sample.
        dtype: float32 or float64, that of all constants, states and samples.
        device: where they are.
    """

    def __init__(self, width: int, dtype: torch.dtype, device: torch.device | None = None) -> None:
        self.dtype = dtype
        self.device = device or torch.device("cpu")
        self.sample = Register(0, 0, width)
        self.instructions: list[Instruction] = []
        self.rows: list[tuple[int, ...]] = [(width,)]
        self.states: list[tuple[int, ...]] = []
        self.result = self.sample

    def add_parts(self, instruction: Instruction) -> tuple[Register, ...]:
        """Append an instruction and return the parts of the row that it writes, the program's result so far."""
        sizes: tuple[int, ...] = (instruction.x.width,)
        match instruction:
            case Linear():
                sizes = instruction.sizes or (len(instruction.weight),)
            case Convolution():
                channels, width = instruction.weight.shape
                sizes = instruction.sizes or sizes
                self.states.append((width - 1, channels))
            case Selective():
                self.states.append(tuple(instruction.A.shape))
            case Diagonal():
                self.states.append((*instruction.a.shape, 2))
            case Heads():
                self.states.append(instruction.shape)
            case _:
                pass
        constants = {of.name: getattr(instruction, of.name) for of in fields(instruction) if of.init}
        constants = {name: value.detach() for name, value in constants.items() if isinstance(value, Tensor)}
        self.instructions.append(replace(instruction, **constants))
        self.rows.append(sizes)
        parts = tuple(Register(len(self.instructions), part, size) for part, size in enumerate(sizes))
        self.result = parts[0]
        return parts

    def add(self, instruction: Instruction) -> Register:
        """Append an instruction and return the row that it writes."""
        return self.add_parts(instruction)[0]
