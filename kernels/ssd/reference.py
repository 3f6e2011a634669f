"""The scan of Mamba-2 step by step: the truth that the other backends are held against.

    h[t] = exp(dt[t] A) h[t-1] + dt[t] x[t] B[t]^T,   y[t] = h[t] C[t] + D x[t],   gated by silu(z[t])

Glossary: ``b`` batch, ``l`` length, ``h`` heads, ``p`` channels of a head, ``g`` groups of heads that share B and C,
``n`` states. Sums are element-wise, so that autocast leaves them in the precision of the state.
"""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import silu


def _scan(
    x: Tensor, decay: Tensor, dt: Tensor, B: Tensor, C: Tensor, D: Tensor | None, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Run over ``x (b, l, h, p)`` from ``state (b, h, p, n)``; B and C have a row for each head."""
    outputs = []
    steps = (tensor.unbind(1) for tensor in (x, decay, dt, B, C))
    for u, a, step, into, out in zip(*steps, strict=True):
        drive = (step[..., None] * u)[..., None] * into[:, :, None]  # (b, h, p, n)
        state = a[..., None, None] * state + drive
        y = (state * out[:, :, None]).sum(-1)
        outputs.append(y if D is None else y + D[:, None] * u)
    return torch.stack(outputs, 1) if outputs else x.clone(), state


def ssd(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    initial_state: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    chunk: int = 1,
) -> tuple[Tensor, Tensor]:
    """Scan one step at a time, in the precision of `dt`; autograd goes through the loop.

    Args and returns are those of `statespace.kernels.ssd.ssd`, which checks them, adds the bias to `dt`, and makes it
    0 beyond the end of a sequence. `chunk` is there for the sake of the common signature.
    """
    batch, _, heads, width = x.shape
    per_group = heads // max(1, B.shape[2])
    u = x.to(dt.dtype)
    B, C = (tensor.to(dt.dtype).repeat_interleave(per_group, 2) for tensor in (B, C))  # (b, l, h, n)
    decay = torch.exp(dt * A)
    bounds = None if cu_seqlens is None else cu_seqlens.tolist()
    sequences = batch if bounds is None else len(bounds) - 1
    state = u.new_zeros(sequences, heads, width, B.shape[3]) if initial_state is None else initial_state
    if bounds is None:
        y, final = _scan(u, decay, dt, B, C, D, state)
    else:
        pieces = []
        for i, (start, stop) in enumerate(pairwise(bounds)):
            at = slice(start, stop)
            part = u[:, at], decay[:, at], dt[:, at], B[:, at], C[:, at]
            pieces.append(_scan(*part, D, state[i : i + 1]))
        y = torch.cat([piece for piece, _ in pieces], 1) if pieces else u.clone()
        final = torch.cat([last for _, last in pieces]) if pieces else state
    if z is not None:
        y = y * silu(z.to(y.dtype))
    # The final state is cloned so that it never shares memory with the initial one.
    return y.to(x.dtype), final.clone()
