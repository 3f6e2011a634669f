"""The public operation: checks its arguments, and hands them to a backend."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.kernels import gpu, sequences
from statespace.kernels import native as core
from statespace.kernels.dispatch import pick
from statespace.kernels.softplus import softplus
from statespace.kernels.ssd import chunked, native, reference
from statespace.shapes import expect

BACKENDS = ("triton", "native", "chunked", "reference")  # fastest first
_FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def _check(given: dict[str, Tensor], cu_seqlens: Tensor | None, lengths: Tensor | None, chunk: int) -> dict[str, int]:
    sizes: dict[str, int] = {}
    axes = {
        "x": "b l h p",
        "dt": "b l h",
        "A": "h",
        "B": "b l g n",
        "C": "b l g n",
        "D": "h",
        "z": "b l h p",
        "dt_bias": "h",
        "initial_state": "s h p n",
    }
    hints = {
        "x": "The layout is (batch, length, heads, channels of a head): use x.unflatten(-1, (heads, -1)).",
        "B": "One group of heads is B[:, :, None].",
        "C": "One group of heads is C[:, :, None].",
        "initial_state": "It has a state for each sequence.",
    }
    x = given["x"]
    for name, tensor in given.items():
        expect("ssd", name, tensor, axes[name], sizes, hints.get(name, ""))
        if tensor.dtype not in _FLOATS:
            raise InputError(f"ssd: {name} is {tensor.dtype}, but a real float dtype is expected: use {name}.float().")
        if (x.dtype == torch.float64) != (tensor.dtype == torch.float64):
            raise InputError(
                f"ssd: x is {x.dtype} but {name} is {tensor.dtype}: float64 is not mixed with less, "
                f"convert one of them, for example {name}.to(x.dtype)."
            )
        if name == "x":
            sizes["s"] = sequences.check("ssd", "x", x, lengths, cu_seqlens)
    for name, tensor in given.items():
        if tensor.device != x.device:
            raise InputError(f"ssd: {name} is on {tensor.device} but x on {x.device}: move it with .to(x.device).")
    if sizes["g"] == 0 or sizes["h"] % sizes["g"]:
        raise ShapeError(
            f"ssd: B has {sizes['g']} groups but x has {sizes['h']} heads: each group serves equally many heads, so "
            "the groups must divide the heads. Is B (batch, length, groups, n)?"
        )
    if isinstance(chunk, float) or chunk < 1:
        raise InputError(f"ssd: chunk is {chunk}, but a whole number from 1 on is expected: the steps in a chunk.")
    return sizes


def _triton(*arguments: Any) -> tuple[Tensor, Tensor]:
    from statespace.kernels.ssd import triton  # Triton is loaded where it computes, and only there

    found: tuple[Tensor, Tensor] = triton.ssd(*arguments)
    return found


_RUN: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "triton": _triton,
    "native": native.ssd,
    "chunked": chunked.ssd,
    "reference": reference.ssd,
}


def ssd(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    dt_softplus: bool = False,
    initial_state: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    lengths: Tensor | None = None,
    return_final_state: bool = False,
    chunk: int = 64,
    backend: str = "auto",
) -> Tensor | tuple[Tensor, Tensor]:
    """Scan a selective system whose state decays by one number for a whole head: the inner loop of Mamba-2.

    ``h[t] = exp(Δ[t] A) h[t-1] + Δ[t] x[t] B[t]ᵀ``, ``y[t] = h[t] C[t] + D x[t]``, and ``y[t] silu(z[t])`` where there
    is a gate; ``Δ = softplus(dt + dt_bias)``, or without the softplus. Head i uses group ``i // (h / g)`` of B and C.

    The input matrix is the Euler one, Δ B, beside the exact exp(Δ A), as in Mamba-2. The scan of two pieces, with the
    state carried over, is the scan of the whole. Half precision is computed, and its state kept, in float32, under
    autocast too. Gradients flow to all arguments but `cu_seqlens` and `lengths`, and from both results. With
    all backends but ``reference``, a NaN spreads over the whole chunk that it stands in, beside all that comes after.

    Args:
        x: input, ``(b, l, h, p)``: float32, float64, bfloat16 or float16.
        dt: step, ``(b, l, h)``, in s, before bias and softplus.
        A: eigenvalue of each head, ``(h,)``, in 1/s, negative.
        B: input vector, ``(b, l, g, n)``, in state units per (input unit x s); g divides h.
        C: output vector, ``(b, l, g, n)``, in output units per state unit.
        D: feedthrough, ``(h,)``, in output units per input unit; None for none.
        z: gate, ``(b, l, h, p)``, no unit; None for none.
        dt_bias: added to `dt`, ``(h,)``, in s; None for none.
        dt_softplus: whether the step is the softplus of that.
        initial_state: state before the first step, ``(b, h, p, n)``, or one for each packed sequence; None for zeros.
        cu_seqlens: bounds of the sequences packed into one row, ``(sequences + 1,)``, int32 or int64, from 0 to l; the
            batch is 1. Sequences do not see each other.
        lengths: steps in each sequence, ``(b,)``, int32 or int64, from the beginning of its row; None where all have l.
            What stands beyond, NaN included, is not looked at.
        return_final_state: whether the state after the last step of each sequence is returned too.
        chunk: steps that are taken by one matrix product, for ``chunked``; ``triton`` takes 16, ``native`` 64.
        backend: ``triton`` (GPU), ``native`` (compiled, CPU), ``chunked`` (matrix products, any device), ``reference``
            (slow), or ``auto``, the first of them that can.
    Returns:
        y: output, ``(b, l, h, p)``, in the dtype of `x`; zero beyond each sequence's length. With
            `return_final_state`, also the final states, ``(b, h, p, n)`` or ``(sequences, h, p, n)``, float32, or
            float64 where `x` is.
    Raises:
        ShapeError: the shapes do not fit.
        InputError: a dtype, device or length cannot be used, or `backend` is unknown.
    Source:
        Dao, Gu, "Transformers are SSMs: Generalized Models and Efficient Algorithms Through Structured State Space
        Duality", ICML 2024, section 6.
    """
    given = {"x": x, "dt": dt, "A": A, "B": B, "C": C}
    optional = {"D": D, "z": z, "dt_bias": dt_bias, "initial_state": initial_state}
    given |= {name: value for name, value in optional.items() if value is not None}
    sizes = _check(given, cu_seqlens, lengths, chunk)
    nothing = "there is nothing to launch a kernel for." if 0 in (*x.shape, *B.shape) else None
    refusals = dict.fromkeys(BACKENDS) | {
        "triton": nothing or gpu.why_refused(x.device.type),
        "native": core.why_refused(x.device.type),
    }
    backend = pick("ssd", backend, refusals)
    work = torch.promote_types(x.dtype, torch.float32)
    real = None
    if lengths is not None:
        real = (torch.arange(sizes["l"], device=x.device) < lengths[:, None])[..., None]  # (b, l, 1)
        dt = torch.where(real, dt, 0)
        x, B, C = (torch.where(real[..., None], tensor, 0) for tensor in (x, B, C))
        z = None if z is None else torch.where(real[..., None], z, 0)
    step = dt.to(work) if dt_bias is None else dt.to(work) + dt_bias.to(work)
    step = softplus(step) if dt_softplus else step
    # Without a step, the state stays as it is.
    step = step if real is None else torch.where(real, step, 0)
    # Backends meet no lazy sign: in a compiled graph, operators would read past it.
    x, step, B, C = (tensor.resolve_neg() for tensor in (x, step, B, C))
    D, initial_state = (None if v is None else v.to(work).resolve_neg() for v in (D, initial_state))
    A, z = A.to(work).resolve_neg(), None if z is None else z.resolve_neg()
    y, final = _RUN[backend](x, step, A, B, C, D, z, initial_state, cu_seqlens, chunk)
    y = y if real is None else torch.where(real[..., None], y, 0)
    return (y, final) if return_final_state else y
