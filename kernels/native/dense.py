"""How batches of dense matrices are handed to the compiled core."""

import ctypes
from ctypes import c_int64, c_void_p

from torch import Tensor


class Batch(ctypes.Structure):
    """The C struct ``statespace::Batch`` of kernels/native/dense.h, field by field."""

    _fields_ = (("data", c_void_p), ("stride", c_int64 * 3))


def flat(tensor: Tensor) -> Tensor:
    """Return the matrices of a tensor one after the other, ``(count, rows, columns)``; a view where there is one."""
    return tensor.resolve_neg().reshape(tensor.shape[:-2].numel(), *tensor.shape[-2:])


def batch(matrices: Tensor) -> Batch:
    """Return where the matrices ``(count, rows, columns)`` lie. They must outlive it."""
    return Batch(matrices.data_ptr(), (c_int64 * 3)(*matrices.stride()))
