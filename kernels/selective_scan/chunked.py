"""The selective scan by blocks of time: portable torch, on any device, real and complex, stable for any length.

The factors and drives of a block are made for all its steps at once, the states one step after the other, and the
outputs for all steps again. The forward keeps the state before each block. The backward goes through the blocks from
the last to the first, makes the states of one again, and runs their gradients back through it. Memory beyond that is
that of some blocks, which are as short as the cache wants them.

Softplus, feedthrough and gate are plain operations around the scan, under autograd. In here the layout is ``(l, r, e)``
and ``(l, r, n, e)``: r rows, each a group of channels in one element of the batch, and e channels in a group. B and C
are ``(l, r, n, 1)`` or, where they do not change, ``(1, r, n, e)``.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import silu

from statespace.kernels import registration
from statespace.kernels.selective_scan.blocks import Block, advance, blocks_of, count, retreat
from statespace.kernels.selective_scan.phi import phi, slope
from statespace.kernels.sequences import bounds_of, slices_of
from statespace.kernels.softplus import softplus

_LOG2_E = 1.4426950408889634


def _over_states(x: Tensor, weights: Tensor) -> Tensor:
    """Re of the sum over n of ``x (s, r, n, e)`` times weights like B or C, ``(s, r, e)``."""
    if weights.shape[3] == 1 and weights.shape[0] == x.shape[0]:
        rows = x.flatten(0, 1)
        found = torch.bmm(weights.reshape(rows.shape[0], 1, x.shape[2]), rows).view(*x.shape[:2], x.shape[3])
    else:
        found = (x * weights).sum(2)
    return found.real if found.is_complex() else found


def _onto(x: Tensor, row: Tensor, like: Tensor) -> Tensor:
    """The sum of ``x (s, r, n, e)`` times ``row (s, r, e)``, over the axes along which `like`, B or C, is shared."""
    if like.shape[3] == 1 and like.shape[0] == x.shape[0]:
        rows = x.flatten(0, 1)
        return torch.bmm(rows, row.reshape(rows.shape[0], x.shape[3], 1).to(x.dtype)).view(like.shape)
    return (x * row[:, :, None]).sum_to_size(like.shape)


def _conj(x: Tensor) -> Tensor:
    return x.conj_physical() if x.is_complex() else x


def _conj_(x: Tensor) -> Tensor:
    return x.conj_physical_() if x.is_complex() else x


class _States(NamedTuple):
    """What a scan leaves of a block."""

    factors: Tensor  # (s, r, n, e)
    whole: Tensor  # their products over each chunk, (chunks, r, n, e)
    states: Tensor  # (s, r, n, e)
    after: Tensor  # the state after the block, (r, n, e)
    firsts: list[Tensor]  # the factors of the steps at which sequences begin, as they would be


class _Scan:
    """The arguments of a scan, and room for the factors, states and products of one block."""

    def __init__(
        self,
        x: Tensor,
        delta: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        initial_state: Tensor | None,
        cu_seqlens: Tensor | None,
        zoh: bool,
        buffers: int,
    ) -> None:
        self.x, self.delta, self.A, self.B, self.C = x, delta, A, B, C
        self.initial_state, self.zoh = initial_state, zoh
        # Near 0, torch.exp is too low by 2.5e-9 on average in float32, which a long memory adds up; exp2 is not.
        self.exponent, self.exp = (A, torch.exp) if A.is_complex() else (A * _LOG2_E, torch.exp2)
        self.bounds = bounds_of(cu_seqlens, x.shape[0])
        self.blocks = blocks_of(A, x.shape[0], self.bounds)
        size = max((block.size for block in self.blocks), default=0)
        self.room = [A.new_empty(size, *A.shape) for _ in range(buffers)]

    def at(self, block: Block, vector: Tensor) -> Tensor:
        """B or C in a block."""
        return vector[block.time] if vector.shape[0] == self.x.shape[0] else vector

    def states(self, block: Block, before: Tensor) -> "_States":
        """Factors and states of a block; where a sequence begins, the factor is 0."""
        a, h, product = (buffer[: block.size] for buffer in self.room[:3])
        delta = self.delta[block.time][:, :, None]
        torch.mul(self.x[block.time][:, :, None], self.at(block, self.B), out=h)
        if self.zoh:
            h.mul_(phi(delta * self.A))
        self.exp(torch.mul(delta, self.exponent, out=a), out=a)
        whole = self.exp(delta.unflatten(0, (block.chunks, block.steps)).sum(1) * self.exponent)
        firsts = []
        for t, i in block.starts:
            firsts.append(a[t].clone())
            if self.initial_state is not None:
                h[t].addcmul_(firsts[-1], self.initial_state[i])
            a[t] = 0
            whole[t // block.steps] = 0
        after = advance(block, a, h, before, whole, product)
        return _States(a, whole, h, after, firsts)


def _is_finite(*values: Tensor) -> bool:
    """Whether all numbers are; that they are is also denied where their sum is infinite."""
    return all(bool(value.sum().isfinite()) for value in values)


def _apart(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    initial_state: Tensor | None,
    cu_seqlens: Tensor,
    zoh: bool,
    keep: bool,
) -> Iterator[tuple[slice, tuple[Any, ...]]]:
    """Yield where each packed sequence lies, and what `forward` takes for it alone.

    Between sequences that are scanned together stands a factor of 0, which holds back all but infinity and NaN.
    """
    for i, time in enumerate(slices_of(cu_seqlens, x.shape[0])):
        vectors = (v[time] if v.shape[0] == x.shape[0] else v for v in (B, C))
        start = None if initial_state is None else initial_state[i : i + 1]
        yield time, (x[time], delta[time], A, *vectors, start, None, zoh, keep)


def forward(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    zoh: bool,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Scan by blocks; the third result is the state before each of them if `keep`."""
    scan = _Scan(x, delta, A, B, C, initial_state, cu_seqlens, zoh, 3)
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    sequences = len(scan.bounds) - 1
    final = A.new_zeros(sequences, *A.shape) if initial_state is None else initial_state.clone()
    kept = A.new_empty(len(scan.blocks) if keep else 0, *A.shape)
    state = A.new_zeros(A.shape)
    for i, block in enumerate(scan.blocks):
        if keep:
            kept[i] = state
        states = scan.states(block, state)
        y[block.time] = _over_states(states.states, scan.at(block, C))
        state = states.after
        for t, sequence in block.ends:
            final[sequence] = state if t + 1 == block.size else states.states[t]
    if cu_seqlens is not None and not (_is_finite(y) and _is_finite(final)):
        found = [forward(*one)[:2] for _, one in _apart(x, delta, A, B, C, initial_state, cu_seqlens, zoh, False)]
        y, final = (torch.cat(parts) for parts in zip(*found, strict=True))
    return y, final, kept


def backward(
    grad_y: Tensor | None,
    grad_final: Tensor | None,
    kept: Tensor,
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    zoh: bool,
    keep: bool,
) -> tuple[Tensor, ...]:
    """Gradients by blocks, from the last to the first."""
    scan = _Scan(x, delta, A, B, C, initial_state, cu_seqlens, zoh, 4)
    grad_y = torch.zeros_like(x) if grad_y is None else grad_y.resolve_neg()
    grad_final = None if grad_final is None else grad_final.resolve_conj().resolve_neg()
    conj_A, conj_B, conj_C = _conj(A), _conj(B), _conj(C)
    grad_x, grad_delta = torch.empty_like(x), torch.empty_like(delta)
    wide = torch.complex128 if A.is_complex() else torch.float64
    # What is summed over the time is summed in float64.
    grad_A = torch.zeros_like(A, dtype=wide)
    grad_B, grad_C = (torch.zeros_like(v, dtype=v.dtype if v.shape[0] == x.shape[0] else wide) for v in (B, C))
    grad_initial = A.new_empty(0) if initial_state is None else torch.zeros_like(initial_state)
    if initial_state is not None and grad_final is not None:
        for i, (start, end) in enumerate(pairwise(scan.bounds)):
            if start == end:
                grad_initial[i] = grad_final[i]
    carry = A.new_zeros(A.shape)
    for block, before in zip(reversed(scan.blocks), reversed(kept.unbind(0)), strict=True):
        states = scan.states(block, before)
        a, h = states.factors, states.states
        product, entering = (buffer[: block.size] for buffer in scan.room[2:])
        row_x, row_delta, row_y = x[block.time], delta[block.time], grad_y[block.time]
        torch.mul(a[1:], h[:-1], out=entering[1:])  # a[t] h[t-1], of which the factor's gradient is a multiple
        torch.mul(a[0], before, out=entering[0])

        scan.at(block, grad_C).add_(_onto(_conj_(h), row_y, scan.at(block, C)))
        g = torch.mul(row_y[:, :, None], scan.at(block, conj_C), out=h)
        if grad_final is not None:
            for t, i in block.ends:
                (carry if t + 1 == block.size else g[t]).add_(grad_final[i])
        carry = retreat(block, _conj_(a), g, carry, _conj_(states.whole), product)

        for (t, i), first in zip(block.starts, states.firsts, strict=True):
            if initial_state is not None:
                entering[t] = first * initial_state[i]
                grad_initial[i] = _conj(first) * g[t]
        of_z = _conj_(entering).mul_(g)
        of_B = scan.at(block, conj_B)
        if zoh:
            z = row_delta[:, :, None] * A
            held = phi(z)
            bend = slope(z, torch.exp(z), held)
            of_z += row_x[:, :, None] * of_B * _conj_(bend) * g
            g = g.mul_(_conj_(held))
        grad_x[block.time] = _over_states(g, of_B)
        scan.at(block, grad_B).add_(_onto(g, row_x, of_B))
        swept = torch.mul(of_z, conj_A, out=product).sum(2)
        grad_delta[block.time] = swept.real if swept.is_complex() else swept
        grad_A += torch.mul(of_z, row_delta[:, :, None], out=product).sum(0)
    grads = grad_x, grad_delta, grad_A.to(A.dtype), grad_B.to(B.dtype), grad_C.to(C.dtype), grad_initial
    if cu_seqlens is None or _is_finite(*grads):
        return grads
    of_sequences = []
    for i, (time, one) in enumerate(_apart(x, delta, A, B, C, initial_state, cu_seqlens, zoh, True)):
        of_final = None if grad_final is None else grad_final[i : i + 1]
        of_sequences.append(backward(grad_y[time], of_final, forward(*one)[2], *one))
    # One after the other along the length, or, of what they share, summed.
    joined = [torch.cat(parts) for parts in zip(*of_sequences, strict=True)]
    return tuple(
        found if found.shape == grad.shape else found.unflatten(0, (len(of_sequences), -1)).sum(0)
        for found, grad in zip(joined, grads, strict=True)
    )


def _fake(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    zoh: bool,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    sequences = 1 if cu_seqlens is None else cu_seqlens.shape[0] - 1
    return (
        x.new_empty(x.shape),
        A.new_empty((sequences, *A.shape)),
        A.new_empty((count(A, x.shape[0]) if keep else 0, *A.shape)),
    )


_scan = registration.register(
    "selective_scan_chunked",
    forward,
    backward,
    _fake,
    arguments=(
        "Tensor x, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? initial_state, Tensor? cu_seqlens, "
        "bool zoh, bool keep"
    ),
    gradients=("x", "delta", "A", "B", "C", "initial_state"),
    results=2,
    kept=1,
)


def _dot(B: Tensor, C: Tensor) -> Tensor:
    """Re of the sum over n of C B, ``(l, r, e)`` or broadcast to it."""
    if B.shape == C.shape:
        return (B * C).sum(2).real
    # One state at a time, so that no array of (l, r, n, e) comes about.
    total = torch.zeros((), dtype=B.dtype, device=B.device)
    for b, c in zip(B.unbind(2), C.unbind(2), strict=True):
        total = total + b * c
    return total.real


@registration.as_written
def selective_scan(
    u: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    dt_softplus: bool,
    method: str,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    """Scan by blocks. Args and returns are those of `reference.selective_scan`; `keep` says that gradients may come."""
    batch, length, channels = u.shape
    groups = next((vector.shape[2] for vector in (B, C) if vector.ndim == 4), 1)
    sizes, n = (batch, groups, channels // groups), A.shape[1]
    sequences = 1 if cu_seqlens is None else cu_seqlens.shape[0] - 1

    def rows(tensor: Tensor) -> Tensor:
        """``(b, l, d)`` to ``(l, r, e)``."""
        return tensor.reshape(batch, length, *sizes[1:]).permute(1, 0, 2, 3).reshape(length, batch * groups, sizes[2])

    def states(tensor: Tensor) -> Tensor:
        """``(s, b, d, n)``, b or 1, to ``(s, r, n, e)``."""
        split = tensor.reshape(*tensor.shape[:2], *sizes[1:], n).expand(-1, batch, -1, -1, -1)
        return split.transpose(3, 4).reshape(tensor.shape[0], batch * groups, n, sizes[2])

    def vector(tensor: Tensor) -> Tensor:
        if tensor.ndim == 2:
            return states(tensor[None, None])
        return tensor.transpose(0, 1).reshape(length, batch * groups, n, 1)

    wide = torch.promote_types(u.dtype, torch.float32)
    x, delta = u.to(wide), dt.to(wide)
    delta = delta if dt_bias is None else delta + dt_bias
    delta = softplus(delta) if dt_softplus else delta
    drive = rows(delta * x)
    B, C = (vector(value.to(A.dtype)) for value in (B, C))
    start = None if initial_state is None else states(initial_state.reshape(sequences, batch, *A.shape))
    y, final, _ = _scan(drive, rows(delta), states(A[None, None])[0], B, C, start, cu_seqlens, method == "zoh", keep)
    if method == "exponential-trapezoidal":
        y = y - drive * _dot(B, C) / 2
    y = y.reshape(length, *sizes).transpose(0, 1).reshape(u.shape)
    final = final.reshape(sequences, *sizes[:2], n, sizes[2]).transpose(3, 4)
    if D is not None:
        y = y + D * x
    if z is not None:
        y = y * silu(z.to(wide))
    return y.to(u.dtype), final.reshape(sequences * batch, *A.shape)
