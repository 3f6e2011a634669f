"""Sequences of their own lengths, padded to rows or packed into one: what of them is refused, and where each lies.

Values cannot be looked at while a graph is traced. So the backends clamp them, and nothing outside is ever touched.
"""

from itertools import pairwise

import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.shapes import expect


def check(where: str, name: str, x: Tensor, lengths: Tensor | None, cu_seqlens: Tensor | None) -> int:
    """Check how the rows of `x` are cut into sequences.

    Args:
        where: the function that was called, for the messages.
        name: the name of `x`, for the messages.
        x: an argument with the axes ``(b, l, ...)``.
        lengths: steps of each row that count, ``(b,)``; None for all.
        cu_seqlens: where sequences that are packed into a batch of 1 begin, and their end, ``(s + 1,)``; None where
            each has a row.
    Returns:
        How many sequences there are.
    Raises:
        ShapeError: the shapes do not fit.
        InputError: both are given, or a dtype, a device or a value cannot be used.
    """
    batch, length = x.shape[:2]
    if lengths is not None and cu_seqlens is not None:
        raise InputError(
            f"{where}: lengths and cu_seqlens are both given: pad the sequences or pack them, and pass the one that "
            "goes with it."
        )
    for argument, value, axes in (("lengths", lengths, "b"), ("cu_seqlens", cu_seqlens, "s+1")):
        if value is None:
            continue
        expect(where, argument, value, axes, {"b": batch})
        if value.dtype not in (torch.int32, torch.int64):
            raise InputError(
                f"{where}: {argument} is {value.dtype}, but int32 or int64 is expected: convert it with "
                f"{argument}.long()."
            )
        if value.device != x.device:
            raise InputError(
                f"{where}: {argument} is on {value.device} but {name} on {x.device}: move it with .to({name}.device)."
            )
    if lengths is not None:
        _check_lengths(where, name, length, lengths)
    if cu_seqlens is None:
        return batch
    if batch != 1:
        raise ShapeError(
            f"{where}: cu_seqlens goes with a batch of 1, but {name} has {batch} rows: lay the sequences one after the "
            f"other along the length, as {name}.flatten(0, 1)[None] does."
        )
    _check_bounds(where, name, length, cu_seqlens)
    return cu_seqlens.shape[0] - 1


def _check_lengths(where: str, name: str, length: int, lengths: Tensor) -> None:
    if torch.compiler.is_compiling() or not lengths.numel():
        return
    least, most = (int(bound) for bound in torch.aminmax(lengths))
    if least < 0 or most > length:
        raise InputError(
            f"{where}: lengths lie between {least} and {most}, but {name} is {length} steps long: each length counts "
            f"the steps of one sequence, from 0 to {length}."
        )


def _check_bounds(where: str, name: str, length: int, cu_seqlens: Tensor) -> None:
    if cu_seqlens.shape[0] < (2 if length else 1):
        raise ShapeError(
            f"{where}: cu_seqlens is {tuple(cu_seqlens.shape)}, but (s + 1,) is expected: where each of the s "
            f"sequences begins, and the end of the last; for a single one, [0, {length}]."
        )
    if torch.compiler.is_compiling():
        return
    ends = cu_seqlens.tolist()
    if ends[0] != 0 or ends[-1] != length or any(a > b for a, b in pairwise(ends)):
        raise InputError(
            f"{where}: cu_seqlens is {ends[:8]}{' ...' if len(ends) > 8 else ''}, but it must rise from 0 to the "
            f"length of {name}, {length}, without a step back: it is the lengths' cumulative sum, with a 0 before."
        )


def clamped(cu_seqlens: Tensor, length: int) -> Tensor:
    """The bounds, of which those that escaped the check in a traced graph lead nowhere outside; int64."""
    bounds = cu_seqlens.long().clamp(0, length).cummax(0).values
    bounds[:1], bounds[1:][-1:] = 0, length
    return bounds


def bounds_of(cu_seqlens: Tensor | None, length: int) -> list[int]:
    """Where sequences begin and end."""
    return [0, length] if cu_seqlens is None else clamped(cu_seqlens, length).tolist()


def slices_of(cu_seqlens: Tensor, length: int) -> list[slice]:
    """Where each packed sequence lies."""
    return [slice(begin, end) for begin, end in pairwise(bounds_of(cu_seqlens, length))]


def entered(t: int, state: Tensor, starts: Tensor, cu_seqlens: Tensor) -> Tensor:
    """The state ``(1, ...)`` before step t of packed sequences, from `starts`, ``(s, ...)``, where one begins."""
    at = torch.searchsorted(cu_seqlens, torch.tensor([t], device=cu_seqlens.device), right=True) - 1
    return torch.where((cu_seqlens[at] == t).view(-1, *(1,) * (state.ndim - 1)), starts[at], state)


def left(t: int, state: Tensor, finals: Tensor, cu_seqlens: Tensor) -> Tensor:
    """The `finals`, ``(s, ...)``, with the state ``(1, ...)`` after step t for a sequence that ends there."""
    ends = (cu_seqlens[1:] == t + 1) & (cu_seqlens[1:] > cu_seqlens[:-1])
    return torch.where(ends.view(-1, *(1,) * (state.ndim - 1)), state, finals)
