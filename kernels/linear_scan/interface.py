"""The public operation: checks its arguments, and hands them to a backend."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.kernels import gpu, sequences
from statespace.kernels import native as core
from statespace.kernels.dispatch import pick
from statespace.kernels.linear_scan import chunked, native, reference
from statespace.shapes import expect_tensor

BACKENDS = ("triton", "native", "chunked", "reference")
_HALVES = (torch.float16, torch.bfloat16)
_PRECISIONS = (*_HALVES, torch.float32, torch.float64, torch.complex64, torch.complex128)


def _check(a: Tensor, b: Tensor, initial_state: Tensor | None) -> None:
    expect_tensor("linear_scan", "b", b)
    given = {"a": a, "b": b} | ({} if initial_state is None else {"initial_state": initial_state})
    for name, value in given.items():
        expect_tensor("linear_scan", name, value)
        if value.dtype not in _PRECISIONS:
            raise InputError(
                f"linear_scan: {name} is {value.dtype}, but a real or complex floating dtype is expected: "
                f"convert it with {name}.float()."
            )
        if value.device != b.device:
            raise InputError(
                f"linear_scan: {name} is on {value.device} but b on {b.device}: move it with .to(b.device)."
            )
    if b.ndim < 2:
        raise ShapeError(
            f"linear_scan: b is {tuple(b.shape)}, but (batch, length, channels...) is expected: add what lacks with "
            "b[None] or b[..., None]."
        )
    fits = a.ndim <= b.ndim and all(have in (1, want) for have, want in zip(a.shape[::-1], b.shape[::-1], strict=False))
    if not fits:
        raise ShapeError(
            f"linear_scan: a is {tuple(a.shape)}, which cannot be broadcast to b, {tuple(b.shape)}: give it the shape "
            "of b, or that of its channels alone, or 1 for each axis of b that shares it."
        )


def _triton(*arguments: Tensor | None) -> Tensor:
    from statespace.kernels.linear_scan import triton  # Triton is loaded where it computes, and only there

    h: Tensor = triton.linear_scan(*arguments)
    return h


def linear_scan(
    a: Tensor,
    b: Tensor,
    initial_state: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    lengths: Tensor | None = None,
    backend: str = "auto",
) -> Tensor:
    """Run an elementwise linear recurrence over time and return all its states.

    ``h[t] = a[t] h[t-1] + b[t]`` in each channel by itself, with ``h[-1]`` the initial state. The last state is
    ``h[:, -1]``; beyond a sequence's own length the state is held, so that this is its last state too. The scan of two
    pieces, with the state carried over, is the scan of the whole.

    Gradients flow to `a`, `b` and `initial_state`. The result is kept for them, and `b` is not. Half precision is
    computed, and returned, in float32. While the native backend computes, its threads take denormal numbers for zero.

    Args:
        a: factor of each step, no unit, real or complex: of the shape of `b`, or broadcast to it. Time-invariant
            factors are ``(channels...)``, or have a 1 for the length; they are not expanded in memory.
        b: what comes in with each step, ``(batch, length, channels...)``, in state units, real or complex.
        initial_state: state before the first step, ``(batch, channels...)``, or ``(sequences, channels...)`` where they
            are packed; None for zeros.
        cu_seqlens: where packed sequences begin and end, ``(sequences + 1,)``, int32 or int64, from 0 to the length;
            the batch is 1 and the sequences do not see each other. None where they are not packed.
        lengths: steps in each sequence, ``(batch,)``, int32 or int64, from the beginning of its row; None where all are
            of the full length. What stands beyond in `a` and `b`, NaN included, is not looked at.
        backend: ``triton`` (GPU), ``native`` (compiled, CPU), ``chunked`` (portable), ``reference`` (slow), or ``auto``
            for the first of them that can.
    Returns:
        all states, ``(batch, length, channels...)``, in the precision that the arguments have in common. That of packed
        sequence i after its last step is ``h[0, cu_seqlens[i + 1] - 1]``.
    Raises:
        ShapeError: the shapes do not fit.
        InputError: a dtype, device, length or bound cannot be used; the backend is unknown, or not there (it says why).
    Source:
        Martin and Cundy, "Parallelizing Linear Recurrent Neural Nets Over Sequence Length", ICLR 2018, equation 4.
    """
    _check(a, b, initial_state)
    shape, channels = b.shape, b.shape[2:]
    count = sequences.check("linear_scan", "b", b, lengths, cu_seqlens)
    if initial_state is not None and initial_state.shape != (count, *channels):
        raise ShapeError(
            f"linear_scan: initial_state is {tuple(initial_state.shape)}, but {(count, *channels)} is expected: "
            "one state for each sequence."
        )
    refusals = dict.fromkeys(BACKENDS) | {
        "triton": gpu.why_refused(b.device.type) if b.numel() else "there is nothing to launch a kernel for.",
        "native": core.why_refused(b.device.type),
    }
    backend = pick("linear_scan", backend, refusals)

    dtype = torch.promote_types(a.dtype, b.dtype)
    if initial_state is not None:
        dtype = torch.promote_types(dtype, initial_state.dtype)
    dtype = torch.float32 if dtype in _HALVES else dtype
    # Backends know three axes, and an `a` that is shared along the first two only. They meet no lazy conjugate or sign.
    columns = math.prod(channels)
    a = a.to(dtype).reshape((1,) * (len(shape) - a.ndim) + a.shape)
    a = a.expand(*a.shape[:2], *channels).reshape(*a.shape[:2], columns).resolve_conj().resolve_neg()
    b = b.to(dtype).reshape(*shape[:2], columns).resolve_conj().resolve_neg()
    if initial_state is not None:
        initial_state = initial_state.to(dtype).reshape(count, columns).resolve_conj().resolve_neg()
    scans: dict[str, Callable[..., Tensor]] = {
        "triton": _triton,
        "native": native.linear_scan,
        "chunked": chunked.linear_scan,
        "reference": reference.linear_scan,
    }
    h = scans[backend](a, b, initial_state, lengths, cu_seqlens)
    return h.reshape(shape)
