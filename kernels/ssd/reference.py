"""The scan of Mamba-2 step by step: the truth that the other backends are held against.

    h[t] = exp(dt[t] A) h[t-1] + dt[t] x[t] B[t]^T,   y[t] = h[t] C[t] + D x[t],   gated by silu(z[t])

Glossary: ``b`` batch, ``l`` length, ``h`` heads, ``p`` channels of a head, ``g`` groups of heads that share B and C,
``n`` states. Sums are element-wise, so that autocast leaves them in the precision of the state.
"""

import torch
from torch import Tensor
from torch.nn.functional import silu

from statespace.kernels.sequences import clamped, entered, left


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
    batch, length, heads, width = x.shape
    per_group = heads // max(1, B.shape[2])
    u = x.to(dt.dtype)
    B, C = (tensor.to(dt.dtype).repeat_interleave(per_group, 2) for tensor in (B, C))  # (b, l, h, n)
    cu_seqlens = None if cu_seqlens is None else clamped(cu_seqlens, length)
    sequences = batch if cu_seqlens is None else cu_seqlens.shape[0] - 1
    starts = u.new_zeros(sequences, heads, width, B.shape[3]) if initial_state is None else initial_state
    state, final = starts[:batch], starts
    outputs = []
    steps = zip(*(tensor.unbind(1) for tensor in (u, torch.exp(dt * A), dt, B, C)), strict=True)
    for t, (v, decay, step, into, out) in enumerate(steps):
        if cu_seqlens is not None:
            state = entered(t, state, starts, cu_seqlens)
        state = decay[..., None, None] * state + (step[..., None] * v)[..., None] * into[:, :, None]  # (b, h, p, n)
        y = (state * out[:, :, None]).sum(-1)
        outputs.append(y if D is None else y + D[:, None] * v)
        final = state if cu_seqlens is None else left(t, state, final, cu_seqlens)
    y = torch.stack(outputs, 1) if outputs else u.clone()
    if z is not None:
        y = y * silu(z.to(y.dtype))
    # The final state is cloned so that it never shares memory with the initial one.
    return y.to(x.dtype), final.clone()
