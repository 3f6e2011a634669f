"""How a backend with a backward of its own becomes a torch operator: for autograd, torch.compile and fake tensors."""

from typing import Any, Protocol

import torch
from torch import Tensor

_ARGUMENTS = "Tensor u, Tensor log_a, Tensor b, Tensor c, Tensor? D, Tensor? initial_state, Tensor? lengths"


class Forward(Protocol):
    """The scan without its gradients; its results share no memory with its arguments."""

    def __call__(
        self,
        u: Tensor,
        log_a: Tensor,
        b: Tensor,
        c: Tensor,
        D: Tensor | None,
        initial_state: Tensor | None,
        lengths: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return y and the final state."""


class Backward(Protocol):
    """The gradients of u, log_a, b, c, D, initial_state; an empty tensor for one of the last two that is not there."""

    def __call__(
        self,
        grad_y: Tensor,
        grad_final: Tensor | None,
        u: Tensor,
        log_a: Tensor,
        b: Tensor,
        c: Tensor,
        D: Tensor | None,
        initial_state: Tensor | None,
        lengths: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the six gradients."""


def _fake_forward(
    u: Tensor,
    log_a: Tensor,
    b: Tensor,
    c: Tensor,
    D: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor]:
    return u.new_empty(u.shape), b.new_empty((u.shape[0], *b.shape))


def _fake_backward(
    grad_y: Tensor,
    grad_final: Tensor | None,
    u: Tensor,
    log_a: Tensor,
    b: Tensor,
    c: Tensor,
    D: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, ...]:
    like = (
        u,
        log_a,
        b,
        c,
        u.new_empty(0) if D is None else D,
        b.new_empty(0) if initial_state is None else initial_state,
    )
    return tuple(value.new_empty(value.shape) for value in like)


def _save(ctx: Any, inputs: tuple[Tensor | None, ...], output: tuple[Tensor, Tensor]) -> None:
    # Without this, the gradient of a final state that nobody uses would arrive as zeros and cost a second pass.
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs)


def register(name: str, forward: Forward, backward: Backward) -> Forward:
    """Make ``torch.ops.statespace.<name>`` of a forward and its backward, and return it.

    Args:
        name: name of the operator; its backward is registered as ``<name>_backward``.
        forward: the scan.
        backward: its gradients.
    Returns:
        the operator, with the arguments of `forward`.
    """
    scan = torch.library.custom_op(
        f"statespace::{name}", forward, mutates_args=(), schema=f"({_ARGUMENTS}) -> (Tensor, Tensor)"
    )
    scan.register_fake(_fake_forward)
    scan_backward = torch.library.custom_op(
        f"statespace::{name}_backward",
        backward,
        mutates_args=(),
        schema=f"(Tensor grad_y, Tensor? grad_final, {_ARGUMENTS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    )
    scan_backward.register_fake(_fake_backward)

    def gradients(ctx: Any, grad_y: Tensor | None, grad_final: Tensor | None) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        grad_y = torch.zeros_like(inputs[0]) if grad_y is None else grad_y
        found = scan_backward(grad_y, grad_final, *inputs)
        wanted = [*found, None]
        return tuple(None if value is None else grad for value, grad in zip(inputs, wanted, strict=True))

    scan.register_autograd(gradients, setup_context=_save)
    return scan
