"""What the operators of the Cauchy product have in common."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from statespace.kernels import registration


def _fake(v: Tensor, z: Tensor, w: Tensor, conjugate: bool) -> Tensor:
    return v.new_empty((*v.shape[:2], z.shape[1]))


def register(name: str, forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
    """Make an operator of a forward and its backward, which leaves out the gradients that are not wanted."""
    return registration.register(
        name,
        forward,
        backward,
        _fake,
        arguments="Tensor v, Tensor z, Tensor w, bool conjugate",
        gradients=("v", "z", "w"),
        selective=True,
    )
