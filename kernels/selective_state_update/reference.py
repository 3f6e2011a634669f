"""One step of the selective scan in torch: the truth for the compiled step, and portable, on any device.

Glossary: ``b`` batch, ``d`` channels, ``g`` groups of channels, ``n`` states of one channel; ``v`` what the input adds.
"""

import torch
from torch import Tensor
from torch.nn.functional import silu

from statespace.kernels.selective_scan.reference import phi
from statespace.kernels.softplus import softplus


def selective_state_update(
    state: Tensor,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
    dt_softplus: bool,
    method: str,
) -> Tensor:
    """Step once, in the precision of `state`.

    Args and returns are those of `statespace.kernels.selective_state_update.selective_state_update`, which checks them;
    B and C are ``(b, g, n)``.
    """
    wide = state.real.dtype  # traced graphs know no dtype.to_real()
    u, delta = x.to(wide), dt.to(wide)
    if dt_bias is not None:
        delta = delta + dt_bias
    if dt_softplus:
        delta = softplus(delta)
    of_channels = state.shape[1] // max(1, B.shape[1])
    B, C = (rows.to(A.dtype).repeat_interleave(of_channels, 1) for rows in (B, C))  # (b, d, n)
    exponent = delta[..., None] * A
    v = (delta * u)[..., None] * B
    if method == "zoh":
        v = phi(exponent) * v
    state.copy_(torch.exp(exponent) * state + v)
    seen = state - v / 2 if method == "exponential-trapezoidal" else state
    y = (C * seen).sum(-1).real
    if D is not None:
        y = y + D * u
    if z is not None:
        y = y * silu(z.to(wide))
    return y.to(x.dtype)
