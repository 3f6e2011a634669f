"""The exact step of LegS under a held input: the past shrinks, a constant is put beside it.

LegS holds the coefficients of the past, stretched to [0, 1], in orthonormal Legendre polynomials ``p``. From the sample
k to k + 1 the past keeps only the share ``rho = k / (k + 1)`` of the interval, and the rest is the new sample:

    c <- M c + u (e_0 - M e_0),    M[n, m] = rho ∫₀¹ p_n(rho x) p_m(x) dx = exp(A log((k + 1) / k))[n, m],

for a constant signal is remembered as that constant. The integral is a polynomial's, so Gauss and Legendre's n nodes
give it exactly: a matrix exponential of order n for each sample becomes two products with a vector, and loses no digit.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from statespace.hippo.measures import MEASURES

CACHED = 1 << 20  # numbers that the tables of one chunk of samples may hold


@cache
def _rule(n: int) -> tuple[Tensor, Tensor]:
    """Return nodes ``(q,)`` on [0, 1] and, weighed, the polynomials there ``(q, n)``."""
    x, weights = np.polynomial.legendre.leggauss(n)
    nodes = torch.from_numpy((x + 1) / 2)
    at_nodes = MEASURES["legs"].basis(n, 1 - nodes)
    return nodes, torch.from_numpy(weights / 2)[:, None] * at_nodes


def take_in(c: Tensor, u: Tensor, samples: int) -> Tensor:
    """Return the coefficients after more samples.

    Args:
        c: coefficients, ``(..., n)``.
        u: samples, ``(..., l)``.
        samples: how many there have been, at least one.
    Returns:
        ``(..., n)``.
    """
    n = c.shape[-1]
    nodes, weighed = (table.to(c.device) for table in _rule(n))
    chunk = max(1, CACHED // (n * n))
    weighed = weighed.to(c.dtype)
    for start in range(0, u.shape[-1], chunk):
        part = u[..., start : start + chunk]
        k = samples + start + torch.arange(part.shape[-1], dtype=torch.float64, device=c.device)
        rho = (k / (k + 1))[:, None]
        shrunk = (rho[..., None] * MEASURES["legs"].basis(n, 1 - rho * nodes)).to(c.dtype)  # (l, q, n)
        kept = weighed.mT[0] @ shrunk  # M e_0, (l, n)
        for i, sample in enumerate(part.unbind(-1)):
            c = (c @ weighed.mT) @ shrunk[i] - sample[..., None] * kept[i]
            c[..., 0] += sample
    return c
