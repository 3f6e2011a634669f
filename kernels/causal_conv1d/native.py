"""The short causal convolution by the compiled core (kernels/native/causal_conv1d*): CPU, four floating point types.

One pass over the input each way; nothing is kept for the backward but the arguments. Results do not depend on the number
of threads, which is that of torch.
"""

import ctypes
from ctypes import c_int64, c_void_p

import torch
from torch import Tensor

from statespace.kernels import native as core
from statespace.kernels.causal_conv1d.registration import register

_Strides = c_int64 * 3


class _Call(ctypes.Structure):
    """The C struct ``statespace::CausalConv1d`` of kernels/native/causal_conv1d.h, field by field."""

    _fields_ = (
        ("batch", c_int64),
        ("length", c_int64),
        ("channels", c_int64),
        ("width", c_int64),
        ("sequences", c_int64),
        ("dtype", c_int64),
        ("silu", c_int64),
        ("threads", c_int64),
        ("instruction_set", c_int64),
        ("x", c_void_p),
        ("x_stride", _Strides),
        ("weight", c_void_p),
        ("bias", c_void_p),
        ("initial", c_void_p),
        ("lengths", c_void_p),
        ("cu_seqlens", c_void_p),
        ("y", c_void_p),
        ("final", c_void_p),
        ("grad_y", c_void_p),
        ("grad_y_stride", _Strides),
        ("grad_final", c_void_p),
        ("grad_x", c_void_p),
        ("grad_weight", c_void_p),
        ("grad_bias", c_void_p),
        ("grad_initial", c_void_p),
    )


def _run(
    function: str,
    x: Tensor,
    weight: Tensor,
    silu: bool,
    sequences: int,
    instruction_set: str | None,
    grad_y: Tensor | None = None,
    **arrays: Tensor | None,
) -> None:
    rows = {"x": x, "grad_y": None if grad_y is None else grad_y.resolve_neg()}  # read with their strides
    plain = {name: None if value is None else value.resolve_neg().contiguous() for name, value in arrays.items()}
    weight = weight.contiguous()
    call = _Call(
        *x.shape,
        weight.shape[1],
        sequences,
        core.DTYPES[x.dtype],
        silu,
        torch.get_num_threads(),
        core.instruction_set(instruction_set),
    )
    for name, tensor in rows.items():
        if tensor is not None:
            setattr(call, f"{name}_stride", _Strides(*tensor.stride()))
    for name, tensor in {**rows, **plain, "weight": weight}.items():
        if tensor is not None:
            setattr(call, name, tensor.data_ptr())
    if getattr(core.library(), function)(ctypes.byref(call)):
        raise MemoryError(f"causal_conv1d: no memory left for the sums over {x.shape[2]} channels.")


def forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    silu: bool,
    instruction_set: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Convolve, with the kernels of a named instruction set or the fastest one of this processor."""
    sequences = x.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1
    y = torch.empty(x.shape, dtype=x.dtype)
    final = torch.empty((sequences, weight.shape[1] - 1, x.shape[2]), dtype=x.dtype)
    _run(
        "statespace_causal_conv1d_forward",
        x, weight, silu, sequences, instruction_set,
        bias=bias, initial=initial_state, lengths=lengths, cu_seqlens=cu_seqlens, y=y, final=final,
    )  # fmt: skip
    return y, final


def backward(
    grad_y: Tensor | None,
    grad_final: Tensor | None,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    silu: bool,
    instruction_set: str | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients, with the kernels of a named instruction set or the fastest one of this processor."""
    grad_y = x.new_zeros(()).expand(x.shape) if grad_y is None else grad_y
    sequences = x.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1
    grad_x = torch.empty(x.shape, dtype=x.dtype)
    grad_weight = torch.empty(weight.shape, dtype=torch.float64)
    grad_bias = torch.empty(x.shape[2], dtype=torch.float64)
    grad_initial = torch.empty(0 if initial_state is None else initial_state.shape, dtype=x.dtype)
    _run(
        "statespace_causal_conv1d_backward",
        x, weight, silu, sequences, instruction_set, grad_y,
        bias=bias, initial=initial_state, lengths=lengths, cu_seqlens=cu_seqlens, grad_final=grad_final,
        grad_x=grad_x, grad_weight=grad_weight, grad_bias=grad_bias,
        grad_initial=None if initial_state is None else grad_initial,
    )  # fmt: skip
    return (
        grad_x,
        grad_weight.to(weight.dtype),
        x.new_empty(0) if bias is None else grad_bias.to(bias.dtype),
        grad_initial,
    )


causal_conv1d = register("causal_conv1d_native", forward, backward)
