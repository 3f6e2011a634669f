"""The public operation: checks its arguments, and hands them to a backend."""

from collections.abc import Callable

import torch
from torch import Tensor

from statespace.errors import InputError
from statespace.kernels import gpu, sequences
from statespace.kernels import native as core
from statespace.kernels.dispatch import pick
from statespace.kernels.lti_scan import chunked, native, reference
from statespace.shapes import expect, expect_tensor

BACKENDS = ("triton", "native", "chunked", "reference")
_COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


def _check(
    u: Tensor,
    log_a: Tensor,
    b: Tensor,
    c: Tensor,
    D: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
) -> None:
    expect_tensor("lti_scan", "u", u)
    if u.dtype not in _COMPLEX:
        raise InputError(f"lti_scan: u is {u.dtype}, but float32 or float64 is expected: convert it with u.float().")
    sizes: dict[str, int] = {}
    expect("lti_scan", "u", u, "b l d", sizes, "The layout is (batch, length, channels).")
    hint = f"u has {sizes['d']} channels; is it (batch, channels, length) and needs u.transpose(1, 2)?"
    complex_arguments = [("log_a", log_a, "d n"), ("b", b, "d n"), ("c", c, "d n")]
    if initial_state is not None:
        complex_arguments.append(("initial_state", initial_state, "b d n"))
    for name, value, axes in complex_arguments:
        expect("lti_scan", name, value, axes, sizes, hint)
        if not value.is_complex():
            raise InputError(f"lti_scan: {name} is {value.dtype}, but a complex dtype is expected: use {name} + 0j.")
    if D is not None:
        expect("lti_scan", "D", D, "d", sizes, hint)
        if not D.is_floating_point():
            raise InputError(f"lti_scan: D is {D.dtype}, but a real dtype is expected: pass D.real.")
    if lengths is not None:
        sequences.check("lti_scan", "u", u, lengths, None)
    given = {name: value for name, value, _ in complex_arguments} | ({} if D is None else {"D": D})
    for name, value in given.items():
        if value.device != u.device:
            raise InputError(f"lti_scan: {name} is on {value.device} but u on {u.device}: move it with .to(u.device).")


def _why_not_triton(u: Tensor, b: Tensor) -> str | None:
    if 0 in (*u.shape, b.shape[1]):
        return "there is nothing to launch a kernel for."
    return gpu.why_refused(u.device.type)


def _triton(*arguments: Tensor | None) -> tuple[Tensor, Tensor]:
    from statespace.kernels.lti_scan import triton  # Triton is loaded where it computes, and only there

    y, final_state = triton.lti_scan(*arguments)
    return y, final_state


def lti_scan(
    u: Tensor,
    log_a: Tensor,
    b: Tensor,
    c: Tensor,
    D: Tensor | None = None,
    initial_state: Tensor | None = None,
    lengths: Tensor | None = None,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Run a discrete, diagonal, time-invariant system in each channel over a batch of sequences.

    ``h[t] = a h[t-1] + b u[t]``, ``y[t] = Re sum_n c h[t] + D u[t]``, with ``a = exp(log_a)`` and ``h[-1]`` the
    initial state. For a continuous system with eigenvalues A, ``log_a`` is Δ A. Where the n states stand for
    conjugate pairs, the factor 2 of their other halves belongs into `c`.

    The scan of two pieces, with the state carried over, is the scan of the whole. Arithmetic is in the precision of
    `u`, except that the exponential is taken in float64. Gradients flow to all arguments but `lengths`, and from both
    results. While the native backend computes, its threads take denormal numbers for zero; they put the setting back.

    Args:
        u: input, ``(b, l, d)``, float32 or float64.
        log_a: exponent of one step, ``(d, n)``, complex, no unit; a real part of minus infinity makes ``a = 0``.
        b: input vector, ``(d, n)``, complex, in state units per input unit.
        c: output vector, ``(d, n)``, complex, in output units per state unit.
        D: feedthrough, ``(d,)``, real, in output units per input unit; None for none.
        initial_state: state before the first step, ``(b, d, n)``, complex; None for zeros.
        lengths: steps in each sequence, ``(b,)``, int32 or int64, from the beginning of its row; None where all have l.
            What stands beyond, NaN included, is not looked at.
        backend: ``triton`` (GPU), ``native`` (compiled, CPU), ``chunked`` (portable), ``reference`` (slow), or ``auto``
            for the first of them that can.
    Returns:
        y: output, ``(b, l, d)``, like `u`; zero beyond each sequence's length.
        final_state: state after each sequence's own last step, ``(b, d, n)``, complex.
    Raises:
        ShapeError: the shapes do not fit.
        InputError: a dtype, device or length cannot be used; the backend is unknown, or not there (it says why).
    Source:
        Gu, Gupta, Goel, Ré, "On the Parameterization and Initialization of Diagonal State Space Models", NeurIPS 2022,
        section 2.
    """
    _check(u, log_a, b, c, D, initial_state, lengths)
    refusals = dict.fromkeys(BACKENDS) | {"triton": _why_not_triton(u, b), "native": core.why_refused(u.device.type)}
    backend = pick("lti_scan", backend, refusals)
    # Backends meet no lazy conjugate or sign: in a compiled graph, operators would read past it.
    precision = _COMPLEX[u.dtype]
    u, log_a = u.resolve_neg(), log_a.resolve_conj()
    b, c = b.to(precision).resolve_conj(), c.to(precision).resolve_conj()
    D = None if D is None else D.to(u.dtype).resolve_neg()
    initial_state = None if initial_state is None else initial_state.to(precision).resolve_conj()
    scans: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
        "triton": _triton,
        "native": native.lti_scan,
        "chunked": chunked.lti_scan,
        "reference": reference.lti_scan,
    }
    y, final_state = scans[backend](u, log_a, b, c, D, initial_state, None if lengths is None else lengths.long())
    return y, final_state
