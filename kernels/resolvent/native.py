"""The resolvent by the compiled core (kernels/native/dense*): CPU, float32 and float64.

The backward is made of products of what the forward gave, so it can be differentiated again.
"""

import ctypes
from ctypes import c_double, c_int64, c_void_p
from typing import Any

import torch
from torch import Tensor

from statespace.kernels import native as core
from statespace.kernels.native.dense import Batch, batch, flat
from statespace.kernels.registration import backward_only


class _Call(ctypes.Structure):
    """The C struct ``statespace::ResolventCall`` of kernels/native/dense.h, field by field."""

    _fields_ = (
        ("count", c_int64),
        ("n", c_int64),
        ("m", c_int64),
        ("p", c_int64),
        ("is_double", c_int64),
        ("threads", c_int64),
        ("instruction_set", c_int64),
        ("scale", c_double),
        ("shift", c_double),
        ("A", Batch),
        ("B", Batch),
        ("C", Batch),
        ("t", Batch),
        ("R", c_void_p),
        ("RB", c_void_p),
        ("CR", c_void_p),
        ("singular", c_void_p),
    )


def forward(
    A: Tensor,
    B: Tensor,
    C: Tensor,
    t: Tensor,
    scale: float = 1.0,
    shift: float = 0.0,
    instruction_set: str | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute, with the kernels of a named instruction set or the fastest one of this processor.

    Args and returns are those of `statespace.kernels.resolvent.resolvent`, which checks them, with one set of leading
    axes.
    """
    n, m, p = A.shape[-1], B.shape[-1], C.shape[-2]
    R, RB, CR = (torch.empty(matrix.shape, dtype=A.dtype) for matrix in (A, B, C))
    singular = torch.zeros(A.shape[:-2], dtype=torch.bool)
    if R.numel() == 0:
        return R, RB, CR, singular
    given = [flat(A, 2), flat(B, 2), flat(C, 2), flat(t, 0)]
    call = _Call(
        singular.numel(), n, m, p, A.dtype == torch.float64, torch.get_num_threads(),
        core.instruction_set(instruction_set), scale, shift,
        *map(batch, given), R.data_ptr(), RB.data_ptr(), CR.data_ptr(), singular.data_ptr(),
    )  # fmt: skip
    if core.library().statespace_resolvent(ctypes.byref(call)):
        raise MemoryError(f"resolvent: no memory left for matrices of {n} rows.")
    return R, RB, CR, singular


_NAME = "statespace::resolvent_native"
_SCHEMA = "(Tensor A, Tensor B, Tensor C, Tensor t, float scale, float shift) -> (Tensor, Tensor, Tensor, Tensor)"
torch.library.define(_NAME, _SCHEMA, tags=torch.Tag.pt2_compliant_tag)
_run = backward_only("resolvent_native", torch.ops.statespace.resolvent_native.default)


# Not by `custom_op`, whose checks of each call take 20 us.
@torch.library.impl(_NAME, "cpu")
def _(A: Tensor, B: Tensor, C: Tensor, t: Tensor, scale: float, shift: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return forward(A, B, C, t, scale, shift)


@torch.library.register_fake(_NAME)  # type: ignore[untyped-decorator]  # torch leaves it untyped
def _(A: Tensor, B: Tensor, C: Tensor, t: Tensor, scale: float, shift: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    R, RB, CR = (matrix.new_empty(matrix.shape) for matrix in (A, B, C))
    return R, RB, CR, A.new_empty(A.shape[:-2], dtype=torch.bool)


@torch.library.register_vmap(_NAME)  # type: ignore[untyped-decorator]  # likewise
def _(
    info: Any,
    in_dims: tuple[int | None, ...],
    A: Tensor,
    B: Tensor,
    C: Tensor,
    t: Tensor,
    scale: float,
    shift: float,
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    moved = [
        tensor.expand(info.batch_size, *tensor.shape) if axis is None else tensor.movedim(axis, 0)
        for tensor, axis in zip((A, B, C, t), in_dims, strict=False)
    ]
    return _run(*moved, scale, shift), (0, 0, 0, 0)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    A, _, _, t, ctx.scale, ctx.shift = inputs
    ctx.save_for_backward(A, t, *output[:3])


def _backward(
    ctx: Any, grad_R: Tensor, grad_RB: Tensor, grad_CR: Tensor, grad_singular: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor, None, None]:
    A, t, R, RB, CR = ctx.saved_tensors
    inverse = (R - ctx.shift * torch.eye(A.shape[-1], dtype=A.dtype)) / ctx.scale
    grad_B, grad_C = inverse.mT @ grad_RB, grad_CR @ inverse.mT
    grad_tA = ctx.scale * (inverse.mT @ grad_R @ inverse.mT) + grad_B @ RB.mT + CR.mT @ grad_C
    return grad_tA * t[..., None, None], grad_B, grad_C, (grad_tA * A).sum((-2, -1)), None, None


torch.library.register_autograd(_NAME, _backward, setup_context=_save)


def resolvent(
    A: Tensor, B: Tensor, C: Tensor, t: Tensor, scale: float, shift: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Invert and apply, differentiable any number of times.

    Args and returns are those of `statespace.kernels.resolvent.resolvent`, which checks them, with one set of leading
    axes.
    """
    R, RB, CR, singular = _run(A, B, C, t, scale, shift)
    return R, RB, CR, singular
