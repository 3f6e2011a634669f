"""The scan of Mamba-2 as a torch operator, from its forward and its backward."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from statespace.kernels import registration


def state_shape(x: Tensor, B: Tensor, cu_seqlens: Tensor | None) -> tuple[int, ...]:
    """Shape of the final states, ``(s, h, p, n)``."""
    sequences = x.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1
    return sequences, x.shape[2], x.shape[3], B.shape[3]


def _fake(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    chunk: int,
) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), dt.new_empty(state_shape(x, B, cu_seqlens))


def register(name: str, forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
    """Make an operator of a forward, which returns y and the final state, and of its backward."""
    return registration.register(
        name,
        forward,
        backward,
        _fake,
        arguments="Tensor x, Tensor dt, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, Tensor? initial_state, "
        "Tensor? cu_seqlens, int chunk",
        gradients=("x", "dt", "A", "B", "C", "D", "z", "initial_state"),
        results=2,
    )
