"""What the operators of the selective scan have in common."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from statespace.kernels import registration

ARGUMENTS = (
    "Tensor u, Tensor dt, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, Tensor? dt_bias, "
    "Tensor? initial_state, Tensor? cu_seqlens, bool dt_softplus, str method, bool keep"
)
GRADIENTS = ("u", "dt", "A", "B", "C", "D", "z", "dt_bias", "initial_state")


def rows(u: Tensor, cu_seqlens: Tensor | None) -> int:
    """How many sequences there are, and so states: those of the batch, or those packed into its only row."""
    return u.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1


def register(
    name: str,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    kept: Callable[..., Tensor] | None = None,
) -> Callable[..., Any]:
    """Make an operator of a forward, which returns y and the final state, and of its backward.

    Both take the ARGUMENTS, as `reference.selective_scan` does, and `backward` returns the GRADIENTS. Where the forward
    also returns a tensor for its backward, `kept` takes the ARGUMENTS and returns an empty one of that shape and dtype.
    """

    def fake(*arguments: Any) -> tuple[Tensor, ...]:
        u, A, cu_seqlens = arguments[0], arguments[2], arguments[9]
        y, final = (
            torch.empty_like(u, memory_format=torch.contiguous_format),
            A.new_empty((rows(u, cu_seqlens), *A.shape)),
        )
        return (y, final) if kept is None else (y, final, kept(*arguments))

    return registration.register(
        name,
        forward,
        backward,
        fake,
        arguments=ARGUMENTS,
        gradients=GRADIENTS,
        results=2,
        kept=0 if kept is None else 1,
    )
