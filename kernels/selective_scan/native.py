"""The selective scan by the compiled core (kernels/native/selective_scan*): CPU, float32, float64, bfloat16, float16.

The forward keeps the states in registers and saves one in 32, if a backward is to come; that one computes the others
again, see README.md. Results do not depend on the number of threads, which is that of torch.
"""

import ctypes
from ctypes import c_int64, c_void_p
from typing import TypeAlias

import torch
from torch import Tensor

from statespace.kernels import native as core
from statespace.kernels.selective_scan.registration import register, rows

_STEPS, _PADDING = 32, 16  # as in kernels/native/selective_scan.h
_METHODS = {"euler-b": 0, "zoh": 1, "exponential-trapezoidal": 2}


# u, dt, A, B, C, D, z, dt_bias, initial_state, cu_seqlens, dt_softplus, method, keep
_Arguments: TypeAlias = tuple[
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor | None,
    Tensor | None,
    Tensor | None,
    Tensor | None,
    Tensor | None,
    bool,
    str,
    bool,
]


class _Call(ctypes.Structure):
    """The C struct ``statespace::SelectiveScan`` of kernels/native/selective_scan.h, field by field."""

    _fields_ = (
        ("batch", c_int64),
        ("length", c_int64),
        ("channels", c_int64),
        ("groups", c_int64),
        ("states", c_int64),
        ("sequences", c_int64),
        ("row_type", c_int64),
        ("is_complex", c_int64),
        ("method", c_int64),
        ("softplus", c_int64),
        ("fixed_B", c_int64),
        ("fixed_C", c_int64),
        ("threads", c_int64),
        ("instruction_set", c_int64),
        ("u", c_void_p),
        ("u_stride", c_int64 * 2),
        ("dt", c_void_p),
        ("dt_stride", c_int64 * 2),
        ("z", c_void_p),
        ("z_stride", c_int64 * 2),
        ("B", c_void_p),
        ("B_stride", c_int64 * 3),
        ("C", c_void_p),
        ("C_stride", c_int64 * 3),
        ("A", c_void_p),
        ("D", c_void_p),
        ("dt_bias", c_void_p),
        ("initial", c_void_p),
        ("cu_seqlens", c_void_p),
        ("y", c_void_p),
        ("final", c_void_p),
        ("checkpoints", c_void_p),
        ("grad_y", c_void_p),
        ("grad_y_stride", c_int64 * 2),
        ("grad_final", c_void_p),
        ("grad_u", c_void_p),
        ("grad_dt", c_void_p),
        ("grad_z", c_void_p),
        ("grad_B", c_void_p),
        ("grad_C", c_void_p),
        ("grad_A", c_void_p),
        ("grad_D", c_void_p),
        ("grad_bias", c_void_p),
        ("grad_initial", c_void_p),
    )


def _rows(tensor: Tensor) -> Tensor:
    """The tensor as rows that the core can read: the last axis contiguous, no sign pending."""
    tensor = tensor.resolve_conj().resolve_neg()
    return tensor if tensor.stride(-1) == 1 or tensor.shape[-1] <= 1 else tensor.contiguous()


def _groups(*vectors: Tensor) -> int:
    """In how many groups B and C come; fixed ones do not say."""
    return next((x.shape[2] for x in vectors if x.ndim == 4), 1)


def _run(
    function: str,
    arguments: _Arguments,
    instruction_set: str | None,
    grad_y: Tensor | None = None,
    **arrays: Tensor | None,
) -> None:
    """Call the core; `arrays` are contiguous."""
    u, dt, A, B, C, D, z, dt_bias, initial_state, cu_seqlens, dt_softplus, method, _ = arguments
    call = _Call(
        *u.shape,
        _groups(B, C),
        A.shape[1],
        0 if cu_seqlens is None else rows(u, cu_seqlens),
        core.DTYPES[u.dtype],
        A.is_complex(),
        _METHODS[method],
        dt_softplus,
        B.ndim == 2,
        C.ndim == 2,
        torch.get_num_threads(),
        core.instruction_set(instruction_set),
    )
    alive = []
    for name, tensor, axes in (
        ("u", u, 2),
        ("dt", dt, 2),
        ("z", z, 2),
        ("grad_y", grad_y, 2),
        ("B", B, 3),
        ("C", C, 3),
    ):
        if tensor is not None and tensor.ndim > 2:
            tensor = _rows(tensor)
            alive.append(tensor)
            setattr(call, name, tensor.data_ptr())
            setattr(call, f"{name}_stride", (c_int64 * axes)(*tensor.stride()[:axes]))
    plain = {
        "A": A,
        "B": B if B.ndim == 2 else None,
        "C": C if C.ndim == 2 else None,
        "D": D,
        "dt_bias": dt_bias,
        "initial": initial_state,
        "cu_seqlens": None if cu_seqlens is None else cu_seqlens.long(),
        **arrays,
    }
    for name, tensor in plain.items():
        if tensor is not None:
            tensor = tensor.resolve_conj().resolve_neg().contiguous()
            alive.append(tensor)
            setattr(call, name, tensor.data_ptr())
    if getattr(core.library(), function)(ctypes.byref(call)):
        raise MemoryError(
            f"selective_scan: no memory left for {u.shape[0]} x {u.shape[1]} steps of {u.shape[2]} channels."
        )


def _kept(*arguments: *_Arguments) -> Tensor:
    """An empty tensor for the state before each chunk of steps, or for none where no backward is to come."""
    u, _, A, B, C, *_, cu_seqlens, _, _, keep = arguments
    groups, length = _groups(B, C), u.shape[1]
    chunks = u.shape[0] * -(-length // _STEPS) if cu_seqlens is None else length // _STEPS + rows(u, cu_seqlens)
    padded = groups * -(-(u.shape[2] // groups) // _PADDING) * _PADDING
    return A.new_empty((chunks if keep else 0, padded, A.shape[1]))


def forward(*arguments: *_Arguments, instruction_set: str | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Scan, with the kernels of a named instruction set or the fastest one of this processor."""
    u, _, A, *_, cu_seqlens, _, _, keep = arguments
    y = torch.empty(u.shape, dtype=u.dtype)
    final = A.new_empty((rows(u, cu_seqlens), *A.shape))
    kept = _kept(*arguments)
    _run(
        "statespace_selective_scan_forward",
        arguments,
        instruction_set,
        y=y,
        final=final,
        checkpoints=kept if keep else None,
    )
    return y, final, kept


def backward(
    grad_y: Tensor | None,
    grad_final: Tensor | None,
    kept: Tensor,
    *arguments: *_Arguments,
    instruction_set: str | None = None,
) -> tuple[Tensor, ...]:
    """Gradients, with the kernels of a named instruction set or the fastest one of this processor."""
    u, _, A, B, C, D, z, dt_bias, initial_state, *_, keep = arguments
    if not keep:
        kept = forward(*arguments[:-1], True, instruction_set=instruction_set)[2]
    grad_y = u.new_zeros(()).expand(u.shape) if grad_y is None else grad_y
    grad_u, grad_dt = (torch.empty(u.shape, dtype=u.dtype) for _ in range(2))
    grad_z = u.new_empty(0 if z is None else u.shape)
    wide = torch.complex128 if A.is_complex() else torch.float64
    grad_A = torch.empty(A.shape, dtype=wide)
    grad_B, grad_C = (torch.empty(x.shape, dtype=wide if x.ndim == 2 else x.dtype) for x in (B, C))
    grad_D, grad_bias = (torch.empty(u.shape[2], dtype=torch.float64) for _ in range(2))
    grad_initial = A.new_empty(0 if initial_state is None else initial_state.shape)
    _run(
        "statespace_selective_scan_backward",
        arguments,
        instruction_set,
        grad_y,
        checkpoints=kept,
        grad_final=grad_final,
        grad_u=grad_u,
        grad_dt=grad_dt,
        grad_z=None if z is None else grad_z,
        grad_A=grad_A,
        grad_B=grad_B,
        grad_C=grad_C,
        grad_D=grad_D,
        grad_bias=grad_bias,
        grad_initial=None if initial_state is None else grad_initial,
    )
    return (
        grad_u,
        grad_dt,
        grad_A.to(A.dtype),
        grad_B.to(B.dtype),
        grad_C.to(C.dtype),
        u.new_empty(0) if D is None else grad_D.to(D.dtype),
        grad_z,
        u.new_empty(0) if dt_bias is None else grad_bias.to(dt_bias.dtype),
        grad_initial,
    )


selective_scan = register("selective_scan_native", forward, backward, _kept)
