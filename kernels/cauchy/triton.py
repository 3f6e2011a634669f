"""The Cauchy product on a GPU, by Triton: reciprocals are formed in registers, added up, and never stored.

Forward, and for the gradient of the points, a thread has a few points and goes through the poles; for the gradients of
residues and poles it has a pole and goes through a segment of the points. README.md derives the backward. Complex
numbers are pairs of neighbours.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from statespace.kernels import gpu
from statespace.kernels.cauchy.registration import register
from statespace.kernels.gpu.triton import load, store, times

ROWS = 4  # residues that share the reciprocals of a program
POINTS = 64  # of a program
SEGMENT = 512  # points that are added up in the precision of the arguments; from there it is float64


@triton.jit
def reciprocal(re, im):
    """``1 / z``, whose square would overflow or vanish, by the larger of its parts."""
    by = 1 / tl.maximum(tl.abs(re), tl.abs(im))
    re, im = re * by, im * by
    by = by / (re * re + im * im)
    return re * by, -im * by


@triton.jit
def tile_of(pid, residues, points, BR: tl.constexpr, BL: tl.constexpr):
    """System, points ``(1, BL)`` and residues ``(BR, 1)`` of a program, and the number of its block of residues."""
    blocks = tl.cdiv(residues, BR)
    tiles = tl.cdiv(points, BL)
    at = pid % tiles * BL + tl.arange(0, BL)
    row = pid // tiles % blocks * BR + tl.arange(0, BR)
    return (pid // tiles // blocks).to(tl.int64), at[None, :], row[:, None].to(tl.int64), pid // tiles % blocks


@triton.jit
def sums(
    v, z, w, y, residues, systems, points, z_row,
    N: tl.constexpr, BR: tl.constexpr, BL: tl.constexpr, CONJUGATE: tl.constexpr,
):  # fmt: skip
    """``y (r, d, l)`` from ``v (r, d, n)``, ``z (d, l)`` or one row of it, and ``w (d, n)``."""
    d, at, row, _ = tile_of(tl.program_id(0), residues, points, BR, BL)
    z_re, z_im = load(z, d * z_row + at, at < points, True)
    y_re, y_im = tl.zeros((BR, BL), z.dtype.element_ty), tl.zeros((BR, BL), z.dtype.element_ty)
    for n in range(N):
        w_re, w_im = load(w, d * N + n, d >= 0, True)
        v_re, v_im = load(v, (row * systems + d) * N + n, row < residues, True)
        r_re, r_im = reciprocal(z_re - w_re, z_im - w_im)
        part_re, part_im = times(v_re, v_im, r_re, r_im, True)
        y_re += part_re
        y_im += part_im
        if CONJUGATE:
            r_re, r_im = reciprocal(z_re - w_re, z_im + w_im)
            part_re, part_im = times(v_re, -v_im, r_re, r_im, True)
            y_re += part_re
            y_im += part_im
    store(y, (row * systems + d) * points + at, y_re, y_im, (row < residues) & (at < points), True)


@triton.jit
def of_points(
    v, z, w, g, dz, residues, systems, points, z_row,
    N: tl.constexpr, BR: tl.constexpr, BL: tl.constexpr, CONJUGATE: tl.constexpr,
):  # fmt: skip
    """Gradient of the points, each block of residues for itself: ``dz (block, d, l)``."""
    d, at, row, block = tile_of(tl.program_id(0), residues, points, BR, BL)
    there = (row < residues) & (at < points)
    z_re, z_im = load(z, d * z_row + at, at < points, True)
    g_re, g_im = load(g, (row * systems + d) * points + at, there, True)
    out_re, out_im = tl.zeros((BL,), z.dtype.element_ty), tl.zeros((BL,), z.dtype.element_ty)
    for n in range(N):
        w_re, w_im = load(w, d * N + n, d >= 0, True)
        v_re, v_im = load(v, (row * systems + d) * N + n, row < residues, True)
        t_re, t_im = times(g_re, g_im, v_re, -v_im, True)
        r_re, r_im = reciprocal(z_re - w_re, z_im - w_im)
        r_re, r_im = times(r_re, r_im, r_re, r_im, True)
        part_re, part_im = times(tl.sum(t_re, 0)[None, :], tl.sum(t_im, 0)[None, :], r_re, -r_im, True)
        out_re -= tl.sum(part_re, 0)
        out_im -= tl.sum(part_im, 0)
        if CONJUGATE:
            t_re, t_im = times(g_re, g_im, v_re, v_im, True)
            r_re, r_im = reciprocal(z_re - w_re, z_im + w_im)
            r_re, r_im = times(r_re, r_im, r_re, r_im, True)
            part_re, part_im = times(tl.sum(t_re, 0)[None, :], tl.sum(t_im, 0)[None, :], r_re, -r_im, True)
            out_re -= tl.sum(part_re, 0)
            out_im -= tl.sum(part_im, 0)
    column = tl.sum(at, 0)
    store(dz, (block.to(tl.int64) * systems + d) * points + column, out_re, out_im, column < points, True)


@triton.jit
def of_poles(
    v, z, w, g, dv, dw, residues, systems, points, z_row, segments,
    N: tl.constexpr, BR: tl.constexpr, BN: tl.constexpr, CONJUGATE: tl.constexpr, SEGMENT: tl.constexpr,
):  # fmt: skip
    """Gradients of residues and poles over a segment, ``dv (segment, r, d, n)``, ``dw (segment, block, d, n)``."""
    pid = tl.program_id(0)
    tiles: tl.constexpr = (N + BN - 1) // BN
    blocks = tl.cdiv(residues, BR)
    n = (pid % tiles * BN + tl.arange(0, BN))[None, :]
    block = pid // tiles % blocks
    row = (block * BR + tl.arange(0, BR))[:, None].to(tl.int64)
    segment = (pid // tiles // blocks % segments).to(tl.int64)
    d = (pid // tiles // blocks // segments).to(tl.int64)
    w_re, w_im = load(w, d * N + n, n < N, True)
    v_re, v_im = load(v, (row * systems + d) * N + n, (row < residues) & (n < N), True)
    zero = tl.zeros((BR, BN), z.dtype.element_ty)
    of_v_re, of_v_im, of_w_re, of_w_im = zero, zero, zero, zero
    for at in range(segment * SEGMENT, tl.minimum((segment + 1) * SEGMENT, points)):
        z_re, z_im = load(z, d * z_row + at, at < points, True)
        g_re, g_im = load(g, (row * systems + d) * points + at, row < residues, True)
        r_re, r_im = reciprocal(z_re - w_re, z_im - w_im)
        part_re, part_im = times(g_re, g_im, r_re, -r_im, True)
        of_v_re += part_re
        of_v_im += part_im
        # g conj(R) conj(R) conj(v)
        part_re, part_im = times(part_re, part_im, r_re, -r_im, True)
        part_re, part_im = times(part_re, part_im, v_re, -v_im, True)
        of_w_re += part_re
        of_w_im += part_im
        if CONJUGATE:
            r_re, r_im = reciprocal(z_re - w_re, z_im + w_im)
            part_re, part_im = times(g_re, -g_im, r_re, r_im, True)
            of_v_re += part_re
            of_v_im += part_im
            part_re, part_im = times(part_re, part_im, r_re, r_im, True)
            part_re, part_im = times(part_re, part_im, v_re, -v_im, True)
            of_w_re += part_re
            of_w_im += part_im
    here = ((segment * residues + row) * systems + d) * N + n
    store(dv, here, of_v_re, of_v_im, (row < residues) & (n < N), True)
    column = tl.sum(n, 0)
    here = ((segment * blocks + block) * systems + d) * N + column
    store(dw, here, tl.sum(of_w_re, 0), tl.sum(of_w_im, 0), column < N, True)


class _Call:
    """The arguments as the kernels take them, and the sizes of their tiles."""

    def __init__(self, v: Tensor, z: Tensor, w: Tensor, conjugate: bool) -> None:
        (self.residues, self.systems, self.states), self.points = v.shape, z.shape[1]
        self.numbers = [gpu.numbers(x.contiguous()) for x in (v, z, w)]
        self.sizes = (self.residues, self.systems, self.points, 0 if z.shape[0] == 1 else self.points)
        BR = min(ROWS, triton.next_power_of_2(self.residues))
        self.blocks = -(-self.residues // BR)
        self.tile: dict[str, Any] = {"N": self.states, "BR": BR, "CONJUGATE": conjugate, **gpu.options()}
        self.grid = (self.systems * self.blocks * -(-self.points // POINTS),)


def forward(v: Tensor, z: Tensor, w: Tensor, conjugate: bool) -> Tensor:
    """Sum over the poles."""
    call = _Call(v, z, w, conjugate)
    y = torch.empty((*v.shape[:2], z.shape[1]), dtype=v.dtype, device=v.device)
    with gpu.on(v):
        sums[call.grid](*call.numbers, gpu.numbers(y), *call.sizes, BL=POINTS, **call.tile)
    return y


def backward(grad: Tensor, v: Tensor, z: Tensor, w: Tensor, conjugate: bool, wanted: list[bool]) -> tuple[Tensor, ...]:
    """Gradients of v, z and w, in torch's convention for complex numbers."""
    call = _Call(v, z, w, conjugate)
    g = gpu.numbers(grad.resolve_conj().resolve_neg().contiguous())
    segments, BN = -(-call.points // SEGMENT), min(gpu.lanes(), triton.next_power_of_2(call.states))
    of_v = torch.empty((segments, *v.shape), dtype=v.dtype, device=v.device)
    of_w = torch.empty((segments, call.blocks, *w.shape), dtype=v.dtype, device=v.device)
    of_z = torch.empty((call.blocks if wanted[1] else 0, w.shape[0], call.points), dtype=z.dtype, device=v.device)
    with gpu.on(v):
        of_poles[(call.systems * segments * call.blocks * -(-call.states // BN),)](
            *call.numbers, g, gpu.numbers(of_v), gpu.numbers(of_w), *call.sizes, segments,
            BN=BN, SEGMENT=SEGMENT, **call.tile,
        )  # fmt: skip
        if wanted[1]:
            of_points[call.grid](*call.numbers, g, gpu.numbers(of_z), *call.sizes, BL=POINTS, **call.tile)
    over = (0, 1) if z.shape[0] == 1 else 0
    wide = torch.complex128
    found = (
        of_v.sum(0, dtype=wide).to(v.dtype),
        of_z.sum(over, keepdim=z.shape[0] == 1).view(z.shape) if wanted[1] else z,
        of_w.sum((0, 1), dtype=wide).to(w.dtype),
    )
    return tuple(value if want else value.new_empty(0) for value, want in zip(found, wanted, strict=True))


cauchy = register("cauchy_triton", forward, backward)
