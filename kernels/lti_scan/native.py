"""The diagonal LTI scan by the compiled core (kernels/native/lti_scan*): CPU, float32 and float64.

The forward keeps the states in registers and saves nothing; the backward is one adjoint scan, see README.md. Results do
not depend on the number of threads, which is that of torch.
"""

import ctypes
from ctypes import c_int64, c_void_p

import torch
from torch import Tensor

from statespace.kernels import native as core
from statespace.kernels.lti_scan.registration import register

_Strides = c_int64 * 3


class _Call(ctypes.Structure):
    """The C struct ``statespace::LtiScan`` of kernels/native/lti_scan.h, field by field."""

    _fields_ = (
        ("batch", c_int64),
        ("length", c_int64),
        ("channels", c_int64),
        ("states", c_int64),
        ("is_double", c_int64),
        ("threads", c_int64),
        ("instruction_set", c_int64),
        ("u", c_void_p),
        ("u_stride", _Strides),
        ("log_a", c_void_p),
        ("b", c_void_p),
        ("c", c_void_p),
        ("D", c_void_p),
        ("initial", c_void_p),
        ("lengths", c_void_p),
        ("y", c_void_p),
        ("final", c_void_p),
        ("grad_y", c_void_p),
        ("grad_y_stride", _Strides),
        ("grad_final", c_void_p),
        ("grad_u", c_void_p),
        ("grad_log_a", c_void_p),
        ("grad_b", c_void_p),
        ("grad_c", c_void_p),
        ("grad_D", c_void_p),
        ("grad_initial", c_void_p),
    )


def _plain(tensor: Tensor | None, dtype: torch.dtype | None = None) -> Tensor | None:
    """The tensor as memory the core can read: contiguous, conjugated for good."""
    return None if tensor is None else tensor.resolve_conj().to(dtype or tensor.dtype).contiguous()


def _run(
    function: str,
    u: Tensor,
    log_a: Tensor,
    b: Tensor,
    c: Tensor,
    D: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    instruction_set: str | None,
    grad_y: Tensor | None = None,
    **arrays: Tensor | None,
) -> None:
    rows: dict[str, Tensor | None] = {"u": u, "grad_y": grad_y}  # read with their strides
    given = {
        "log_a": _plain(log_a, torch.complex128),
        "b": _plain(b),
        "c": _plain(c),
        "D": _plain(D),
        "initial": _plain(initial_state),
        "lengths": _plain(lengths),
    }
    call = _Call(
        *u.shape, b.shape[1], u.dtype == torch.float64, torch.get_num_threads(), core.instruction_set(instruction_set)
    )
    for name, tensor in rows.items():
        if tensor is not None:
            rows[name] = tensor = tensor.resolve_neg()
            setattr(call, f"{name}_stride", _Strides(*tensor.stride()))
    for name, tensor in {**rows, **given, **arrays}.items():
        if tensor is not None:
            setattr(call, name, tensor.data_ptr())
    if getattr(core.library(), function)(ctypes.byref(call)):
        raise MemoryError(f"lti_scan: no memory left for the sums over {u.shape[0]} x {u.shape[2]} channels.")


def forward(
    u: Tensor,
    log_a: Tensor,
    b: Tensor,
    c: Tensor,
    D: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    instruction_set: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Scan, with the kernels of a named instruction set or the fastest one of this processor."""
    y = torch.empty(u.shape, dtype=u.dtype)
    final = torch.empty((u.shape[0], *b.shape), dtype=b.dtype)
    _run(
        "statespace_lti_scan_forward",
        u, log_a, b, c, D, initial_state, lengths, instruction_set,
        y=y, final=final,
    )  # fmt: skip
    return y, final


def backward(
    grad_y: Tensor | None,
    grad_final: Tensor | None,
    u: Tensor,
    log_a: Tensor,
    b: Tensor,
    c: Tensor,
    D: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    instruction_set: str | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients, with the kernels of a named instruction set or the fastest one of this processor."""
    grad_y = u.new_zeros(()).expand(u.shape) if grad_y is None else grad_y
    grad_u = torch.empty(u.shape, dtype=u.dtype)
    grad_log_a, grad_b, grad_c = (torch.empty(b.shape, dtype=torch.complex128) for _ in range(3))
    grad_D = torch.empty(u.shape[2], dtype=torch.float64)
    grad_initial = b.new_empty(0 if initial_state is None else initial_state.shape)
    _run(
        "statespace_lti_scan_backward",
        u, log_a, b, c, D, initial_state, lengths, instruction_set,
        grad_y=grad_y, grad_final=_plain(grad_final), grad_u=grad_u, grad_log_a=grad_log_a, grad_b=grad_b,
        grad_c=grad_c, grad_D=grad_D, grad_initial=None if initial_state is None else grad_initial,
    )  # fmt: skip
    return (
        grad_u,
        grad_log_a.to(log_a.dtype),
        grad_b.to(b.dtype),
        grad_c.to(c.dtype),
        u.new_empty(0) if D is None else grad_D.to(D.dtype),
        grad_initial,
    )


lti_scan = register("lti_scan_native", forward, backward)
