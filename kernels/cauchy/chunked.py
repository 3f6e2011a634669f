"""The Cauchy product in blocks of points, so that the matrix of reciprocals never exists as a whole: any device.

    R[n, l] = 1 / (z[l] - w[n]),   y = v R,   and conj(v) R' with R' of the conjugate poles.

The backward forms each block again; README.md derives it.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from statespace.kernels.cauchy.registration import register

# Reciprocals in one block. On a CPU it should stay in the second-level cache; other devices want few, large launches.
NUMBERS_CPU = 1 << 16
NUMBERS_OTHER = 1 << 24
# Points in one block on a CPU: products of matrices add in the precision of their factors, and blocks in double.
POINTS_CPU = 256


def _blocks(z: Tensor, w: Tensor) -> Iterator[tuple[slice, slice]]:
    """Cut systems and points, so that a block of reciprocals fits into the budget."""
    (d, n), length = w.shape, z.shape[1]
    budget, most = (NUMBERS_CPU, POINTS_CPU) if w.device.type == "cpu" else (NUMBERS_OTHER, length)
    points = max(1, min(length, most, budget // max(1, n)))
    systems = max(1, budget // max(1, n * points))
    for first in range(0, d, systems):
        for start in range(0, length, points):
            yield slice(first, min(first + systems, d)), slice(start, min(start + points, length))


def _reciprocals(z: Tensor, w: Tensor, systems: slice, points: slice) -> Tensor:
    """``(d, n, l)`` of a block."""
    at = z[systems if z.shape[0] > 1 else slice(None), points]
    return torch.reciprocal(at[:, None] - w[systems, :, None])


def forward(v: Tensor, z: Tensor, w: Tensor, conjugate: bool) -> Tensor:
    """Sum block by block."""
    y = torch.empty((*v.shape[:2], z.shape[1]), dtype=v.dtype, device=v.device)
    residues = v.transpose(0, 1)  # (d, r, n)
    mirrored = residues.conj_physical(), w.conj_physical()
    for systems, points in _blocks(z, w):
        block = residues[systems] @ _reciprocals(z, w, systems, points)  # (d, r, l)
        if conjugate:
            block += mirrored[0][systems] @ _reciprocals(z, mirrored[1], systems, points)
        y[:, systems, points] = block.transpose(0, 1)
    return y


def backward(grad: Tensor, v: Tensor, z: Tensor, w: Tensor, conjugate: bool, wanted: list[bool]) -> tuple[Tensor, ...]:
    """Gradients of v, z and w, in torch's convention for complex numbers."""
    wide = torch.complex128  # sums over all points
    residues = v.transpose(0, 1).contiguous()
    of_v = torch.zeros(residues.shape, dtype=wide, device=v.device)
    of_w = torch.zeros(w.shape, dtype=wide, device=v.device)
    of_z = torch.zeros_like(z) if wanted[1] else z.new_empty(0)
    g_all = grad.resolve_conj().transpose(0, 1)  # (d, r, l)
    signs = (False, True) if conjugate else (False,)
    for systems, points in _blocks(z, w):
        g, at = g_all[systems, :, points], slice(None) if z.shape[0] == 1 else systems
        for mirror in signs:
            poles = w.conj_physical() if mirror else w
            R = _reciprocals(z, poles, systems, points)
            factor = residues[systems].conj_physical() if mirror else residues[systems]
            # Half of it belongs to the conjugate of v and w: its gradient is conjugated.
            part = g @ R.conj_physical().mT  # (d, r, n)
            square = g @ (R := R.square_()).conj_physical().mT * factor.conj_physical()
            of_v[systems] += part.conj_physical() if mirror else part
            of_w[systems] += (square.conj_physical() if mirror else square).sum(1)
            if wanted[1]:
                felt = ((factor @ R).conj_physical() * g).sum(1)  # (d, l)
                of_z[at, points] -= felt if z.shape[0] > 1 else felt.sum(0, keepdim=True)
    found = of_v.to(v.dtype).transpose(0, 1).contiguous(), of_z, of_w.to(w.dtype)
    return tuple(value if want else value.new_empty(0) for value, want in zip(found, wanted, strict=True))


cauchy = register("cauchy_chunked", forward, backward)
