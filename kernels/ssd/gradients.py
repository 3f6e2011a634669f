"""The backward of the scan, block by block: from gradients of outputs and final states to those of the arguments."""

from dataclasses import dataclass

import torch
from torch import Tensor

from statespace.kernels.ssd.blocks import Block, Decays, by_head, of_head, of_wide, wide
from statespace.kernels.ssd.pieces import Span


@dataclass(frozen=True)
class Gradients:
    """Those of the arguments of a block that are not of the decays, and of the state before it."""

    x: Tensor  # (m, k, t, g, q, p)
    B: Tensor  # (m, k, t, g, n)
    C: Tensor  # (m, k, t, g, n)
    z: Tensor | None  # (m, k, t, g, q, p)
    state: Tensor  # (m, g, n, q p)


class Passages:
    """What passes from step to step, collected block by block: the gradients of dt, A and D are made of it.

    The exponent dt[s] A scales all that passes from before s to s or later, and its gradient is the sum of these
    passages. Nothing cancels in it: a difference of what arrives at s and what leaves it, which is the same by algebra,
    would drown a fast decay in rounding errors.
    """

    def __init__(self, decays: Decays) -> None:
        self.decays = decays
        shape = decays.dt.shape
        self.driving = decays.dt.new_zeros(shape)  # x times the gradient of u
        self.skipping = decays.dt.new_zeros(shape)  # x times the gradient of D x
        self.within = decays.dt.new_zeros(shape)  # from step t or before to later steps of the chunk
        self.carried = decays.dt.new_zeros(shape)  # from before the chunk to step t
        self.leaving = decays.dt.new_zeros(shape)  # from step t to after the chunk, over dt
        self.through = decays.dt.new_zeros(shape[0], shape[1], *shape[3:])  # from before the chunk to after it, decayed

    def gradients(self, A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of dt, ``(m, l, g, q)`` with the padding, and of A and D, ``(g, q)`` in float64."""
        dt = self.decays.dt
        exponents = self.carried.double().flip(2).cumsum(2).flip(2)
        exponents += (self.through * self.decays.whole[..., 0])[:, :, None]
        exponents[:, :, 1:] += (self.within + (self.leaving * dt).double().cumsum(2))[:, :, :-1]
        of_dt = (self.driving + exponents * A).to(dt.dtype)
        return of_dt.flatten(1, 2), (exponents * dt).sum((0, 1, 2)), self.skipping.sum((0, 1, 2), dtype=torch.float64)

    def at(self, span: Span) -> tuple[Tensor, ...]:
        """Those of a block, in the order in which they are listed above."""
        chunks, steps = span.within(self.decays.dt.shape[2])
        of_steps = (self.driving, self.skipping, self.within, self.carried, self.leaving)
        return (*(values[:, chunks, steps] for values in of_steps), self.through[:, chunks])


def _dot(x: Tensor, y: Tensor, out: Tensor) -> None:
    torch.sum(x * y, -1, out=out)


def gradients(
    block: Block, g: Tensor, gate: Tensor | None, states: Tensor, adjoint: Tensor, passages: tuple[Tensor, ...]
) -> Gradients:
    """Differentiate a block.

    Args:
        block: its arguments.
        g: gradient of the output, ``(m, k, t, g, q, p)``.
        gate: z, of the same shape, or None.
        states: those before each chunk, ``(m, k, g, n, q p)``.
        adjoint: gradient of the state after the block, ``(m, g, n, q p)``.
        passages: where those of this block belong; they are filled in.
    Returns:
        The gradients.
    """
    driving, skipping, within, carried, leaving, through = passages
    decays, heads = block.decays, block.x.shape[4]
    u = block.inputs()
    scores, between = (block.C @ block.B.mT)[:, :, :, None], decays.between()
    matrix = between * scores
    before = block.from_before(states)
    grad_gate = None
    if gate is None:
        _dot(g, before, carried)
    else:
        share = torch.sigmoid(gate)
        outer, opened = g * share, gate * share
        g = outer * gate
        _dot(g, before, carried)
        grad_gate = block.output(u, matrix, before).mul_(outer).mul_(opened.neg_().add_(gate).add_(1))
    if block.D is not None:
        _dot(block.x, g, skipping)

    g_late = wide(g * decays.since[..., None])  # what the state before the chunk feels of g
    after, adjoint = decays.run(adjoint, block.C.mT @ g_late, backwards=True)
    from_after = of_wide(block.B @ after, heads).mul_(decays.until[..., None])
    _dot(block.x, from_after, leaving)
    g_up = by_head(g * decays.up[..., None])
    of_u = from_after.addcmul_(of_head(matrix.mT @ g_up), decays.down[..., None])
    _dot(block.x, of_u, driving)

    of_matrix = g_up @ u.mT
    of_scores = of_matrix.mul_(between).sum(3)  # (m, k, g, t, r)
    of_matrix.mul_(scores)
    # From r or before to later than r: what the columns up to r hold below row r.
    within.copy_(of_head(torch.cumsum(of_matrix, -1, out=of_matrix).tril_(-1).sum(-2)))
    through.copy_((states * after).sum(3).unflatten(3, (heads, -1)).sum(-1))
    of_C = of_scores @ block.B + g_late @ states.mT
    of_B = of_scores.mT @ block.C + wide(block.x * decays.enters[..., None]) @ after.mT
    of_x = of_u.mul_(decays.dt[..., None])
    return Gradients(
        x=of_x if block.D is None else of_x.addcmul_(g, block.D[..., None]),
        B=of_B.transpose(2, 3),
        C=of_C.transpose(2, 3),
        z=grad_gate,
        state=adjoint,
    )
