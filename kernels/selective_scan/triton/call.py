"""How a selective scan is cut into programs, and its arguments as the kernels take them."""

import math
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor

from statespace.kernels import gpu
from statespace.kernels.selective_scan.registration import rows

METHODS = {"euler-b": 0, "zoh": 1, "exponential-trapezoidal": 2}  # as the kernels number them
SEGMENT = 16  # rows between two saved states; the states of as many rows stay in the cache on the way back
WARPS = 1056  # that keep a large GPU busy: 8 for each of 132 multiprocessors
SHORTEST = 256  # rows of a piece: with shorter ones, carrying the state over them would take the time


@dataclass(frozen=True)
class Plan:
    """How the work is cut into programs of one warp: states and channels of each, pieces of a sequence, their rows."""

    BN: int
    BD: int
    blocks: int
    tiles: int
    pieces: int
    steps: int

    @classmethod
    def of(cls, sequences: int, length: int, channels: int, groups: int, states: int, most: int) -> "Plan":
        """Choose from the sizes alone, so that results do not depend on the GPU; `most` states in one program."""
        BN, BD = min(most, 1 << (states - 1).bit_length()), gpu.lanes()
        blocks, tiles = ceil(states / BN), groups * ceil(channels // groups / BD)
        programs = sequences * tiles * blocks
        # Cut sequences are passed through twice, which pays only where most of the GPU would be idle.
        pieces = 1 if 3 * programs > WARPS else min(ceil(WARPS / programs), ceil(length / SHORTEST))
        steps = ceil(length / pieces / SEGMENT) * SEGMENT
        return cls(BN, BD, blocks, tiles, ceil(length / steps), steps)


def _poles(A: Tensor) -> Tensor:
    """A as the kernels take it: ``(n, d)``; where it is complex, ``(3, n, d)``: real parts, then turns and their rest.

    The imaginary part is in quarter turns, of which whole ones are taken away, and so that many of them can be, in two
    numbers.
    """
    if not A.is_complex():
        return A.T.contiguous()
    turns = A.imag.double() / (math.pi / 2)
    return torch.stack(
        (A.real, turns.to(A.real.dtype), (turns - turns.to(A.real.dtype)).to(A.real.dtype))
    ).mT.contiguous()


class Call:
    """The arguments of one call as the kernels take them.

    Rows of all sequences follow one another, and channels lie side by side in every table, so that the threads of a
    warp read neighbours.
    """

    def __init__(
        self,
        u: Tensor,
        dt: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        dt_bias: Tensor | None,
        z: Tensor | None,
        cu_seqlens: Tensor | None,
        dt_softplus: bool,
        method: str,
        most: int = 16,
    ) -> None:
        """Take the arguments, and plan with at most `most` states in one program."""
        batch, length, self.channels = u.shape
        self.rows, self.states, self.type, self.held = batch * length, A.shape[1], A.dtype.to_real(), A.dtype
        self.sequences, self.places = rows(u, cu_seqlens), 0
        self.groups = next((x.shape[2] for x in (B, C) if x.ndim == 4), 1)
        self.plan = Plan.of(self.sequences, length, self.channels, self.groups, self.states, most)
        self.places = self.sequences * self.plan.pieces
        self.u, self.dt, self.z = gpu.lay(u), gpu.lay(dt), None if z is None else gpu.lay(z)
        self.A, self.bias = _poles(A), dt_bias
        self.B, self.C = (gpu.numbers((x if x.ndim == 4 else x.T).to(A.dtype).contiguous()) for x in (B, C))
        # Clamped, because in a compiled graph nobody looks at the values.
        self.bounds = None if cu_seqlens is None else cu_seqlens.to(torch.int64).clamp(0, length).contiguous()
        self.grid = (self.places * self.plan.blocks * self.plan.tiles,)
        self.varying = {"VARYING_B": B.ndim == 4, "VARYING_C": C.ndim == 4}
        self.sizes = {
            "length": length,
            "pieces": self.plan.pieces,
            "steps": self.plan.steps,
            "channels": self.channels,
            "groups": self.groups,
        }
        self.tile = {"N": self.states, "BN": self.plan.BN, "BD": self.plan.BD, "COMPLEX": A.is_complex()}
        self.options: dict[str, Any] = {"METHOD": METHODS[method], "SOFTPLUS": dt_softplus}

    def new(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Room for what a kernel writes."""
        return torch.empty(shape, dtype=dtype or self.type, device=self.u.device)

    def table(self, places: int) -> Tensor:
        """Room for a number of states of all channels, ``(place, n, d)``."""
        return self.new(places, self.states, self.channels, dtype=self.held)

    def part(self, like: Tensor) -> Tensor:
        """Room for rows, ``(block, b l, d)``, summed over blocks of states: like a tensor if there is one block."""
        dtype = like.dtype if self.plan.blocks == 1 else self.type
        return self.new(self.plan.blocks, self.rows, self.channels, dtype=dtype)

    def whole(self, part: Tensor, like: Tensor) -> Tensor:
        """The sum of `part` over the blocks, shaped like a tensor."""
        return (part[0] if self.plan.blocks == 1 else part.sum(0).to(like.dtype)).view(like.shape)
