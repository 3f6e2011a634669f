"""The scan of Mamba-2 by the compiled core (kernels/native/ssd*): CPU, in float32 and float64.

The same sums as in ``chunked``, chunk by chunk, with products of small matrices that stay in the first caches; three
passes, over chunks, from chunk to chunk, and over chunks again. Nothing is kept for the backward but the arguments.
Results do not depend on the number of threads, which is that of torch.
"""

import ctypes
from ctypes import c_int64, c_void_p

import torch
from torch import Tensor
from torch.nn.functional import silu

from statespace.kernels import native as core
from statespace.kernels.ssd.registration import register, state_shape

_BY_TIME = ("x", "dt", "B", "C", "grad_y")  # read with their strides


class _Call(ctypes.Structure):
    """The C struct ``statespace::Ssd`` of kernels/native/ssd.h, field by field."""

    _fields_ = (
        ("batch", c_int64),
        ("length", c_int64),
        ("heads", c_int64),
        ("width", c_int64),
        ("groups", c_int64),
        ("states", c_int64),
        ("sequences", c_int64),
        ("is_double", c_int64),
        ("threads", c_int64),
        ("instruction_set", c_int64),
        ("x", c_void_p),
        ("x_stride", c_int64 * 4),
        ("dt", c_void_p),
        ("dt_stride", c_int64 * 3),
        ("A", c_void_p),
        ("B", c_void_p),
        ("B_stride", c_int64 * 4),
        ("C", c_void_p),
        ("C_stride", c_int64 * 4),
        ("D", c_void_p),
        ("initial", c_void_p),
        ("cu_seqlens", c_void_p),
        ("y", c_void_p),
        ("final", c_void_p),
        ("grad_y", c_void_p),
        ("grad_y_stride", c_int64 * 4),
        ("grad_final", c_void_p),
        ("grad_x", c_void_p),
        ("grad_dt", c_void_p),
        ("grad_B", c_void_p),
        ("grad_C", c_void_p),
        ("grad_A", c_void_p),
        ("grad_D", c_void_p),
        ("grad_initial", c_void_p),
    )


def _run(function: str, instruction_set: str | None, x: Tensor, B: Tensor, dt: Tensor, **arrays: Tensor | None) -> None:
    bounds = arrays.get("cu_seqlens")
    call = _Call(
        *x.shape,
        *B.shape[2:],
        x.shape[0] if bounds is None else len(bounds) - 1,
        dt.dtype == torch.float64,
        torch.get_num_threads(),
        core.instruction_set(instruction_set),
    )
    given = {"x": x, "B": B, "dt": dt} | arrays
    plain = {}  # held until the call returns
    for name, tensor in given.items():
        if tensor is not None:
            plain[name] = tensor = tensor.resolve_neg() if name in _BY_TIME else tensor.resolve_neg().contiguous()
            setattr(call, name, tensor.data_ptr())
            if name in _BY_TIME:
                setattr(call, f"{name}_stride", (c_int64 * tensor.ndim)(*tensor.stride()))
    if getattr(core.library(), function)(ctypes.byref(call)):
        raise MemoryError("ssd: no memory left for the states between chunks.")


def forward(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    chunk: int,
    instruction_set: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Scan, with the kernels of a named instruction set or the fastest one; `x`, `B`, `C` are of the type of `dt`."""
    assert z is None, "the gate is applied by torch"
    y, final = torch.empty(x.shape, dtype=dt.dtype), torch.empty(state_shape(x, B, cu_seqlens), dtype=dt.dtype)
    bounds = None if cu_seqlens is None else cu_seqlens.long()
    given = {"A": A, "C": C, "D": D, "initial": initial_state, "cu_seqlens": bounds}
    _run("statespace_ssd_forward", instruction_set, x, B, dt, **given, y=y, final=final)
    return y, final


def backward(
    grad_y: Tensor | None,
    grad_final: Tensor | None,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    chunk: int,
    instruction_set: str | None = None,
) -> tuple[Tensor, ...]:
    """Gradients, with the kernels of a named instruction set or the fastest one of this processor."""
    assert z is None, "the gate is applied by torch"
    bounds = None if cu_seqlens is None else cu_seqlens.long()
    found = {
        name: torch.empty(value.shape, dtype=dt.dtype) for name, value in (("x", x), ("dt", dt), ("B", B), ("C", C))
    }
    sums = torch.zeros(2, len(A), dtype=torch.float64)
    grad_initial = torch.empty(0 if initial_state is None else initial_state.shape, dtype=dt.dtype)
    _run(
        "statespace_ssd_backward",
        instruction_set,
        x,
        B,
        dt,
        A=A,
        C=C,
        D=D,
        initial=initial_state,
        cu_seqlens=bounds,
        grad_y=x.new_zeros(()).expand(x.shape) if grad_y is None else grad_y,
        grad_final=grad_final,
        **{f"grad_{name}": value for name, value in found.items()},
        grad_A=sums[0],
        grad_D=sums[1],
        grad_initial=None if initial_state is None else grad_initial,
    )
    of_A, of_D = sums.to(dt.dtype)
    none = dt.new_empty(0)
    return (
        found["x"],
        found["dt"],
        of_A.clone(),
        found["B"],
        found["C"],
        none if D is None else of_D.clone(),
        none.clone(),
        grad_initial,
    )


_scan = register("ssd_native", forward, backward)


def ssd(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    initial_state: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    chunk: int = 1,
) -> tuple[Tensor, Tensor]:
    """Scan; what is not in the precision of `dt` is converted on the way in and out, and the gate is torch's.

    Args and returns are those of `statespace.kernels.ssd.ssd`, which checks them. `chunk` is there for the sake of the
    common signature: the core has lengths of its own.
    """
    work = dt.dtype
    y, final = _scan(x.to(work), dt, A, B.to(work), C.to(work), D, None, initial_state, cu_seqlens, chunk)
    if z is not None:
        y = y * silu(z.to(work))
    return y.to(x.dtype), final
