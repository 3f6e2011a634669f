"""Blocks of time for the chunked scan, and the recurrence through one of them, there and back.

A block is a stretch of time short enough that the states of all its steps stay in the cache. Where a step is so narrow
that calling torch costs more than the work, a block is several chunks that go step by step side by side: each chunk's
states from zero and the running products of its factors, then the states before the chunks, one after the other, then
``h += product * state before``. A product spans one chunk only and multiplies nothing but that state.

A factor of 0.999 that is rounded to float32 is off by 3e-8, every time if the step is constant, and over the thousand
steps of its memory that adds up. So the state goes from chunk to chunk by ``exp(A sum delta)``, rounded once a chunk.
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


def _products(block: Block, factors: Sequence[Tensor], product: Tensor, back: bool) -> None:
    """Each chunk's running product of factors, from its first step on or from its last, into `product`."""
    products = block.cut(product)
    order = range(block.steps - 1, -1, -1) if back else range(block.steps)
    products[order[0]].copy_(factors[order[0]])
    for last, t in pairwise(order):
        torch.mul(products[last], factors[t], out=products[t])


def advance(block: Block, a: Tensor, h: Tensor, carry: Tensor, whole: Tensor, product: Tensor) -> Tensor:
    """``h[t] += a[t] h[t-1]`` in place, from the state `carry`; returns the state after the block.

    Args:
        block: where the steps lie.
        a: factors, ``(size, r, n, e)``.
        h: what comes in with each step; ends as the states.
        carry: the state before the block, ``(r, n, e)``.
        whole: the product of the factors of each chunk, ``(chunks, r, n, e)``, better than rounded factors make it.
        product: room for as many numbers as `h`, used where there are chunks.
    """
    factors, states = block.cut(a), block.cut(h)
    if block.chunks == 1:
        torch.addcmul(states[0], factors[0], carry, out=states[0])
    for t in range(1, block.steps):
        torch.addcmul(states[t], factors[t], states[t - 1], out=states[t])
    if block.chunks == 1:
        return torch.addcmul(states[-1][0], whole[0] - a.prod(0), carry)
    _products(block, factors, product, back=False)
    before, last = torch.empty_like(whole), torch.empty_like(carry)
    rows = (*before.unbind(0), last)
    rows[0].copy_(carry)
    for k, (end, decay) in enumerate(zip(states[-1].unbind(0), whole.unbind(0), strict=True)):
        torch.addcmul(end, decay, rows[k], out=rows[k + 1])
    shape = (block.chunks, block.steps)
    h.unflatten(0, shape).addcmul_(product.unflatten(0, shape), before[:, None])
    return last


def retreat(block: Block, a: Tensor, g: Tensor, carry: Tensor, whole: Tensor, product: Tensor) -> Tensor:
    """``g[t] += a[t+1] g[t+1]`` in place, from `carry` after the last step; returns the gradient of the state before.

    Args:
        block: where the steps lie.
        a: factors, conjugated.
        g: gradient of each state by itself; ends as all that the loss feels of it.
        carry: gradient of the state after the block, ``(r, n, e)``.
        whole: the product of the factors of each chunk, conjugated.
        product: room for as many numbers as `g`, used where there are chunks.
    """
    factors, grads = block.cut(a), block.cut(g)
    last = block.steps - 1
    if block.chunks == 1:
        grads[last].add_(carry)
    for t in range(last - 1, -1, -1):
        torch.addcmul(grads[t], factors[t + 1], grads[t + 1], out=grads[t])
    through = factors[0] * grads[0]
    if block.chunks == 1:
        return torch.addcmul(through[0], whole[0] - a.prod(0), carry)
    _products(block, factors, product, back=True)
    after, first = torch.empty_like(whole), torch.empty_like(carry)
    rows = (first, *after.unbind(0))
    rows[-1].copy_(carry)
    for k in range(block.chunks - 1, -1, -1):
        torch.addcmul(through[k], whole[k], rows[k + 1], out=rows[k])
    shape = (block.chunks, block.steps)
    g.unflatten(0, shape)[:, :-1].addcmul_(product.unflatten(0, shape)[:, 1:], after[:, None])
    grads[last].add_(after)
    return first
