"""Systems that feed one another: in series, in parallel, in a loop."""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError

if TYPE_CHECKING:
    from statespace.systems.dense import StateSpace


def _common_type(first: "StateSpace", second: "StateSpace") -> tuple["StateSpace", "StateSpace"]:
    dtype = torch.promote_types(first.A.dtype, second.A.dtype)
    return first.to(dtype), second.to(dtype)


def _common_time(where: str, first: "StateSpace", second: "StateSpace") -> None:
    if first.is_discrete != second.is_discrete:
        raise InputError(f"{where}: one system is continuous and the other discrete: discretise the continuous one.")
    if first.dt is not None and second.dt is not None:
        a, b = torch.as_tensor(first.dt).double(), torch.as_tensor(second.dt).double()
        if not torch.allclose(a, b, rtol=1e-9, atol=0):
            raise InputError(f"{where}: the systems have the steps {first.dt} and {second.dt}: resample one of them.")


def _block(rows: list[list[Tensor]]) -> Tensor:
    """Put blocks together, with their leading axes broadcast and their types brought together."""
    everything = [block for row in rows for block in row]
    batch = torch.broadcast_shapes(*(block.shape[:-2] for block in everything))
    dtype = everything[0].dtype
    for block in everything:
        dtype = torch.promote_types(dtype, block.dtype)
    spread = [[block.to(dtype).expand(*batch, *block.shape[-2:]) for block in row] for row in rows]
    return torch.cat([torch.cat(row, -1) for row in spread], -2)


def _beside(A: Tensor, B: Tensor) -> Tensor:
    upper = torch.zeros(A.shape[-2], B.shape[-1], dtype=A.dtype, device=A.device)
    return _block([[A, upper], [upper.new_zeros(B.shape[-2], A.shape[-1]), B]])


def series(first: "StateSpace", second: "StateSpace") -> "StateSpace":
    """Return `second` after `first`; see `System.series`."""
    first, second = _common_type(first, second)
    _common_time("series", first, second)
    if first.outputs != second.inputs:
        raise ShapeError(
            f"series: {first.outputs} outputs lead into {second.inputs} inputs: as many are expected. "
            "The system that is called comes first, its argument second."
        )
    A = _beside(first.A, second.A)
    link = _block(
        [
            [torch.zeros_like(first.A), torch.zeros(first.n, second.n, dtype=A.dtype, device=A.device)],
            [second.B @ first.C, torch.zeros_like(second.A)],
        ]
    )
    return replace(
        first,
        A=A + link,
        B=_block([[first.B], [second.B @ first.D]]),
        C=_block([[second.D @ first.C, second.C]]),
        D=second.D @ first.D,
        origin=None,
    )


def parallel(first: "StateSpace", second: "StateSpace") -> "StateSpace":
    """Return the sum of both; see `System.parallel`."""
    _common_time("parallel", first, second)
    if (first.inputs, first.outputs) != (second.inputs, second.outputs):
        raise ShapeError(
            f"parallel: the systems have {first.inputs} and {second.inputs} inputs and {first.outputs} and "
            f"{second.outputs} outputs: the same numbers of both are expected."
        )
    return replace(
        first,
        A=_beside(first.A, second.A),
        B=_block([[first.B], [second.B]]),
        C=_block([[first.C, second.C]]),
        D=first.D + second.D,
        origin=None,
    )


def feedback(first: "StateSpace", second: "StateSpace | None", sign: int) -> "StateSpace":
    """Return the closed loop; see `System.feedback`."""
    if sign not in (-1, 1):
        raise InputError(f"feedback: sign is {sign!r}, but -1 (negative feedback) or 1 is expected.")
    if second is None:
        p = first.outputs
        empty = first.B.new_zeros
        second = replace(first, A=empty(0, 0), B=empty(0, p), C=empty(p, 0), D=torch.eye(p).to(first.D), origin=None)
    first, second = _common_type(first, second)
    _common_time("feedback", first, second)
    if (second.inputs, second.outputs) != (first.outputs, first.inputs):
        raise ShapeError(
            f"feedback: the return path has {second.inputs} inputs and {second.outputs} outputs, but "
            f"{first.outputs} and {first.inputs} are expected."
        )
    eye = torch.eye(first.inputs).to(first.D)
    loop = eye - sign * second.D @ first.D
    if bool((torch.linalg.matrix_rank(loop.detach()) < first.inputs).any()):
        raise InputError(
            "feedback: the loop is ill-posed, its feed-throughs answer one another at once: put a pole in it."
        )
    # The input of the first system is e = loop⁻¹ (u + sign (C2 x2 + D2 C1 x1)).
    inverse = torch.linalg.inv(loop)
    e_x = inverse @ _block([[sign * second.D @ first.C, sign * second.C]])
    y_x = _block([[first.C, first.C.new_zeros(first.outputs, second.n)]]) + first.D @ e_x
    y_u = first.D @ inverse
    A = _beside(first.A, second.A) + torch.cat([first.B @ e_x, second.B @ y_x], -2)
    B = _block([[first.B @ inverse], [second.B @ y_u]])
    return replace(first, A=A, B=B, C=y_x, D=y_u, origin=None)
