"""The matrix exponential in plain torch: Taylor polynomials for small matrices, scaled and squared Padé beyond.

``torch.linalg.matrix_exp`` is not used: it picks the degree of its Taylor polynomial by the error relative to
``exp(A) ≈ I``, so small entries beside the identity, which are all there is in ``Bbar`` when the step is short, come
out with relative errors up to 2e-10 in float64 (seen with n = 3, ``|A| dt`` = 0.01). Padé's backward error is a
polynomial in `A`, so it keeps the block structure and is relative to each block. So is Taylor's, if its degree is
chosen by the backward error too. A Taylor polynomial is matrix products alone, where Padé solves a system, which costs
a batch of small matrices ten products or more; its sums cancel once the norm is well above 1, so it ends there.

Source: Higham, SIAM J. Matrix Analysis and Applications 26(4), 2005, 1179-1193: algorithm 2.3, with the degrees 3, 5,
7 and 13, and the thresholds of its tables 2.3 (double) and of its section on single precision. For the Taylor
polynomials Al-Mohy and Higham, SIAM J. Scientific Computing 33(2), 2011, 488-511, table 3.1, and for their evaluation
Paterson and Stockmeyer, SIAM J. Computing 2(1), 1973, 60-66.
"""

from math import factorial
from typing import Any

import torch
from torch import Tensor

from statespace.kernels.balancing import better_units, change_units
from statespace.kernels.expm.blocks import coupled, phi
from statespace.kernels.registration import backward_only

# The largest 1-norm for which the approximant of a degree has a backward error below the unit roundoff.
DOUBLE = {3: 1.495585217958292e-2, 5: 2.539398330063230e-1, 7: 9.504178996162932e-1, 13: 5.371920351148152}
SINGLE = {3: 4.258730016922831e-1, 5: 1.880152677804762, 7: 3.925724783138660}

# The same for Taylor polynomials, as far as they do not cancel.
TAYLOR_DOUBLE = {
    4: 3.397168839976962e-4,
    8: 4.991228871115323e-2,
    12: 2.996158913811581e-1,
    16: 7.802874256626574e-1,
    20: 1.438252596804337,
}
CACHED = 1 << 15  # numbers for which the powers of a batch stay in the cache: the rest of it comes later
TAYLOR_SINGLE = {4: 5.116619363445086e-2, 8: 5.800524627688768e-1, 12: 1.461661507209034}


def _coefficients(degree: int) -> list[float]:
    """Return the coefficients of the numerator of the [degree/degree] approximant, lowest first."""
    m = degree
    scale = factorial(2 * m) // factorial(m)
    return [factorial(2 * m - j) / (scale * factorial(m - j) * factorial(j)) for j in range(m + 1)]


def _pade(A: Tensor, degree: int) -> Tensor:
    """Evaluate the approximant; `A` is ``(batch, n, n)``.

    With the odd and the even part of the numerator, ``exp(A) ≈ (even - odd)⁻¹ (even + odd)``. Both are polynomials in
    ``A²``; beyond ``A⁶`` they are nested, ``low + A⁶ high``. All four sums are one product with a small matrix.
    """
    b = _coefficients(degree)
    count = min(len(b) // 2, 4)  # of the powers I, A², A⁴, A⁶
    powers = A.new_empty(count, *A.shape)
    powers[0] = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    torch.bmm(A, A, out=powers[1])
    for k in range(2, count):
        torch.bmm(powers[k - 1], powers[1], out=powers[k])
    nested = len(b) > 2 * count
    rows = [b[1 : 2 * count : 2], b[0 : 2 * count : 2]]
    if nested:
        rows += [[0.0, *b[2 * count + 1 :: 2]], [0.0, *b[2 * count :: 2]]]
    sums = (A.new_tensor(rows) @ powers.flatten(1)).view(-1, *A.shape)
    if nested:
        sums = torch.stack([torch.baddbmm(low, powers[3], high) for low, high in zip(sums[:2], sums[2:], strict=True)])
    odd, even = torch.bmm(A, sums[0]), sums[1]
    X: Tensor = torch.linalg.solve(even - odd, even + odd)
    return X


def _taylor(A: Tensor, degree: int) -> Tensor:
    """Evaluate ``1 + A + A²/2! + ...``; `A` is ``(batch, n, n)``, the degree a multiple of 4.

    The sum is split into polynomials of degree 3 in `A`, nested in ``A⁴``; the last one has degree 4. Their
    coefficients meet the powers in one product with a small matrix.
    """
    powers = A.new_empty(5, *A.shape)
    powers[0] = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    powers[1] = A
    torch.bmm(A, A, out=powers[2])
    torch.bmm(powers[2], A, out=powers[3])
    torch.bmm(powers[2], powers[2], out=powers[4])
    rows = [[1 / factorial(k + i) for i in range(4)] + [0.0] for k in range(0, degree, 4)]
    rows[-1][-1] = 1 / factorial(degree)
    sums = (A.new_tensor(rows) @ powers.flatten(1)).view(-1, *A.shape)
    X = sums[-1]
    for low in reversed(sums[:-1].unbind(0)):
        X = torch.baddbmm(low, powers[4], X)
    return X


@torch.library.custom_op("statespace::expm", mutates_args=())
def expm(A: Tensor) -> Tensor:
    """Return ``exp(A)``, batched, differentiable any number of times.

    An op of its own, so that ``torch.compile`` need not look at the norms, which decide on the work that is done.

    Args:
        A: ``(..., n, n)``, float32, float64, complex64 or complex128; no unit.
    Returns:
        ``exp(A)``, same shape and type; NaN for a matrix that is not finite.
    Source:
        Higham 2005, algorithm 2.3; the derivative by Higham, Functions of Matrices, SIAM 2008, equation (3.16).
    """
    if A.numel() == 0:
        return A.clone()
    double = A.dtype in (torch.float64, torch.complex128)
    thresholds = DOUBLE if double else SINGLE
    flat = A.reshape(-1, *A.shape[-2:])
    units, flat = better_units(flat)
    norms = flat.abs().sum(-2).amax(-1)
    norms = torch.where(norms.isfinite(), norms, 0.0)
    largest = norms.max().item()
    taylor = next((m for m, bound in (TAYLOR_DOUBLE if double else TAYLOR_SINGLE).items() if largest <= bound), None)
    if taylor is not None:
        count = max(1, CACHED // max(1, A.shape[-1] ** 2)) if A.device.type == "cpu" else len(flat)
        X = torch.cat([_taylor(part, taylor) for part in flat.split(count)])
        return (X if units is None else change_units(X, 1 / units)).reshape(A.shape)
    degree = next((m for m, threshold in thresholds.items() if largest <= threshold), max(thresholds))
    squarings = torch.log2(norms / thresholds[degree]).ceil().clamp(min=0).to(torch.int64)
    X = _pade(flat * torch.exp2(-squarings.to(norms.dtype))[:, None, None], degree)
    for k in range(int(squarings.max().item())):
        rows = (squarings > k).nonzero().squeeze(-1)
        if len(rows) == len(X):
            X = X @ X
        else:
            X[rows] = X[rows] @ X[rows]
    return (X if units is None else change_units(X, 1 / units)).reshape(A.shape).contiguous()


@expm.register_fake
def _(A: Tensor) -> Tensor:
    return torch.empty_like(A, memory_format=torch.contiguous_format)


@expm.register_vmap
def _(_info: Any, in_dims: tuple[int | None, ...], A: Tensor) -> tuple[Tensor, int]:
    (axis,) = in_dims
    return expm(A.movedim(axis or 0, 0)), 0


def _save(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
    del output  # torch hands over all three by name; the derivative is a function of the input
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> Tensor:
    (A,) = ctx.saved_tensors
    return coupled(expm, A.mH, grad, A.mH)[1]


expm.register_autograd(_backward, setup_context=_save)
_expm = backward_only("expm_chunked", expm)


def expm_phi(A: Tensor, B: Tensor, t: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Return ``exp(tA)`` and the integrals, from the exponential of a block matrix.

    Args and returns are those of `statespace.kernels.expm.expm_phi`, which checks them, with one set of leading axes.
    """
    return phi(_expm, A, B, t, order)
