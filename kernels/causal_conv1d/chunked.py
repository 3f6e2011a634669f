"""The short causal convolution as k shifted multiply-adds over blocks of steps: portable torch, on any device.

The state is laid in front of its sequence, so that a window of k rows never has to ask where it comes from: for packed
sequences that is one array in which states and sequences take turns. Blocks are small enough that the k + 1 passes over
each of them stay in the cache. Nothing is kept for the backward but the arguments; the sum before SiLU is formed again.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from statespace.kernels.causal_conv1d.registration import register
from statespace.kernels.sequences import clamped

BLOCK = 2**17  # elements


@dataclass(frozen=True)
class _Layout:
    """How sequences and their states lie behind one another in `past`: as rows of it, or None for the plain layout."""

    width: int
    padding: Tensor | None  # (b, l, 1), steps beyond the length of their sequence
    final: Tensor  # (sequences, k - 1), rows of `past` that are the final state
    inputs: Tensor | None = None  # (l), rows that are x, for packed sequences
    states: Tensor | None = None  # (sequences, k - 1), rows that are the initial state, for packed sequences

    @classmethod
    def of(cls, x: Tensor, width: int, lengths: Tensor | None, cu_seqlens: Tensor | None) -> "_Layout":
        batch, length, _ = x.shape
        window = torch.arange(width - 1, device=x.device)
        steps = torch.arange(length, device=x.device)
        if cu_seqlens is not None:
            cu_seqlens = clamped(cu_seqlens, length)
            before = (width - 1) * torch.arange(len(cu_seqlens), device=x.device)  # rows of states before each sequence
            owner = torch.searchsorted(cu_seqlens[1:].contiguous(), steps, right=True)
            first = (cu_seqlens + before)[:-1, None] + window
            last = (cu_seqlens[1:] + before[:-1])[:, None] + window
            return cls(width, None, last, steps + before[owner] + width - 1, first)
        if lengths is None:
            return cls(width, None, (length + window).expand(batch, -1))
        ends = lengths.clamp(0, length)[:, None]
        return cls(width, (steps >= ends)[..., None], ends + window)

    def join(self, x: Tensor, state: Tensor | None) -> Tensor:
        """`past`, ``(b, rows, d)``: each sequence behind its state, zeros where something is padding."""
        batch, _, channels = x.shape
        if self.inputs is not None and self.states is not None:
            past = x.new_zeros(1, self.inputs.numel() + self.states.numel(), channels)
            past[:, self.inputs] = x
            if state is not None:
                past[0, self.states] = state
            return past
        x = x if self.padding is None else x.masked_fill(self.padding, 0)
        return torch.cat([x.new_zeros(batch, self.width - 1, channels) if state is None else state, x], 1)

    def split(self, past: Tensor) -> tuple[Tensor, Tensor]:
        """The transpose of `join`."""
        if self.inputs is not None and self.states is not None:
            return past[:, self.inputs], past[0, self.states]
        x = past[:, self.width - 1 :]
        return x if self.padding is None else x.masked_fill(self.padding, 0), past[:, : self.width - 1]

    def take(self, z: Tensor) -> Tensor:
        """Of the sums over all windows of `past`, those that end in a step of a sequence."""
        if self.inputs is not None:
            return z[:, self.inputs - (self.width - 1)]
        return z if self.padding is None else z.masked_fill_(self.padding, 0)

    def give(self, grad: Tensor) -> Tensor:
        """The transpose of `take`."""
        if self.inputs is not None and self.states is not None:
            rows = self.inputs.numel() + self.states.numel() - (self.width - 1)
            z = grad.new_zeros(1, max(0, rows), grad.shape[2])
            z[:, self.inputs - (self.width - 1)] = grad
            return z
        return grad if self.padding is None else grad.masked_fill(self.padding, 0)

    def windows(self, past: Tensor) -> tuple[Tensor, Tensor]:
        """Where the final states lie: an index into the first two axes of `past`."""
        batch = torch.zeros_like(self.final) if self.inputs is not None else torch.arange(len(self.final))[:, None]
        return batch.to(past.device), self.final


def _blocks(past: Tensor, width: int) -> list[tuple[int, int]]:
    rows = max(0, past.shape[1] - (width - 1))
    step = max(1, BLOCK // max(1, past.shape[0] * past.shape[2]))
    return [(begin, min(begin + step, rows)) for begin in range(0, rows, step)]


def _sums(past: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The sums over the windows of one block, ``(b, rows + k - 1, d)`` to ``(b, rows, d)``."""
    width = weight.shape[1]
    rows = past.shape[1] - (width - 1)
    z = past[:, :rows] * weight[:, 0]
    for j in range(1, width):
        z.addcmul_(past[:, j : j + rows], weight[:, j])
    return z if bias is None else z.add_(bias)


def forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    silu: bool,
) -> tuple[Tensor, Tensor]:
    """Convolve block by block."""
    width = weight.shape[1]
    layout = _Layout.of(x, width, lengths, cu_seqlens)
    past = layout.join(x, initial_state)
    z = x.new_empty(past.shape[0], max(0, past.shape[1] - (width - 1)), past.shape[2])
    for begin, end in _blocks(past, width):
        sums = _sums(past[:, begin : end + width - 1].to(weight.dtype), weight, bias)
        z[:, begin:end] = F.silu(sums, inplace=True) if silu else sums
    return layout.take(z), past[layout.windows(past)]


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
    """Gradients block by block, with the sums before SiLU formed again."""
    width = weight.shape[1]
    layout = _Layout.of(x, width, lengths, cu_seqlens)
    past = layout.join(x, initial_state)
    grad_past = torch.zeros_like(past, dtype=weight.dtype)
    sums_of_taps = weight.new_zeros(width, x.shape[2], dtype=torch.float64)
    sum_of_bias = weight.new_zeros(x.shape[2], dtype=torch.float64)
    if grad_y is not None:
        grad_z = layout.give(grad_y.resolve_neg())
        for begin, end in _blocks(past, width):
            block = past[:, begin : end + width - 1].to(weight.dtype)
            dz = grad_z[:, begin:end].to(weight.dtype)
            if silu:
                dz = torch.ops.aten.silu_backward(dz, _sums(block, weight, bias))
            for j in range(width):
                grad_past[:, begin + j : end + j].addcmul_(dz, weight[:, j])
                sums_of_taps[j] += (dz * block[:, j : j + end - begin]).sum((0, 1))
            sum_of_bias += dz.sum((0, 1))
    if grad_final is not None:
        grad_past.index_put_(layout.windows(past), grad_final.resolve_neg().to(weight.dtype), accumulate=True)
    grad_x, grad_initial = layout.split(grad_past)
    return (
        grad_x.to(x.dtype, copy=True),
        sums_of_taps.T.to(weight.dtype).contiguous(),
        x.new_empty(0) if bias is None else sum_of_bias.to(bias.dtype),
        x.new_empty(0) if initial_state is None else grad_initial.to(x.dtype, copy=True),
    )


causal_conv1d = register("causal_conv1d_chunked", forward, backward)
