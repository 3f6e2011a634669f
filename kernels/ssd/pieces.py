"""How a scan is cut into pieces that run from the first step to the last, and a piece into blocks of a few chunks.

A piece is some heads of some sequences. Packed sequences of similar length run side by side, as rows that are gathered
from where they stand; past its end, a sequence goes on without steps and gradients.

Axes: ``b`` batch, ``l`` length, ``g`` groups, ``q`` heads of a group, ``s`` sequences, ``m`` rows of a piece, ``k``
chunks of a block, ``t`` steps of a chunk.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from statespace.kernels.sequences import clamped

# Numbers in the intermediate results of a block. On a CPU they should stay in the second-level cache, but each takes
# some fifty operations, which cost a few microseconds apiece; other devices want few and large launches.
NUMBERS_CPU = 1 << 20
NUMBERS_OTHER = 1 << 26


@dataclass(frozen=True)
class Sizes:
    """Those of the arguments, and of a chunk."""

    batch: int
    length: int
    groups: int
    in_group: int
    width: int
    states: int
    chunk: int

    @classmethod
    def of(cls, x: Tensor, B: Tensor, chunk: int) -> "Sizes":
        """Read the sizes off ``x (b, l, h, p)`` and ``B (b, l, g, n)``."""
        batch, length, heads, width = x.shape
        return cls(batch, length, B.shape[2], heads // B.shape[2], width, B.shape[3], max(1, min(chunk, length)))


@dataclass(frozen=True)
class Span:
    """Some chunks: from step `start` to step `stop`, with `steps` in each."""

    start: int
    stop: int
    steps: int

    def within(self, chunk: int) -> tuple[slice, slice]:
        """The chunks and their steps, in tensors ``(m, k, t, ...)`` of whole chunks."""
        first = self.start // chunk
        return slice(first, first + (self.stop - self.start) // self.steps), slice(0, self.steps)


@dataclass(frozen=True)
class Rows:
    """Sequences that run side by side, and where they stand."""

    which: slice | Tensor  # their numbers
    count: int
    length: int
    positions: Tensor | None = None  # (m, length), in the row of all packed sequences; None where each has its own
    real: Tensor | None = None  # (m, length), whether the sequence still goes on


@dataclass(frozen=True)
class Piece:
    """Some heads of some sequences: the way from whole tensors to the numbers of a block, and back."""

    rows: Rows
    groups: slice
    heads: slice  # of each of these groups
    chunk: int
    at_once: int  # chunks in a block

    def spans(self) -> Iterator[Span]:
        """Yield the steps of each block; the last chunk may be short."""
        whole = self.rows.length // self.chunk * self.chunk
        for start in range(0, whole, self.at_once * self.chunk):
            yield Span(start, min(start + self.at_once * self.chunk, whole), self.chunk)
        if whole < self.rows.length:
            yield Span(whole, self.rows.length, self.rows.length - whole)

    def all(self) -> Span:
        """All steps, one by one."""
        return Span(0, self.rows.length, 1)

    def of_heads(self, vector: Tensor) -> Tensor:
        """``(g, q)`` to the heads of the piece."""
        return vector[self.groups, self.heads]

    def _columns(self, tensor: Tensor, per_head: bool) -> Tensor:
        return tensor[:, :, self.groups, self.heads] if per_head else tensor[:, :, self.groups]

    def take(self, tensor: Tensor, span: Span, per_head: bool = True, masked: bool = False) -> Tensor:
        """Steps of ``(b, l, g, q, ...)``, or ``(b, l, g, ...)``, as ``(m, k, t, g, ...)``; `masked`: 0 past the end."""
        columns, steps = self._columns(tensor, per_head), slice(span.start, span.stop)
        if self.rows.positions is None or self.rows.real is None:
            values = columns[self.rows.which, steps]
        else:
            values = columns[0, self.rows.positions[:, steps]]
            if masked:
                values[~self.rows.real[:, steps]] = 0
        chunks: Tensor = values.unflatten(1, (-1, span.steps))
        return chunks

    def put(self, to: Tensor, span: Span, values: Tensor) -> None:
        """Write the steps of each head to where `take` finds them."""
        columns, steps = self._columns(to, True), slice(span.start, span.stop)
        if self.rows.positions is None or self.rows.real is None:
            columns[self.rows.which, steps].unflatten(1, (-1, span.steps)).copy_(values)
        else:
            real = self.rows.real[:, steps]
            columns[0, self.rows.positions[:, steps][real]] = values.flatten(1, 2)[real].to(to.dtype)

    def add(self, to: Tensor, span: Span, values: Tensor) -> None:
        """Add the steps of each group, ``(m, k, t, g, n)``, to where `take` finds them."""
        columns, steps = self._columns(to, False), slice(span.start, span.stop)
        if self.rows.positions is None or self.rows.real is None:
            columns[self.rows.which, steps].unflatten(1, (-1, span.steps)).add_(values)
        else:
            real = self.rows.real[:, steps]
            columns[0, self.rows.positions[:, steps][real]] += values.flatten(1, 2)[real]

    def take_state(self, states: Tensor) -> Tensor:
        """``(s, g, q, p, n)`` to ``(m, g, n, q p)``."""
        return states[self.rows.which][:, self.groups, self.heads].permute(0, 1, 4, 2, 3).flatten(3)

    def put_state(self, to: Tensor, state: Tensor) -> None:
        """Write states to where `take_state` finds them."""
        heads = self.heads.stop - self.heads.start
        to[self.rows.which, self.groups, self.heads] = state.unflatten(3, (heads, -1)).permute(0, 1, 3, 4, 2)


def _packed(cu_seqlens: Tensor, chunk: int) -> Iterator[Rows]:
    """Gather sequences that have equally many chunks, up to the next power of two."""
    bounds = cu_seqlens.tolist()
    alike: dict[int, list[int]] = {}
    for i, (start, stop) in enumerate(pairwise(bounds)):
        alike.setdefault(max(0, -(-(stop - start) // chunk) - 1).bit_length() if stop > start else -1, []).append(i)
    for members in alike.values():
        which = torch.tensor(members, device=cu_seqlens.device)
        start, stop = cu_seqlens[which][:, None], cu_seqlens[which + 1][:, None]
        length = max(bounds[i + 1] - bounds[i] for i in members)
        at = start + torch.arange(length, device=cu_seqlens.device)
        # Past its end a sequence repeats its own last step, so that no other one is looked at.
        yield Rows(which, len(members), length, torch.minimum(at, stop - 1), at < stop)


def pieces(sizes: Sizes, cu_seqlens: Tensor | None, on_cpu: bool) -> Iterator[Piece]:
    """Cut a scan into pieces; they are the same for any number of threads.

    Args:
        sizes: those of the arguments.
        cu_seqlens: bounds of packed sequences, or None.
        on_cpu: whether a block should fit into a cache.
    Returns:
        The pieces, in an order that forward and backward share.
    """
    budget = NUMBERS_CPU if on_cpu else NUMBERS_OTHER
    # A head in one chunk: two matrices of decays, four arrays like x, the state and its change.
    head = sizes.chunk * (2 * sizes.chunk + 4 * sizes.width) + 2 * sizes.width * sizes.states
    most = max(1, budget // max(1, head))
    heads, groups = max(1, min(sizes.in_group, most)), max(1, most // max(1, sizes.in_group))
    if cu_seqlens is None:
        every: list[Rows] = [Rows(slice(0, sizes.batch), sizes.batch, sizes.length)]
    else:
        every = [*_packed(clamped(cu_seqlens, sizes.length), sizes.chunk)]
    for rows in every:
        for group in range(0, sizes.groups, groups):
            of_groups = slice(group, min(group + groups, sizes.groups))
            for first in range(0, sizes.in_group, heads):
                of_heads = slice(first, min(first + heads, sizes.in_group))
                some = (of_groups.stop - group) * (of_heads.stop - first)
                side_by_side = max(1, budget // (head * some))
                for part in _parts(rows, side_by_side):
                    at_once = max(1, budget // (head * some * part.count))
                    yield Piece(part, of_groups, of_heads, sizes.chunk, at_once)


def _parts(rows: Rows, most: int) -> Iterator[Rows]:
    """Cut rows into parts of at most so many."""
    for start in range(0, rows.count, most):
        part = slice(start, min(start + most, rows.count))
        which = part if isinstance(rows.which, slice) else rows.which[part]
        positions, real = (None if t is None else t[part] for t in (rows.positions, rows.real))
        yield Rows(which, part.stop - start, rows.length, positions, real)
