"""What the two operators of the scan have in common."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from statespace.kernels import registration


def _fake(a: Tensor, b: Tensor, *_: Tensor | None) -> Tensor:
    return b.new_empty(b.shape)


def register(name: str, forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
    """Make an operator of a forward, which returns all states, and of its backward, which gets them in place of b."""
    return registration.register(
        name,
        forward,
        backward,
        _fake,
        arguments="Tensor a, Tensor b, Tensor? initial_state, Tensor? lengths, Tensor? cu_seqlens",
        gradients=("a", "b", "initial_state"),
        instead={"b": 0},
    )
