"""One step of the selective scan by the compiled core (kernels/native/selective_state_update*): CPU.

A step of a stream takes less time than torch needs to look up an operator. So there are two ways to the core: `direct`,
for plain tensors that fit as they are, and the operator for everything else, graphs that are traced among it.
"""

import ctypes
import struct
from functools import cache
from typing import Any

import torch
from torch import Tensor

from statespace.kernels import native as core

RULES = {"euler-b": 0, "zoh": 1, "exponential-trapezoidal": 2}
_WIDE = {torch.float32: torch.float32, torch.float64: torch.float64} | dict.fromkeys(
    (torch.bfloat16, torch.float16), torch.float32
)
_COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}
# The C struct ``statespace::SelectiveStateUpdate`` of kernels/native/selective_state_update.h: 27 fields of 8 bytes.
_pack = struct.Struct("27q").pack
_PLAIN = {Tensor, torch.nn.Parameter, type(None)}
_LIBRARY = torch.library.Library("statespace", "FRAGMENT")  # lives as long as its operator is wanted
_NAME = "selective_state_update_native"


@cache
def _entry() -> Any:
    """The function of the core, or None where there is no core."""
    if core.why_missing():
        return None
    function = core.library().statespace_selective_state_update
    function.argtypes = [ctypes.c_char_p]
    return function


def _step(
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
    instruction_set: int,
) -> Tensor | None:
    """Step with memory as it is; None, and nothing done, where its shape, type or layout is not what the core reads."""
    batch, channels, states = state.shape
    rows, vectors, row_dtype, held = (batch, channels), B.shape, x.dtype, state.dtype
    wide = _WIDE.get(row_dtype)
    x_stride, dt_stride, B_stride, C_stride = x.stride(), dt.stride(), B.stride(), C.stride()
    groups = vectors[1] if len(vectors) == 3 else 1
    if not (
        wide is not None
        and len(vectors) in (2, 3)
        and held is (wide if (is_real := not held.is_complex) else _COMPLEX[wide])
        and A.dtype is held
        and dt.dtype is row_dtype
        and B.dtype is C.dtype is (row_dtype if is_real else held)
        and x.shape == rows == dt.shape
        and A.shape == (channels, states)
        and vectors == C.shape
        and vectors[0] == batch
        and vectors[-1] == states
        and groups
        and channels % groups == 0
        and x_stride[-1] == 1 == dt_stride[-1]
        and B_stride[-1] == 1 == C_stride[-1]
        and state.is_contiguous()
        and A.is_contiguous()
        and (is_real or not (state.is_conj() or A.is_conj() or B.is_conj() or C.is_conj()))
    ):
        return None
    z_stride = 0
    if z is not None:
        if z.shape != rows or z.dtype is not row_dtype:
            return None
        z_stride, one = z.stride()
        if one != 1:
            return None
    for vector in (D, dt_bias):
        if vector is not None and not (vector.shape == (channels,) and vector.dtype is wide and vector.is_contiguous()):
            return None
    y = torch.empty_like(x)  # contiguous, as the last axis of x is
    call = _pack(
        batch, channels, groups, states,
        core.DTYPES[row_dtype], not is_real, RULES[method], dt_softplus, torch.get_num_threads(), instruction_set,
        state.data_ptr(), x.data_ptr(), x_stride[0], dt.data_ptr(), dt_stride[0], A.data_ptr(),
        B.data_ptr(), B_stride[0], B_stride[-2], C.data_ptr(), C_stride[0], C_stride[-2],
        0 if D is None else D.data_ptr(), 0 if z is None else z.data_ptr(), z_stride,
        0 if dt_bias is None else dt_bias.data_ptr(), y.data_ptr(),
    )  # fmt: skip
    if _entry()(call):
        raise MemoryError("selective_state_update: no memory left to share the work among threads.")
    return y


def direct(
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
) -> Tensor | None:
    """Step past torch's dispatcher, or return None, and do nothing, where that does not do.

    It does for plain tensors on the CPU that autograd need not follow, with a known `method`.
    """
    # A subclass, such as the fake tensor of a trace, has ideas of its own; anything else is the caller's mistake.
    if not (
        {type(state), type(x), type(dt), type(A), type(B), type(C), type(D), type(z), type(dt_bias)} <= _PLAIN
        and state.is_cpu
        and x.is_cpu
        and dt.is_cpu
        and A.is_cpu
        and B.is_cpu
        and C.is_cpu
        and (D is None or D.is_cpu)
        and (z is None or z.is_cpu)
        and (dt_bias is None or dt_bias.is_cpu)
        and method in RULES
        and _entry() is not None
        and state.ndim == 3
    ):
        return None
    if torch.is_grad_enabled() and any(
        value is not None and value.requires_grad for value in (state, x, dt, A, B, C, D, z, dt_bias)
    ):
        return None
    return _step(state, x, dt, A, B, C, D, z, dt_bias, dt_softplus, method, core.instruction_set())


def step(
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
    instruction_set: str | None = None,
) -> Tensor:
    """Step with arguments that were checked, of any layout and type, by a named instruction set or the fastest one."""
    wide = state.dtype.to_real()
    row_dtype = x.dtype if _WIDE[x.dtype] is wide and dt.dtype is x.dtype else wide
    vector_dtype = state.dtype if state.is_complex() else row_dtype

    def plain(value: Tensor | None, dtype: torch.dtype) -> Tensor | None:
        return None if value is None else torch.empty(value.shape, dtype=dtype).copy_(value)

    here = state if state.is_contiguous() and not state.is_conj() else plain(state, state.dtype)
    rows = [plain(value, row_dtype) for value in (x, dt)]
    vectors = [plain(value, vector_dtype) for value in (B, C)]
    y = _step(
        here, *rows, plain(A, state.dtype), *vectors, plain(D, wide), plain(z, row_dtype), plain(dt_bias, wide),
        dt_softplus, method, core.instruction_set(instruction_set),
    )  # fmt: skip
    assert y is not None
    if here is not state:
        state.copy_(here)
    return y.to(x.dtype)


_LIBRARY.define(
    f"{_NAME}(Tensor(a!) state, Tensor x, Tensor dt, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, "
    "Tensor? dt_bias, bool dt_softplus, str method) -> Tensor"
)
_LIBRARY.impl(_NAME, step, "CPU")


@torch.library.register_fake(f"statespace::{_NAME}", lib=_LIBRARY)
def _fake(state: Tensor, x: Tensor, *_: Any) -> Tensor:
    return x.new_empty(x.shape)


selective_state_update = getattr(torch.ops.statespace, _NAME).default
