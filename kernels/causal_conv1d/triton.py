"""The short causal convolution on a GPU, by Triton: a program has a few rows of a few channels, and reads each tap.

`convolve` is the forward. The backward finds the gradient of the sums before the activation, and with it those of the
filter, by `slopes`, and takes it back to the inputs by `spread`. The states at the ends of sequences, k - 1 rows of
each, are put together by torch.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from statespace.kernels import gpu
from statespace.kernels.causal_conv1d.registration import register
from statespace.kernels.gpu.triton import sigmoid

ROWS, WARPS = 32, 4


@triton.jit
def place_of(sequence_of, first_of, last_of, rows, length, channels, BT: tl.constexpr, BD: tl.constexpr):
    """Rows and channels of a program, ``(BT, BD)``, which of them there are; sequence of each row, and its bounds."""
    pid = tl.program_id(0)
    tiles = tl.cdiv(channels, BD)
    d = pid % tiles * BD + tl.arange(0, BD)[None, :]
    row = (pid // tiles).to(tl.int64) * BT + tl.arange(0, BT)[:, None]
    there = (row < rows) & (d < channels)
    if sequence_of is None:
        sequence = row // length
        first = sequence * length
        last = first + length
    else:
        sequence = tl.load(sequence_of + row, row < rows, other=0)
        first = tl.load(first_of + sequence)
        last = tl.load(last_of + sequence)
    return pid // tiles, row, d, there, sequence, first, last


@triton.jit
def tap(x, state, at, d, there, sequence, first, x_row, channels, K: tl.constexpr, TYPE: tl.constexpr):
    """The inputs of rows ``(BT, 1)``, from the state where they come before the first of their sequence."""
    value = tl.load(x + at * x_row + d, there & (at >= first), other=0).to(TYPE)
    if state is not None:
        old = state + (sequence * (K - 1) + (at - first + K - 1)) * channels + d
        value += tl.load(old, there & (at < first), other=0).to(TYPE)
    return value


@triton.jit
def convolve(
    x, weight, bias, state, sequence_of, first_of, last_of, y, x_row, rows, length, channels,
    K: tl.constexpr, SILU: tl.constexpr, BT: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """Outputs, zero beyond the end of each sequence."""
    TYPE: tl.constexpr = weight.dtype.element_ty
    _, row, d, there, sequence, first, last = place_of(sequence_of, first_of, last_of, rows, length, channels, BT, BD)
    inside = there & (row < last)
    out = tl.zeros((BT, BD), TYPE)
    for j in tl.static_range(K):
        value = tap(x, state, row - (K - 1 - j), d, inside, sequence, first, x_row, channels, K, TYPE)
        out += tl.load(weight + j * channels + d, d < channels, other=0) * value
    if bias is not None:
        out += tl.load(bias + d, d < channels, other=0)
    if SILU:
        out *= sigmoid(out)
    tl.store(y + row * channels + d, tl.where(inside, out, 0).to(y.dtype.element_ty), there)


@triton.jit
def slopes(
    x, weight, bias, state, sequence_of, first_of, last_of, dy, slope, of_weight, of_bias, x_row, dy_row, rows, length,
    channels,
    K: tl.constexpr, SILU: tl.constexpr, BT: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """Gradient of the sums before the activation, and each program's part of those of filter and bias."""
    TYPE: tl.constexpr = weight.dtype.element_ty
    part, row, d, there, sequence, first, last = place_of(
        sequence_of, first_of, last_of, rows, length, channels, BT, BD
    )
    inside = there & (row < last)
    g = tl.load(dy + row * dy_row + d, inside, other=0).to(TYPE)
    if SILU:
        out = tl.zeros((BT, BD), TYPE)
        for j in tl.static_range(K):
            value = tap(x, state, row - (K - 1 - j), d, inside, sequence, first, x_row, channels, K, TYPE)
            out += tl.load(weight + j * channels + d, d < channels, other=0) * value
        if bias is not None:
            out += tl.load(bias + d, d < channels, other=0)
        opened = sigmoid(out)
        g *= opened * (1 + out * (1 - opened))
    tl.store(slope + row * channels + d, g, there)
    column = tl.sum(d, 0)  # (BD,)
    for j in tl.static_range(K):
        value = tap(x, state, row - (K - 1 - j), d, inside, sequence, first, x_row, channels, K, TYPE)
        at = of_weight + (part.to(tl.int64) * K + j) * channels + column
        tl.store(at, tl.sum(g * value, 0), column < channels)
    tl.store(of_bias + part.to(tl.int64) * channels + column, tl.sum(g, 0), column < channels)


@triton.jit
def spread(
    slope, weight, sequence_of, first_of, last_of, dx, rows, length, channels,
    K: tl.constexpr, BT: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """Gradient of the inputs: each one met tap j in the output k - 1 - j rows later."""
    _, row, d, there, _, _, last = place_of(sequence_of, first_of, last_of, rows, length, channels, BT, BD)
    out = tl.zeros((BT, BD), slope.dtype.element_ty)
    for j in tl.static_range(K):
        at = row + (K - 1 - j)
        g = tl.load(slope + at * channels + d, there & (at < last), other=0)
        out += tl.load(weight + j * channels + d, d < channels, other=0) * g
    tl.store(dx + row * channels + d, out.to(dx.dtype.element_ty), there)


class _Call:
    """How rows belong to sequences, and how they are cut into programs."""

    def __init__(self, x: Tensor, weight: Tensor, lengths: Tensor | None, cu_seqlens: Tensor | None) -> None:
        batch, length, channels = x.shape
        rows = batch * length
        self.weight = weight.T.contiguous()  # (k, d)
        of_rows: Tensor | None = None
        if cu_seqlens is not None:
            bounds = cu_seqlens.clamp(0, length)
            self.first, self.last = bounds[:-1].contiguous(), bounds[1:].contiguous()
            of_rows = torch.searchsorted(self.last, torch.arange(rows, device=x.device), right=True)
            of_rows = of_rows.clamp(max=self.last.shape[0] - 1)
        else:
            self.first = torch.arange(batch, device=x.device) * length
            self.last = self.first + (length if lengths is None else lengths.clamp(0, length))
            if lengths is not None:
                of_rows = torch.arange(rows, device=x.device) // length
        self.place = (of_rows, self.first, self.last)
        self.sizes = (rows, length, channels)
        self.options: dict[str, Any] = {"K": weight.shape[1], "BT": ROWS, "BD": gpu.lanes(), **gpu.options(warps=WARPS)}
        self.parts = -(-rows // ROWS)
        self.grid = (self.parts * -(-channels // gpu.lanes()),)

    def end(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where the last k - 1 inputs of each sequence are, ``(s, k - 1)``.

        Returns:
            their places in the state before it, for those that are not among its inputs; which ones are; their rows.
        """
        width = self.options["K"] - 1
        place = (self.last - self.first)[:, None] + torch.arange(width, device=self.first.device)
        inside = place >= width
        return place.clamp(max=max(width - 1, 0)), inside, torch.where(inside, self.first[:, None] + place - width, 0)


def forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    silu: bool,
) -> tuple[Tensor, Tensor]:
    """Convolve; returns y and the final state."""
    call, rows = _Call(x, weight, lengths, cu_seqlens), gpu.lay(x)
    state = None if initial_state is None else initial_state.contiguous()
    y = torch.empty(rows.shape, dtype=x.dtype, device=x.device)
    with gpu.on(x):
        convolve[call.grid](
            rows, call.weight, bias, state, *call.place, y, rows.stride(0), *call.sizes, SILU=silu, **call.options
        )
    place, inside, row = call.end()
    old = torch.zeros((), dtype=x.dtype, device=x.device)
    if state is not None:
        old = state[torch.arange(state.shape[0], device=x.device)[:, None], place]
    return y.view(x.shape), torch.where(inside[..., None], rows[row], old)


def backward(
    grad_y: Tensor | None,
    grad_final: Tensor | None,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    silu: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, the filter, the bias and the initial state."""
    call, rows, width = _Call(x, weight, lengths, cu_seqlens), gpu.lay(x), weight.shape[1]
    state = None if initial_state is None else initial_state.contiguous()
    dx = torch.zeros(rows.shape, dtype=x.dtype, device=x.device)
    of_weight, of_bias = torch.zeros_like(weight), torch.zeros_like(weight[:, 0])
    of_state = torch.zeros(call.first.shape[0], width - 1, x.shape[2], dtype=weight.dtype, device=x.device)
    if grad_y is not None:
        dy, channels = gpu.lay(grad_y), x.shape[2]
        slope = torch.empty(rows.shape, dtype=weight.dtype, device=x.device)
        parts = torch.empty(call.parts, width, channels, dtype=weight.dtype, device=x.device)
        bias_parts = torch.empty(call.parts, channels, dtype=weight.dtype, device=x.device)
        with gpu.on(x):
            slopes[call.grid](
                rows, call.weight, bias, state, *call.place, dy, slope, parts, bias_parts, rows.stride(0),
                dy.stride(0), *call.sizes, SILU=silu, **call.options,
            )  # fmt: skip
            spread[call.grid](slope, call.weight, *call.place, dx, *call.sizes, **call.options)
        of_weight, of_bias = parts.sum(0).T.contiguous(), bias_parts.sum(0)
        for i in range(width - 1):  # input i of the state met tap j in output i - j
            for j in range(i + 1):
                there = (call.first + (i - j) < call.last)[:, None]
                g = slope[torch.where(there[:, 0], call.first + (i - j), 0)]
                of_state[:, i] += torch.where(there, g, 0) * call.weight[j]
    if grad_final is not None:
        place, inside, row = call.end()
        kept = inside[..., None]
        sequence = torch.arange(of_state.shape[0], device=x.device)[:, None].expand_as(place)
        # Rows are met once, and what is added to row 0 for want of another is zero: the order does not matter.
        dx.index_add_(0, row.flatten(), torch.where(kept, grad_final, 0).flatten(0, 1))
        of_old = torch.where(kept, 0, grad_final).to(weight.dtype)
        of_state.index_put_((sequence, place), of_old, accumulate=True)
    return (
        dx.view(x.shape),
        of_weight,
        x.new_empty(0) if bias is None else of_bias,
        x.new_empty(0) if initial_state is None else of_state.to(x.dtype),
    )


causal_conv1d = register("causal_conv1d_triton", forward, backward)
