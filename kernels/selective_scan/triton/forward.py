"""The forward kernels of the selective scan: sequential in time, one channel in each thread, the state in registers.

`scan` runs through whole pieces. Where there are several in a sequence, `ends` runs through them before, each from a
state of zero, and `carry` makes of their ends the states that they start from.
"""

import triton
import triton.language as tl

from statespace.kernels.gpu.triton import load, rows_of, sigmoid, store, times
from statespace.kernels.selective_scan.triton.common import (
    TRAPEZOIDAL,
    channels_of,
    decay,
    poles,
    step_size,
    vector,
    weighed,
    weight,
)

# A scalar condition does not spread over a block in the interpreter: below, ``d * 0`` makes a block of it.
UNROLL = tl.constexpr(2)


@triton.jit
def ends(
    u, dt, A, B, bias, bounds, end, total, u_row, dt_row, length, pieces, steps, channels, groups,
    N: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr, COMPLEX: tl.constexpr, METHOD: tl.constexpr,
    SOFTPLUS: tl.constexpr, VARYING_B: tl.constexpr,
):  # fmt: skip
    """State after each piece from zero, ``end (sequence, piece, n, d)``; sum of its steps, ``total (..., d)``."""
    TYPE: tl.constexpr = end.dtype.element_ty
    pid = tl.program_id(0)
    tiles = groups * tl.cdiv(channels // groups, BD)
    blocks: tl.constexpr = (N + BN - 1) // BN
    group, _, d, there = channels_of(pid % tiles, channels, groups, BD)
    block = pid // tiles % blocks
    n = block * BN + tl.arange(0, BN)
    known = (n < N)[:, None] & there[None, :]
    place = pid // tiles // blocks
    _, start, stop = rows_of(place // pieces, place % pieces, bounds, length, steps)
    table = n[:, None].to(tl.int64) * channels + d[None, :]
    rates, turns, rest = poles(A, table, known, N * channels, COMPLEX)
    shift = 0.0 if bias is None else tl.load(bias + d, there, other=0).to(TYPE)
    if not VARYING_B:
        b_re, b_im = load(B, table, known, COMPLEX)
    h_re, h_im = tl.zeros((BN, BD), TYPE), tl.zeros((BN, BD), TYPE)
    sum_of_steps = tl.zeros((BD,), TYPE)
    for t in range(start, stop, UNROLL):
        for i in tl.static_range(UNROLL):
            row = tl.minimum(t + i, stop - 1)
            delta = step_size(tl.load(dt + row * dt_row + d, there, other=0).to(TYPE) + shift, t + i < stop, SOFTPLUS)
            x = tl.load(u + row * u_row + d, there, other=0).to(TYPE)
            if VARYING_B:
                b_re, b_im = vector(B, row, group, groups, n, N, COMPLEX)
            a_re, a_im = decay(rates, turns, rest, delta[None, :], COMPLEX)
            w_re, w_im = weight(delta[None, :], a_re, a_im, rates, turns, METHOD, COMPLEX)
            v_re, v_im = weighed(w_re, w_im, x[None, :], b_re, b_im, METHOD, COMPLEX)
            h_re, h_im = times(a_re, a_im, h_re, h_im, COMPLEX)
            h_re += v_re
            if COMPLEX:
                h_im += v_im
            sum_of_steps += delta
    store(end, place.to(tl.int64) * N * channels + table, h_re, h_im, known, COMPLEX)
    tl.store(total + place.to(tl.int64) * channels + d, sum_of_steps, there & (d * 0 + block == 0))


@triton.jit
def carry(
    A, end, total, initial, final, pieces, channels,
    N: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr, COMPLEX: tl.constexpr, REVERSE: tl.constexpr,
):  # fmt: skip
    """Replace each piece's `end` from zero by the state before it, ``(sequence, piece, n, d)``, and write the last.

    `initial` and `final` are ``(sequence, n, d)``. In reverse, states are adjoint and `initial` comes after the end.
    """
    TYPE: tl.constexpr = end.dtype.element_ty
    pid = tl.program_id(0)
    tiles = tl.cdiv(channels, BD)
    blocks: tl.constexpr = (N + BN - 1) // BN
    d = pid % tiles * BD + tl.arange(0, BD)
    n = pid // tiles % blocks * BN + tl.arange(0, BN)
    known = (n < N)[:, None] & (d < channels)[None, :]
    sequence = (pid // tiles // blocks).to(tl.int64)
    table = n[:, None].to(tl.int64) * channels + d[None, :]
    rates, turns, rest = poles(A, table, known, N * channels, COMPLEX)
    here = sequence * N * channels + table
    if initial is None:
        h_re, h_im = tl.zeros((BN, BD), TYPE), tl.zeros((BN, BD), TYPE)
    else:
        h_re, h_im = load(initial, here, known, COMPLEX)
    for i in range(pieces):
        place = sequence * pieces + (pieces - 1 - i if REVERSE else i)
        at = place * N * channels + table
        found_re, found_im = load(end, at, known, COMPLEX)
        total_of_piece = tl.load(total + place * channels + d, d < channels, other=0)[None, :]
        a_re, a_im = decay(rates, turns, rest, total_of_piece, COMPLEX)
        store(end, at, h_re, h_im, known, COMPLEX)
        h_re, h_im = times(a_re, -a_im if REVERSE else a_im, h_re, h_im, COMPLEX)
        h_re += found_re
        if COMPLEX:
            h_im += found_im
    store(final, here, h_re, h_im, known, COMPLEX)


@triton.jit
def scan(
    u, dt, A, B, C, D, z, bias, bounds, before, y, final, saved, u_row, dt_row, z_row, rows, length, pieces, steps,
    channels, groups,
    N: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr, COMPLEX: tl.constexpr, METHOD: tl.constexpr,
    SOFTPLUS: tl.constexpr, VARYING_B: tl.constexpr, VARYING_C: tl.constexpr, SEGMENT: tl.constexpr,
):  # fmt: skip
    """Outputs ``y (block, row, d)``, summed over the states of each block; the state every SEGMENT rows, if `saved`.

    The state before each piece is `before`, ``(sequence, piece, n, d)``, or None for zeros. That after it is written to
    `final`, if there is one, laid out alike.
    """
    TYPE: tl.constexpr = A.dtype.element_ty
    pid = tl.program_id(0)
    tiles = groups * tl.cdiv(channels // groups, BD)
    blocks: tl.constexpr = (N + BN - 1) // BN
    group, _, d, there = channels_of(pid % tiles, channels, groups, BD)
    block = pid // tiles % blocks
    n = block * BN + tl.arange(0, BN)
    known = (n < N)[:, None] & there[None, :]
    place = pid // tiles // blocks
    first, start, stop = rows_of(place // pieces, place % pieces, bounds, length, steps)
    table = n[:, None].to(tl.int64) * channels + d[None, :]
    rates, turns, rest = poles(A, table, known, N * channels, COMPLEX)
    shift = 0.0 if bias is None else tl.load(bias + d, there, other=0)
    through = 0.0 if D is None else tl.load(D + d, there & (d * 0 + block == 0), other=0)
    if not VARYING_B:
        b_re, b_im = load(B, table, known, COMPLEX)
    if not VARYING_C:
        c_re, c_im = load(C, table, known, COMPLEX)
    state = place.to(tl.int64) * N * channels + table
    if before is None:
        h_re, h_im = tl.zeros((BN, BD), TYPE), tl.zeros((BN, BD), TYPE)
    else:
        h_re, h_im = load(before, state, known, COMPLEX)
    segment = first // SEGMENT + place // pieces + (start - first) // SEGMENT
    for t0 in range(start, stop, SEGMENT):
        if saved is not None:
            store(saved, segment * N * channels + table, h_re, h_im, known, COMPLEX)
            segment += 1
        for t in range(t0, tl.minimum(t0 + SEGMENT, stop), UNROLL):
            outputs = ()
            for i in tl.static_range(UNROLL):
                row = tl.minimum(t + i, stop - 1)
                raw = tl.load(dt + row * dt_row + d, there, other=0).to(TYPE) + shift
                delta = step_size(raw, t + i < stop, SOFTPLUS)
                x = tl.load(u + row * u_row + d, there, other=0).to(TYPE)
                if VARYING_B:
                    b_re, b_im = vector(B, row, group, groups, n, N, COMPLEX)
                if VARYING_C:
                    c_re, c_im = vector(C, row, group, groups, n, N, COMPLEX)
                a_re, a_im = decay(rates, turns, rest, delta[None, :], COMPLEX)
                w_re, w_im = weight(delta[None, :], a_re, a_im, rates, turns, METHOD, COMPLEX)
                v_re, v_im = weighed(w_re, w_im, x[None, :], b_re, b_im, METHOD, COMPLEX)
                h_re, h_im = times(a_re, a_im, h_re, h_im, COMPLEX)
                h_re += v_re
                if COMPLEX:
                    h_im += v_im
                seen = c_re * (h_re - 0.5 * v_re if METHOD == TRAPEZOIDAL else h_re)
                if COMPLEX:
                    seen -= c_im * (h_im - 0.5 * v_im if METHOD == TRAPEZOIDAL else h_im)
                out = tl.sum(seen, 0) + through * x
                if z is not None:
                    gate = tl.load(z + row * z_row + d, there, other=0).to(TYPE)
                    out *= gate * sigmoid(gate)
                outputs += (out,)
            for i in tl.static_range(UNROLL):  # stores stand last, so that the loads of all rows may go ahead of them
                at = y + (block.to(tl.int64) * rows + t + i) * channels + d
                tl.store(at, outputs[i].to(y.dtype.element_ty), there & (d * 0 + t + i < stop))
    if final is not None:
        store(final, state, h_re, h_im, known, COMPLEX)
