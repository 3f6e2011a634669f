"""One step of the selective scan on a GPU, by Triton: a program has some channels, and all states of each.

The states of a channel lie next to each other, so lanes of a warp read neighbours, and a sum across them is left for
each channel. Every number of the state is read and written once, which is nearly all that a step moves.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from statespace.kernels import gpu
from statespace.kernels.gpu.triton import LOG2E, load, sigmoid, softplus, store, times
from statespace.kernels.selective_scan.triton.call import METHODS
from statespace.kernels.selective_scan.triton.common import TRAPEZOIDAL, decay, weighed, weight

NUMBERS, WARPS = 512, 4  # numbers of the state in one program
QUARTERS = tl.constexpr(0.6366197723675814)  # of a turn in 1 rad: 2 / pi, and what its rounding takes away
REST, REST_32 = tl.constexpr(-3.935735335036497e-17), tl.constexpr(2.5682552973985813e-08)
_LIBRARY = torch.library.Library("statespace", "FRAGMENT")  # lives as long as its operator is wanted
_NAME = "selective_state_update_triton"


@triton.jit
def step(
    state, x, dt, A, B, C, D, z, bias, y, x_row, dt_row, z_row, B_row, C_row, B_group, C_group, channels, groups,
    N: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr, COMPLEX: tl.constexpr, METHOD: tl.constexpr,
    SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """Step once: `state` is ``(b, d, n)``, A ``(d, n)``; complex numbers are pairs of neighbours."""
    TYPE: tl.constexpr = state.dtype.element_ty
    pid = tl.program_id(0)
    tiles = tl.cdiv(channels, BD)
    batch = (pid // tiles).to(tl.int64)
    d = (pid % tiles).to(tl.int64) * BD + tl.arange(0, BD)
    there = d < channels
    n = tl.arange(0, BN)
    known = there[:, None] & (n < N)[None, :]
    table = d[:, None] * N + n[None, :]
    of_group = (d // (channels // groups))[:, None]
    raw = tl.load(dt + batch * dt_row + d, there, other=0).to(TYPE)
    if bias is not None:
        raw += tl.load(bias + d, there, other=0).to(TYPE)
    delta = softplus(raw) if SOFTPLUS else raw
    value = tl.load(x + batch * x_row + d, there, other=0).to(TYPE)
    a_re, a_im = load(A, table, known, COMPLEX)
    b_re, b_im = load(B, batch * B_row + of_group * B_group + n[None, :], known, COMPLEX)
    c_re, c_im = load(C, batch * C_row + of_group * C_group + n[None, :], known, COMPLEX)
    b_re, b_im, c_re, c_im = b_re.to(TYPE), b_im.to(TYPE), c_re.to(TYPE), c_im.to(TYPE)
    h_re, h_im = load(state, batch * channels * N + table, known, COMPLEX)
    # Angles in quarter turns, and what the rounding of these takes away.
    rates, per = a_re * LOG2E, a_re * 0 + QUARTERS
    turns = a_im * per
    rest = tl.fma(a_im, per, -turns) + a_im * (REST if TYPE == tl.float64 else REST_32)
    e_re, e_im = decay(rates, turns, rest, delta[:, None], COMPLEX)
    w_re, w_im = weight(delta[:, None], e_re, e_im, rates, turns, METHOD, COMPLEX)
    v_re, v_im = weighed(w_re, w_im, value[:, None], b_re, b_im, METHOD, COMPLEX)
    h_re, h_im = times(e_re, e_im, h_re, h_im, COMPLEX)
    h_re += v_re
    seen = c_re * (h_re - 0.5 * v_re if METHOD == TRAPEZOIDAL else h_re)
    if COMPLEX:
        h_im += v_im
        seen -= c_im * (h_im - 0.5 * v_im if METHOD == TRAPEZOIDAL else h_im)
    store(state, batch * channels * N + table, h_re, h_im, known, COMPLEX)
    out = tl.sum(seen, 1)
    if D is not None:
        out += tl.load(D + d, there, other=0).to(TYPE) * value
    if z is not None:
        gate = tl.load(z + batch * z_row + d, there, other=0).to(TYPE)
        out *= gate * sigmoid(gate)
    tl.store(y + batch * channels + d, out.to(y.dtype.element_ty), there)


def launch(
    state: Tensor,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
    dt_softplus: bool,
    method: str,
) -> Tensor:
    """Step with arguments that were checked. A state that is not contiguous is copied, and back."""
    batch, channels, states = state.shape
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    BN = 1 << (states - 1).bit_length()
    BD = max(1, NUMBERS // BN)

    def rows(value: Tensor) -> Tensor:
        return value if value.stride(-1) == 1 or value.shape[-1] == 1 else value.contiguous()

    here, A = state.contiguous(), A.to(state.dtype).contiguous()
    B, C = (rows(value.to(state.dtype) if state.is_complex() else value) for value in (B, C))
    x, dt, z = rows(x), rows(dt), None if z is None else rows(z)
    options: dict[str, Any] = {"METHOD": METHODS[method], "SOFTPLUS": dt_softplus, "COMPLEX": state.is_complex()}
    with gpu.on(x):
        step[(batch * -(-channels // BD),)](
            gpu.numbers(here), x, dt, *map(gpu.numbers, (A, B, C)), None if D is None else D.contiguous(), z,
            None if dt_bias is None else dt_bias.contiguous(), y, x.stride(0), dt.stride(0),
            0 if z is None else z.stride(0), B.stride(0), C.stride(0), B.stride(1), C.stride(1), channels, B.shape[1],
            N=states, BN=BN, BD=BD, **options, **gpu.options(warps=WARPS),
        )  # fmt: skip
    if here is state:
        torch.autograd.graph.increment_version(state)
    else:
        state.copy_(here)
    return y


_LIBRARY.define(
    f"{_NAME}(Tensor(a!) state, Tensor x, Tensor dt, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, "
    "Tensor? dt_bias, bool dt_softplus, str method) -> Tensor"
)
for _device in ("CPU", "CUDA"):  # on the CPU it is interpreted
    _LIBRARY.impl(_NAME, launch, _device)
torch.library.register_fake(f"statespace::{_NAME}", lambda _, x, *__: x.new_empty(x.shape), lib=_LIBRARY)
selective_state_update: Any = getattr(torch.ops.statespace, _NAME).default
