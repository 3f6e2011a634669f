"""The elementwise linear scan on a GPU, by Triton: sequential in time, one channel in each thread.

A thread reads a and b and writes h, so memory is the limit. Where there are too few channels to keep a GPU busy, each
sequence is cut into pieces: `scan` runs through them from zero for their ends and products, `carry` makes of these what
each piece starts from, and `scan` runs again. The backward is the same scan in reverse.
"""

from math import ceil
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from statespace.kernels import gpu
from statespace.kernels.gpu.triton import rows_of, times
from statespace.kernels.linear_scan.registration import register

WARPS = 2112  # that keep a large GPU busy with reading: 16 for each of 132 multiprocessors
SHORTEST = 128  # rows of a piece


@triton.jit
def scan(
    a, b, h, past, initial, lengths, bounds, before, end, product, grad_a, a_batch, a_row, length, pieces, steps,
    channels,
    BD: tl.constexpr, COMPLEX: tl.constexpr, REVERSE: tl.constexpr,
):  # fmt: skip
    """Scan one piece from the state `before` it, ``(sequence, piece, d)``, or from zero.

    Forward ``x = a x + b`` goes to `h`. In reverse, `b` is the gradient of the states: ``x = x + b`` goes to `h`, times
    the conjugate of the state before, from `past` or `initial`, to `grad_a`, and then ``x = ā x``. What the piece
    arrives at goes to `end`, the product of its a to `product`. Complex numbers are pairs of neighbours.
    """
    pid = tl.program_id(0)
    tiles = tl.cdiv(channels, BD)
    W: tl.constexpr = 2 if COMPLEX else 1
    d = pid % tiles * BD + tl.arange(0, BD)
    there = d < channels
    place = (pid // tiles).to(tl.int64)
    sequence = place // pieces
    first, start, stop = rows_of(sequence, place % pieces, bounds, length, steps)
    last = stop if lengths is None else first + tl.load(lengths + sequence)
    base = 0 if bounds is not None else first
    of_place = (place * channels + d) * W
    zero = tl.zeros((BD,), b.dtype.element_ty)
    x_re = zero if before is None else tl.load(before + of_place, there, other=0)
    x_im = tl.load(before + of_place + 1, there, other=0) if COMPLEX and before is not None else zero
    p_re, p_im = zero + 1, zero
    for i in range(stop - start):
        row = stop - 1 - i if REVERSE else start + i
        inside = there & (d * 0 + row < last)
        at = (row * channels + d) * W
        from_a = a + (sequence * a_batch + (row - base) * a_row + d) * W
        a_re = tl.load(from_a, inside, other=1)
        a_im = tl.load(from_a + 1, inside, other=0) if COMPLEX else zero
        if REVERSE:
            a_im = -a_im
            x_re += tl.load(b + at, there, other=0)
            if COMPLEX:
                x_im += tl.load(b + at + 1, there, other=0)
            if h is not None:
                tl.store(h + at, tl.where(inside, x_re, 0), there)
                if COMPLEX:
                    tl.store(h + at + 1, tl.where(inside, x_im, 0), there)
                if row > first:
                    h_re = tl.load(past + at - channels * W, inside, other=0)
                    h_im = tl.load(past + at - channels * W + 1, inside, other=0) if COMPLEX else zero
                elif initial is not None:
                    from_h = initial + (sequence * channels + d) * W
                    h_re = tl.load(from_h, inside, other=0)
                    h_im = tl.load(from_h + 1, inside, other=0) if COMPLEX else zero
                else:
                    h_re, h_im = zero, zero
                of_a_re, of_a_im = times(h_re, -h_im, x_re, x_im, COMPLEX)
                tl.store(grad_a + at, of_a_re, there)
                if COMPLEX:
                    tl.store(grad_a + at + 1, of_a_im, there)
            x_re, x_im = times(a_re, a_im, x_re, x_im, COMPLEX)
        else:
            x_re, x_im = times(a_re, a_im, x_re, x_im, COMPLEX)
            x_re += tl.load(b + at, inside, other=0)
            if COMPLEX:
                x_im += tl.load(b + at + 1, inside, other=0)
            if h is not None:
                tl.store(h + at, x_re, there)
                if COMPLEX:
                    tl.store(h + at + 1, x_im, there)
        if product is not None:
            p_re, p_im = times(a_re, a_im, p_re, p_im, COMPLEX)
    if end is not None:
        tl.store(end + of_place, x_re, there)
        if COMPLEX:
            tl.store(end + of_place + 1, x_im, there)
    if product is not None:
        tl.store(product + of_place, p_re, there)
        if COMPLEX:
            tl.store(product + of_place + 1, p_im, there)


@triton.jit
def carry(
    end, product, initial, final, pieces, channels, BD: tl.constexpr, COMPLEX: tl.constexpr, REVERSE: tl.constexpr
):  # fmt: skip
    """Replace what each piece arrives at by what it starts from, ``(sequence, piece, d)``; the last goes to `final`."""
    pid = tl.program_id(0)
    tiles = tl.cdiv(channels, BD)
    W: tl.constexpr = 2 if COMPLEX else 1
    d = pid % tiles * BD + tl.arange(0, BD)
    there = d < channels
    sequence = (pid // tiles).to(tl.int64)
    here = (sequence * channels + d) * W
    zero = tl.zeros((BD,), end.dtype.element_ty)
    x_re = zero if initial is None else tl.load(initial + here, there, other=0)
    x_im = tl.load(initial + here + 1, there, other=0) if COMPLEX and initial is not None else zero
    for i in range(pieces):
        at = ((sequence * pieces + (pieces - 1 - i if REVERSE else i)) * channels + d) * W
        e_re = tl.load(end + at, there, other=0)
        a_re = tl.load(product + at, there, other=0)
        e_im = tl.load(end + at + 1, there, other=0) if COMPLEX else zero
        a_im = tl.load(product + at + 1, there, other=0) if COMPLEX else zero
        tl.store(end + at, x_re, there)
        if COMPLEX:
            tl.store(end + at + 1, x_im, there)
        # Of a state of zero nothing comes over, even if the product has become infinite.
        nothing = (x_re == 0) & (x_im == 0)
        x_re, x_im = times(tl.where(nothing, 0, a_re), tl.where(nothing, 0, a_im), x_re, x_im, COMPLEX)
        x_re += e_re
        x_im += e_im
    tl.store(final + here, x_re, there)
    if COMPLEX:
        tl.store(final + here + 1, x_im, there)


def _run(
    a: Tensor,
    b: Tensor,
    initial: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    past: Tensor | None = None,
    grad_a: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Scan, or in reverse where the states of the past are given; returns all states, and what it arrives at."""
    batch, length, channels = b.shape
    reverse, sequences, BD = past is not None, batch if cu_seqlens is None else cu_seqlens.shape[0] - 1, gpu.lanes()
    # Torch counts the strides of an axis of one entry as it likes.
    a_batch, a_row = (a.stride(i) if a.shape[i] > 1 else 0 for i in (0, 1))
    h = torch.empty(b.shape, dtype=b.dtype, device=b.device)
    bounds = None if cu_seqlens is None else cu_seqlens.long().clamp(0, length).contiguous()
    ends = None if lengths is None else lengths.long().clamp(0, length).contiguous()
    programs = sequences * ceil(channels / BD)
    pieces = 1 if 3 * programs > WARPS else min(ceil(WARPS / programs), ceil(length / SHORTEST))
    steps = ceil(length / pieces)
    pieces = ceil(length / steps)
    options: dict[str, Any] = {"BD": BD, "COMPLEX": b.is_complex(), "REVERSE": reverse, **gpu.options()}
    sizes = (a_batch, a_row, length, pieces, steps, channels)
    before = None if reverse else gpu.numbers(None if initial is None else initial.contiguous())
    arguments = [gpu.numbers(x) for x in (a, b)]
    of_past = [gpu.numbers(None if x is None else x.contiguous()) for x in (past, initial)] if reverse else [None, None]

    def room() -> tuple[Tensor, Tensor | None]:
        x = torch.empty(sequences * pieces, channels, dtype=b.dtype, device=b.device)
        return x, gpu.numbers(x)

    final = torch.empty(sequences, channels, dtype=b.dtype, device=b.device)
    arrived: Tensor | None = gpu.numbers(final)
    with gpu.on(b):
        if pieces > 1:
            _, end = room()
            _, product = room()
            scan[(programs * pieces,)](
                *arguments, None, None, None, ends, bounds, None, end, product, None, *sizes, **options
            )
            carry[(programs,)](end, product, before, arrived, pieces, channels, **options)
            before, arrived = end, None
        scan[(programs * pieces,)](
            *arguments,
            gpu.numbers(h),
            *of_past,
            ends,
            bounds,
            before,
            arrived,
            None,
            gpu.numbers(grad_a),
            *sizes,
            **options,
        )
    return h, final


def _rows(a: Tensor) -> Tensor:
    """The factors with channels side by side."""
    return a if a.stride(2) == 1 or a.shape[2] == 1 else a.contiguous()


def forward(
    a: Tensor, b: Tensor, initial_state: Tensor | None, lengths: Tensor | None, cu_seqlens: Tensor | None
) -> Tensor:
    """Scan; returns all states."""
    return _run(_rows(a), b.contiguous(), initial_state, lengths, cu_seqlens)[0]


def backward(
    grad_h: Tensor,
    a: Tensor,
    h: Tensor,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a, b and the initial state, from the states."""
    grad_a = torch.empty(h.shape, dtype=h.dtype, device=h.device)
    grad_b, grad_initial = _run(
        _rows(a), grad_h.resolve_neg().contiguous(), initial_state, lengths, cu_seqlens, h, grad_a
    )
    shared = [i for i in (0, 1) if a.shape[i] != h.shape[i]]
    return (
        grad_a.sum(shared, keepdim=True) if shared else grad_a,
        grad_b,
        h.new_empty(0) if initial_state is None else grad_initial,
    )


linear_scan = register("linear_scan_triton", forward, backward)
