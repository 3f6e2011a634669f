"""The diagonal LTI scan as matrix products over chunks of T steps: portable torch, on any device.

With H[i] the state before chunk i, X[i] its inputs and Y[i] its outputs, and the tables of tables.py, per channel,

    Y[i] = X[i] K^T + Re(H[i] F),   H[i+1] = a^T H[i] + X[i] E.

Only powers up to a^T occur, so nothing overflows however long the sequence. The backward runs the same products the
other way and computes the H again, so that memory stays a small multiple of that of u. Where a sequence ends r steps
into chunk i, its final state is a^r H[i] + R E, with R these r inputs, zeros before them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from statespace.kernels.lti_scan.registration import register
from statespace.kernels.lti_scan.tables import STEPS, Tables, power, to_complex, to_real


def _split(u: Tensor, lengths: Tensor | None) -> Tensor:
    """``(b, l, d)`` to chunks ``(d, b, chunks, T)``, at least one, zero beyond each length."""
    batch, length, channels = u.shape
    chunks = max(1, -(-length // STEPS))
    x = u.new_zeros(channels, batch, chunks * STEPS)
    x[..., :length] = u.permute(2, 0, 1)
    if lengths is not None:
        x.masked_fill_(torch.arange(chunks * STEPS, device=u.device) >= lengths[:, None], 0)
    return x.view(channels, batch, chunks, STEPS)


def _join(x: Tensor, length: int, lengths: Tensor | None) -> Tensor:
    """The inverse of `_split`."""
    y = x.flatten(2)[..., :length].permute(1, 2, 0).contiguous()
    if lengths is not None:
        y.masked_fill_((torch.arange(length, device=y.device) >= lengths[:, None])[..., None], 0)
    return y


@dataclass(frozen=True)
class _Ends:
    """Where each sequence ends: `steps` steps into chunk `chunk`."""

    batch: Tensor  # (b), 0 ... b - 1, beside `chunk` in an index
    chunk: Tensor  # (b)
    steps: Tensor  # (b, 1, 1)
    at: Tensor  # (d, b, T), positions of the last T steps, at least 0
    used: Tensor  # (b, T), which of them belong to the chunk

    @classmethod
    def of(cls, u: Tensor, lengths: Tensor | None) -> "_Ends":
        batch, length, channels = u.shape
        ends = torch.full((batch,), length, device=u.device) if lengths is None else lengths.clamp(0, length)
        last = torch.arange(STEPS, device=u.device) - STEPS
        at = (ends[:, None] + last).clamp(min=0).expand(channels, -1, -1)
        steps = ends % STEPS
        return cls(
            torch.arange(batch, device=u.device), ends // STEPS, steps[:, None, None], at, last >= -steps[:, None]
        )

    def take(self, x: Tensor) -> Tensor:
        """The inputs R of the chunks in which sequences end: ``(d, b, chunks, T)`` to ``(d, b, T)``."""
        return torch.where(self.used, x.flatten(2).gather(2, self.at), 0)

    def give(self, x: Tensor, rests: Tensor) -> Tensor:
        """Add to them: the transpose of `take`."""
        return x.flatten(2).scatter_add(2, self.at, torch.where(self.used, rests, 0)).view(x.shape)


def _product(x: Tensor, matrix: Tensor) -> Tensor:
    """``(d, b, chunks, j)`` times ``(d, j, k)``."""
    return torch.bmm(x.flatten(1, 2), matrix).view(*x.shape[:3], matrix.shape[2])


def _sum_of_products(x: Tensor, y: Tensor) -> Tensor:
    """``(d, b, chunks, j)`` and ``(d, b, chunks, k)`` to ``(d, j, k)``."""
    return torch.bmm(x.flatten(1, 2).transpose(1, 2), y.flatten(1, 2))


def _states(x: Tensor, tables: Tables, initial_state: Tensor | None) -> Tensor:
    """States before each chunk and after the last one, complex ``(d, b, chunks + 1, n)``."""
    added = to_complex(_product(x, tables.into))
    states = added.new_empty(*added.shape[:2], added.shape[2] + 1, added.shape[3])
    states[:, :, 0] = 0 if initial_state is None else initial_state.transpose(0, 1)
    decay = tables.powers[STEPS].to(added.dtype)[:, None]  # (d, 1, n)
    for i in range(added.shape[2]):
        torch.addcmul(added[:, :, i], decay, states[:, :, i], out=states[:, :, i + 1])
    return states


def forward(
    u: Tensor,
    log_a: Tensor,
    b: Tensor,
    c: Tensor,
    D: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Scan by chunks."""
    tables, ends = Tables.of(log_a, b, c, D), _Ends.of(u, lengths)
    x = _split(u, lengths)
    states = _states(x, tables, initial_state)
    y = _product(x, tables.inside) + _product(to_real(states[:, :, :-1]), tables.out)
    rest = to_complex(torch.bmm(ends.take(x), tables.into))
    final = power(log_a, ends.steps).to(b.dtype) * states[:, ends.batch, ends.chunk].transpose(0, 1)
    return _join(y, u.shape[1], lengths), (final + rest.transpose(0, 1)).contiguous()


def backward(
    grad_y: Tensor | None,
    grad_final: Tensor | None,
    u: Tensor,
    log_a: Tensor,
    b: Tensor,
    c: Tensor,
    D: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients by chunks, from the end to the beginning."""
    tables, ends = Tables.of(log_a, b, c, D), _Ends.of(u, lengths)
    grad_y = u.new_zeros(()).expand(u.shape) if grad_y is None else grad_y.resolve_neg()
    x, dy = _split(u, lengths), _split(grad_y, lengths)
    states = _states(x, tables, initial_state)

    # Gradients of the states before each chunk: what its outputs say, and then what the next chunk says.
    adjoint = torch.empty_like(states)
    adjoint[:, :, -1] = 0
    adjoint[:, :, :-1] = to_complex(_product(dy, tables.out.transpose(1, 2)))
    grad_rest, grad_log_a = None, torch.zeros_like(tables.powers[0])
    if grad_final is not None:
        grad_final = grad_final.resolve_conj()
        grad_rest = to_real(grad_final.transpose(0, 1))
        before = states[:, ends.batch, ends.chunk].transpose(0, 1)
        through = power(log_a, ends.steps).conj_physical() * grad_final
        grad_log_a += (ends.steps * through * before.conj_physical()).sum(0)
        adjoint[:, ends.batch, ends.chunk] += through.to(b.dtype).transpose(0, 1)
    decay = tables.powers[STEPS].conj_physical().to(b.dtype)[:, None]
    for i in range(x.shape[2] - 1, -1, -1):
        adjoint[:, :, i].addcmul_(decay, adjoint[:, :, i + 1])

    after = to_real(adjoint[:, :, 1:])  # what the inputs of a chunk leave behind is worth this
    grad_x = _product(dy, tables.inside.transpose(1, 2)) + _product(after, tables.into.transpose(1, 2))
    grad_into = _sum_of_products(x, after)
    grad_out = _sum_of_products(to_real(states[:, :, :-1]), dy)
    grad_decay = (adjoint[:, :, 1:] * states[:, :, :-1].conj_physical()).sum((1, 2))
    if grad_rest is not None:
        grad_x = ends.give(grad_x, torch.bmm(grad_rest, tables.into.transpose(1, 2)))
        grad_into += torch.bmm(ends.take(x).transpose(1, 2), grad_rest)
    of_log_a, of_b, of_c, of_D = tables.gradients(grad_into, grad_out, _sum_of_products(x, dy), grad_decay)
    return (
        _join(grad_x, u.shape[1], lengths),
        (grad_log_a + of_log_a).to(log_a.dtype),
        of_b.to(b.dtype),
        of_c.to(c.dtype),
        u.new_empty(0) if D is None else of_D.to(D.dtype),
        b.new_empty(0) if initial_state is None else adjoint[:, :, 0].transpose(0, 1).contiguous(),
    )


lti_scan = register("lti_scan_chunked", forward, backward)
