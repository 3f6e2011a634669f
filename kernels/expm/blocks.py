"""Block matrices whose exponentials hold integrals and derivatives of exponentials.

Each function takes the exponential that it is to call, so that every backend's derivative is made of the backend itself
and can be differentiated again.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Exponential = Callable[[Tensor], Tensor]


def _size(matrix: Tensor) -> Tensor:
    columns = matrix.detach().abs().sum(-2)
    return columns.amax(-1) if columns.shape[-1] else columns.sum(-1)


def _excess(B: Tensor, A: Tensor, Z: Tensor) -> Tensor:
    """The power of two, at least 1, by which `B` is larger than its neighbours, ``(..., 1, 1)``."""
    ratio = _size(B) / torch.maximum(_size(A), _size(Z)).clamp(min=2.0**-4)
    return torch.exp2(torch.log2(ratio.clamp(min=1)).ceil())[..., None, None]


def coupled(expm: Exponential, A: Tensor, B: Tensor, Z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the upper blocks ``exp(A)`` and ``X`` of ``exp([[A, B], [0, Z]])``.

    ``X = ∫₀¹ exp((1 - s) A) B exp(s Z) ds``, which is linear in `B`. So `B` is brought down to the size of its
    neighbours by a power of two, which costs no rounding, lest a large input matrix, often a mere matter of units,
    forces squarings on `A` that it does not need.

    Args:
        expm: the exponential, ``(..., k, k)`` to ``(..., k, k)``.
        A: ``(..., n, n)``; no unit.
        B: ``(..., n, m)``.
        Z: ``(..., m, m)``; no unit.
    Returns:
        ``exp(A) (..., n, n)`` and ``X (..., n, m)``.
    Source:
        Van Loan, IEEE Transactions on Automatic Control 23(3), 1978, 395-404, theorem 1.
    """
    n, m = B.shape[-2:]
    scale = _excess(B, A, Z)
    zero = A.new_zeros(m, n).expand(*A.shape[:-2], m, n)
    exponential = expm(torch.cat([torch.cat([A, B / scale], -1), torch.cat([zero, Z], -1)], -2))
    return exponential[..., :n, :n], exponential[..., :n, n:] * scale


def phi(expm: Exponential, A: Tensor, B: Tensor, t: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Return ``exp(tA)`` and ``[phi1(tA) tB, phi2(tA) tB]`` up to the `order`, from one exponential.

    Args:
        expm: the exponential.
        A: ``(..., n, n)``.
        B: ``(..., n, m)``.
        t: ``(...)``.
        order: 0, 1 or 2.
    Returns:
        ``(..., n, n)`` and ``(..., n, order m)``.
    """
    X, Y = A * t[..., None, None], B * t[..., None, None]
    m = B.shape[-1]
    if order == 0:
        return expm(X), Y[..., :0]
    # Counting the slope in sixteenths makes the exponent small, and a small exponent takes fewer products.
    slope = 2.0**-4
    rise = torch.diag(A.new_full(((order - 1) * m,), slope), m) if order > 1 else A.new_zeros(m, m)
    drive = torch.cat([Y, Y.new_zeros(*Y.shape[:-1], (order - 1) * m)], -1)
    E, F = coupled(expm, X, drive, rise.expand(*X.shape[:-2], order * m, order * m))
    return (E, F) if order == 1 else (E, torch.cat([F[..., :m], F[..., m:] / slope], -1))


def adjoint(
    expm: Exponential, A: Tensor, B: Tensor, t: Tensor, order: int, grad_E: Tensor, grad_F: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `phi` with respect to `A`, `B` and `t`; README.md derives them.

    Args:
        expm: the exponential.
        A: ``(..., n, n)``, real.
        B: ``(..., n, m)``, real.
        t: ``(...)``.
        order: 0, 1 or 2.
        grad_E: gradient of ``exp(tA)``, ``(..., n, n)``.
        grad_F: gradient of the integrals, ``(..., n, order m)``.
    Returns:
        Gradients of the shapes of `A`, `B` and `t`.
    """
    n, m = B.shape[-2:]
    X, Y = A * t[..., None, None], B * t[..., None, None]
    scale = _excess(Y, X, X)
    # K is [[X, Y, 0], [0, 0, I], [0, 0, 0]], as far as the order goes.
    K = torch.cat([X, Y / scale], -1) if order else X
    if order:
        K = torch.cat([K, K.new_zeros(*K.shape[:-1], (order - 1) * m)], -1)
        shift = torch.diag(K.new_ones((order - 1) * m), m) if order > 1 else K.new_zeros(m, m)
        below = torch.cat([K.new_zeros(order * m, n), shift], -1)
        K = torch.cat([K, below.expand(*K.shape[:-2], *below.shape)], -2)
    W = coupled(expm, X.mT, torch.cat([grad_E, grad_F * scale], -1), K.mT)[1]
    grad_X = W[..., :n]
    grad_Y = W[..., n : n + m] / scale if order else torch.zeros_like(Y)
    grad_t = (grad_X * A).sum((-2, -1)) + (grad_Y * B).sum((-2, -1))
    return grad_X * t[..., None, None], grad_Y * t[..., None, None], grad_t
