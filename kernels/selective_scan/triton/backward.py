"""The backward kernels of the selective scan: the adjoint recurrence, from the last row of each piece to its first.

With g the gradient of a state, ``g[t] = C[t] dy[t] + a[t+1] g[t+1]``. `scan_backward` runs whole pieces. Where there
are several in a sequence, `adjoint_ends` runs through them before, each from a g of zero after its last row, and
`carry` (forward.py) makes of what they arrive at the g that each one starts from.

A state is needed again on the way back. Segments are short enough that those of one, recomputed from the state saved at
its first row, stay in the cache between the two passes.
"""

import triton
import triton.language as tl

from statespace.kernels.gpu.triton import LN2, LOG2E, rows_of, sigmoid
from statespace.kernels.selective_scan.triton.common import (
    TRAPEZOIDAL,
    ZOH,
    channels_of,
    step_size,
    step_slope,
    vector,
    weight,
    weight_slope,
)


@triton.jit
def adjoint_ends(
    dt, A, C, z, bias, bounds, dy, end, total, dt_row, z_row, dy_row, length, pieces, steps, channels, groups,
    N: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr, SOFTPLUS: tl.constexpr, VARYING_C: tl.constexpr,
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
    table = n[:, None] * channels + d[None, :]
    A2 = tl.load(A + table, known, other=0) * LOG2E
    shift = 0.0 if bias is None else tl.load(bias + d, there, other=0)
    if not VARYING_C:
        c = tl.load(C + table, known, other=0)
    g = tl.zeros((BN, BD), TYPE)
    sum_of_steps = tl.zeros((BD,), TYPE)
    for i in range(stop - start):
        row = stop - 1 - i
        delta = step_size(tl.load(dt + row * dt_row + d, there, other=0).to(TYPE) + shift, True, SOFTPLUS)
        out = tl.load(dy + row * dy_row + d, there, other=0).to(TYPE)
        if z is not None:
            gate = tl.load(z + row * z_row + d, there, other=0).to(TYPE)
            out *= gate * sigmoid(gate)
        if VARYING_C:
            c = vector(C, row, group, groups, n, N)
        g = tl.exp2(A2 * delta[None, :]) * (g + c * out[None, :])
        sum_of_steps += delta
    tl.store(end + (place.to(tl.int64) * N + n[:, None]) * channels + d[None, :], g, known)
    tl.store(total + place.to(tl.int64) * channels + d, sum_of_steps, there & (d * 0 + block == 0))


@triton.jit
def scan_backward(
    u, dt, A, B, C, D, z, bias, bounds, saved, after, dy, du, ddt, dA, dB, dC, dD, dz, dbias, before, scratch,
    u_row, dt_row, z_row, dy_row, rows, length, pieces, steps, channels, groups,
    N: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr, METHOD: tl.constexpr, SOFTPLUS: tl.constexpr,
    VARYING_B: tl.constexpr, VARYING_C: tl.constexpr, SEGMENT: tl.constexpr,
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
    table = n[:, None] * channels + d[None, :]
    state = place * N * channels + table
    A2 = tl.load(A + table, known, other=0) * LOG2E
    shift = 0.0 if bias is None else tl.load(bias + d, there, other=0)
    through = 0.0 if D is None else tl.load(D + d, there & (d * 0 + block == 0), other=0)
    if not VARYING_B:
        b = tl.load(B + table, known, other=0)
        sum_B = tl.zeros((BN, BD), TYPE)
    if not VARYING_C:
        c = tl.load(C + table, known, other=0)
        sum_C = tl.zeros((BN, BD), TYPE)
    g = tl.zeros((BN, BD), TYPE) if after is None else tl.load(after + state, known, other=0)
    sum_A = tl.zeros((BN, BD), TYPE)
    sum_D = tl.zeros((BD,), TYPE)
    sum_bias = tl.zeros((BD,), TYPE)
    of_lane = tl.arange(0, BN)[:, None] * BD + tl.arange(0, BD)[None, :]
    kept = scratch + pid.to(tl.int64) * SEGMENT * BN * BD + of_lane
    segments = tl.cdiv(stop - start, SEGMENT)
    at = (first // SEGMENT + place // pieces + (start - first) // SEGMENT + segments - 1) * N * channels + table
    for s in range(segments):
        t0 = start + (segments - 1 - s) * SEGMENT
        count = tl.minimum(SEGMENT, stop - t0)
        h = tl.load(saved + at, known, other=0)
        at -= N * channels
        for i in range(count):
            row = t0 + i
            tl.store(kept + i * (BN * BD), h)
            delta = step_size(tl.load(dt + row * dt_row + d, there, other=0).to(TYPE) + shift, True, SOFTPLUS)
            x = tl.load(u + row * u_row + d, there, other=0).to(TYPE)
            if VARYING_B:
                b = vector(B, row, group, groups, n, N)
            a = tl.exp2(A2 * delta[None, :])
            h = a * h + b * (weight(delta[None, :], a, A2, METHOD) * x[None, :])
        tl.debug_barrier()
        for i in range(count):
            row = t0 + count - 1 - i
            raw = tl.load(dt + row * dt_row + d, there, other=0).to(TYPE) + shift
            delta = step_size(raw, True, SOFTPLUS)
            x = tl.load(u + row * u_row + d, there, other=0).to(TYPE)
            out = tl.load(dy + row * dy_row + d, there, other=0).to(TYPE)
            if VARYING_B:
                b = vector(B, row, group, groups, n, N)
            if VARYING_C:
                c = vector(C, row, group, groups, n, N)
            a = tl.exp2(A2 * delta[None, :])
            w = weight(delta[None, :], a, A2, METHOD)
            past = a * tl.load(kept + (count - 1 - i) * (BN * BD))
            drive = b * (w * x[None, :])
            seen = past + (0.5 * drive if METHOD == TRAPEZOIDAL else drive)
            part = (block.to(tl.int64) * rows + row) * channels + d
            if z is not None:
                gate = tl.load(z + row * z_row + d, there, other=0).to(TYPE)
                opened = sigmoid(gate)
                slope = out * opened * (1 + gate * (1 - opened))
                of_z = slope * (tl.sum(c * seen, 0) + through * x)
                tl.store(dz + part, of_z.to(dz.dtype.element_ty), there)
                out *= gate * opened
            from_y = c * out[None, :]
            g += from_y
            of_drive = g - 0.5 * from_y if METHOD == TRAPEZOIDAL else g
            of_a = g * past
            if METHOD == ZOH:
                of_x = tl.sum(of_drive * b * w, 0)
                of_step = x * tl.sum(of_drive * b * a, 0)
                sum_A += delta[None, :] * of_a + of_drive * b * (x[None, :] * weight_slope(delta[None, :], a, A2))
            else:
                of_v = tl.sum(of_drive * b, 0)
                of_x = of_v * delta
                of_step = of_v * x
                sum_A += delta[None, :] * of_a
            of_step += LN2 * tl.sum(A2 * of_a, 0)
            of_raw = of_step * step_slope(raw, SOFTPLUS)
            tl.store(du + part, (of_x + through * out).to(du.dtype.element_ty), there)
            tl.store(ddt + part, of_raw.to(ddt.dtype.element_ty), there)
            sum_bias += of_raw
            sum_D += out * x
            line = ((tile.to(tl.int64) * rows + row) * groups + group) * N + n
            of_b = of_drive * (w * x[None, :])
            of_c = seen * out[None, :]
            if VARYING_B:
                tl.store(dB + line, tl.sum(of_b, 1), n < N)
            else:
                sum_B += of_b
            if VARYING_C:
                tl.store(dC + line, tl.sum(of_c, 1), n < N)
            else:
                sum_C += of_c
            g *= a
        tl.debug_barrier()
    tl.store(dA + state, sum_A, known)
    if not VARYING_B:
        tl.store(dB + state, sum_B, known)
    if not VARYING_C:
        tl.store(dC + state, sum_C, known)
    if before is not None:
        tl.store(before + state, g, known)
    tl.store(dD + place * channels + d, sum_D, there & (d * 0 + block == 0))
    tl.store(dbias + (block * places + place) * channels + d, sum_bias, there)
