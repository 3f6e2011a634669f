"""The exponential and its integrals by their power series, one matrix at a time: the truth for the other backends.

    exp(tA) = sum_k (tA)^k / k!,   phi_1(tA) tB = ∫₀^t exp(sA) ds B,   t phi_2(tA) tB = ∫₀^t ∫₀^s exp(rA) dr ds B

All are blocks of the exponential of one matrix, ``[[tA, tB, 0], [0, 0, I], [0, 0, 0]]``, which is halved until the
series converges in a few terms, and squared back.
"""

import torch
from torch import Tensor

from statespace.kernels.balancing import better_units, change_units

TERMS = 30  # of matrices whose norm is below 1/2: the first one left out is below 1e-42


def _series(M: Tensor) -> Tensor:
    norm = M.detach().abs().sum(-2).max().item()
    if norm != norm or norm == float("inf"):
        return M * float("nan")
    units, M = better_units(M)
    norm = M.detach().abs().sum(-2).max().item()
    halvings = 0
    while norm * 0.5**halvings > 0.5:
        halvings += 1
    term = total = torch.eye(M.shape[-1], dtype=M.dtype, device=M.device)
    M = M * 0.5**halvings
    for k in range(1, TERMS):
        term = term @ M / k
        total = total + term
    for _ in range(halvings):
        total = total @ total
    return total if units is None else change_units(total, 1 / units)


def expm_phi(A: Tensor, B: Tensor, t: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Return ``exp(tA)`` and the integrals, in the precision of the arguments; autograd goes through the series.

    Args and returns are those of `statespace.kernels.expm.expm_phi`, which checks them, with one set of leading axes.
    """
    n, m = B.shape[-2:]
    size = n + order * m
    below = torch.diag(A.new_ones(size - m), m)[n:] if order > 1 else A.new_zeros(size - n, size)
    results = []
    count = t.numel()
    for a, b, step in zip(A.reshape(count, n, n), B.reshape(count, n, m), t.reshape(count), strict=True):
        # The integrals are linear in B: brought down by a power of two, it asks for no halvings of its own.
        scale = 2.0 ** max(0, (step * b).abs().sum().log2().ceil().nan_to_num(0, 0, 0).item())
        above = torch.cat([step * a, step * b / scale, b.new_zeros(n, size)], -1)[:, :size]
        found = _series(torch.cat([above, below], -2))[:n]
        results.append(torch.cat([found[:, :n], found[:, n:] * scale], -1))
    stacked = torch.stack(results) if results else A.new_zeros(0, n, size)
    stacked = stacked.reshape(*A.shape[:-2], n, size)
    return stacked[..., :n], stacked[..., n:]
