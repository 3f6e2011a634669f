"""The backward kernels of the scan of Mamba-2, chunk by chunk, in the names of README.md.

H is the state before a chunk, Λ the gradient of that after it. `rows_backward` has the gradients of the inputs,
`vectors_backward` those of B and C, and `steps_backward` those of the steps, by what the two found to pass from step to
step. Sums over heads, tiles and chunks are taken in an order that is always the same.
"""

import triton
import triton.language as tl

from statespace.kernels.ssd.triton.common import between, chunk_of, decays, opened, state_of, tile_of


@triton.jit
def rows_backward(
    x, z, B, C, D, dt, A, dy, sequence_of, bounds, after, dx, driving, skipping, within, x_row, z_row, B_row, C_row,
    dt_row, dy_row, chunks, length, heads, groups, P, N,
    T: tl.constexpr, BP: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """Gradients of x, ``(row, h, p)``, and sums over the channels of a tile, ``(tile, chunk, h, t)``.

    `driving` is x times the gradient of ``u = dt x``, `skipping` x times that of ``D x``, `within` what passes from
    steps before t to t and later ones of the chunk.
    """
    TYPE: tl.constexpr = after.dtype.element_ty
    pid = tl.program_id(0)
    of_p = tl.cdiv(P, BP)
    p = pid % of_p * BP + tl.arange(0, BP)
    head = pid // of_p % heads
    chunk = pid // of_p // heads
    group = head // (heads // groups)
    rows, inside = chunk_of(chunk, sequence_of, bounds, length, T)
    step, sums, total = decays(dt, A, rows * dt_row + head, inside, head)
    place = chunk.to(tl.int64) * heads + head
    scores, of_u = tl.zeros((T, T), TYPE), tl.zeros((T, BP), TYPE)
    for n0 in range(0, N, BN):
        n = n0 + tl.arange(0, BN)
        b = tile_of(B, rows * B_row + group * N, n, N, inside, TYPE)
        c = tile_of(C, rows * C_row + group * N, n, N, inside, TYPE)
        scores += tl.dot(c, tl.trans(b), input_precision="ieee", out_dtype=TYPE)
        adjoint = state_of(after, place * (P * N), p, P, n, N)
        of_u += tl.dot(b, tl.trans(adjoint), input_precision="ieee", out_dtype=TYPE)
    matrix = scores * between(sums, TYPE, T)
    value = tile_of(x, rows * x_row + head * P, p, P, inside, TYPE)
    u = value * step[:, None]
    g = tile_of(dy, rows * dy_row + head * P, p, P, inside, TYPE)
    if z is not None:
        g *= opened(tile_of(z, rows * z_row + head * P, p, P, inside, TYPE))
    of_u *= tl.exp2(total - sums).to(TYPE)[:, None]
    of_u += tl.dot(tl.trans(matrix), g, input_precision="ieee", out_dtype=TYPE)
    of_x = of_u * step[:, None]
    if D is not None:
        of_x += tl.load(D + head) * g
    at = dx + (rows * heads + head)[:, None] * P + p[None, :]
    tl.store(at, of_x.to(dx.dtype.element_ty), inside[:, None] & (p < P)[None, :])
    t = tl.arange(0, T)
    earlier = (t[:, None] < t[None, :]).to(TYPE)
    # The diagonal, what a step gives itself, is no passage. What arrives at t from before k, then from t >= k alone.
    passed = tl.dot(g, tl.trans(u), input_precision="ieee", out_dtype=TYPE) * matrix * tl.trans(earlier)
    passed = tl.dot(passed, earlier, input_precision="ieee", out_dtype=TYPE)
    line = ((pid % of_p).to(tl.int64) * chunks * heads + place) * T + t
    tl.store(driving + line, tl.sum(value * of_u, 1))
    tl.store(skipping + line, tl.sum(value * g, 1))
    tl.store(within + line, tl.sum(tl.where(t[:, None] >= t[None, :], passed, 0), 0))


@triton.jit
def vectors_backward(
    x, z, own, other, dt, A, dy, sequence_of, bounds, before, after, found, passed, through, x_row, z_row, own_row,
    other_row, dt_row, dy_row, chunks, length, heads, groups, P, N,
    T: tl.constexpr, BP: tl.constexpr, BN: tl.constexpr, OF_C: tl.constexpr,
):  # fmt: skip
    """Gradient of C, which is then the `own` vector and B the `other`, or of B; ``(row, g, n)``, over heads of a group.

    And sums over a tile of n, ``(tile, chunk, h, t)``: with C, what passes from before the chunk to step t; with B,
    what passes from t to after it, and `through`, all the way, before its decay, ``(tile, chunk, h)``.
    """
    TYPE: tl.constexpr = after.dtype.element_ty
    pid = tl.program_id(0)
    of_n = tl.cdiv(N, BN)
    n = pid % of_n * BN + tl.arange(0, BN)
    group = pid // of_n % groups
    chunk = pid // of_n // groups
    rows, inside = chunk_of(chunk, sequence_of, bounds, length, T)
    out = tl.zeros((T, BN), TYPE)
    of_group = heads // groups
    for head in range(group * of_group, (group + 1) * of_group):
        step, sums, total = decays(dt, A, rows * dt_row + head, inside, head)
        place = chunk.to(tl.int64) * heads + head
        of_matrix, far = tl.zeros((T, T), TYPE), tl.zeros((T, BN), TYPE)
        passing = tl.zeros((BN,), TYPE)
        for p0 in range(0, P, BP):
            p = p0 + tl.arange(0, BP)
            u = tile_of(x, rows * x_row + head * P, p, P, inside, TYPE) * step[:, None]
            g = tile_of(dy, rows * dy_row + head * P, p, P, inside, TYPE)
            if z is not None:
                g *= opened(tile_of(z, rows * z_row + head * P, p, P, inside, TYPE))
            if OF_C:
                of_matrix += tl.dot(g, tl.trans(u), input_precision="ieee", out_dtype=TYPE)
                h = state_of(before, place * (P * N), p, P, n, N)
                far += tl.dot(g, h, input_precision="ieee", out_dtype=TYPE)
            else:
                of_matrix += tl.dot(u, tl.trans(g), input_precision="ieee", out_dtype=TYPE)
                adjoint = state_of(after, place * (P * N), p, P, n, N)
                far += tl.dot(u, adjoint, input_precision="ieee", out_dtype=TYPE)
                passing += tl.sum(state_of(before, place * (P * N), p, P, n, N) * adjoint, 0)
        decay = between(sums, TYPE, T)
        far *= tl.exp2(sums if OF_C else total - sums).to(TYPE)[:, None]
        of_matrix *= decay if OF_C else tl.trans(decay)
        # The vectors are read again for each head: held, they would take registers.
        met = tile_of(other, rows * other_row + group * N, n, N, inside, TYPE)
        out += tl.dot(of_matrix, met, input_precision="ieee", out_dtype=TYPE) + far
        part = (pid % of_n).to(tl.int64) * chunks * heads + place
        met = tile_of(own, rows * own_row + group * N, n, N, inside, TYPE)
        tl.store(passed + part * T + tl.arange(0, T), tl.sum(met * far, 1))
        if not OF_C:
            tl.store(through + part, tl.sum(passing, 0))
    at = found + (rows * groups + group)[:, None] * N + n[None, :]
    tl.store(at, out.to(found.dtype.element_ty), inside[:, None] & (n < N)[None, :])


@triton.jit
def steps_backward(
    dt, A, sequence_of, bounds, driving, skipping, within, carried, leaving, through, ddt, dA, dD, dt_row, chunks,
    length, heads,
    T: tl.constexpr, OF_P: tl.constexpr, OF_N: tl.constexpr,
):  # fmt: skip
    """Gradients of the steps, ``(row, h)``, and each chunk's part of those of A and D, ``(chunk, h)``, in float64.

    The exponent of step k scales all that passes from before k to k or later.
    """
    pid = tl.program_id(0)
    head = pid % heads
    chunk = pid // heads
    rows, inside = chunk_of(chunk, sequence_of, bounds, length, T)
    step, _, total = decays(dt, A, rows * dt_row + head, inside, head)
    place = chunk.to(tl.int64) * heads + head
    t = tl.arange(0, T)
    zero = tl.zeros((T,), tl.float64)
    drives, skips, inner, arrives, leaves = zero, zero, zero, zero, zero
    passes = tl.sum(zero, 0)
    part = place
    for _ in range(OF_P):
        drives += tl.load(driving + part * T + t)
        skips += tl.load(skipping + part * T + t)
        inner += tl.load(within + part * T + t)
        part += chunks * heads
    part = place
    for _ in range(OF_N):
        arrives += tl.load(carried + part * T + t)
        leaves += tl.load(leaving + part * T + t)
        passes += tl.load(through + part)
        part += chunks * heads
    later = tl.sum(arrives, 0) - tl.cumsum(arrives, 0) + arrives
    earlier = tl.cumsum(leaves, 0) - leaves
    exponents = inner + later + earlier + passes * tl.exp2(total)
    of_step = drives + exponents * tl.load(A + head).to(tl.float64)
    tl.store(ddt + rows * heads + head, of_step.to(ddt.dtype.element_ty), inside)
    tl.store(dA + place, tl.sum(exponents * step.to(tl.float64), 0))
    tl.store(dD + place, tl.sum(skips, 0))
