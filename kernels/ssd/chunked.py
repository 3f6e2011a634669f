"""The scan of Mamba-2 as matrix products over chunks of T steps: portable torch, on any device.

With H the state before a chunk, S[t] the sum of dt A from its first step to t, and u = dt x, each head has

    y[t] = sum_{r <= t} (C[t] . B[r]) exp(S[t] - S[r]) u[r]  +  exp(S[t]) H C[t]  +  D x[t],
    H   <- exp(S[T]) H + sum_r exp(S[T] - S[r]) u[r] B[r]^T.

All exponents are sums of dt A over steps that follow one another, so nothing overflows however long the sequence. The
work is done in blocks that stay in the caches; the backward computes everything again. README.md has the derivation.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import silu

from statespace.kernels.ssd.blocks import Block, Decays
from statespace.kernels.ssd.gradients import Passages, gradients
from statespace.kernels.ssd.pieces import Piece, Sizes, Span, pieces
from statespace.kernels.ssd.registration import register, state_shape


class _Scan:
    """The arguments of a call, with groups and their heads on axes of their own, and their way into blocks."""

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
        chunk: int,
    ) -> None:
        self.sizes, self.cu_seqlens = Sizes.of(x, B, chunk), cu_seqlens
        self.B, self.C = B, C
        self.x, self.dt = self.by_group(x, 2), self.by_group(dt, 2)
        self.A = self.by_group(A, 0)
        self.D = None if D is None else self.by_group(D, 0)
        self.z = None if z is None else self.by_group(z, 2)
        self.initial = None if initial_state is None else self.by_group(initial_state, 1)

    def by_group(self, tensor: Tensor, axis: int) -> Tensor:
        """``(..., h, ...)`` to ``(..., g, q, ...)``."""
        split: Tensor = tensor.unflatten(axis, (self.sizes.groups, self.sizes.in_group))
        return split

    def pieces(self) -> Iterator[Piece]:
        """Cut the scan."""
        return pieces(self.sizes, self.cu_seqlens, self.x.device.type == "cpu")

    def like_x(self, tensor: Tensor, piece: Piece, span: Span, masked: bool = False) -> Tensor:
        """Steps of x or a tensor like it, ``(m, k, t, g, q, p)``, in the precision of the computation."""
        return piece.take(tensor, span, masked=masked).to(self.dt.dtype)

    def decays(self, piece: Piece) -> Decays:
        """Those of all chunks of a piece."""
        dt = piece.take(self.dt, piece.all(), masked=True)[:, :, 0]
        return Decays.of(dt, piece.of_heads(self.A), piece.chunk)

    def block(self, piece: Piece, span: Span, decays: Decays) -> Block:
        """The arguments of one block."""
        B, C = (piece.take(t, span, per_head=False).to(self.dt.dtype).transpose(2, 3) for t in (self.B, self.C))
        D = None if self.D is None else piece.of_heads(self.D)
        return Block(self.like_x(self.x, piece, span), B, C, D, decays.at(span))

    def start(self, piece: Piece) -> Tensor:
        """The state before the first step: ``(m, g, n, q p)``."""
        if self.initial is not None:
            return piece.take_state(self.initial)
        groups, heads = (axis.stop - axis.start for axis in (piece.groups, piece.heads))
        return self.dt.new_zeros(piece.rows.count, groups, self.sizes.states, heads * self.sizes.width)


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
    """Scan by chunks."""
    scan = _Scan(x, dt, A, B, C, D, z, initial_state, cu_seqlens, chunk)
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    final = torch.empty(state_shape(x, B, cu_seqlens), dtype=dt.dtype, device=x.device)
    for piece in scan.pieces():
        state, decays = scan.start(piece), scan.decays(piece)
        for span in piece.spans():
            block = scan.block(piece, span, decays)
            states, state = block.states(state)
            matrix = block.decays.between().mul_((block.C @ block.B.mT)[:, :, :, None])
            out = block.output(block.inputs(), matrix, block.from_before(states))
            if scan.z is not None:
                out *= silu(scan.like_x(scan.z, piece, span))
            piece.put(scan.by_group(y, 2), span, out)
        piece.put_state(scan.by_group(final, 1), state)
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
    """Gradients by chunks, from the end to the beginning."""
    scan = _Scan(x, dt, A, B, C, D, z, initial_state, cu_seqlens, chunk)
    grad_y = x.new_zeros(()).expand(x.shape) if grad_y is None else grad_y.resolve_neg()
    grad_y = scan.by_group(grad_y, 2)
    grad_x, grad_z = (torch.empty(x.shape if t is not None else 0, dtype=x.dtype, device=x.device) for t in (x, z))
    grad_dt = torch.empty(dt.shape, dtype=dt.dtype, device=x.device)
    grad_A, grad_D = (torch.zeros(scan.A.shape, dtype=torch.float64, device=x.device) for _ in range(2))
    grad_B, grad_C = (torch.zeros(B.shape, dtype=dt.dtype, device=x.device) for _ in range(2))
    grad_initial = torch.empty(state_shape(x, B, cu_seqlens), dtype=dt.dtype, device=x.device)
    for piece in scan.pieces():
        spans, state, decays = [*piece.spans()], scan.start(piece), scan.decays(piece)
        kept = []
        for span in spans:
            states, state = scan.block(piece, span, decays).states(state)
            kept.append(states)
        adjoint = torch.zeros_like(state)
        if grad_final is not None:
            adjoint = piece.take_state(scan.by_group(grad_final.resolve_neg(), 1))
        passages = Passages(decays)
        for span in reversed(spans):
            g = scan.like_x(grad_y, piece, span, masked=True)
            gate = None if scan.z is None else scan.like_x(scan.z, piece, span)
            block = scan.block(piece, span, decays)
            found = gradients(block, g, gate, kept.pop(), adjoint, passages.at(span))
            adjoint = found.state
            piece.put(scan.by_group(grad_x, 2), span, found.x)
            piece.add(grad_B, span, found.B)
            piece.add(grad_C, span, found.C)
            if found.z is not None:
                piece.put(scan.by_group(grad_z, 2), span, found.z)
        of_dt, of_A, of_D = passages.gradients(piece.of_heads(scan.A))
        piece.put(scan.by_group(grad_dt, 2), piece.all(), of_dt[:, : piece.rows.length, None])
        piece.of_heads(grad_A).add_(of_A)
        piece.of_heads(grad_D).add_(of_D)
        piece.put_state(scan.by_group(grad_initial, 1), adjoint)
    return (
        grad_x,
        grad_dt,
        grad_A.flatten().to(A.dtype),
        grad_B.to(B.dtype),
        grad_C.to(C.dtype),
        dt.new_empty(0) if D is None else grad_D.flatten().to(D.dtype),
        grad_z,
        dt.new_empty(0) if initial_state is None else grad_initial,
    )


ssd = register("ssd_chunked", forward, backward)
