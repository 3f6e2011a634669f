"""The public operation: checks its arguments, and hands them to a backend."""

from collections.abc import Callable

import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.kernels import native as core
from statespace.kernels.dispatch import pick
from statespace.kernels.rotation import native, reference
from statespace.shapes import expect

BACKENDS = ("native", "reference")  # fastest first
_RUN: dict[str, Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]]] = {
    "native": native.rotation,
    "reference": reference.rotation,
}
_AXES = {
    "B": "b l g n",
    "C": "b l g n",
    "B_norm": "n",
    "C_norm": "n",
    "B_bias": "h n",
    "C_bias": "h n",
    "rate": "b l r",
    "step": "b l h",
    "before": "b h r",
}


def _check(given: dict[str, Tensor]) -> None:
    sizes: dict[str, int] = {}
    B = given["B"]
    for name, tensor in given.items():
        expect("rotation", name, tensor, _AXES[name], sizes)
        if not tensor.is_floating_point() or (name != "before" and tensor.dtype != B.dtype):
            expected = "a real float dtype" if name in ("B", "before") else f"{B.dtype}, as B,"
            raise InputError(f"rotation: {name} is {tensor.dtype}, but {expected} is expected: convert it with .to().")
        if tensor.device != B.device:
            raise InputError(f"rotation: {name} is on {tensor.device} but B on {B.device}: move it with .to(B.device).")
    if sizes["g"] == 0 or sizes["h"] % sizes["g"]:
        raise ShapeError(
            f"rotation: B has {sizes['g']} groups but B_bias {sizes['h']} heads: each group serves equally many heads, "
            "so the groups must divide the heads. Is B (batch, length, groups, n)?"
        )
    if 2 * sizes["r"] > sizes["n"]:
        raise ShapeError(
            f"rotation: rate has {sizes['r']} angles, but B {sizes['n']} coordinates: each angle turns two of them, so "
            f"at most {sizes['n'] // 2} are expected."
        )


def rotation(
    B: Tensor,
    C: Tensor,
    B_norm: Tensor,
    C_norm: Tensor,
    B_bias: Tensor,
    C_bias: Tensor,
    rate: Tensor,
    step: Tensor,
    before: Tensor,
    eps: float,
    backend: str = "auto",
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Give each head its input and output vectors, turned by the sum of its angles up to the time of each.

    ``B[t] <- R(S[t]) (B_norm B[t] / sqrt(mean B[t]^2 + eps) + B_bias)``, C alike, ``S[t] = S[t-1] + rate[t] step[t]``,
    where R turns the first pairs of neighbouring coordinates by an angle each and leaves the rest. Sums are kept in
    float64, less whole turns. Gradients flow to all arguments but `eps`, and from all results.

    Args:
        B: input vectors, ``(b, l, g, n)``.
        C: output vectors, ``(b, l, g, n)``.
        B_norm: weights of the norm of B, ``(n,)``.
        C_norm: weights of the norm of C, ``(n,)``.
        B_bias: added to the vectors of a head, ``(h, n)``; g divides h, and head i uses group ``i // (h / g)``.
        C_bias: the same for C.
        rate: angular velocity of each pair, ``(b, l, r)``, in rad/s; ``2 r <= n``.
        step: ``(b, l, h)``, in s.
        before: sum of the angles before the first step, ``(b, h, r)``, in rad, float64 so that no phase is lost.
        eps: added to mean squares.
        backend: ``native`` (compiled, CPU), ``reference`` (torch, any device), or ``auto``, the first that can.
    Returns:
        The turned vectors of each head, B and C, ``(b, l, h, n)``; their products ``B[t] . C[t]``, ``(b, l, h)``; and
        the sums of angles after the last step in [-π, π], ``(b, h, r)``, float64.
    Raises:
        ShapeError: the shapes do not fit.
        InputError: a dtype or device cannot be used, or `backend` is unknown.
    Source:
        Lahoti et al. 2026 (Mamba-3, arXiv:2603.15569), section 3.2.
    """
    given = {
        "B": B,
        "C": C,
        "B_norm": B_norm,
        "C_norm": C_norm,
        "B_bias": B_bias,
        "C_bias": C_bias,
        "rate": rate,
        "step": step,
        "before": before,
    }
    _check(given)
    given["before"] = before.double()
    refusal = core.why_refused(B.device.type)
    if B.dtype not in (torch.float32, torch.float64):
        refusal = f"it computes in float32 and float64, and B is {B.dtype}."
    run = _RUN[pick("rotation", backend, {"native": refusal, "reference": None})]
    # Backends meet no lazy sign: in a compiled graph, operators would read past it.
    turned_B, turned_C, products, after = run(*(tensor.resolve_neg() for tensor in given.values()), eps)
    return turned_B, turned_C, products, after
