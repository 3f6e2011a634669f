"""The Cauchy product, materialised: the truth that every other backend is compared with.

One quotient per pole and point is formed, ``(r, d, n, l)`` complex128 numbers in all. Everything is computed in
float64, whatever came in, and rounded once, at the end.
"""

import torch
from torch import Tensor


def cauchy(v: Tensor, z: Tensor, w: Tensor, conjugate: bool = False) -> Tensor:
    """Sum the quotients of every pole.

    ``y[r, d, l] = sum_n v[r, d, n] / (z[d, l] - w[d, n])``, and the same with v and w conjugated where asked for.

    Args:
        v: residues, ``(r, d, n)`` complex.
        z: points, ``(d, l)`` or ``(1, l)`` complex.
        w: poles, ``(d, n)`` complex.
        conjugate: whether the conjugate poles and residues are summed too.
    Returns:
        ``y (r, d, l)``, of the dtype of `v`, differentiable by autograd.
    """
    wide = [tensor.to(torch.complex128) for tensor in (v, z, w)]
    residues, points, poles = wide[0][..., None], wide[1][:, None], wide[2][..., None]
    y = (residues / (points - poles)).sum(-2)
    if conjugate:
        y = y + (residues.conj() / (points - poles.conj())).sum(-2)
    return y.to(v.dtype)
