"""The Cauchy product by the compiled core (kernels/native/cauchy*): CPU, complex64 and complex128.

Points lie in the lanes of vectors and sums in registers, so the reciprocals are never stored. Results do not depend on
the number of threads, which is that of torch.
"""

import ctypes
from ctypes import c_int64, c_void_p

import torch
from torch import Tensor

from statespace.kernels import native as core
from statespace.kernels.cauchy.registration import register


class _Call(ctypes.Structure):
    """The C struct ``statespace::Cauchy`` of kernels/native/cauchy.h, field by field."""

    _fields_ = (
        ("residues", c_int64),
        ("systems", c_int64),
        ("states", c_int64),
        ("points", c_int64),
        ("is_double", c_int64),
        ("threads", c_int64),
        ("instruction_set", c_int64),
        ("conjugate", c_int64),
        ("points_stride", c_int64),
        ("v", c_void_p),
        ("z", c_void_p),
        ("w", c_void_p),
        ("y", c_void_p),
        ("grad_y", c_void_p),
        ("grad_v", c_void_p),
        ("grad_w", c_void_p),
        ("grad_z", c_void_p),
    )


def _run(
    function: str,
    v: Tensor,
    z: Tensor,
    w: Tensor,
    conjugate: bool,
    instruction_set: str | None,
    **arrays: Tensor | None,
) -> None:
    given = {name: tensor.contiguous() for name, tensor in (("v", v), ("z", z), ("w", w))}
    call = _Call(
        *v.shape,
        z.shape[1],
        v.dtype == torch.complex128,
        torch.get_num_threads(),
        core.instruction_set(instruction_set),
        conjugate,
        0 if z.shape[0] == 1 else z.shape[1],
    )
    for name, tensor in {**given, **arrays}.items():
        if tensor is not None:
            setattr(call, name, tensor.data_ptr())
    if getattr(core.library(), function)(ctypes.byref(call)):
        raise MemoryError(f"cauchy: no memory left for the sums over {w.shape[0]} x {w.shape[1]} poles.")


def forward(v: Tensor, z: Tensor, w: Tensor, conjugate: bool, instruction_set: str | None = None) -> Tensor:
    """Sum, with the kernels of a named instruction set or the fastest one of this processor."""
    y = torch.empty((*v.shape[:2], z.shape[1]), dtype=v.dtype)
    _run("statespace_cauchy_forward", v, z, w, conjugate, instruction_set, y=y)
    return y


def backward(
    grad: Tensor,
    v: Tensor,
    z: Tensor,
    w: Tensor,
    conjugate: bool,
    wanted: list[bool],
    instruction_set: str | None = None,
) -> tuple[Tensor, ...]:
    """Gradients, with the kernels of a named instruction set or the fastest one of this processor."""
    grad = grad.resolve_conj().resolve_neg().contiguous()
    of_v, of_w = (torch.empty(tensor.shape, dtype=torch.complex128) for tensor in (v, w))
    of_z = torch.empty((w.shape[0], z.shape[1]), dtype=z.dtype) if wanted[1] else None
    _run(
        "statespace_cauchy_backward",
        v, z, w, conjugate, instruction_set,
        grad_y=grad, grad_v=of_v, grad_w=of_w, grad_z=of_z,
    )  # fmt: skip
    if of_z is None:
        of_z = z.new_empty(0)
    elif z.shape[0] == 1:
        of_z = of_z.sum(0, keepdim=True)
    found = of_v.to(v.dtype), of_z, of_w.to(w.dtype)
    return tuple(value if want else value.new_empty(0) for value, want in zip(found, wanted, strict=True))


cauchy = register("cauchy_native", forward, backward)
