"""A stack of blocks as a program for `statespace.kernels.stack_step`: a step of all of it as a list of instructions.

Programs know the layers below. A layer joins with a function that writes its instructions, and a line in `_LAYERS`; a
stack with any other layer has no program, and runs by the steps of its layers.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from statespace.kernels.stack_step import (
    Add,
    Convolution,
    Diagonal,
    Gate,
    Gelu,
    Glu,
    GroupNorm,
    Heads,
    Linear,
    Norm,
    Program,
    Register,
    Selective,
    joined,
)
from statespace.layers import S4D, S6, SSD, Mamba, Mamba2, ResidualBlock, State
from statespace.layers._gated_norm import GatedRMSNorm
from statespace.layers.mixing import GLU, Gated, Unmixed
from statespace.models.stream_norm import StreamNorm

Affine: TypeAlias = tuple[Tensor, Tensor | None]
"""Weight ``(d, k)`` and bias ``(d)`` of a linear map; None for no bias."""


class _Work(NamedTuple):
    """What the functions here share: the program that grows, and the factor on the step."""

    program: Program
    dt_scale: float

    def plus(self, y: Register, plus: Register | None) -> Register:
        return y if plus is None else self.program.add(Add(y, plus))


def _norm(work: _Work, norm: nn.Module, x: Register, enters: bool = False) -> Register | None:
    """Write a norm; one that enters a layer gives zeros in a gap."""
    weight: Tensor
    bias: Tensor
    match norm:
        case nn.LayerNorm(weight=nn.Parameter() as weight, bias=nn.Parameter() as bias, eps=eps):
            centred = True
        case nn.RMSNorm(weight=nn.Parameter() as weight, eps=eps):
            eps = torch.finfo(weight.dtype).eps if eps is None else eps
            bias, centred = torch.zeros_like(weight), False
        case StreamNorm(weight=weight, bias=None, eps=eps):
            bias, centred = torch.zeros_like(weight), False
        case StreamNorm(weight=weight, bias=nn.Parameter() as bias, eps=eps):
            centred = True
        case _:
            return None
    return work.program.add(Norm(x, weight, bias, eps, centred, enters))


def _s4d(work: _Work, layer: S4D, x: Register, plus: Register | None) -> Register:
    log_a, b, c = layer.discretized(work.dt_scale)
    a = torch.exp(log_a.to(torch.complex128))
    return work.plus(work.program.add(Diagonal(x, a, b, c, layer.D)), plus)


def _selective(work: _Work, layer: S6, x: Register, gate: Register | None) -> Register:
    sizes = (layer.dt_rank, layer.d_state, layer.d_state)
    weight, A = layer.select.weight.clone(), -torch.exp(layer.A_log)
    # Δ stands with A and B alone, so a factor on it may as well be one on them.
    weight[sizes[0] : sizes[0] + sizes[1]] *= work.dt_scale
    low, B, C = work.program.add_parts(Linear(x, weight, sizes=sizes))
    dt = work.program.add(Linear(low, layer.dt_weight, layer.dt_bias))
    return work.program.add(Selective(x, dt, B, C, gate, A * work.dt_scale, layer.D, layer.method))


def _s6(work: _Work, layer: S6, x: Register, plus: Register | None) -> Register:
    return work.plus(_selective(work, layer, x, None), plus)


def _mamba(work: _Work, layer: Mamba, x: Register, plus: Register | None) -> Register:
    inner = len(layer.conv_weight)
    bias = layer.conv_weight.new_zeros(inner) if layer.conv_bias is None else layer.conv_bias
    u, gate = work.program.add_parts(Linear(x, layer.into.weight, layer.into.bias, (inner, inner)))
    u = work.program.add(Convolution(u, layer.conv_weight, bias, silu=True))
    return work.program.add(Linear(_selective(work, layer.ssm, u, gate), layer.out.weight, layer.out.bias, plus=plus))


def _heads(
    work: _Work, layer: SSD | Mamba2, x: Register, dt: Register, B: Register, C: Register, groups: int
) -> Register:
    heads = layer.heads
    A = -torch.exp(heads.A_log)
    return work.program.add(Heads(x, dt, B, C, A, heads.D, groups, heads.dt_limit, work.dt_scale))


def _ssd(work: _Work, layer: SSD, x: Register, plus: Register | None) -> Register:
    vectors = layer.n_groups * layer.d_state
    bias = F.pad(layer.heads.dt_bias, (0, 2 * vectors))
    sizes = (len(layer.heads.D), vectors, vectors)
    dt, B, C = work.program.add_parts(Linear(x, layer.select.weight, bias, sizes))
    return work.plus(_heads(work, layer, x, dt, B, C, layer.n_groups), plus)


def _gated(work: _Work, norm: GatedRMSNorm | None, y: Register, gate: Register) -> Register:
    if norm is None:
        return work.program.add(Gate(y, gate))
    if norm.after:
        y = work.program.add(Gate(y, gate))
        return work.program.add(GroupNorm(y, norm.weight, norm.eps, norm.groups))
    return work.program.add(Gate(work.program.add(GroupNorm(y, norm.weight, norm.eps, norm.groups)), gate))


def _mamba2(work: _Work, layer: Mamba2, x: Register, plus: Register | None) -> Register:
    convolved = (layer.inner, layer.vectors, layer.vectors)
    bias = F.pad(layer.heads.dt_bias, (layer.inner + sum(convolved), 0))
    if layer.into.bias is not None:
        bias = bias + layer.into.bias
    sizes = (layer.inner, *convolved, len(layer.heads.D))
    gate, u, B, C, dt = work.program.add_parts(Linear(x, layer.into.weight, bias, sizes))
    bias = layer.conv_weight.new_zeros(sum(convolved)) if layer.conv_bias is None else layer.conv_bias
    window = Convolution(joined(u, B, C), layer.conv_weight, bias, silu=True, sizes=convolved)
    u, B, C = work.program.add_parts(window)
    y = _gated(work, layer.norm, _heads(work, layer, u, dt, B, C, layer.n_groups), gate)
    return work.program.add(Linear(y, layer.out.weight, layer.out.bias, plus=plus))


# Each writes what its layer does to x, and adds `plus` to it if that is there. A subclass may do anything: it has none.
_LAYERS: dict[type[nn.Module], Callable[[_Work, Any, Register, Register | None], Register]] = {
    S4D: _s4d,
    S6: _s6,
    Mamba: _mamba,
    SSD: _ssd,
    Mamba2: _mamba2,
}


def _mixed(work: _Work, block: ResidualBlock, u: Register, x: Register) -> Register | None:
    """Write the layer of a block, its mixing and the residual connection."""
    layer = _LAYERS.get(type(block.layer))
    if layer is None:
        return None
    mixing = block.mixing
    if type(mixing) is Unmixed:
        return layer(work, block.layer, u, x)
    y = layer(work, block.layer, u, None)
    width = block.layer.d_model
    if type(mixing) is GLU:
        linear = Linear(work.program.add(Gelu(y)), mixing.linear.weight, mixing.linear.bias, (width, width))
        value, gate = work.program.add_parts(linear)
        return work.program.add(Glu(value, gate, x))
    if type(mixing) is Gated:
        gate = work.program.add(Linear(u, mixing.gate.weight, mixing.gate.bias))
        y = work.program.add(Gate(y, gate))
        return work.program.add(Linear(y, mixing.linear.weight, mixing.linear.bias, plus=x))
    return None


@torch.no_grad()
def program_of(
    blocks: Iterable[nn.Module],
    norm: nn.Module,
    dt_scale: float = 1.0,
    into: Affine | None = None,
    head: Affine | None = None,
) -> Program | str:
    """Return one step of residual blocks and a norm after them, in evaluation mode, as a program.

    Args:
        blocks: the blocks.
        norm: the norm.
        dt_scale: time between two samples in units of the time between two samples in training.
        into: a linear map of the sample before the blocks; None for none.
        head: a linear map behind the norm; None for none.
    Returns:
        The program, whose states are those of the layers in their order, complex ones as pairs on a last axis; or the
        reason why there is none, a sentence.
    """
    weight = next(norm.parameters())
    if weight.dtype not in (torch.float32, torch.float64):
        return f"it is in {weight.dtype}, and only float32 and float64 have a compiled form."
    program = Program(len(weight) if into is None else into[0].shape[1], weight.dtype, weight.device)
    work, x = _Work(program, dt_scale), program.sample
    if into is not None:
        x = program.add(Linear(x, *into))
    for block in blocks:
        if not isinstance(block, ResidualBlock):
            return f"there is no compiled form of {type(block).__name__}."
        u = _norm(work, block.norm, x, enters=True)
        y = None if u is None else _mixed(work, block, u, x)
        if y is None:
            return f"there is no compiled form of a block with {type(block.layer).__name__}."
        x = y
    y = _norm(work, norm, x)
    if y is None:
        return f"there is no compiled form of {type(norm).__name__}."
    if head is not None:
        program.add(Linear(y, *head))
    return program


def flatten(states: State | list[Any]) -> list[Tensor]:
    """Return the tensors of a model's state in their order, complex ones as pairs on a last axis: views."""
    if isinstance(states, Tensor):
        return [torch.view_as_real(states.resolve_conj()) if states.is_complex() else states]
    return [part for state in states for part in flatten(state)]


def unflatten(parts: list[Tensor], like: Any) -> Any:
    """Return tensors as `flatten` gives them in the form of the state `like`."""
    rest = iter(parts)

    def build(like: Any) -> Any:
        if isinstance(like, Tensor):
            part = next(rest)
            return torch.view_as_complex(part.contiguous()) if like.is_complex() else part
        return type(like)(build(part) for part in like)

    return build(like)
