"""The linear scan by chunks of time that go step by step side by side: portable torch, on any device.

A loop over the length costs one call of torch for each step, which is nothing beside wide rows and everything beside
narrow ones. So the length is cut into as many chunks as fill a call, and each step is one for all chunks at once:

1. from a state of zero, the state s at the end of each chunk, and the product p of its a;
2. the state after each chunk, ``s + p`` times that before it: a linear scan of its own;
3. each chunk again, from the state before it.

Nothing is divided by, no logarithm is taken, and p is multiplied with nothing but the state that it acts on, so the
length has no bound. Memory beyond the result is a fraction of it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from statespace.kernels.linear_scan.registration import register
from statespace.kernels.sequences import slices_of

# Numbers in a call of torch that make up for the cost of the call.
_ENOUGH = {"cpu": 1 << 15}
_ENOUGH_ELSEWHERE = 1 << 20
_FEWEST_CHUNKS = 4  # steps 1 and 3 read everything twice: it takes some chunks to pay for that


def _steps(x: Tensor, axis: int, count: int) -> Sequence[Tensor]:
    """The slices along an axis of time, which may be shared by all steps."""
    return x.unbind(axis) if x.shape[axis] == count else [x.select(axis, 0)] * count


def _add_decayed(x: Tensor, decay: Tensor, state: Tensor, out: Tensor, infinite: bool) -> None:
    """``out = x + decay state``; of a state of zero nothing comes over, even by an infinite factor."""
    torch.addcmul(x, torch.where(state == 0, 0, decay) if infinite else decay, state, out=out)


def _loop(
    a: Tensor, b: Tensor, state: Tensor | None, out: Tensor, axis: int, backwards: bool, infinite: bool = False
) -> None:
    count = b.shape[axis]
    rows = list(zip(_steps(a, axis, count), b.unbind(axis), out.unbind(axis), strict=True))
    for decay, x, h in reversed(rows) if backwards else rows:
        if state is None:
            h.copy_(x)
        else:
            _add_decayed(x, decay, state, h, infinite)
        state = h


def _ends(a: Tensor, b: Tensor, backwards: bool, infinite: bool) -> tuple[Tensor, Tensor]:
    """The state at the end of each chunk, from zero, and its product of a; of ``(b, chunks, T, d)``."""
    count = b.shape[2]
    rows = list(zip(_steps(a, 2, count), b.unbind(2), strict=True))
    (decay, x), *rest = reversed(rows) if backwards else rows
    state, product = x.clone(), decay.clone()
    for decay, x in rest:
        _add_decayed(x, decay, state, state, infinite)
        product *= decay
    return product, state


def _cut(x: Tensor, chunks: int, steps: int, backwards: bool) -> tuple[Tensor, Tensor]:
    """All chunks, ``(b, chunks, T, d)``, and what the scan comes to after them, ``(b, rest, d)``; views both."""
    if x.shape[1] == 1:
        return x[:, None], x
    rest = x.shape[1] - chunks * steps
    body, tail = (x[:, rest:], x[:, :rest]) if backwards else (x[:, : chunks * steps], x[:, chunks * steps :])
    return body.unflatten(1, (chunks, steps)), tail


def _scan(
    a: Tensor, b: Tensor, state: Tensor | None, out: Tensor, backwards: bool = False, infinite: bool = False
) -> None:
    """``out[t] = a[t] out[t-1] + b[t]``, or with t+1 in place of t-1, from the given state.

    `infinite` says that some a are, as products that overflow.
    """
    batch, length, channels = b.shape
    chunks = _ENOUGH.get(b.device.type, _ENOUGH_ELSEWHERE) // max(1, batch * channels)
    steps = length // max(1, min(chunks, length // 2))
    if min(chunks, length // 2) < _FEWEST_CHUNKS:
        _loop(a, b, state, out, 1, backwards, infinite)
        return
    chunks = length // steps
    (a_body, a_tail), (b_body, b_tail), (out_body, out_tail) = (_cut(x, chunks, steps, backwards) for x in (a, b, out))
    product, ends = _ends(a_body, b_body, backwards, infinite)
    overflow = not product.is_meta and not product.sum().isfinite()
    after = torch.empty_like(ends)
    _scan(product, ends, state, after, backwards, overflow)
    first = torch.zeros_like(ends[:, :1]) if state is None else state[:, None]
    if backwards:
        before, last = torch.cat((after[:, 1:], first), 1), after[:, 0]
    else:
        before, last = torch.cat((first, after[:, :-1]), 1), after[:, -1]
    _loop(a_body, b_body, before, out_body, 2, backwards, infinite)
    _loop(a_tail, b_tail, last, out_tail, 1, backwards, infinite)


def _at(a: Tensor, time: slice) -> Tensor:
    return a if a.shape[1] == 1 else a[:, time]


def _scan_back(decay: Tensor, grad_h: Tensor, grad_b: Tensor) -> None:
    """The gradient of b[t] is that of h[t] plus conj(a[t+1]) times that of b[t+1]."""
    grad_b[:, -1] = grad_h[:, -1]
    _scan(_at(decay, slice(1, None)), grad_h[:, :-1], grad_b[:, -1], grad_b[:, :-1], backwards=True)


def forward(
    a: Tensor, b: Tensor, initial_state: Tensor | None, lengths: Tensor | None, cu_seqlens: Tensor | None
) -> Tensor:
    """Scan by chunks; `linear_scan` below has taken care of lengths and of where packed sequences begin."""
    h = torch.empty(b.shape, dtype=b.dtype, device=b.device)
    _scan(a, b, initial_state, h)
    if cu_seqlens is not None and not h.sum().isfinite():
        # The factor of 0 at the beginning of a sequence holds back all but infinity and NaN.
        for time in slices_of(cu_seqlens, b.shape[1]):
            _scan(_at(a, time), b[:, time], None, h[:, time])
    return h


def backward(
    grad_h: Tensor,
    a: Tensor,
    h: Tensor,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients by chunks, from the end to the beginning."""
    grad_h, decay = grad_h.resolve_conj().resolve_neg(), a.conj_physical()
    grad_a, grad_b = a.new_zeros(a.shape), torch.empty_like(h)
    if h.shape[1] == 0:
        grad_initial = h.new_empty(0) if initial_state is None else torch.zeros_like(initial_state)
        return grad_a, grad_b, grad_initial
    _scan_back(decay, grad_h, grad_b)
    if cu_seqlens is not None and not grad_b.sum().isfinite():
        for time in slices_of(cu_seqlens, h.shape[1]):
            if time.stop > time.start:
                _scan_back(_at(decay, time), grad_h[:, time], grad_b[:, time])
    for t, before in ((slice(1, None), h[:, :-1]), (slice(0, 1), initial_state)):
        if before is not None:
            found = grad_b[:, t] * before.reshape(h[:, t].shape).conj_physical()
            to = grad_a if a.shape[1] == 1 else grad_a[:, t]
            to += found.sum_to_size(to.shape)
    grad_initial = h.new_empty(0) if initial_state is None else (decay[:, 0] * grad_b[:, 0])
    return grad_a, grad_b, grad_initial


_scan_plain = register("linear_scan_chunked", forward, backward)


def linear_scan(
    a: Tensor,
    b: Tensor,
    initial_state: Tensor | None = None,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
) -> Tensor:
    """Scan, with lengths and packed sequences written as steps of their own kinds.

    Where a state is held, a = 1 and b = 0. Where a packed sequence begins, a = 0, and b brings the state along.
    """
    time = torch.arange(b.shape[1], device=b.device)
    if lengths is not None:
        held = (time >= lengths[:, None])[..., None]
        a, b = torch.where(held, 1, a), torch.where(held, 0, b)
    if cu_seqlens is not None and b.shape[1]:
        starts = cu_seqlens[:-1].long().clamp(0, b.shape[1])
        if initial_state is not None:
            filled = (cu_seqlens[1:] > cu_seqlens[:-1])[:, None]
            at = starts.clamp(max=b.shape[1] - 1)
            first = a[0, at] if a.shape[1] == b.shape[1] else a[0]
            b = b.index_add(1, at, torch.where(filled, first * initial_state, 0)[None])
        begins = torch.zeros(b.shape[1] + 1, dtype=torch.bool, device=b.device).index_fill(0, starts, True)[:-1]
        a, initial_state = torch.where(begins[:, None], 0, a), None
    h: Tensor = _scan_plain(a, b, initial_state, None, cu_seqlens)
    return h
