"""What the operators of the short convolution have in common."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from statespace.kernels import registration


def _fake(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    silu: bool,
) -> tuple[Tensor, Tensor]:
    sequences = x.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1
    return x.new_empty(x.shape), x.new_empty((sequences, weight.shape[1] - 1, x.shape[2]))


def register(name: str, forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
    """Make an operator of a forward, which returns y and the final state, and of its backward."""
    return registration.register(
        name,
        forward,
        backward,
        _fake,
        arguments="Tensor x, Tensor weight, Tensor? bias, Tensor? initial_state, Tensor? lengths, "
        "Tensor? cu_seqlens, bool silu",
        gradients=("x", "weight", "bias", "initial_state"),
        results=2,
    )
