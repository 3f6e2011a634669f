"""The resolvent one matrix at a time, each result by a solve of its own: the truth for the other backends.

R = scale (I - tA)⁻¹ + shift I,   RB = (I - tA)⁻¹ B,   CR = C (I - tA)⁻¹
"""

import torch
from torch import Tensor


def resolvent(
    A: Tensor, B: Tensor, C: Tensor, t: Tensor, scale: float, shift: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Solve for each matrix, in the precision of the arguments; autograd goes through the solves.

    Args and returns are those of `statespace.kernels.resolvent.resolvent`, which checks them, with one set of leading
    axes.
    """
    n, m, p = A.shape[-1], B.shape[-1], C.shape[-2]
    eye = torch.eye(n, dtype=A.dtype, device=A.device)
    columns: tuple[list[Tensor], ...] = ([], [], [], [])
    count = t.numel()
    flat = [matrix.reshape(count, *matrix.shape[-2:]) for matrix in (A, B, C)]
    for a, b, c, step in zip(*flat, t.reshape(count), strict=True):
        G = eye - step * a
        R, info = torch.linalg.solve_ex(G, eye)
        found = [scale * R + shift * eye, torch.linalg.solve_ex(G, b)[0], torch.linalg.solve_ex(G.mT, c.mT)[0].mT]
        if info:
            found = [torch.full_like(matrix, float("nan")) for matrix in found]
        for column, value in zip(columns, [*found, info != 0], strict=True):
            column.append(value)
    shapes = [(n, n), (n, m), (p, n)]
    R, RB, CR = (
        (torch.stack(column) if column else A.new_zeros(0, *shape)).reshape(*A.shape[:-2], *shape)
        for column, shape in zip(columns, shapes, strict=False)
    )
    singular = torch.stack(columns[3]) if columns[3] else torch.zeros(0, dtype=torch.bool, device=A.device)
    return R, RB, CR, singular.reshape(A.shape[:-2])
