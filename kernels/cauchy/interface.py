"""The public entry: arguments are checked here, once, then a backend is called."""

from collections.abc import Callable

import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.kernels import gpu
from statespace.kernels import native as core
from statespace.kernels.cauchy import chunked, native, reference
from statespace.kernels.dispatch import pick
from statespace.shapes import expect_tensor

BACKENDS = ("triton", "native", "chunked", "reference")  # fastest first


def _triton(*arguments: Tensor | bool) -> Tensor:
    from statespace.kernels.cauchy import triton  # Triton is loaded where it computes, and only there

    y: Tensor = triton.cauchy(*arguments)
    return y


_RUN: dict[str, Callable[[Tensor, Tensor, Tensor, bool], Tensor]] = {
    "triton": _triton,
    "native": native.cauchy,
    "chunked": chunked.cauchy,
    "reference": reference.cauchy,
}
_COMPLEX = (torch.complex64, torch.complex128)


def cauchy(v: Tensor, z: Tensor, w: Tensor, conjugate: bool = False, backend: str = "auto") -> Tensor:
    """Sum the partial fractions of a transfer function at many points.

    ``y[..., l] = sum_n v[..., n] / (z[..., l] - w[..., n])``

    and, where the n poles stand for conjugate pairs, with ``+ conj(v) / (z - conj(w))`` for their other halves. With
    ``v = C B`` and ``w = A`` that is ``C (z - A)^-1 B`` of a diagonal system; S4 asks for four such sums at the points
    ``2 (1 - ω) / (1 + ω)`` of the unit circle.

    Leading axes broadcast. Where those of `w` and `z` are 1 or missing and those of `v` are not, each reciprocal is
    taken once for all: stack the v that share their poles in front.

    Args:
        v: residues, ``(..., n)`` complex64 or complex128.
        z: points, ``(..., l)`` complex, finite, in the unit of `w`.
        w: poles, ``(..., n)`` complex, in 1/s or without unit.
        conjugate: whether the conjugate poles and residues are summed too.
        backend: ``triton`` (GPU), ``native`` (compiled, CPU), ``chunked`` (any device), ``reference`` (materialised, in
            float64), or ``auto``, the first of them that can.
    Returns:
        ``y (..., l)``, complex, of the dtype of `v`, in the unit of v over that of w; differentiable in all three.
    Raises:
        ShapeError: v and w disagree on n, or the leading axes do not broadcast.
        InputError: a tensor is not complex, dtypes or devices differ, or the backend is unknown or not there.
    Source:
        Gu, Goel, Ré, "Efficiently Modeling Long Sequences with Structured State Spaces", ICLR 2022, section 3.3 and
        lemma C.3.
    """
    lead = _check(v, z, w)
    refusals = dict.fromkeys(BACKENDS) | {
        "triton": "there is nothing to launch a kernel for."
        if 0 in (*lead, *v.shape, *z.shape)
        else gpu.why_refused(v.device.type),
        "native": core.why_refused(v.device.type),
    }
    backend = pick("cauchy", backend, refusals)
    n, length = v.shape[-1], z.shape[-1]
    own = _own_axes(lead, z, w)
    d = lead[own:].numel()
    v = v.expand(*lead, n).reshape(lead[:own].numel(), d, n)
    w = _without(w, own, len(lead)).expand(*lead[own:], n).reshape(d, n)
    every = z.shape[:-1].numel() == 1
    z = z.reshape(1, length) if every else _without(z, own, len(lead)).expand(*lead[own:], length).reshape(d, length)
    v, z, w = (tensor.resolve_conj().resolve_neg() for tensor in (v, z, w))
    return _RUN[backend](v, z, w, conjugate).reshape(*lead, length)


def _own_axes(lead: torch.Size, z: Tensor, w: Tensor) -> int:
    """How many leading axes only `v` has: z and w are shared along them."""
    shared = torch.broadcast_shapes(z.shape[:-1], w.shape[:-1])
    padded = (1,) * (len(lead) - len(shared)) + tuple(shared)
    return next((i for i, size in enumerate(padded) if size != 1), len(lead))


def _without(tensor: Tensor, own: int, axes: int) -> Tensor:
    """Strip the first `own` of the leading axes, of which there would be `axes` if those of size 1 were written out."""
    return tensor.reshape((1,) * (axes + 1 - tensor.ndim) + tensor.shape)[(0,) * own]


def _check(v: Tensor, z: Tensor, w: Tensor) -> torch.Size:
    for name, tensor, last in (("v", v, "n"), ("z", z, "l"), ("w", w, "n")):
        expect_tensor("cauchy", name, tensor)
        if tensor.dtype not in _COMPLEX:
            raise InputError(
                f"cauchy: {name} is {tensor.dtype}, but complex64 or complex128 is expected: "
                f"convert it with {name}.to(torch.complex64), or to complex128 for float64."
            )
        if tensor.ndim == 0:
            raise ShapeError(f"cauchy: {name} has no axis, but (..., {last}) is expected: use {name}.reshape(1).")
        if tensor.dtype != v.dtype:
            raise InputError(f"cauchy: v is {v.dtype} but {name} is {tensor.dtype}: convert one to the other's dtype.")
        if tensor.device != v.device:
            raise InputError(f"cauchy: v is on {v.device} but {name} is on {tensor.device}: use {name}.to(v.device).")
    if v.shape[-1] != w.shape[-1]:
        raise ShapeError(
            f"cauchy: v is {tuple(v.shape)} but w is {tuple(w.shape)}: both need the same number of poles on the last "
            f"axis (w has {w.shape[-1]}). Are z and w exchanged?"
        )
    try:
        lead: torch.Size = torch.broadcast_shapes(v.shape[:-1], z.shape[:-1], w.shape[:-1])
    except RuntimeError as error:
        raise ShapeError(
            f"cauchy: the leading axes of v {tuple(v.shape)}, z {tuple(z.shape)} and w {tuple(w.shape)} do not "
            "broadcast: give them the same leading axes, or 1 where one is shared."
        ) from error
    return lead
