"""The backward of one block: from the gradients of its outputs and of the state after it to those of its arguments."""

from dataclasses import dataclass

import torch
from torch import Tensor

from statespace.kernels.ssd.blocks import Block, of_head, of_wide, by_head, wide


@dataclass(frozen=True)
class Gradients:
    """Those of the arguments of a block, and of the state before it."""

    x: Tensor  # (m, k, t, g, q, p)
    dt: Tensor  # (m, k, t, g, q)
    A: Tensor  # (g, q), float64
    B: Tensor  # (m, k, t, g, n)
    C: Tensor  # (m, k, t, g, n)
    D: Tensor  # (g, q), float64
    z: Tensor | None  # (m, k, t, g, q, p)
    state: Tensor  # (m, g, n, q p)


def _dot(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).sum(-1)


def _exponents(within: Tensor, carried: Tensor, leaving: Tensor, through: Tensor) -> Tensor:
    """Gradients of the exponents dt A, ``(m, k, t, g, q)`` in float64.

    The exponent of step s scales all that passes from before s to s or later. Each is a sum of such passages alone, so
    that nothing cancels: a difference of what arrives and what leaves would drown a fast decay in rounding errors.

    Args:
        within: from step r to step t of the chunk, ``(m, k, g, q, t, r)``; used up.
        carried: from before the chunk to step t, ``(m, k, t, g, q)``.
        leaving: from step r to after the chunk, ``(m, k, t, g, q)``.
        through: from before the chunk to after it, ``(m, k, 1, g, q)``.
    Returns:
        The gradients.
    """
    passing = of_head(torch.cumsum(within, -1, out=within).tril_(-1).sum(-2))  # to later than r, from r or earlier
    to_here_or_later = carried.double().flip(2).cumsum(2).flip(2)
    total = to_here_or_later + through
    total[:, :, 1:] += (passing + leaving.double().cumsum(2))[:, :, :-1]
    return total


def gradients(
    block: Block, A: Tensor, g: Tensor, gate: Tensor | None, states: Tensor, adjoint: Tensor
) -> Gradients:
    """Differentiate a block.

    Args:
        block: its arguments.
        A: the eigenvalues, ``(g, q)``.
        g: gradient of the output, ``(m, k, t, g, q, p)``.
        gate: z, of the same shape, or None.
        states: those before each chunk, ``(m, k, g, n, q p)``.
        adjoint: gradient of the state after the block, ``(m, g, n, q p)``.
    Returns:
        The gradients.
    """
    decays, heads = block.decays, block.dt.shape[4]
    u = block.inputs()
    scores, between = (block.C @ block.B.mT)[:, :, :, None], decays.between()
    matrix = between * scores
    before = block.from_before(states)
    grad_gate = None
    if gate is not None:
        share = torch.sigmoid(gate)
        opened, outer, g = gate * share, g, g * gate * share
    carried = _dot(g, before)
    if gate is not None:
        grad_gate = block.output(u, matrix, before).mul_(outer).mul_(share * (1 + gate - opened))

    g_late = wide(g * decays.since[..., None])  # what the state before the chunk feels of g
    after, adjoint = decays.run(adjoint, block.C.mT @ g_late, backwards=True)
    from_after = of_wide(block.B @ after, heads).mul_(decays.until[..., None])
    g_up = by_head(g * decays.up[..., None])
    of_u = of_head(matrix.mT @ g_up).mul_(decays.down[..., None]).add_(from_after)

    of_matrix = g_up @ u.mT
    of_scores = of_matrix.mul_(between).sum(3)  # (m, k, g, t, r)
    until = (block.dt * decays.until)[..., None]
    of_C = of_scores @ block.B + g_late @ states.mT
    of_B = of_scores.mT @ block.C + wide(block.x * until) @ after.mT
    through = (states * after).unflatten(4, (heads, -1)).sum((3, 5))  # (m, k, g, q)
    exponents = _exponents(
        of_matrix.mul_(scores),
        carried,
        block.dt * _dot(block.x, from_after),
        (through * decays.whole[:, :, :, 0, :, 0])[:, :, None].double(),
    )
    of_x = of_u * block.dt[..., None]
    return Gradients(
        x=of_x if block.D is None else of_x.addcmul_(g, block.D[..., None]),
        dt=_dot(block.x, of_u).add_(exponents * A),
        A=(exponents * block.dt).sum((0, 1, 2)),
        B=of_B.transpose(2, 3),
        C=of_C.transpose(2, 3),
        D=_dot(g, block.x).sum((0, 1, 2), dtype=torch.float64),
        z=grad_gate,
        state=adjoint,
    )
