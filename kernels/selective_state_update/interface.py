"""The public operation: hands plain arguments straight to the core, checks all others, and hands them to a backend."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from statespace.errors import InputError, ShapeError, choose
from statespace.kernels import gpu
from statespace.kernels import native as core
from statespace.kernels.dispatch import leaves_to, pick
from statespace.kernels.registration import followed
from statespace.kernels.selective_state_update import native, reference
from statespace.shapes import expect, expect_tensor

BACKENDS = ("triton", "native", "reference")
_ROWS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_STATES = (torch.float32, torch.float64, torch.complex64, torch.complex128)
_WHERE = "selective_state_update"


def _check_dtypes(state: Tensor, reals: dict[str, Tensor], numbers: dict[str, Tensor]) -> None:
    if state.dtype not in _STATES:
        raise InputError(
            f"{_WHERE}: state is {state.dtype}, but float32, float64, or a complex dtype is expected: "
            "keep it in float32, whatever the dtype of x."
        )
    for name, value in reals.items():
        if value.dtype not in _ROWS:
            raise InputError(
                f"{_WHERE}: {name} is {value.dtype}, but float32, float64, bfloat16 or float16 is expected: "
                f"pass {f'{name}.real' if value.is_complex() else f'{name}.float()'}."
            )
    for name, value in numbers.items():
        if value.dtype not in (*_ROWS, *_STATES) or (value.is_complex() and not state.is_complex()):
            raise InputError(f"{_WHERE}: {name} is {value.dtype}, but state is {state.dtype}: make them both real.")
    if state.is_complex() and not numbers["A"].is_complex():
        raise InputError(f"{_WHERE}: state is {state.dtype}, but A is {numbers['A'].dtype}: use A + 0j.")


def _check(
    state: Tensor,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
) -> None:
    sizes: dict[str, int] = {}
    expect(_WHERE, "x", x, "b d", sizes, "One step has the layout (batch, channels).")
    reals, numbers = {"x": x, "dt": dt}, {"A": A, "B": B, "C": C}
    expect(_WHERE, "A", A, "d n", sizes, f"x has {sizes['d']} channels.")
    expect(_WHERE, "dt", dt, "b d", sizes)
    for name, value, axes in (("z", z, "b d"), ("D", D, "d"), ("dt_bias", dt_bias, "d")):
        if value is not None:
            expect(_WHERE, name, value, axes, sizes)
            reals[name] = value
    expect(_WHERE, "state", state, "b d n", sizes)
    for name, value in (("B", B), ("C", C)):
        expect_tensor(_WHERE, name, value)
        hint = "One that does not change with the step, (d, n), is passed as B.expand(b, d, n): a group a channel."
        expect(_WHERE, name, value, "b n" if value.ndim == 2 else "b g n", sizes, hint.replace("B.", f"{name}."))
    if B.ndim != C.ndim or ("g" in sizes and (sizes["g"] == 0 or sizes["d"] % sizes["g"])):
        raise ShapeError(
            f"{_WHERE}: B is {tuple(B.shape)} and C {tuple(C.shape)}, but both (b, n), or both (b, g, n) with groups "
            f"that share the {sizes['d']} channels evenly, are expected."
        )
    _check_dtypes(state, reals, numbers)
    if not torch.compiler.is_compiling() and (state.is_conj() or state.is_neg()):
        raise InputError(
            f"{_WHERE}: state is conjugated or negated by a mark alone, so that it cannot be changed in place: pass "
            "state.resolve_conj().resolve_neg(), and keep that."
        )
    if any(size > 1 and stride == 0 for size, stride in zip(state.shape, state.stride(), strict=True)):
        raise InputError(
            f"{_WHERE}: state is expanded, so that several of its numbers are one in memory and cannot be changed by "
            "themselves: pass state.contiguous(), and keep that."
        )
    given = {"state": state, **reals, **numbers}
    if not torch.compiler.is_dynamo_compiling() and (derivative := followed(given.values())):
        raise InputError(
            f"{_WHERE}: {derivative} was asked for, but the step changes its state in place and has none: take "
            "selective_scan with a sequence of one step and backend='reference'."
        )
    for name, value in given.items():
        if value.device != x.device:
            raise InputError(f"{_WHERE}: {name} is on {value.device} but x on {x.device}: move it with .to(x.device).")
        if torch.is_grad_enabled() and value.requires_grad:
            raise InputError(
                f"{_WHERE}: {name} needs a gradient, but the step changes its state in place and has none: call it "
                "under torch.no_grad(), or take selective_scan with a sequence of one step."
            )


def _triton(*arguments: Any) -> Tensor:
    from statespace.kernels.selective_state_update import triton  # Triton is loaded where it computes, and only there

    y: Tensor = triton.selective_state_update(*arguments)
    return y


def selective_state_update(
    state: Tensor,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    dt_softplus: bool = False,
    method: str = "euler-b",
    backend: str = "auto",
) -> Tensor:
    """Take one step of `statespace.kernels.selective_scan.selective_scan`, and leave the new state in `state`.

    With ``delta = dt + dt_bias`` (its softplus if `dt_softplus`), in each channel

    ``h <- exp(delta A) h + v``,  ``y = (Re sum_n C h + D x) silu(z)``,

    where v is ``delta B x`` for ``euler-b``, ``(exp(delta A) - 1) / A  B x`` for ``zoh``, and for
    ``exponential-trapezoidal`` again ``delta B x``, of which C sees half. Steps one after the other give what the scan
    gives for the whole sequence. Arithmetic is in the precision of the state. There are no gradients.

    Args:
        state: h, ``(b, d, n)``, float32 or float64, or complex as A; changed in place.
        x: input, ``(b, d)``, float32, float64, bfloat16 or float16.
        dt: step in s, before `dt_bias` and softplus, ``(b, d)``.
        A: eigenvalues, ``(d, n)``, real or complex, in 1/s.
        B: input vector, in state units per (input unit x s), ``(b, n)``, or ``(b, g, n)`` for g groups of channels;
            complex only if A is.
        C: output vector, in output units per state unit, shaped like B.
        D: feedthrough, ``(d,)``, in output units per input unit; None for none.
        z: gate, ``(b, d)``, no unit; None for none.
        dt_bias: added to `dt`, ``(d,)``; None for zero.
        dt_softplus: whether the step is ``softplus(dt + dt_bias)``.
        method: ``euler-b``, ``zoh`` or ``exponential-trapezoidal``.
        backend: ``triton`` (GPU), ``native`` (compiled, CPU), ``reference`` (torch, any device), or ``auto`` for the
            first of them that can.
    Returns:
        ``y (b, d)``, like x.
    Raises:
        ShapeError: the shapes do not fit.
        InputError: a dtype or device cannot be used, a gradient is wanted, or the method or backend is unknown or the
            backend not there (it says why).
    Source:
        Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023, section 3.2.
    """
    # A dual number looks like any other tensor to the core.
    if leaves_to(backend, "native") and not torch.compiler.is_dynamo_compiling() and forward_ad._current_level < 0:
        done = native.direct(state, x, dt, A, B, C, D, z, dt_bias, dt_softplus, method)
        if done is not None:
            return done
    _check(state, x, dt, A, B, C, D, z, dt_bias)
    choose(_WHERE, "method", method, native.RULES)
    nothing = "there is nothing to launch a kernel for." if 0 in state.shape else None
    refusals = {"triton": nothing or gpu.why_refused(x.device.type), "native": core.why_refused(x.device.type)}
    backend = pick(_WHERE, backend, dict.fromkeys(BACKENDS) | refusals)
    if B.ndim == 2:
        B, C = B[:, None], C[:, None]

    # Backends meet no lazy conjugate or sign: in a compiled graph, operators would read past it.
    def plain(value: Tensor) -> Tensor:
        return value.resolve_conj().resolve_neg()

    steps: dict[str, Callable[..., Tensor]] = {
        "triton": _triton,
        "native": native.selective_state_update,
        "reference": reference.selective_state_update,
    }
    return steps[backend](
        state,
        plain(x),
        plain(dt),
        plain(A),
        plain(B),
        plain(C),
        None if D is None else plain(D),
        None if z is None else plain(z),
        None if dt_bias is None else plain(dt_bias),
        dt_softplus,
        method,
    )
