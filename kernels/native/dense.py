"""How batches of dense matrices are handed to the compiled core."""

import ctypes
from ctypes import c_int64, c_void_p

from torch import Tensor


class Batch(ctypes.Structure):
    """The C struct ``statespace::Batch`` of kernels/native/dense.h, field by field."""

    _fields_ = (("data", c_void_p), ("stride", c_int64 * 3))


def flat(tensor: Tensor, axes: int) -> Tensor:
    """Return the items of a tensor one after the other, ``(count, ...)``, each of so many axes; a view if possible."""
    tensor = tensor.resolve_neg()
    leading = tensor.ndim - axes
    return tensor if leading == 1 else tensor.reshape(tensor.shape[:leading].numel(), *tensor.shape[leading:])


def batch(items: Tensor) -> Batch:
    """Return where the items ``(count, rows, columns)``, or ``(count,)`` numbers, lie. They must outlive it."""
    return Batch(items.data_ptr(), items.stride())
