"""The exponential and its integrals by the compiled core (kernels/native/dense*): CPU, float32 and float64.

The backward is made of exponentials of the same operator, so it can be differentiated again.
"""

import ctypes
from ctypes import c_int64, c_void_p
from typing import Any

import torch
from torch import Tensor

from statespace.kernels import native as core
from statespace.kernels.expm.blocks import adjoint
from statespace.kernels.native.dense import Batch, batch, flat
from statespace.kernels.registration import backward_only


class _Call(ctypes.Structure):
    """The C struct ``statespace::ExpmCall`` of kernels/native/dense.h, field by field."""

    _fields_ = (
        ("count", c_int64),
        ("n", c_int64),
        ("m", c_int64),
        ("order", c_int64),
        ("is_double", c_int64),
        ("threads", c_int64),
        ("instruction_set", c_int64),
        ("A", Batch),
        ("B", Batch),
        ("t", Batch),
        ("E", c_void_p),
        ("F", c_void_p),
    )


def forward(A: Tensor, B: Tensor, t: Tensor, order: int, instruction_set: str | None = None) -> tuple[Tensor, Tensor]:
    """Compute, with the kernels of a named instruction set or the fastest one of this processor.

    Args and returns are those of `statespace.kernels.expm.expm_phi`, which checks them, with one set of leading axes.
    """
    n, m = B.shape[-2:]
    E = torch.empty(A.shape, dtype=A.dtype)
    F = torch.empty((*A.shape[:-1], order * m), dtype=A.dtype)
    if E.numel() == 0:
        return E, F
    given = [flat(A, 2), flat(B, 2), flat(t, 0)]
    call = _Call(
        E.numel() // (n * n), n, m, order, A.dtype == torch.float64,
        torch.get_num_threads(), core.instruction_set(instruction_set),
        *map(batch, given), E.data_ptr(), F.data_ptr(),
    )  # fmt: skip
    if core.library().statespace_expm(ctypes.byref(call)):
        raise MemoryError(f"expm_phi: no memory left for matrices of {n} rows.")
    return E, F


_NAME = "statespace::expm_phi_native"
_SCHEMA = "(Tensor A, Tensor B, Tensor t, int order) -> (Tensor, Tensor)"
torch.library.define(_NAME, _SCHEMA, tags=torch.Tag.pt2_compliant_tag)
_run = backward_only("expm_phi_native", torch.ops.statespace.expm_phi_native.default)


# Not by `custom_op`, whose checks of each call take 20 us.
@torch.library.impl(_NAME, "cpu")
def _(A: Tensor, B: Tensor, t: Tensor, order: int) -> tuple[Tensor, Tensor]:
    return forward(A, B, t, order)


@torch.library.register_fake(_NAME)  # type: ignore[untyped-decorator]  # torch leaves it untyped
def _(A: Tensor, B: Tensor, t: Tensor, order: int) -> tuple[Tensor, Tensor]:
    return A.new_empty(A.shape), A.new_empty((*A.shape[:-1], order * B.shape[-1]))


@torch.library.register_vmap(_NAME)  # type: ignore[untyped-decorator]  # likewise
def _(
    info: Any, in_dims: tuple[int | None, ...], A: Tensor, B: Tensor, t: Tensor, order: int
) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
    moved = [
        tensor.expand(info.batch_size, *tensor.shape) if axis is None else tensor.movedim(axis, 0)
        for tensor, axis in zip((A, B, t), in_dims, strict=False)
    ]
    return _run(*moved, order), (0, 0)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, int], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.order = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, grad_E: Tensor, grad_F: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
    A, B, t = ctx.saved_tensors
    return *adjoint(expm, A, B, t, ctx.order, grad_E, grad_F), None


torch.library.register_autograd(_NAME, _backward, setup_context=_save)


def expm(A: Tensor) -> Tensor:
    """Return ``exp(A)``, ``(..., n, n)``."""
    E: Tensor = _run(A, A[..., :0], A.new_ones(()).expand(A.shape[:-2]), 0)[0]
    return E


def expm_phi(A: Tensor, B: Tensor, t: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Return ``exp(tA)`` and the integrals, differentiable any number of times.

    Args and returns are those of `statespace.kernels.expm.expm_phi`, which checks them, with one set of leading axes.
    """
    E, F = _run(A, B, t, order)
    return E, F
