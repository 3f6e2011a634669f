"""The public entry: arguments are checked here, once, then a backend is called."""

from collections.abc import Callable

import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.kernels.dispatch import pick
from statespace.kernels.vandermonde import chunked, reference
from statespace.shapes import expect_tensor

BACKENDS = ("chunked", "reference")  # fastest first
_RUN: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "chunked": chunked.vandermonde,
    "reference": reference.vandermonde,
}
_COMPLEX = (torch.complex64, torch.complex128)


def vandermonde(log_a: Tensor, c: Tensor, length: int, backend: str = "auto") -> Tensor:
    """Sum the powers of a diagonal system's modes: its convolution kernel.

    ``K[..., l] = Re sum_n c[..., n] exp(l * log_a[..., n])``,  l = 0 ... length - 1

    For a system discretised by zero-order hold ``log_a = A dt`` and ``c = C * Bbar``; a system that keeps one mode of
    each conjugate pair passes ``2 c``. The exponent is asked for, not the base: a base rounded to float32 and raised
    to the power 65536 has lost its phase.

    Args:
        log_a: exponents per step, ``(..., n)`` complex64 or complex128, no unit. A real part of -inf is a mode that
            lasts for l = 0 alone; a positive one grows.
        c: coefficients, ``(..., n)``, of `log_a`'s dtype, in output units per input unit. Leading axes broadcast.
        length: number of steps, at least 1.
        backend: "chunked" (any device), "reference" (materialised, in float64), or "auto", the fastest there is.
    Returns:
        ``K (..., length)``, float32 or float64 as the parts of `c`, in the unit of `c`; differentiable in `log_a` and
        `c`. With "chunked", powers below 1e-19 (float32; 1e-154 in float64) may count as 0.
    Raises:
        ShapeError: the last axes differ, or the leading axes do not broadcast.
        InputError: a tensor is not complex, dtypes or devices differ, `length` is below 1, or `backend` is unknown.
    Source:
        Gu, Gupta, Goel, Re, "On the Parameterization and Initialization of Diagonal State Space Models", NeurIPS
        2022, equation 5 and section 3.3. The split into two tables is ours; README.md has it.
    """
    _check(log_a, c, length)
    backend = pick("vandermonde", backend, dict.fromkeys(BACKENDS))
    lead = torch.broadcast_shapes(log_a.shape[:-1], c.shape[:-1])
    n = log_a.shape[-1]
    rows = lead.numel()
    # Backends meet no lazy conjugate or sign: in a compiled graph, operators would read past it.
    flat = (tensor.expand(*lead, n).reshape(rows, n).resolve_conj().resolve_neg() for tensor in (log_a, c))
    log_a, c = flat
    return _RUN[backend](log_a, c, length).reshape(*lead, length)


def _check(log_a: Tensor, c: Tensor, length: int) -> None:
    for name, tensor in (("log_a", log_a), ("c", c)):
        expect_tensor("vandermonde", name, tensor)
        if tensor.dtype not in _COMPLEX:
            raise InputError(
                f"vandermonde: {name} is {tensor.dtype}, but complex64 or complex128 is expected: "
                f"convert it with {name}.to(torch.complex64), or to complex128 for float64."
            )
        if tensor.ndim == 0:
            raise ShapeError(f"vandermonde: {name} has no axis, but (..., n) is expected: use {name}.reshape(1).")
    if log_a.dtype != c.dtype:
        raise InputError(f"vandermonde: log_a is {log_a.dtype} but c is {c.dtype}: convert one to the other's dtype.")
    if log_a.device != c.device:
        raise InputError(f"vandermonde: log_a is on {log_a.device} but c is on {c.device}: move one with .to(device).")
    if log_a.shape[-1] != c.shape[-1]:
        raise ShapeError(
            f"vandermonde: c is {tuple(c.shape)} but log_a is {tuple(log_a.shape)}: "
            f"both need the same number of modes on the last axis (log_a has {log_a.shape[-1]}). Is one transposed?"
        )
    try:
        torch.broadcast_shapes(log_a.shape[:-1], c.shape[:-1])
    except RuntimeError as error:
        raise ShapeError(
            f"vandermonde: the leading axes of log_a {tuple(log_a.shape)} and c {tuple(c.shape)} do not broadcast: "
            "give both the same leading axes, or 1 where one is shared."
        ) from error
    if isinstance(length, float) or length < 1:
        raise InputError(
            f"vandermonde: length is {length}, but a whole number from 1 on is expected: pass the number of steps."
        )
