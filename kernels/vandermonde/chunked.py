"""The Vandermonde product as a batched real matrix product of two power tables: any device, no compiler.

Write ``l = Q p + q``. Then ``z^l = z^(Q p) z^q``: P + Q powers per mode instead of P Q, and the sum over modes is a
matrix product, ``(P, 2 n) x (2 n, Q)`` in real numbers. The backward needs the sums ``sum_l G[l] z^l`` and
``sum_l l G[l] z^l`` alone, which factor in the same way; it recomputes the tables, so that nothing but the arguments
is kept. README.md has the derivation.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from statespace.kernels.registration import register
from statespace.kernels.vandermonde.powers import power_table

# Table entries worked on at once. On a CPU the tables of a block should stay in the second-level cache; on other
# devices few and large launches count, and the bound is one on memory.
ENTRIES_CPU = 1 << 18
ENTRIES_OTHER = 1 << 24


def split(length: int) -> tuple[int, int]:
    """Return P and Q, both near the root of `length`, with ``P Q >= length > (P - 1) Q``."""
    Q = 1 << round(math.log2(length) / 2)
    return -(-length // Q), Q


def _blocks(log_a: Tensor, entries: int) -> Iterator[slice]:
    """Cut the channels so that `entries` numbers per channel and mode fit into the budget."""
    d, n = log_a.shape
    budget = ENTRIES_CPU if log_a.device.type == "cpu" else ENTRIES_OTHER
    size = max(1, budget // max(1, n * entries))
    return (slice(start, min(start + size, d)) for start in range(0, d, size))


def forward(log_a: Tensor, c: Tensor, length: int) -> Tensor:
    """Sum the powers of every mode.

    Args:
        log_a: exponents per step, ``(d, n)`` complex.
        c: coefficients, ``(d, n)``, of the same dtype.
        length: number of steps, at least 1.
    Returns:
        ``K (d, length)``, real.
    """
    P, Q = split(length)
    K = torch.empty(log_a.shape[0], length, device=log_a.device, dtype=log_a.real.dtype)
    for block in _blocks(log_a, P + Q):
        # Re(u v) = Re u Re v + Im u Im conj(v), a plain dot product over the 2 n rows
        # Compiled graphs call this without lazy conjugation, where conj().imag would keep its sign: conj_physical.
        coarse = power_table(log_a[block], P, Q, scale=c[block]).flatten(1, 2)  # (block, 2 n, P)
        fine = power_table(log_a[block].conj_physical(), Q, 1).flatten(1, 2)  # (block, 2 n, Q)
        if P * Q == length:
            torch.bmm(coarse.mT, fine, out=K[block].view(-1, P, Q))
        else:
            K[block] = torch.bmm(coarse.mT, fine).flatten(1)[:, :length]
    return K


def backward(grad: Tensor, log_a: Tensor, c: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Gradients of `log_a` and `c`.

    Args:
        grad: gradient of the kernel, ``(d, length)`` real.
        log_a: as in the forward, ``(d, n)``.
        c: as in the forward, ``(d, n)``.
        length: as in the forward.
    Returns:
        Gradients of `log_a` and of `c`, ``(d, n)`` each, in torch's convention for complex numbers.
    """
    grad = grad.resolve_neg()
    P, Q = split(length)
    grad_log_a, grad_c = torch.empty_like(log_a), torch.empty_like(c)
    p = torch.arange(P, device=grad.device, dtype=grad.dtype) * Q
    q = torch.arange(Q, device=grad.device, dtype=grad.dtype)
    for block in _blocks(log_a, 2 * (P + 2 * Q)):
        conj = log_a[block].conj_physical()
        G = torch.nn.functional.pad(grad[block], (0, P * Q - length)).reshape(-1, P, Q)
        fine = power_table(conj, Q, 1, rows=4)  # (block, n, 4, Q)
        torch.mul(fine[:, :, :2], q, out=fine[:, :, 2:])
        inner = torch.bmm(fine.flatten(1, 2), G.mT).view(*conj.shape, 4, P)  # sums over q of G z^q and of q G z^q
        inner[:, :, 2:].addcmul_(inner[:, :, :2], p)  # of (Q p + q) G z^q
        coarse = power_table(conj, P, Q)  # (block, n, 2, P)
        outer = torch.matmul(coarse, inner.mT).unflatten(-1, (2, 2))  # real or imaginary x plain or times l x the same
        sums = torch.complex(outer[:, :, 0, :, 0] - outer[:, :, 1, :, 1], outer[:, :, 0, :, 1] + outer[:, :, 1, :, 0])
        grad_c[block] = sums[:, :, 0]
        grad_log_a[block] = sums[:, :, 1] * c[block].conj_physical()
    return grad_log_a, grad_c


def _fake(log_a: Tensor, c: Tensor, length: int) -> Tensor:
    return log_a.new_empty((log_a.shape[0], length), dtype=log_a.real.dtype)


vandermonde = register(
    "vandermonde_chunked",
    forward,
    backward,
    _fake,
    arguments="Tensor log_a, Tensor c, int length",
    gradients=("log_a", "c"),
)
