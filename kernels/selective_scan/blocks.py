"""Blocks of time for the chunked scan, and the recurrence through one of them, there and back.

A block is a stretch of time short enough that the states of all its steps stay in the cache. Where a step is so narrow
that calling torch costs more than the work, a block is several chunks that go step by step side by side: each chunk's
states from zero and the running products of its factors, then the states before the chunks, one after the other, then
``h += product * state before``. A product spans one chunk only and multiplies nothing but that state.

Factors and products are held as what they are short of 1. Rounded themselves, factors of 0.999 would be off by 3e-8
every time, and a constant step would add that up over the thousand steps of its memory.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

_STEPS = 16  # of a chunk
# Numbers in one step of a block that make up for the cost of a call of torch.
_ENOUGH = {"cpu": 1 << 14}
_ENOUGH_ELSEWHERE = 1 << 20


@dataclass(frozen=True)
class Block:
    """``chunks * steps`` steps from `begin` on, and the sequences that begin and end among them, by number."""

    begin: int
    chunks: int
    steps: int
    starts: list[tuple[int, int]]  # (step of the block, sequence)
    ends: list[tuple[int, int]]

    @property
    def size(self) -> int:
        """How many steps it has."""
        return self.chunks * self.steps

    @property
    def time(self) -> slice:
        """Where they lie along the length."""
        return slice(self.begin, self.begin + self.size)

    def cut(self, x: Tensor) -> tuple[Tensor, ...]:
        """The steps of all chunks, side by side: ``(size, ...)`` to tensors ``(chunks, ...)``."""
        slices: tuple[Tensor, ...] = x.unflatten(0, (self.chunks, self.steps)).unbind(1)
        return slices


def bounds_of(cu_seqlens: Tensor | None, length: int) -> list[int]:
    """Where sequences begin and end; values that escaped the check in a traced graph lead nowhere outside."""
    if cu_seqlens is None:
        return [0, length]
    bounds = [0]
    for end in cu_seqlens.tolist()[1:]:
        bounds.append(max(bounds[-1], min(end, length)))
    return bounds


def _most_chunks(A: Tensor) -> int:
    return max(1, _ENOUGH.get(A.device.type, _ENOUGH_ELSEWHERE) // max(1, A.numel()))


def count(A: Tensor, length: int) -> int:
    """How many blocks there are."""
    size = _most_chunks(A) * _STEPS
    rest = length % size
    return length // size + (1 if rest >= _STEPS else 0) + (1 if rest % _STEPS else 0)


def blocks_of(A: Tensor, length: int, bounds: list[int]) -> list[Block]:
    """Blocks of as many chunks as fill a call of torch, then of what is left, then of the steps that fill no chunk.

    Args:
        A: eigenvalues of all rows, ``(r, n, e)``: one number for each state.
        length: steps in all.
        bounds: where sequences begin and end, ``s + 1`` steps; empty ones have no place in a block.
    """
    found: list[Block] = []
    pieces = [(start, end, i) for i, (start, end) in enumerate(pairwise(bounds)) if end > start]
    starts = deque((start, i) for start, _, i in pieces)
    ends = deque((end - 1, i) for _, end, i in pieces)

    def until(end: int, events: deque[tuple[int, int]], begin: int) -> list[tuple[int, int]]:
        taken = []
        while events and events[0][0] < end:
            step, i = events.popleft()
            taken.append((step - begin, i))
        return taken

    begin = 0
    while begin < length:
        left = length - begin
        chunks, steps = (min(_most_chunks(A), left // _STEPS), _STEPS) if left >= _STEPS else (1, left)
        end = begin + chunks * steps
        found.append(Block(begin, chunks, steps, until(end, starts, begin), until(end, ends, begin)))
        begin = end
    return found


def _step(x: Tensor, less: Tensor, before: Tensor, out: Tensor, room: Tensor) -> None:
    """``out = (1 + less) before + x``; exactly x where `less` is -1, whatever was before."""
    torch.addcmul(before, less, before, out=room)
    torch.add(room, x, out=out)


def _products(block: Block, less: Sequence[Tensor], product: Tensor, room: Tensor, back: bool) -> Sequence[Tensor]:
    """What each chunk's running product of factors is short of 1, from its first step on or from its last."""
    products = block.cut(product)
    order = range(block.steps - 1, -1, -1) if back else range(block.steps)
    products[order[0]].copy_(less[order[0]])
    for last, t in pairwise(order):
        _step(less[t], less[t], products[last], products[t], room)
    return products


def _add_what_came(x: Tensor, product: Tensor, came: Tensor) -> None:
    """``x += (1 + product) came`` at each step of ``(chunks, T, ...)``, in the room of `product`."""
    wide = came[:, None]
    x.add_(torch.addcmul(wide, product, wide, out=product))


def advance(block: Block, less: Tensor, h: Tensor, carry: Tensor, product: Tensor) -> None:
    """``h[t] += a[t] h[t-1]`` in place, from the state `carry`.

    Args:
        block: where the steps lie.
        less: ``a - 1``, ``(size, r, n, e)``: of a factor near 1, that keeps the digits which make up a long memory.
        h: what comes in with each step; ends as the states.
        carry: the state before the block, ``(r, n, e)``.
        product: room for as many numbers as `h`, used where there are chunks.
    """
    shortfalls, states = block.cut(less), block.cut(h)
    room = torch.empty_like(states[0])
    if block.chunks == 1:
        _step(states[0], shortfalls[0], carry[None], states[0], room)
    for t in range(1, block.steps):
        _step(states[t], shortfalls[t], states[t - 1], states[t], room)
    if block.chunks > 1:
        products = _products(block, shortfalls, product, room, back=False)
        before = torch.empty_like(room)
        rows = before.unbind(0)
        rows[0].copy_(carry)
        for k, (end, whole) in enumerate(zip(states[-1].unbind(0)[:-1], products[-1].unbind(0), strict=False)):
            _step(end, whole, rows[k], rows[k + 1], room[0])
        shape = (block.chunks, block.steps)
        _add_what_came(h.unflatten(0, shape), product.unflatten(0, shape), before)


def retreat(block: Block, less: Tensor, g: Tensor, carry: Tensor, product: Tensor) -> Tensor:
    """``g[t] += a[t+1] g[t+1]`` in place, from `carry` after the last step; returns ``a[0] g[0]``.

    Args:
        block: where the steps lie.
        less: ``a - 1``, conjugated.
        g: gradient of each state by itself; ends as all that the loss feels of it.
        carry: gradient of the state after the block, ``(r, n, e)``.
        product: room for as many numbers as `g`, used where there are chunks.
    """
    shortfalls, grads = block.cut(less), block.cut(g)
    room = torch.empty_like(grads[0])
    last = block.steps - 1
    if block.chunks == 1:
        grads[last].add_(carry)
    for t in range(last - 1, -1, -1):
        _step(grads[t], shortfalls[t + 1], grads[t + 1], grads[t], room)
    through = torch.addcmul(grads[0], shortfalls[0], grads[0])
    if block.chunks == 1:
        return through[0]
    products = _products(block, shortfalls, product, room, back=True)
    after, out = torch.empty_like(room), torch.empty_like(carry)
    rows = (out, *after.unbind(0))
    rows[-1].copy_(carry)
    for k in range(block.chunks - 1, -1, -1):
        _step(through[k], products[0][k], rows[k + 1], rows[k], room[0])
    shape = (block.chunks, block.steps)
    _add_what_came(g.unflatten(0, shape)[:, :-1], product.unflatten(0, shape)[:, 1:], after)
    grads[last].add_(after)
    return out
