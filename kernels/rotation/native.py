"""The running rotation by the compiled core (kernels/native/rotation*): CPU, in float32 and float64.

Norms, biases, sums of angles, sines and cosines, and the rotations of both vectors in one pass, and one backward, which
computes them again; nothing is kept but the arguments. Results do not depend on the number of threads, which is that of
torch.
"""

import ctypes
from ctypes import c_double, c_int64, c_void_p

import torch
from torch import Tensor

from statespace.kernels import native as core
from statespace.kernels.registration import register

_Pair = c_void_p * 2


class _Call(ctypes.Structure):
    """The C struct ``statespace::Rotation`` of kernels/native/rotation.h, field by field."""

    _fields_ = (
        ("batch", c_int64),
        ("length", c_int64),
        ("heads", c_int64),
        ("groups", c_int64),
        ("states", c_int64),
        ("angles", c_int64),
        ("is_double", c_int64),
        ("threads", c_int64),
        ("instruction_set", c_int64),
        ("eps", c_double),
        ("rows", _Pair),
        ("weights", _Pair),
        ("biases", _Pair),
        ("rate", c_void_p),
        ("step", c_void_p),
        ("before", c_void_p),
        ("turned", _Pair),
        ("products", c_void_p),
        ("after", c_void_p),
        ("grad_turned", _Pair),
        ("grad_products", c_void_p),
        ("grad_after", c_void_p),
        ("grad_rows", _Pair),
        ("grad_weights", _Pair),
        ("grad_biases", _Pair),
        ("grad_rate", c_void_p),
        ("grad_step", c_void_p),
        ("grad_before", c_void_p),
    )


def _run(
    function: str,
    instruction_set: str | None,
    eps: float,
    **arrays: Tensor | tuple[Tensor | None, Tensor | None] | None,
) -> None:
    held: list[Tensor] = []  # until the call returns

    def at(value: Tensor | None) -> int | None:
        if value is None:
            return None
        held.append(value.resolve_neg().contiguous())
        return held[-1].data_ptr()

    rows, rate, step = (arrays[name] for name in ("rows", "rate", "step"))
    assert isinstance(rows, tuple)
    B = rows[0]
    assert B is not None
    assert isinstance(rate, Tensor)
    assert isinstance(step, Tensor)
    call = _Call(
        *step.shape,
        *B.shape[2:],
        rate.shape[2],
        B.dtype == torch.float64,
        torch.get_num_threads(),
        core.instruction_set(instruction_set),
        eps,
    )
    for name, value in arrays.items():
        setattr(call, name, _Pair(*map(at, value)) if isinstance(value, tuple) else at(value))
    if getattr(core.library(), function)(ctypes.byref(call)):
        raise MemoryError("rotation: no memory left for the angles between pieces.")


def forward(
    B: Tensor,
    C: Tensor,
    B_norm: Tensor,
    C_norm: Tensor,
    B_bias: Tensor,
    C_bias: Tensor,
    rate: Tensor,
    step: Tensor,
    before: Tensor,
    eps: float,
    instruction_set: str | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Turn, with the kernels of a named instruction set or the fastest one of this processor."""
    shape = *step.shape, B.shape[3]
    turned = torch.empty(shape, dtype=B.dtype), torch.empty(shape, dtype=B.dtype)
    products, after = torch.empty(step.shape, dtype=B.dtype), torch.empty(before.shape, dtype=torch.float64)
    _run(
        "statespace_rotation_forward",
        instruction_set,
        eps,
        rows=(B, C),
        weights=(B_norm, C_norm),
        biases=(B_bias, C_bias),
        rate=rate,
        step=step,
        before=before,
        turned=turned,
        products=products,
        after=after,
    )
    return *turned, products, after


def backward(
    grad_B: Tensor | None,
    grad_C: Tensor | None,
    grad_products: Tensor | None,
    grad_after: Tensor | None,
    B: Tensor,
    C: Tensor,
    B_norm: Tensor,
    C_norm: Tensor,
    B_bias: Tensor,
    C_bias: Tensor,
    rate: Tensor,
    step: Tensor,
    before: Tensor,
    eps: float,
    instruction_set: str | None = None,
) -> tuple[Tensor, ...]:
    """Gradients, with the kernels of a named instruction set or the fastest one of this processor."""
    rows = torch.empty(B.shape, dtype=B.dtype), torch.empty(C.shape, dtype=C.dtype)
    weights, biases = (
        (torch.empty(of.shape, dtype=torch.float64), torch.empty(of.shape, dtype=torch.float64))
        for of in (B_norm, B_bias)
    )
    of_rate, of_step = torch.empty(rate.shape, dtype=B.dtype), torch.empty(step.shape, dtype=B.dtype)
    of_before = torch.empty(before.shape, dtype=torch.float64)
    _run(
        "statespace_rotation_backward",
        instruction_set,
        eps,
        rows=(B, C),
        weights=(B_norm, C_norm),
        biases=(B_bias, C_bias),
        rate=rate,
        step=step,
        before=before,
        grad_turned=(grad_B, grad_C),
        grad_products=grad_products,
        grad_after=grad_after,
        grad_rows=rows,
        grad_weights=weights,
        grad_biases=biases,
        grad_rate=of_rate,
        grad_step=of_step,
        grad_before=of_before,
    )
    return *rows, *(sums.to(B.dtype) for sums in (*weights, *biases)), of_rate, of_step, of_before


def _fake(
    B: Tensor,
    C: Tensor,
    B_norm: Tensor,
    C_norm: Tensor,
    B_bias: Tensor,
    C_bias: Tensor,
    rate: Tensor,
    step: Tensor,
    before: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    shape = *step.shape, B.shape[3]
    return B.new_empty(shape), C.new_empty(shape), step.new_empty(step.shape), before.new_empty(before.shape)


_GIVEN = ("B", "C", "B_norm", "C_norm", "B_bias", "C_bias", "rate", "step", "before")
rotation = register(
    "rotation_native",
    forward,
    backward,
    _fake,
    arguments=f"{', '.join(f'Tensor {name}' for name in _GIVEN)}, float eps",
    gradients=_GIVEN,
    results=4,
)
