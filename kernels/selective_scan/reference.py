"""The selective scan step by step: the truth that the other backends are held against.

Glossary: ``b`` batch, ``l`` length, ``d`` channels, ``g`` groups of channels, ``n`` states of one channel; ``delta`` is
the step after bias and softplus.
"""

import torch
from torch import Tensor
from torch.nn.functional import silu

from statespace.kernels.softplus import softplus

SERIES_BELOW, SERIES_TERMS = 0.5, 15  # the first term left out is 0.5^15 / 16!, below the last digit of float64


def phi(z: Tensor) -> Tensor:
    """``(exp(z) - 1) / z``, by its series where the difference would cancel; real or complex."""
    small = z.abs() < SERIES_BELOW
    near, far = torch.where(small, z, 0), torch.where(small, 1, z)
    series = torch.ones_like(near)
    for j in range(SERIES_TERMS, 1, -1):
        series = 1 + near / j * series
    return torch.where(small, series, (torch.exp(far) - 1) / far)


def _spread(x: Tensor, channels: int) -> Tensor:
    """``(b, l, g, n)`` to ``(b, l, d, n)``: each channel takes its group's; ``(d, n)`` to ``(1, 1, d, n)``."""
    return x[None, None] if x.ndim == 2 else x.repeat_interleave(channels // max(1, x.shape[2]), 2)


def _scan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, h: Tensor, method: str
) -> tuple[list[Tensor], Tensor]:
    """Outputs without feedthrough and gate, ``(b, d)`` each, and the final state, over sequences of one length."""
    steps = u.shape[1]
    vectors = [x.expand(-1, steps, -1, -1).unbind(1) for x in (B, C)]
    outputs = []
    for t, (b, c) in enumerate(zip(*vectors, strict=True)):
        step, x = delta[:, t, :, None], u[:, t, :, None]  # (b, d, 1)
        z = step * A
        drive = step * (phi(z) if method == "zoh" else 1) * b * x
        h = torch.exp(z) * h + drive
        seen = h - drive / 2 if method == "exponential-trapezoidal" else h
        outputs.append((c * seen).sum(-1).real)
    # Cloned so that the final state never shares memory with the initial one.
    return outputs, h.clone()


def selective_scan(
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
    dt_softplus: bool,
    method: str,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    """Scan one step at a time; autograd goes through the loop.

    Args and returns are those that `interface.py` prepares: `u`, `dt`, `z`, `B` and `C` of one real precision (`B` and
    `C` complex where `A` is), `B` and `C` ``(b, l, g, n)`` or ``(d, n)``, everything else float32 or float64. `keep` is
    not used.
    """
    batch, length, channels = u.shape
    wide = torch.promote_types(u.dtype, torch.float32)
    x, delta = u.to(wide), dt.to(wide)
    if dt_bias is not None:
        delta = delta + dt_bias
    if dt_softplus:
        delta = softplus(delta)
    B, C = (_spread(tensor.to(A.dtype), channels) for tensor in (B, C))
    ends = [0, length] if cu_seqlens is None else cu_seqlens.tolist()
    rows = batch if cu_seqlens is None else len(ends) - 1
    h = A.new_zeros(rows, channels, A.shape[1]) if initial_state is None else initial_state
    outputs, finals = [], []
    for i in range(len(ends) - 1):
        piece = slice(ends[i], ends[i + 1])
        start = h if cu_seqlens is None else h[i : i + 1]
        b, c = (tensor if tensor.shape[1] == 1 and length != 1 else tensor[:, piece] for tensor in (B, C))
        found, final = _scan(x[:, piece], delta[:, piece], A, b, c, start, method)
        outputs += found
        finals.append(final)
    y = torch.stack(outputs, 1) if outputs else x.clone()
    final = torch.cat(finals) if finals else h.clone()
    if D is not None:
        y = y + D * x
    if z is not None:
        y = y * silu(z.to(wide))
    return y.to(u.dtype), final
