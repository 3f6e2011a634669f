"""One step of the selective scan by the compiled core (kernels/native/selective_state_update*): CPU.

A step of a stream takes less time than torch needs to look up an operator. So there are two ways to the core: `direct`,
for plain tensors that fit as they are, and the operator for everything else, graphs that are traced among it.
"""

import importlib
import struct
from collections.abc import Callable
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
# Looked up once: a name in another module costs a step of a stream more than it seems.
_threads, _grad_enabled = torch.get_num_threads, torch.is_grad_enabled
# The C struct ``statespace::SelectiveStateUpdate`` of kernels/native/selective_state_update.h: 27 fields of 8 bytes.
_pack = struct.Struct("27q").pack
_LIBRARY = torch.library.Library("statespace", "FRAGMENT")  # lives as long as its operator is wanted
_NAME = "selective_state_update_native"


@cache
def _entry() -> tuple[Callable[..., Tensor | None], int] | None:
    """Return the core's own function of Python and the fastest instruction set; None without core, or for old torch."""
    table = getattr(Tensor, "__dlpack_c_exchange_api__", None)
    if core.why_missing() or table is None:
        return None
    module = importlib.import_module("statespace.kernels._native")
    to_ask = torch._C._is_tracing, torch._C._len_torch_dispatch_stack, torch._C._increment_version
    if not module.introduce(table, Tensor, torch.nn.Parameter, torch.empty_like, *to_ask):
        return None
    return module.selective_state_update, core.instruction_set()


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
    """Step past torch's dispatcher, or return None, with nothing done, where something does not fit.

    What fits are plain tensors on the CPU, laid out as the core reads them, that autograd need not follow, where nobody
    traces or watches the dispatcher: the core looks for itself. What does not fit is left to others to say.
    """
    entry, rule = _entry(), RULES.get(method)
    if entry is None or rule is None:
        return None
    step, fastest = entry
    return step(state, x, dt, A, B, C, D, z, dt_bias, dt_softplus, rule, _threads(), fastest, _grad_enabled())


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
    """Step with arguments that were checked, of any layout and type, by a named instruction set or the fastest one.

    What the core would not read as it is, is copied; an older torch takes the function that is opened with ctypes.
    """
    entry, number = _entry(), core.instruction_set(instruction_set)
    if entry is not None:
        done = entry[0](state, x, dt, A, B, C, D, z, dt_bias, dt_softplus, RULES[method], _threads(), number, False)
        if done is not None:
            return done
    wide = state.dtype.to_real()
    of_x = x.dtype if _WIDE[x.dtype] is wide and dt.dtype is x.dtype else wide
    of_vectors = state.dtype if state.is_complex() else of_x

    def plain(value: Tensor | None, dtype: torch.dtype) -> Tensor | None:
        if value is None or (
            value.dtype is dtype and value.is_contiguous() and not (value.is_conj() or value.is_neg())
        ):
            return value
        return value.resolve_conj().resolve_neg().to(dtype).contiguous()

    here, rows, steps, poles, inputs, outputs, feedthrough, gate, bias = (
        plain(value, dtype)
        for value, dtype in (
            (state, state.dtype),
            (x, of_x),
            (dt, of_x),
            (A, state.dtype),
            (B, of_vectors),
            (C, of_vectors),
            (D, wide),
            (z, of_x),
            (dt_bias, wide),
        )
    )
    assert here is not None
    y = torch.empty(x.shape, dtype=of_x)
    batch, channels, states = state.shape
    groups = 1 if B.ndim == 2 else B.shape[1]
    of_batch, of_group = groups * states, states

    def at(value: Tensor | None) -> int:
        return 0 if value is None else value.data_ptr()

    call = _pack(
        batch, channels, groups, states,
        core.DTYPES[of_x], state.is_complex(), RULES[method], dt_softplus, _threads(), number,
        at(here), at(rows), channels, at(steps), channels, at(poles),
        at(inputs), of_batch, of_group, at(outputs), of_batch, of_group,
        at(feedthrough), at(gate), channels, at(bias), at(y),
    )  # fmt: skip
    if core.library().statespace_selective_state_update(call):
        raise MemoryError("selective_state_update: no memory left to share the work among threads.")
    if here is state:
        torch.autograd.graph.increment_version(state)
    else:
        state.copy_(here)
    return y.to(x.dtype)


_LIBRARY.define(
    f"{_NAME}(Tensor(a!) state, Tensor x, Tensor dt, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, "
    "Tensor? dt_bias, bool dt_softplus, str method) -> Tensor"
)
_LIBRARY.impl(_NAME, step, "CPU")
torch.library.register_fake(f"statespace::{_NAME}", lambda _, x, *__: x.new_empty(x.shape), lib=_LIBRARY)
selective_state_update: Any = getattr(torch.ops.statespace, _NAME).default
