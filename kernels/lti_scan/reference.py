"""The diagonal LTI scan step by step: the truth that the other backends are held against.

    h[t] = exp(log_a) h[t-1] + b u[t],   y[t] = Re sum_n c h[t] + D u[t]

Glossary: ``b`` batch, ``l`` length, ``d`` channels, ``n`` states of one channel.
"""

import torch
from torch import Tensor


def lti_scan(
    u: Tensor,
    log_a: Tensor,
    b: Tensor,
    c: Tensor,
    D: Tensor | None = None,
    initial_state: Tensor | None = None,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Scan the system one step at a time, in the precision of the arguments; autograd goes through the loop.

    Args and returns are those of `statespace.kernels.lti_scan.lti_scan`, which checks them.
    """
    batch, length, channels = u.shape
    a = torch.exp(log_a).to(b.dtype)
    h = u.new_zeros(batch, channels, b.shape[1], dtype=b.dtype) if initial_state is None else initial_state
    ends = u.new_full((batch,), length, dtype=torch.int64) if lengths is None else lengths
    outputs = []
    for t, x in enumerate(u.unbind(1)):  # x (b, d)
        real = (t < ends)[:, None]  # (b, 1)
        x = torch.where(real, x, 0)
        h = torch.where(real[..., None], a * h + b * x[..., None], h)
        y = (c * h).sum(-1).real
        outputs.append(torch.where(real, y if D is None else y + D * x, 0))
    # h is cloned so that the final state never shares memory with the initial one.
    return torch.stack(outputs, 1) if outputs else u.clone(), h.clone()
