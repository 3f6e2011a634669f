"""The backward kernels of the selective scan: the adjoint recurrence, from the last row of each piece to its first.

With g the gradient of a state, ``g[t] = C[t] dy[t] + a[t+1] g[t+1]``. `scan_backward` runs whole pieces. Where there
are several in a sequence, `adjoint_ends` runs through them before, each from a g of zero after its last row, and
`carry` (forward.py) makes of what they arrive at the g that each one starts from.

A state is needed again on the way back. Segments are short enough that those of one, recomputed from the state saved at
its first row, stay in the cache between the two passes.
"""

import triton
import triton.language as tl

from statespace.kernels.gpu.triton import LN2, QUARTER, load, rows_of, sigmoid, store, times
from statespace.kernels.selective_scan.triton.common import (
    TRAPEZOIDAL,
    ZOH,
    channels_of,
    decay,
    poles,
    step_size,
    step_slope,
    vector,
    weighed,
    weight,
    weight_slope,
)


@triton.jit
def adjoint_ends(
    dt, A, C, z, bias, bounds, dy, end, total, dt_row, z_row, dy_row, length, pieces, steps, channels, groups,
    N: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr, COMPLEX: tl.constexpr, SOFTPLUS: tl.constexpr,
    VARYING_C: tl.constexpr,
):  # fmt: skip
    """Gradient of the state before each piece from zero after it, and the sum of its steps; laid out as by `ends`."""
    TYPE: tl.constexpr = A.dtype.element_ty
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
    shift = 0.0 if bias is None else tl.load(bias + d, there, other=0)
    if not VARYING_C:
        c_re, c_im = load(C, table, known, COMPLEX)
    g_re, g_im = tl.zeros((BN, BD), TYPE), tl.zeros((BN, BD), TYPE)
    sum_of_steps = tl.zeros((BD,), TYPE)
    for i in range(stop - start):
        row = stop - 1 - i
        delta = step_size(tl.load(dt + row * dt_row + d, there, other=0).to(TYPE) + shift, True, SOFTPLUS)
        out = tl.load(dy + row * dy_row + d, there, other=0).to(TYPE)
        if z is not None:
            gate = tl.load(z + row * z_row + d, there, other=0).to(TYPE)
            out *= gate * sigmoid(gate)
        if VARYING_C:
            c_re, c_im = vector(C, row, group, groups, n, N, COMPLEX)
        g_re += c_re * out[None, :]
        if COMPLEX:
            g_im -= c_im * out[None, :]
        a_re, a_im = decay(rates, turns, rest, delta[None, :], COMPLEX)
        g_re, g_im = times(a_re, -a_im, g_re, g_im, COMPLEX)
        sum_of_steps += delta
    store(end, place.to(tl.int64) * N * channels + table, g_re, g_im, known, COMPLEX)
    tl.store(total + place.to(tl.int64) * channels + d, sum_of_steps, there & (d * 0 + block == 0))


@triton.jit
def scan_backward(
    u, dt, A, B, C, D, z, bias, bounds, saved, after, dy, du, ddt, dA, dB, dC, dD, dz, dbias, before, scratch,
    u_row, dt_row, z_row, dy_row, rows, length, pieces, steps, channels, groups,
    N: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr, COMPLEX: tl.constexpr, METHOD: tl.constexpr,
    SOFTPLUS: tl.constexpr, VARYING_B: tl.constexpr, VARYING_C: tl.constexpr, SEGMENT: tl.constexpr,
):  # fmt: skip
    """Gradients, in parts that are summed afterwards, in an order that is always the same.

    `du`, `ddt` and `dz` are ``(block, row, d)``; `dA` is ``(place, n, d)`` and so are `dB` and `dC` if they do not
    vary, else ``(tile of the group, row, group, n)``; `dD` is ``(place, d)``, `dbias` ``(block, place, d)``. `after` is
    the gradient of the state after each piece, or None for zeros; that of the state before it goes to `before`.
    """
    TYPE: tl.constexpr = A.dtype.element_ty
    pid = tl.program_id(0)
    tiles = groups * tl.cdiv(channels // groups, BD)
    blocks: tl.constexpr = (N + BN - 1) // BN
    group, tile, d, there = channels_of(pid % tiles, channels, groups, BD)
    block = pid // tiles % blocks
    n = block * BN + tl.arange(0, BN)
    known = (n < N)[:, None] & there[None, :]
    place = (pid // tiles // blocks).to(tl.int64)
    places = tl.num_programs(0) // tiles // blocks
    first, start, stop = rows_of(place // pieces, place % pieces, bounds, length, steps)
    table = n[:, None].to(tl.int64) * channels + d[None, :]
    state = place * N * channels + table
    rates, turns, rest = poles(A, table, known, N * channels, COMPLEX)
    shift = 0.0 if bias is None else tl.load(bias + d, there, other=0)
    through = 0.0 if D is None else tl.load(D + d, there & (d * 0 + block == 0), other=0)
    W: tl.constexpr = 2 if COMPLEX else 1
    if not VARYING_B:
        b_re, b_im = load(B, table, known, COMPLEX)
        sum_B_re, sum_B_im = tl.zeros((BN, BD), TYPE), tl.zeros((BN, BD), TYPE)
    if not VARYING_C:
        c_re, c_im = load(C, table, known, COMPLEX)
        sum_C_re, sum_C_im = tl.zeros((BN, BD), TYPE), tl.zeros((BN, BD), TYPE)
    if after is None:
        g_re, g_im = tl.zeros((BN, BD), TYPE), tl.zeros((BN, BD), TYPE)
    else:
        g_re, g_im = load(after, state, known, COMPLEX)
    sum_A_re, sum_A_im = tl.zeros((BN, BD), TYPE), tl.zeros((BN, BD), TYPE)
    sum_D = tl.zeros((BD,), TYPE)
    sum_bias = tl.zeros((BD,), TYPE)
    of_lane = tl.arange(0, BN)[:, None] * BD + tl.arange(0, BD)[None, :]
    kept = scratch + pid.to(tl.int64) * SEGMENT * W * BN * BD + of_lane
    segments = tl.cdiv(stop - start, SEGMENT)
    at = (first // SEGMENT + place // pieces + (start - first) // SEGMENT + segments - 1) * N * channels + table
    for s in range(segments):
        t0 = start + (segments - 1 - s) * SEGMENT
        count = tl.minimum(SEGMENT, stop - t0)
        h_re, h_im = load(saved, at, known, COMPLEX)
        at -= N * channels
        for i in range(count):
            row = t0 + i
            tl.store(kept + i * (W * BN * BD), h_re)
            if COMPLEX:
                tl.store(kept + (2 * i + 1) * (BN * BD), h_im)
            delta = step_size(tl.load(dt + row * dt_row + d, there, other=0).to(TYPE) + shift, True, SOFTPLUS)
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
        tl.debug_barrier()
        for i in range(count):
            row = t0 + count - 1 - i
            raw = tl.load(dt + row * dt_row + d, there, other=0).to(TYPE) + shift
            delta = step_size(raw, True, SOFTPLUS)
            x = tl.load(u + row * u_row + d, there, other=0).to(TYPE)
            out = tl.load(dy + row * dy_row + d, there, other=0).to(TYPE)
            if VARYING_B:
                b_re, b_im = vector(B, row, group, groups, n, N, COMPLEX)
            if VARYING_C:
                c_re, c_im = vector(C, row, group, groups, n, N, COMPLEX)
            a_re, a_im = decay(rates, turns, rest, delta[None, :], COMPLEX)
            w_re, w_im = weight(delta[None, :], a_re, a_im, rates, turns, METHOD, COMPLEX)
            p_re = tl.load(kept + (count - 1 - i) * (W * BN * BD))
            p_im = tl.load(kept + (2 * (count - 1 - i) + 1) * (BN * BD)) if COMPLEX else p_re
            p_re, p_im = times(a_re, a_im, p_re, p_im, COMPLEX)
            v_re, v_im = weighed(w_re, w_im, x[None, :], b_re, b_im, METHOD, COMPLEX)
            seen_re = p_re + (0.5 * v_re if METHOD == TRAPEZOIDAL else v_re)
            seen_im = p_im + (0.5 * v_im if METHOD == TRAPEZOIDAL else v_im)
            part = (block.to(tl.int64) * rows + row) * channels + d
            if z is not None:
                gate = tl.load(z + row * z_row + d, there, other=0).to(TYPE)
                opened = sigmoid(gate)
                slope = out * opened * (1 + gate * (1 - opened))
                shown = c_re * seen_re - c_im * seen_im if COMPLEX else c_re * seen_re
                of_z = slope * (tl.sum(shown, 0) + through * x)
                tl.store(dz + part, of_z.to(dz.dtype.element_ty), there)
                out *= gate * opened
            # What A, B and C are multiplied by comes back conjugated.
            from_y_re, from_y_im = c_re * out[None, :], -c_im * out[None, :]
            g_re += from_y_re
            if COMPLEX:
                g_im += from_y_im
            of_v_re = g_re - 0.5 * from_y_re if METHOD == TRAPEZOIDAL else g_re
            of_v_im = g_im - 0.5 * from_y_im if METHOD == TRAPEZOIDAL else g_im
            of_a_re, of_a_im = times(p_re, -p_im, g_re, g_im, COMPLEX)
            of_x_re, of_x_im = times(b_re, -b_im, of_v_re, of_v_im, COMPLEX)
            sum_A_re += delta[None, :] * of_a_re
            if COMPLEX:
                sum_A_im += delta[None, :] * of_a_im
            if METHOD == ZOH:
                felt_re, felt_im = times(w_re, -w_im, of_x_re, of_x_im, COMPLEX)
                of_x = tl.sum(felt_re, 0)
                felt_re, felt_im = times(a_re, -a_im, of_x_re, of_x_im, COMPLEX)
                of_step = x * tl.sum(felt_re, 0)
                bend_re, bend_im = weight_slope(delta[None, :], a_re, a_im, rates, turns, COMPLEX)
                felt_re, felt_im = times(bend_re, -bend_im, of_x_re, of_x_im, COMPLEX)
                sum_A_re += felt_re * x[None, :]
                if COMPLEX:
                    sum_A_im += felt_im * x[None, :]
            else:
                of_drive = tl.sum(of_x_re, 0)
                of_x = of_drive * delta
                of_step = of_drive * x
            if COMPLEX:
                of_step += tl.sum(rates * of_a_re * LN2 + turns * of_a_im * QUARTER, 0)
            else:
                of_step += LN2 * tl.sum(rates * of_a_re, 0)
            of_raw = of_step * step_slope(raw, SOFTPLUS)
            tl.store(du + part, (of_x + through * out).to(du.dtype.element_ty), there)
            tl.store(ddt + part, of_raw.to(ddt.dtype.element_ty), there)
            sum_bias += of_raw
            sum_D += out * x
            line = ((tile.to(tl.int64) * rows + row) * groups + group) * N + n
            of_b_re, of_b_im = weighed(w_re, -w_im, x[None, :], of_v_re, of_v_im, METHOD, COMPLEX)
            of_c_re, of_c_im = seen_re * out[None, :], -seen_im * out[None, :]
            if VARYING_B:
                total_im = tl.sum(of_b_im, 1) if COMPLEX else of_raw
                store(dB, line, tl.sum(of_b_re, 1), total_im, n < N, COMPLEX)
            else:
                sum_B_re += of_b_re
                if COMPLEX:
                    sum_B_im += of_b_im
            if VARYING_C:
                total_im = tl.sum(of_c_im, 1) if COMPLEX else of_raw
                store(dC, line, tl.sum(of_c_re, 1), total_im, n < N, COMPLEX)
            else:
                sum_C_re += of_c_re
                if COMPLEX:
                    sum_C_im += of_c_im
            g_re, g_im = times(a_re, -a_im, g_re, g_im, COMPLEX)
        tl.debug_barrier()
    store(dA, state, sum_A_re, sum_A_im, known, COMPLEX)
    if not VARYING_B:
        store(dB, state, sum_B_re, sum_B_im, known, COMPLEX)
    if not VARYING_C:
        store(dC, state, sum_C_re, sum_C_im, known, COMPLEX)
    if before is not None:
        store(before, state, g_re, g_im, known, COMPLEX)
    tl.store(dD + place * channels + d, sum_D, there & (d * 0 + block == 0))
    tl.store(dbias + (block * places + place) * channels + d, sum_bias, there)
