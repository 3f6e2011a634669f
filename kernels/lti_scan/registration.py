"""What the two operators of the scan have in common."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from statespace.kernels import registration


def _fake(
    u: Tensor,
    log_a: Tensor,
    b: Tensor,
    c: Tensor,
    D: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor]:
    return u.new_empty(u.shape), b.new_empty((u.shape[0], *b.shape))


def register(name: str, forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
    """Make an operator of a forward, which returns y and the final state, and of its backward."""
    return registration.register(
        name,
        forward,
        backward,
        _fake,
        arguments="Tensor u, Tensor log_a, Tensor b, Tensor c, Tensor? D, Tensor? initial_state, Tensor? lengths",
        gradients=("u", "log_a", "b", "c", "D", "initial_state"),
        results=2,
    )
