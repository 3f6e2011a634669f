"""The public entry: arguments are checked here, once, then a backend is called."""

from collections.abc import Callable

import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.kernels.dispatch import pick
from statespace.kernels.fftconv import blocked, reference
from statespace.kernels.registration import as_written
from statespace.shapes import expect

BACKENDS = ("blocked", "reference")  # fastest first
_RUN: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "blocked": blocked.fftconv,
    "reference": as_written(reference.fftconv),
}


def fftconv(
    u: Tensor,
    k: Tensor,
    k_reverse: Tensor | None = None,
    D: Tensor | None = None,
    backend: str = "auto",
) -> Tensor:
    """Convolve every channel of a signal with a kernel of its own, as long as the signal if need be.

    ``y[t] = sum_{s <= t} k[t-s] u[s]  +  sum_{s > t} k_reverse[s-t-1] u[s]  +  D u[t]``

    `k` looks back and starts with the sample itself; `k_reverse` looks ahead and starts with the next sample, so that
    no lag is counted twice. The kernels may be shorter or longer than the signal.

    Args:
        u: input, ``(b, l, d)`` real, ``l >= 1``.
        k: causal kernel, ``(d, lk)``, in output units per input unit; `k[:, j]` weighs the sample j steps ago.
        k_reverse: anti-causal kernel, ``(d, lr)``; `k_reverse[:, j]` weighs the sample j + 1 steps ahead. None: none.
        D: direct feedthrough, ``(d,)``. None: none.
        backend: "blocked" (FFT, any device), "reference" (the sum itself, quadratic in the length), or "auto", the
            fastest there is.
    Returns:
        ``y (b, l, d)`` in `u`'s dtype; differentiable in all tensors. Half precision is computed in float32: an FFT
        in half precision loses the kernel's tail.
    Raises:
        ShapeError: axes are missing, or the tensors disagree on d, or a length is 0.
        InputError: a tensor is not real floating point, float64 is mixed with less, devices differ, or `backend` is
            unknown.
    Source:
        Gu, Goel, Ré, "Efficiently Modeling Long Sequences with Structured State Spaces", ICLR 2022, equations 4 and
        5, for the causal form. We deviate from that paper's code in two directions: its bidirectional kernel is off
        by one.
    """
    _check(u, k, k_reverse, D)
    backend = pick("fftconv", backend, dict.fromkeys(BACKENDS))
    if D is not None:  # the feedthrough is lag 0, added in the precision of the computation
        k = k.to(torch.promote_types(k.dtype, torch.float32))
        k = torch.cat([k[:, :1] + D[:, None], k[:, 1:]], dim=1)
    if k_reverse is None:
        k_reverse = k.new_empty(k.shape[0], 0)
    # Backends meet no lazy sign: in a compiled graph, operators would read past it.
    return _RUN[backend](*(tensor.resolve_neg() for tensor in (u, k, k_reverse)))


def _check(u: Tensor, k: Tensor, k_reverse: Tensor | None, D: Tensor | None) -> None:
    sizes: dict[str, int] = {}
    expect("fftconv", "u", u, "b l d", sizes, "u takes channels last: one series is u[None], one channel u[..., None].")
    hint = "The kernel takes channels first: is it transposed?"
    expect("fftconv", "k", k, "d lk", sizes, hint)
    if k_reverse is not None:
        expect("fftconv", "k_reverse", k_reverse, "d lr", sizes, hint)
    if D is not None:
        expect("fftconv", "D", D, "d", sizes, "D is one number per channel: a single one is D.expand(d).")
    for name, size in (("u", sizes["l"]), ("k", sizes["lk"])):
        if size == 0:
            raise ShapeError(f"fftconv: {name} has length 0 in time, but at least 1 is expected: pass a sample.")
    given = {"u": u, "k": k, "k_reverse": k_reverse, "D": D}
    for name, tensor in given.items():
        if tensor is None:
            continue
        if not tensor.is_floating_point():
            raise InputError(
                f"fftconv: {name} is {tensor.dtype}, but a real float dtype is expected: use {name}.float()."
            )
        if (tensor.dtype == torch.float64) != (u.dtype == torch.float64):
            raise InputError(
                f"fftconv: u is {u.dtype} but {name} is {tensor.dtype}: float64 is not mixed with less, "
                f"convert one of them, for example {name}.to(u.dtype)."
            )
        if tensor.device != u.device:
            raise InputError(f"fftconv: u is on {u.device} but {name} is on {tensor.device}: use {name}.to(u.device).")
