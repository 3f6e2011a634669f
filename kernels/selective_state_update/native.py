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
_WIDE = {
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.bfloat16: torch.float32,
    torch.float16: torch.float32,
}
_COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}
# A subclass, such as the fake tensor of a trace, has ideas of its own.
_PLAIN = {Tensor, torch.nn.Parameter, type(None)}
# Looked up once: a name in another module costs a step of a stream more than it seems.
_empty_like, _threads, _grad_enabled = torch.empty_like, torch.get_num_threads, torch.is_grad_enabled
# The C struct ``statespace::SelectiveStateUpdate`` of kernels/native/selective_state_update.h: 27 fields of 8 bytes.
_pack = struct.Struct("27q").pack
_LIBRARY = torch.library.Library("statespace", "FRAGMENT")  # lives as long as its operator is wanted
_NAME = "selective_state_update_native"


@cache
def _entry() -> tuple[Any, int] | None:
    """The function of the core and the fastest instruction set, or None where there is no core."""
    if core.why_missing():
        return None
    function = core.library().statespace_selective_state_update
    function.argtypes = [ctypes.c_char_p]
    return function, core.instruction_set()


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
    instruction_set: int | None = None,
) -> Tensor | None:
    """Step past torch's dispatcher, or return None, with nothing done, where something does not fit.

    What fits are plain tensors on the CPU, laid out as the core reads them, that autograd need not follow. Every line
    counts here, so what does not fit is left to others to say.
    """
    entry = _entry()
    rule = RULES.get(method)
    if (
        entry is None
        or rule is None
        or not type(state) is type(x) is type(dt) is type(B) is type(C) is Tensor
        or type(A) not in _PLAIN
        or type(D) not in _PLAIN
        or type(z) not in _PLAIN
        or type(dt_bias) not in _PLAIN
    ):
        return None
    if _grad_enabled() and any(
        value is not None and value.requires_grad for value in (state, x, dt, A, B, C, D, z, dt_bias)
    ):
        return None
    of_state, rows, vectors, of_x, held = state.shape, x.shape, B.shape, x.dtype, state.dtype
    wide = _WIDE.get(of_x)
    if wide is None or len(of_state) != 3:
        return None
    batch, channels, states = of_state
    if len(vectors) == 2:
        groups, fit = 1, vectors == (batch, states)
    elif len(vectors) == 3:
        groups = vectors[1]
        fit = groups > 0 and channels % groups == 0 and vectors == (batch, groups, states)
    else:
        return None
    is_real = held is wide
    x_stride, dt_stride, B_stride, C_stride = x.stride(), dt.stride(), B.stride(), C.stride()
    z_row = D_at = z_at = bias_at = 0
    if not (
        (is_real or held is _COMPLEX[wide])
        and A.dtype is held
        and dt.dtype is of_x
        and B.dtype is C.dtype is (of_x if is_real else held)
        and rows == (batch, channels)
        and dt.shape == rows
        and fit
        and A.shape == (channels, states)
        and C.shape == vectors
        and x_stride[1] == dt_stride[1] == B_stride[-1] == C_stride[-1] == 1
        and state.is_contiguous()
        and A.is_contiguous()
        and state.is_cpu
        and x.is_cpu
        and dt.is_cpu
        and A.is_cpu
        and B.is_cpu
        and C.is_cpu
        and (is_real or not (state.is_conj() or A.is_conj() or B.is_conj() or C.is_conj()))
    ):
        return None
    if D is not None:
        if D.shape != (channels,) or D.dtype is not wide or not (D.is_contiguous() and D.is_cpu):
            return None
        D_at = D.data_ptr()
    if z is not None:
        if z.shape != rows or z.dtype is not of_x or z.stride(-1) != 1 or not z.is_cpu:
            return None
        z_row = z.stride(0)
        z_at = z.data_ptr()
    if dt_bias is not None:
        if (
            dt_bias.shape != (channels,)
            or dt_bias.dtype is not wide
            or not (dt_bias.is_contiguous() and dt_bias.is_cpu)
        ):
            return None
        bias_at = dt_bias.data_ptr()
    y = _empty_like(x)  # contiguous, as its last axis is
    function, fastest = entry
    call = _pack(
        batch, channels, groups, states,
        core.DTYPES[of_x], not is_real, rule, dt_softplus, _threads(),
        fastest if instruction_set is None else instruction_set,
        state.data_ptr(), x.data_ptr(), x_stride[0], dt.data_ptr(), dt_stride[0], A.data_ptr(),
        B.data_ptr(), B_stride[0], B_stride[-2], C.data_ptr(), C_stride[0], C_stride[-2],
        D_at, z_at, z_row, bias_at, y.data_ptr(),
    )  # fmt: skip
    if function(call):
        raise MemoryError("selective_state_update: no memory left to share the work among threads.")
    return y


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
    number = core.instruction_set(instruction_set)
    y = direct(state, x, dt, A, B, C, D, z, dt_bias, dt_softplus, method, number)
    if y is not None:
        return y
    wide = state.dtype.to_real()
    of_x = x.dtype if _WIDE[x.dtype] is wide and dt.dtype is x.dtype else wide
    of_vectors = state.dtype if state.is_complex() else of_x

    def plain(value: Tensor, dtype: torch.dtype) -> Tensor:
        return torch.empty(value.shape, dtype=dtype).copy_(value)

    here = plain(state, state.dtype)
    y = direct(
        here,
        plain(x, of_x),
        plain(dt, of_x),
        plain(A, state.dtype),
        plain(B, of_vectors),
        plain(C, of_vectors),
        None if D is None else plain(D, wide),
        None if z is None else plain(z, of_x),
        None if dt_bias is None else plain(dt_bias, wide),
        dt_softplus,
        method,
        number,
    )
    assert y is not None
    state.copy_(here)
    return y.to(x.dtype)


_LIBRARY.define(
    f"{_NAME}(Tensor(a!) state, Tensor x, Tensor dt, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, "
    "Tensor? dt_bias, bool dt_softplus, str method) -> Tensor"
)
_LIBRARY.impl(_NAME, step, "CPU")
torch.library.register_fake(f"statespace::{_NAME}", lambda _, x, *__: x.new_empty(x.shape), lib=_LIBRARY)
selective_state_update: Any = getattr(torch.ops.statespace, _NAME).default
