"""One block of the chunked scan: some rows, a few chunks of T steps, some heads, and the decays between its steps.

Axes: ``m`` rows, ``k`` chunks, ``t`` steps of a chunk, ``g`` groups, ``q`` heads of a group, ``p`` channels of a head.
Three views of the same numbers serve three kinds of matrix product:

- ``(m, k, t, g, q, p)``, as the arguments lie in memory, for what is done element by element;
- wide, ``(m, k, g, t, q p)``: all the heads of a group meet its B or C in one product;
- by head, ``(m, k, g, q, t, p)``: each head meets its own matrix of decays.
"""

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.functional import pad, threshold

from statespace.kernels.ssd.pieces import Span


def wide(x: Tensor) -> Tensor:
    """``(m, k, t, g, q, p)`` to ``(m, k, g, t, q p)``."""
    return x.permute(0, 1, 3, 2, 4, 5).flatten(4)


def of_wide(x: Tensor, heads: int) -> Tensor:
    """The inverse of `wide`, for `heads` in a group."""
    split: Tensor = x.unflatten(4, (heads, -1))
    return split.permute(0, 1, 3, 2, 4, 5)


def by_head(x: Tensor) -> Tensor:
    """``(m, k, t, g, q, p)`` to ``(m, k, g, q, t, p)``, or the same without p."""
    return x.permute(0, 1, 3, 4, 2, *range(5, x.ndim))


def of_head(x: Tensor) -> Tensor:
    """The inverse of `by_head`."""
    return x.permute(0, 1, 4, 2, 3, *range(5, x.ndim))


def fade(exponent: Tensor) -> Tensor:
    """``exp(exponent)``, in place, but 0 where it is below the root of the smallest normal number.

    The product of two decays is then never subnormal: arithmetic with such numbers is a hundred times slower.
    """
    floor = math.log(torch.finfo(exponent.dtype).tiny) / 2
    return threshold(exponent, floor, -math.inf, inplace=True).exp_()


@dataclass(frozen=True)
class Decays:
    """What is left of the state between two steps of a chunk; S[t] is the sum of dt A from the chunk's first step to t.

    They are computed for all chunks of a piece at once, ``(m, k, t, g, q)`` unless it says otherwise; past the end of a
    last, short chunk there are no steps, dt = 0.
    """

    dt: Tensor
    since: Tensor  # exp(S[t]): of the state before the chunk
    until: Tensor  # exp(S[T] - S[t]): of step t, at the chunk's end
    whole: Tensor  # (m, k, g, q, 1), exp(S[T])
    high: Tensor  # (m, k, g, q, t), S rounded
    up: Tensor  # the exponential of what that lost
    down: Tensor  # the inverse of `up`
    enters: Tensor  # dt times `until`
    acts: Tensor  # dt times `down`

    @classmethod
    def of(cls, dt: Tensor, A: Tensor, chunk: int) -> "Decays":
        """Sum up the exponents of ``dt (m, l, g, q)`` and ``A (g, q)``, in float64.

        A difference of two rounded sums would be off by the rounding of the larger one. Here the rounded parts are
        subtracted, exactly where they are close, and what the rounding lost comes as a factor of either step.
        """
        dt = pad(dt, (0, 0, 0, 0, 0, -dt.shape[1] % chunk)).unflatten(1, (-1, chunk))
        S = (dt.double() * A.double()).cumsum(2)
        high = S.to(dt.dtype)
        lost = S - high
        until, up, down = fade((S[:, :, -1:] - S).to(dt.dtype)), lost.exp().to(dt.dtype), lost.neg().exp().to(dt.dtype)
        since = fade(S.to(dt.dtype, copy=True))
        whole = since[:, :, -1, :, :, None].contiguous()
        return cls(dt, since, until, whole, by_head(high).contiguous(), up, down, dt * until, dt * down)

    def at(self, span: Span) -> "Decays":
        """Those of a block."""
        chunks, steps = span.within(self.dt.shape[2])
        values = {field.name: getattr(self, field.name)[:, chunks] for field in fields(self)}
        for name, value in values.items():
            if name != "whole":
                values[name] = value[..., steps] if name == "high" else value[:, :, steps]
        return Decays(**values)

    def run(self, state: Tensor, added: Tensor, backwards: bool = False) -> tuple[Tensor, Tensor]:
        """Carry a state ``(m, g, n, q p)`` through the chunks, which add ``(m, k, g, n, q p)``.

        Below 1e-30 (float32) nothing is kept: a state that decays without input would end among subnormal numbers.

        Returns:
            The state that each chunk was reached with, and the last one.
        """
        count, heads = added.shape[1], (self.whole.shape[3], -1)
        reached = state.new_empty(state.shape[0], count + 1, *state.shape[1:])
        first, last, step = (count, 0, -1) if backwards else (0, count, 1)
        reached[:, first] = state
        split, split_added = reached.unflatten(4, heads), added.unflatten(4, heads)
        for i in range(first, last, step):
            of_chunk = i - 1 if backwards else i
            factor = self.whole[:, of_chunk, :, None]
            torch.addcmul(split_added[:, of_chunk], split[:, i], factor, out=split[:, i + step])
        computed = reached[:, :-1] if backwards else reached[:, 1:]
        torch.ops.aten.hardshrink.out(computed, torch.finfo(state.dtype).tiny * 2**26, out=computed)
        return reached[:, 1:] if backwards else reached[:, :-1], reached[:, last]

    def between(self) -> Tensor:
        """Decays from step r to step t >= r, 0 for t < r, without `up[t]` and `down[r]`: ``(m, k, g, q, t, r)``.

        Above the diagonal the exponential may be infinite, and is thrown away.
        """
        return fade(self.high[..., :, None] - self.high[..., None, :]).tril_()


@dataclass(frozen=True)
class Block:
    """The arguments of a block, in the precision of the computation."""

    x: Tensor  # (m, k, t, g, q, p)
    B: Tensor  # (m, k, g, t, n)
    C: Tensor  # (m, k, g, t, n)
    D: Tensor | None  # (g, q)
    decays: Decays

    def states(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """States before each chunk, ``(m, k, g, n, q p)``, and the one after the block, ``(m, g, n, q p)``."""
        return self.decays.run(state, self.B.mT @ wide(self.x * self.decays.enters[..., None]))

    def inputs(self) -> Tensor:
        """Inputs u of each head, ``(m, k, g, q, t, p)``, with their part of what rounding the decays lost."""
        return by_head(self.x * self.decays.acts[..., None])

    def from_before(self, states: Tensor) -> Tensor:
        """Outputs of the states before each chunk: ``(m, k, t, g, q, p)``."""
        return of_wide(self.C @ states, self.x.shape[4]).mul_(self.decays.since[..., None])

    def output(self, u: Tensor, matrix: Tensor, before: Tensor) -> Tensor:
        """Outputs without the gate, ``(m, k, t, g, q, p)``, written over those that come from `before`."""
        y = before.addcmul_(of_head(matrix @ u), self.decays.up[..., None])
        return y if self.D is None else y.addcmul_(self.x, self.D[..., None])
