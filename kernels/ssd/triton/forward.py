"""The forward kernels of the scan of Mamba-2: what chunks add to the state, the states before them, and the outputs."""

import triton
import triton.language as tl

from statespace.kernels.gpu.triton import sigmoid
from statespace.kernels.ssd.triton.common import between, chunk_of, decays, opened, state_of, tile_of


@triton.jit
def ends(
    x, z, B, dt, A, sequence_of, bounds, end, whole, x_row, z_row, B_row, dt_row, length, heads, groups, P, N,
    T: tl.constexpr, BP: tl.constexpr, BN: tl.constexpr, ADJOINT: tl.constexpr,
):  # fmt: skip
    """What a chunk adds to the state after it, ``end (chunk, h, p, n)``, and its decay, ``whole (chunk, h)``.

    Adjoint: what it adds to the gradient of the state before it, by the gradients `x` of its gated outputs and C for B.
    """
    TYPE: tl.constexpr = end.dtype.element_ty
    pid = tl.program_id(0)
    of_p, of_n = tl.cdiv(P, BP), tl.cdiv(N, BN)
    p, n = pid % of_p * BP + tl.arange(0, BP), pid // of_p % of_n * BN + tl.arange(0, BN)
    head = pid // of_p // of_n % heads
    chunk = pid // of_p // of_n // heads
    group = head // (heads // groups)
    rows, inside = chunk_of(chunk, sequence_of, bounds, length, T)
    step, sums, total = decays(dt, A, rows * dt_row + head, inside, head)
    value = tile_of(x, rows * x_row + head * P, p, P, inside, TYPE)
    if ADJOINT:
        if z is not None:
            value *= opened(tile_of(z, rows * z_row + head * P, p, P, inside, TYPE))
        scale = tl.exp2(sums).to(TYPE)
    else:
        scale = step * tl.exp2(total - sums).to(TYPE)
    vectors = tile_of(B, rows * B_row + group * N, n, N, inside, TYPE)
    found = tl.dot(tl.trans(value * scale[:, None]), vectors, input_precision="ieee", out_dtype=TYPE)
    place = chunk.to(tl.int64) * heads + head
    at = end + place * (P * N) + p[:, None] * N + n[None, :]
    tl.store(at, found, (p < P)[:, None] & (n < N)[None, :])
    tl.store(whole + place, tl.exp2(total).to(TYPE), pid % (of_p * of_n) == 0)


@triton.jit
def carry(
    end, whole, initial, final, bounds, length, heads,
    SIZE: tl.constexpr, T: tl.constexpr, BE: tl.constexpr, REVERSE: tl.constexpr,
):  # fmt: skip
    """Replace what each chunk adds by the state that it starts from, ``(chunk, h, p n)``; the last goes to `final`.

    `initial` and `final` are ``(sequence, h, p n)``. In reverse, states are adjoint and `initial` comes after the end.
    """
    pid = tl.program_id(0)
    tiles: tl.constexpr = (SIZE + BE - 1) // BE
    at = pid % tiles * BE + tl.arange(0, BE)
    known = at < SIZE
    head = pid // tiles % heads
    sequence = (pid // tiles // heads).to(tl.int64)
    if bounds is None:
        chunks = tl.cdiv(length, T)
        first = sequence * chunks
    else:
        begin = tl.load(bounds + sequence)
        chunks = tl.cdiv(tl.load(bounds + sequence + 1) - begin, T)
        first = begin // T + sequence
    here = (sequence * heads + head) * SIZE + at
    h = tl.zeros((BE,), end.dtype.element_ty) if initial is None else tl.load(initial + here, known, other=0)
    for i in range(chunks):
        place = (first + (chunks - 1 - i if REVERSE else i)) * heads + head
        found = tl.load(end + place * SIZE + at, known, other=0)
        tl.store(end + place * SIZE + at, h, known)
        h = tl.load(whole + place) * h + found
    tl.store(final + here, h, known)


@triton.jit
def outputs(
    x, z, B, C, D, dt, A, dy, sequence_of, bounds, before, y, x_row, z_row, B_row, C_row, dt_row, dy_row, length, heads,
    groups, P, N,
    T: tl.constexpr, BP: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """Outputs of a chunk, ``(row, h, p)``, from its inputs and from the states before it, ``(chunk, h, p, n)``.

    With the gradients of the outputs, `dy`, it is those of the gate that go to `y`.
    """
    TYPE: tl.constexpr = before.dtype.element_ty
    pid = tl.program_id(0)
    of_p = tl.cdiv(P, BP)
    p = pid % of_p * BP + tl.arange(0, BP)
    head = pid // of_p % heads
    chunk = pid // of_p // heads
    group = head // (heads // groups)
    rows, inside = chunk_of(chunk, sequence_of, bounds, length, T)
    step, sums, _ = decays(dt, A, rows * dt_row + head, inside, head)
    state = (chunk.to(tl.int64) * heads + head) * (P * N)
    scores, out = tl.zeros((T, T), TYPE), tl.zeros((T, BP), TYPE)
    for n0 in range(0, N, BN):
        n = n0 + tl.arange(0, BN)
        b = tile_of(B, rows * B_row + group * N, n, N, inside, TYPE)
        c = tile_of(C, rows * C_row + group * N, n, N, inside, TYPE)
        scores += tl.dot(c, tl.trans(b), input_precision="ieee", out_dtype=TYPE)
        h = state_of(before, state, p, P, n, N)
        out += tl.dot(c, tl.trans(h), input_precision="ieee", out_dtype=TYPE)
    out *= tl.exp2(sums).to(TYPE)[:, None]
    value = tile_of(x, rows * x_row + head * P, p, P, inside, TYPE)
    matrix = scores * between(sums, TYPE, T)
    out += tl.dot(matrix, value * step[:, None], input_precision="ieee", out_dtype=TYPE)
    if D is not None:
        out += tl.load(D + head) * value
    if z is not None:
        gate = tile_of(z, rows * z_row + head * P, p, P, inside, TYPE)
        if dy is None:
            out *= opened(gate)
        else:
            share = sigmoid(gate)
            out *= share * (1 + gate * (1 - share)) * tile_of(dy, rows * dy_row + head * P, p, P, inside, TYPE)
    at = y + (rows * heads + head)[:, None] * P + p[None, :]
    tl.store(at, out.to(y.dtype.element_ty), inside[:, None] & (p < P)[None, :])
