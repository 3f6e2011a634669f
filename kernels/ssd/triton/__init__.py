"""The scan of Mamba-2 on a GPU, by Triton: matrix products within chunks, and a short scan over them.

Chunks are all computed at once, only the states between them one after the other. As by the chunked backend, nothing
is kept between forward and backward but the arguments, and README.md derives both. The kernels are in forward.py and
backward.py; here they are launched.
"""

import torch
from torch import Tensor

from statespace.kernels import gpu
from statespace.kernels.ssd.registration import register, state_shape
from statespace.kernels.ssd.triton.backward import rows_backward, steps_backward, vectors_backward
from statespace.kernels.ssd.triton.forward import carry, ends, outputs

TILE, WARPS = 16, 4  # rows of a chunk, and sides of the tiles of a program; tiles of 64 spill registers
CARRIED = 256  # numbers of a state that one program carries


class _Call:
    """The arguments of a call as the kernels take them, and how they are cut into chunks and tiles."""

    def __init__(
        self,
        x: Tensor,
        dt: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        D: Tensor | None,
        z: Tensor | None,
        initial_state: Tensor | None,
        cu_seqlens: Tensor | None,
    ) -> None:
        _, self.length, self.heads, P = x.shape
        self.groups, N = B.shape[2:]
        self.shape, self.dtype, self.device = state_shape(x, B, cu_seqlens), dt.dtype, x.device
        self.of_p, self.of_n = -(-P // TILE), -(-N // TILE)
        sequences = self.shape[0]
        self.bounds: Tensor | None = None
        self.sequence_of: Tensor | None = None
        self.chunks = sequences * -(-self.length // TILE)
        if cu_seqlens is not None:
            # Wherever sequences begin, as many chunks as are full in all, and one for each, have room for theirs.
            self.chunks = self.length // TILE + sequences
            # Clamped, because in a compiled graph nobody looks at the values.
            self.bounds = cu_seqlens.long().clamp(0, self.length).contiguous()
            first = self.bounds[:-1] // TILE + torch.arange(sequences, device=x.device)
            places = torch.arange(self.chunks, device=x.device)
            self.sequence_of = torch.searchsorted(first, places, right=True).sub_(1).clamp_(min=0)
        self.x, self.B, self.C = (gpu.lay(tensor.flatten(2)) for tensor in (x, B, C))
        self.z = None if z is None else gpu.lay(z.flatten(2))
        self.dt, self.A, self.D = gpu.lay(dt), A.contiguous(), None if D is None else D.contiguous()
        self.initial = None if initial_state is None else initial_state.contiguous()
        self.z_row = 0 if self.z is None else self.z.stride(0)
        self.sizes = (self.length, self.heads, self.groups, P, N)
        self.tile = {"T": TILE, "BP": TILE, "BN": TILE}

    def new(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Room for what a kernel writes."""
        return torch.empty(shape, dtype=dtype or self.dtype, device=self.device)

    def ends(self, rows: Tensor, vectors: Tensor, adjoint: bool) -> tuple[Tensor, Tensor]:
        """What each chunk adds to the state after it, or adjoint, before it; and the decay of each."""
        end = self.new(self.chunks, *self.shape[1:])
        whole = self.new(self.chunks, self.heads)
        ends[(self.chunks * self.heads * self.of_p * self.of_n,)](
            rows, self.z if adjoint else None, vectors, self.dt, self.A, self.sequence_of, self.bounds, end, whole,
            rows.stride(0), self.z_row, vectors.stride(0), self.dt.stride(0), *self.sizes, **self.tile,
            ADJOINT=adjoint, **gpu.options(warps=WARPS, stages=1),
        )  # fmt: skip
        return end, whole

    def outputs(self, before: Tensor, y: Tensor, dy: Tensor | None) -> None:
        """Write the outputs, from the states before chunks; or with their gradients, those of the gate."""
        outputs[(self.chunks * self.heads * self.of_p,)](
            self.x, self.z, self.B, self.C, self.D, self.dt, self.A, dy, self.sequence_of, self.bounds, before, y,
            self.x.stride(0), self.z_row, self.B.stride(0), self.C.stride(0), self.dt.stride(0),
            0 if dy is None else dy.stride(0), *self.sizes, **self.tile,
            **gpu.options(warps=WARPS, stages=1),
        )  # fmt: skip

    def carry(self, end: Tensor, whole: Tensor, initial: Tensor | None, reverse: bool) -> Tensor:
        """Make of what chunks add the states that they start from, in place; returns what the last one arrives at."""
        final = self.new(*self.shape)
        size = self.shape[2] * self.shape[3]
        carry[(self.shape[0] * self.heads * -(-size // CARRIED),)](
            end, whole, initial, final, self.bounds, self.length, self.heads,
            SIZE=size, T=TILE, BE=CARRIED, REVERSE=reverse, **gpu.options(warps=WARPS),
        )  # fmt: skip
        return final


def forward(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    chunk: int,
) -> tuple[Tensor, Tensor]:
    """Scan; returns y and the final state."""
    call = _Call(x, dt, A, B, C, D, z, initial_state, cu_seqlens)
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    with gpu.on(x):
        states, whole = call.ends(call.x, call.B, adjoint=False)
        final = call.carry(states, whole, call.initial, reverse=False)
        call.outputs(states, y, None)
    return y, final


def backward(
    grad_y: Tensor | None,
    grad_final: Tensor | None,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    chunk: int,
) -> tuple[Tensor, ...]:
    """Gradients of all arguments, from the arguments alone."""
    call = _Call(x, dt, A, B, C, D, z, initial_state, cu_seqlens)
    dy = torch.zeros((), dtype=x.dtype, device=x.device).expand(x.shape) if grad_y is None else grad_y
    dy = gpu.lay(dy.flatten(2))
    after = None if grad_final is None else grad_final.resolve_neg().contiguous()
    dx, dz = (torch.empty(x.shape if t is not None else 0, dtype=x.dtype, device=x.device) for t in (x, z))
    dB, dC = (torch.empty(t.shape, dtype=t.dtype, device=x.device) for t in (B, C))
    ddt = call.new(*dt.shape)
    # Before each chunk there is room for a chunk in each head; a program writes one tile of p or n.
    driving, skipping, within = (call.new(call.of_p, call.chunks, call.heads, TILE) for _ in range(3))
    carried, leaving = (call.new(call.of_n, call.chunks, call.heads, TILE) for _ in range(2))
    through = call.new(call.of_n, call.chunks, call.heads)
    dA, dD = (call.new(call.chunks, call.heads, dtype=torch.float64) for _ in range(2))
    rows = (call.x.stride(0), call.z_row, call.B.stride(0), call.C.stride(0), call.dt.stride(0), dy.stride(0))
    with gpu.on(x):
        before, whole = call.ends(call.x, call.B, adjoint=False)
        call.carry(before, whole, call.initial, reverse=False)
        if z is not None:
            call.outputs(before, dz, dy)
        adjoint, whole = call.ends(dy, call.C, adjoint=True)
        of_initial = call.carry(adjoint, whole, after, reverse=True)
        options = call.tile | gpu.options(warps=WARPS, stages=1)
        rows_backward[(call.chunks * call.heads * call.of_p,)](
            call.x, call.z, call.B, call.C, call.D, call.dt, call.A, dy, call.sequence_of, call.bounds, adjoint, dx,
            driving, skipping, within, *rows, call.chunks, *call.sizes, **options,
        )  # fmt: skip
        for own, other, gradient, passed in ((call.C, call.B, dC, carried), (call.B, call.C, dB, leaving)):
            vectors_backward[(call.chunks * call.groups * call.of_n,)](
                call.x, call.z, own, other, call.dt, call.A, dy, call.sequence_of, call.bounds, before, adjoint,
                gradient, passed, through, call.x.stride(0), call.z_row, own.stride(0), other.stride(0),
                call.dt.stride(0), dy.stride(0), call.chunks, *call.sizes, OF_C=own is call.C, **options,
            )  # fmt: skip
        steps_backward[(call.chunks * call.heads,)](
            call.dt, call.A, call.sequence_of, call.bounds, driving, skipping, within, carried, leaving, through, ddt,
            dA, dD, call.dt.stride(0), call.chunks, call.length, call.heads, T=TILE, OF_P=call.of_p, OF_N=call.of_n,
            **gpu.options(warps=1),
        )  # fmt: skip
    return (
        dx,
        ddt,
        dA.sum(0).to(A.dtype),
        dB,
        dC,
        dt.new_empty(0) if D is None else dD.sum(0).to(D.dtype),
        dz,
        dt.new_empty(0) if initial_state is None else of_initial,
    )


ssd = register("ssd_triton", forward, backward)
