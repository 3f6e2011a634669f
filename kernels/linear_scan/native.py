"""The linear scan by the compiled core (kernels/native/linear_scan*): CPU, real and complex, float32 and float64.

Memory sets the pace: the forward reads a and b and writes h, the backward reads a, h and the gradient of h and writes
those of a and b, once each. Results do not depend on the number of threads, which is that of torch.
"""

import ctypes
from ctypes import c_int64, c_void_p

import torch
from torch import Tensor

from statespace.kernels import native as core
from statespace.kernels.linear_scan.registration import register

_Strides = c_int64 * 2


class _Call(ctypes.Structure):
    """The C struct ``statespace::LinearScan`` of kernels/native/linear_scan.h, field by field."""

    _fields_ = (
        ("batch", c_int64),
        ("length", c_int64),
        ("channels", c_int64),
        ("sequences", c_int64),
        ("is_double", c_int64),
        ("is_complex", c_int64),
        ("threads", c_int64),
        ("instruction_set", c_int64),
        ("a", c_void_p),
        ("a_stride", _Strides),
        ("b", c_void_p),
        ("b_stride", _Strides),
        ("initial", c_void_p),
        ("lengths", c_void_p),
        ("bounds", c_void_p),
        ("h", c_void_p),
        ("grad_h", c_void_p),
        ("grad_h_stride", _Strides),
        ("grad_a", c_void_p),
        ("grad_a_sums", c_void_p),
        ("grad_b", c_void_p),
        ("grad_initial", c_void_p),
    )


def _rows(tensor: Tensor, shape: torch.Size) -> Tensor:
    """A tensor as the core reads it: shared along axes of 1, and neighbouring channels side by side."""
    tensor = tensor.resolve_conj().resolve_neg()
    return (tensor if tensor.stride(2) == 1 or tensor.shape[2] <= 1 else tensor.contiguous()).expand(shape)


def _run(
    function: str,
    shape: torch.Size,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    instruction_set: str | None,
    rows: dict[str, Tensor],
    **arrays: Tensor | None,
) -> None:
    some = next(iter(rows.values()))
    # Names keep alive, until the core returns, what may be a copy.
    rows = {name: _rows(tensor, shape) for name, tensor in rows.items()}
    given: dict[str, Tensor | None] = {
        "initial": None if initial_state is None else initial_state.resolve_conj().resolve_neg().contiguous(),
        "lengths": None if lengths is None else lengths.long().contiguous(),
        "bounds": None if cu_seqlens is None else cu_seqlens.long().contiguous(),
    }
    call = _Call(
        *shape,
        shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1,
        some.dtype.to_real() == torch.float64,
        some.is_complex(),
        torch.get_num_threads(),
        core.instruction_set(instruction_set),
    )
    for name, row in rows.items():
        setattr(call, f"{name}_stride", _Strides(*row.stride()[:2]))
    for name, tensor in {**rows, **given, **arrays}.items():
        if tensor is not None:
            setattr(call, name, tensor.data_ptr())
    if getattr(core.library(), function)(ctypes.byref(call)):
        raise MemoryError(f"linear_scan: no memory left for the states of {call.sequences} x {shape[2]} channels.")


def forward(
    a: Tensor,
    b: Tensor,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    instruction_set: str | None = None,
) -> Tensor:
    """Scan, with the kernels of a named instruction set or the fastest one of this processor."""
    h = torch.empty(b.shape, dtype=b.dtype)
    _run(
        "statespace_linear_scan_forward",
        b.shape, initial_state, lengths, cu_seqlens, instruction_set, {"a": a, "b": b},
        h=h,
    )  # fmt: skip
    return h


def backward(
    grad_h: Tensor,
    a: Tensor,
    h: Tensor,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    instruction_set: str | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients, with the kernels of a named instruction set or the fastest one of this processor."""
    shared_in_time = a.shape[1] != h.shape[1]
    grad_b = torch.empty(h.shape, dtype=h.dtype)
    grad_initial = h.new_empty(0 if initial_state is None else initial_state.shape)
    wide = torch.complex128 if h.is_complex() else torch.float64
    grad_a = torch.empty(a.shape, dtype=wide) if shared_in_time else torch.empty(h.shape, dtype=h.dtype)
    _run(
        "statespace_linear_scan_backward",
        h.shape, initial_state, lengths, cu_seqlens, instruction_set, {"grad_h": grad_h, "a": a},
        h=h.contiguous(), grad_a=None if shared_in_time else grad_a, grad_a_sums=grad_a if shared_in_time else None,
        grad_b=grad_b, grad_initial=None if initial_state is None else grad_initial,
    )  # fmt: skip
    if grad_a.shape != a.shape:
        grad_a = grad_a.sum(0, keepdim=True)
    return grad_a.to(a.dtype), grad_b, grad_initial


linear_scan = register("linear_scan_native", forward, backward)
