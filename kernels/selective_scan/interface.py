"""The public operation: checks its arguments, and hands them to a backend."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError, choose
from statespace.kernels import gpu, sequences
from statespace.kernels import native as core
from statespace.kernels.dispatch import pick
from statespace.kernels.selective_scan import chunked, native, reference
from statespace.shapes import expect, expect_tensor

BACKENDS = ("triton", "native", "chunked", "reference")
METHODS = ("euler-b", "zoh", "exponential-trapezoidal")
_REAL = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}
_PARTS = {complex_: real for real, complex_ in _COMPLEX.items()}
_LAYOUT = "The layout is (batch, length, channels)."


def _check_dtypes(reals: dict[str, Tensor], numbers: dict[str, Tensor], A: Tensor) -> None:
    for name, value in reals.items():
        if value.dtype not in _REAL:
            raise InputError(
                f"selective_scan: {name} is {value.dtype}, but float32, float64, bfloat16 or float16 is expected: "
                f"pass {f'{name}.real' if value.is_complex() else f'{name}.float()'}."
            )
    for name, value in numbers.items():
        if value.dtype not in (*_REAL, *_PARTS):
            raise InputError(f"selective_scan: {name} is {value.dtype}, but a floating dtype is expected.")
        if value.is_complex() and not A.is_complex():
            raise InputError(
                f"selective_scan: {name} is {value.dtype} but A is {A.dtype}: "
                f"make A complex too with A + 0j, or pass {name}.real."
            )


def _check_vector(name: str, value: Tensor, sizes: dict[str, int]) -> None:
    """B or C: ``(b, l, n)``, ``(b, l, g, n)`` or time-invariant ``(d, n)``."""
    expect_tensor("selective_scan", name, value)
    if value.ndim not in (2, 3, 4):
        raise ShapeError(
            f"selective_scan: {name} is {tuple(value.shape)}, but (b, l, n), (b, l, g, n) or, where it does not change "
            "along the sequence, (d, n) is expected."
        )
    axes = {2: "d n", 3: "b l n", 4: "b l g n"}[value.ndim]
    expect("selective_scan", name, value, axes, sizes if value.ndim < 4 else dict(sizes))
    if value.ndim == 4 and (value.shape[2] == 0 or sizes["d"] % value.shape[2]):
        raise ShapeError(
            f"selective_scan: {name} has {value.shape[2]} groups, but u has {sizes['d']} channels: "
            "the groups share the channels evenly, so their number divides that of the channels."
        )


def _check(
    u: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
) -> None:
    where = "selective_scan"
    sizes: dict[str, int] = {}
    expect(where, "u", u, "b l d", sizes, _LAYOUT)
    hint = f"u has {sizes['d']} channels; is it (batch, channels, length) and needs u.transpose(1, 2)?"
    expect(where, "A", A, "d n", sizes, hint)
    expect(where, "dt", dt, "b l d", sizes, _LAYOUT)
    reals = {"u": u, "dt": dt}
    for name, value, axes in (("z", z, "b l d"), ("D", D, "d"), ("dt_bias", dt_bias, "d")):
        if value is not None:
            expect(where, name, value, axes, sizes, _LAYOUT if axes == "b l d" else "")
            reals[name] = value
    numbers = {"A": A, "B": B, "C": C}
    _check_vector("B", B, sizes)
    _check_vector("C", C, sizes)
    if B.ndim > 2 and C.ndim > 2 and B.shape[2:-1] != C.shape[2:-1]:
        raise ShapeError(
            f"selective_scan: C is {tuple(C.shape)} but B is {tuple(B.shape)}: they need the same number of groups."
        )
    if cu_seqlens is not None:
        sequences.check(where, "u", u, None, cu_seqlens)
    if initial_state is not None:
        states = dict(sizes)
        if cu_seqlens is not None:
            states |= {"sequences": cu_seqlens.shape[0] - 1}
        expect(where, "initial_state", initial_state, "b d n" if cu_seqlens is None else "sequences d n", states)
        numbers["initial_state"] = initial_state
    _check_dtypes(reals, numbers, A)
    for name, value in {**reals, **numbers}.items():
        if value.device != u.device:
            raise InputError(
                f"selective_scan: {name} is on {value.device} but u on {u.device}: move it with .to(u.device)."
            )


def _why_not_triton(u: Tensor, A: Tensor) -> str | None:
    if 0 in (*u.shape, A.shape[1]):
        return "there is nothing to launch a kernel for."
    return gpu.why_refused(u.device.type)


def _triton(*arguments: Any) -> tuple[Tensor, ...]:
    from statespace.kernels.selective_scan import triton  # Triton is loaded where it computes, and only there

    found: tuple[Tensor, ...] = triton.selective_scan(*arguments)
    return found


def selective_scan(
    u: Tensor,
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
    method: str = "euler-b",
    return_final_state: bool = False,
    backend: str = "auto",
) -> Tensor | tuple[Tensor, Tensor]:
    """Scan a diagonal system whose step, input and output vectors may change along the sequence.

    With ``delta = dt + dt_bias`` (its softplus if `dt_softplus`) and ``a = exp(delta A)``, in each channel

    ``h[t] = a[t] h[t-1] + v[t]``,  ``y[t] = (Re sum_n C[t] h[t] + D u[t]) silu(z[t])``,

    where `method` says what the input does:

    - ``euler-b``: ``v = delta B u``, the rule of published Mamba checkpoints (relative to ``zoh`` the input counts 5 %
      too much at ``delta A = -0.1`` and 58 % at -1);
    - ``zoh``: ``v = (a - 1) / A  B u``, exact for an input that is held over each step; ``delta B u`` where A is 0;
    - ``exponential-trapezoidal``: ``v = delta B u``, of which the output at t sees half: C reads ``h[t] - v[t] / 2``.
      The carried state holds all of v, so that it alone is enough to go on.

    Half of v now and, decayed, half of it one step later is Mamba-3's rule with ``lambda = 1/2``, and that of
    `statespace.discretization.exponential_trapezoidal`, wherever the step does not change. Where it does, Mamba-3
    weighs the later half with the later step, for which a state would have to carry v besides h.

    The scan of two pieces, with the state carried over, is the scan of the whole. Where the n states stand for
    conjugate pairs, the factor 2 of their other halves belongs into `C`. The state is kept in float32 at least.
    Gradients flow to all arguments but `cu_seqlens`, and from both results. While the native backend computes, its
    threads take denormal numbers for zero; they put the setting back. Its exponential holds while a step turns a state
    by less than 6e6 rad (3e15 in float64) and ``|delta A|`` is below 1e18; more is meant by nobody, and means nothing
    there.

    Args:
        u: input, ``(b, l, d)``, float32, float64, bfloat16 or float16.
        dt: step in s, before `dt_bias` and softplus, ``(b, l, d)``.
        A: eigenvalues, ``(d, n)``, real or complex, in 1/s; a negative real part makes the state decay.
        B: input vector, in state units per (input unit x s): ``(b, l, n)``; ``(b, l, g, n)`` for g groups, where
            channel i belongs to group ``i // (d // g)``; or ``(d, n)`` where it does not change. Complex only if `A`
            is.
        C: output vector, in output units per state unit, with the same choice of shapes.
        D: feedthrough, ``(d,)``, in output units per input unit; None for none.
        z: gate, ``(b, l, d)``, no unit; None for none.
        dt_bias: added to `dt`, ``(d,)``; None for zero.
        dt_softplus: whether the step is ``softplus(dt + dt_bias)``.
        initial_state: state before the first step, ``(b, d, n)``, or ``(s, d, n)`` for s packed sequences; None for
            zeros.
        cu_seqlens: where sequences that are packed into a batch of 1 begin, and their total length, ``(s + 1,)``, int32
            or int64, from 0 to l; they do not see each other. None for one sequence in each row.
        method: ``euler-b``, ``zoh`` or ``exponential-trapezoidal``.
        return_final_state: whether the state after each sequence's last step is returned too.
        backend: one of `BACKENDS`, or ``auto`` for the first of them that can.
    Returns:
        y: output, ``(b, l, d)``, like `u`.
        final_state: only if `return_final_state`; shaped like `initial_state`, complex if `A` is, float32 or float64.
    Raises:
        ShapeError: the shapes do not fit.
        InputError: a dtype, device or value cannot be used; the method or backend is unknown, or the backend is not
            there or cannot compute this (it says why).
    Source:
        Gu, Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023, section 3.2 and algorithm 2;
        Lahoti and others, "Mamba-3: Improved Sequence Modeling using State Space Principles", 2025.
    """
    _check(u, dt, A, B, C, D, z, dt_bias, initial_state, cu_seqlens)
    choose("selective_scan", "method", method, METHODS)
    refusals = dict.fromkeys(BACKENDS) | {
        "triton": _why_not_triton(u, A),
        "native": core.why_refused(u.device.type),
    }
    backend = pick("selective_scan", backend, refusals)
    # Rows of one precision, everything that is held throughout in float32 at least. Backends meet no lazy conjugate or
    # sign: in a compiled graph, operators would read past it.
    rows = u.dtype
    for value in (dt, z, B, C):
        if value is not None:
            rows = torch.promote_types(rows, _PARTS.get(value.dtype, value.dtype))
    wide = torch.promote_types(rows, torch.float32)
    held = _COMPLEX[wide] if A.is_complex() else wide
    varying = held if A.is_complex() else rows

    def cast(value: Tensor, dtype: torch.dtype) -> Tensor:
        return value.to(dtype).resolve_conj().resolve_neg()

    def maybe(value: Tensor | None, dtype: torch.dtype) -> Tensor | None:
        return None if value is None else cast(value, dtype)

    B, C = (cast(x[:, :, None] if x.ndim == 3 else x, varying) for x in (B, C))
    tensors = (
        cast(u, rows),
        cast(dt, rows),
        cast(A, held),
        B,
        C,
        maybe(D, wide),
        maybe(z, rows),
        maybe(dt_bias, wide),
        maybe(initial_state, held),
    )
    keep = torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors)
    backends: dict[str, Callable[..., tuple[Tensor, ...]]] = {
        "triton": _triton,
        "native": native.selective_scan,
        "chunked": chunked.selective_scan,
        "reference": reference.selective_scan,
    }
    scan = backends[backend]
    y, final_state, *_ = scan(*tensors, cu_seqlens, dt_softplus, method, keep)
    y = y.to(u.dtype)
    return (y, final_state) if return_final_state else y
