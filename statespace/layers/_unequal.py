"""The scan of a diagonal system of fixed eigenvalues over steps that are not all equal.

    h_t = Abar(Δ_t) h_{t-1} + Bbar(Δ_t) u_t,   y_t = Re sum_n c h_t + D u_t,        B = 1,

where Abar and Bbar change from sample to sample although A does not. A zero-order hold is discretised inside the
selective scan, so that nothing of the size ``(b, l, d, n)`` is made. The bilinear transform,

    Abar = (1 + Δ A / 2) / (1 - Δ A / 2),   Bbar = Δ / (1 - Δ A / 2),

goes through `linear_scan`, a block of time after the other; each block is computed again for its gradients.

Source: Gu et al. 2022 (S4, arXiv:2111.00396), equation (3), for the bilinear transform; Gu and Dao 2023 (Mamba,
arXiv:2312.00752), equation (4), for the zero-order hold with a step of its own for each sample.
"""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from statespace.kernels.linear_scan import linear_scan
from statespace.kernels.selective_scan import selective_scan
from statespace.layers.base import beyond

STATES_IN_A_BLOCK = 1 << 20  # of 16 bytes: small beside what a layer holds, long enough for the scan to be fast


def _bilinear_block(u: Tensor, delta: Tensor, A: Tensor, c: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    half = delta[..., None] * A / 2  # (b, t, d, n)
    h = linear_scan((1 + half) / (1 - half), (delta * u)[..., None] / (1 - half), state)
    return (h * c).sum(-1).real, h[:, -1]


def _bilinear(u: Tensor, delta: Tensor, A: Tensor, c: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """Scan in float64: a pole rounded to float32 drifts over as many steps as it remembers."""
    batch = u.shape[0]
    wide, narrow = torch.complex128, c.dtype
    h = A.new_zeros(batch, *A.shape, dtype=wide) if state is None else state.to(wide)
    block = max(1, STATES_IN_A_BLOCK // max(1, batch * A.numel()))
    outputs = [u[:, :0].double()]
    for begin in range(0, u.shape[1], block):
        rows, steps = (x[:, begin : begin + block].double() for x in (u, delta))
        y, h = checkpoint(_bilinear_block, rows, steps, A.to(wide), c.to(wide), h, use_reentrant=False)
        outputs.append(y)
    return torch.cat(outputs, 1).to(u.dtype), h.to(narrow)


def scan_unequal(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    c: Tensor,
    D: Tensor,
    method: str,
    state: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Run a diagonal system over samples with a step of their own each.

    Args:
        u: input, ``(b, l, d)``.
        delta: step before each sample, ``(b, l, d)``, in units of 1/A; 0 in the padding.
        A: eigenvalues, ``(d, n)``, complex, with negative real part.
        c: output weights, ``(d, n)``, complex.
        D: feed-through, ``(d,)``.
        method: ``"zoh"`` or ``"bilinear"``.
        state: state before the first sample, ``(b, d, n)``, complex, or ``None`` for zeros.
        lengths: samples that count in each sequence, ``(b,)``, or ``None`` for all.
    Returns:
        ``y (b, l, d)``, zero beyond `lengths`, and the state after the last sample that counts, ``(b, d, n)``.
    """
    padding = beyond(lengths, u.shape[1])
    if padding is not None:
        u = u.masked_fill(padding[..., None], 0)
    if method == "zoh":
        y, final = selective_scan(
            u, delta, A, torch.ones_like(A), c, D, initial_state=state, method="zoh", return_final_state=True
        )
    else:
        y, final = _bilinear(u, delta, A, c, state)
        y = y + D * u
    return (y if padding is None else y.masked_fill(padding[..., None], 0)), final
