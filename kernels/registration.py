"""How a forward and a backward become one torch operator: for autograd, torch.compile, export and fake tensors."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from statespace.errors import InputError


def as_written(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function without autocast, in the precision that it chose itself."""

    @wraps(function)
    def plain(*arguments: Any) -> Any:
        device = next(value.device.type for value in arguments if isinstance(value, Tensor))
        if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
            return function(*arguments)
        with torch.autocast(device, enabled=False):
            return function(*arguments)

    return plain


def _layers(value: Tensor) -> Iterator[Tensor]:
    """The tensor, and those that it stands for in the transformations of torch.func, one inside of the other."""
    yield value
    while torch._C._functorch.is_functorch_wrapped_tensor(value):
        value = torch._C._functorch.get_unwrapped(value)
        yield value


def followed(values: Iterable[object]) -> str | None:
    """Say which derivative other than those of torch.autograd, backward, is taken through values; None for no other."""
    transformed = torch._C._functorch.peek_interpreter_stack() is not None
    if not transformed and forward_ad._current_level < 0:
        return None
    for value in itertools.chain.from_iterable(_layers(value) for value in values if isinstance(value, Tensor)):
        if transformed and torch._C._functorch.is_batchedtensor(value):
            continue
        if forward_ad._current_level >= 0 and forward_ad.unpack_dual(value).tangent is not None:
            return "a forward derivative (torch.func.jvp, dual numbers)"
        if transformed and torch._C._functorch.is_gradtrackingtensor(value) and value.requires_grad:
            return "a derivative by torch.func"
    return None


def backward_only(name: str, operator: Callable[..., Any]) -> Callable[..., Any]:
    """The operator, refusing by name the derivatives that torch would take for zero, or not take at all."""

    def call(*arguments: Any) -> Any:
        if not torch.compiler.is_dynamo_compiling() and (derivative := followed(arguments)):
            raise InputError(
                f"{name}: {derivative} was asked for, but it has only those of torch.autograd, backward: take "
                "torch.autograd.grad, or backend='reference', which torch differentiates in every way (of layers: "
                "within statespace.kernels.prefer('reference'))."
            )
        return operator(*arguments)

    return call


def register(
    name: str,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    fake: Callable[..., Any],
    *,
    arguments: str,
    gradients: Sequence[str],
    results: int = 1,
    kept: int = 0,
    instead: Mapping[str, int] | None = None,
    selective: bool = False,
) -> Callable[..., Any]:
    """Make ``torch.ops.statespace.<name>`` of a forward and its backward, and return it.

    `forward` takes the `arguments` and returns ``results + kept`` tensors that share no memory with them (one tensor,
    not a tuple, where that is one). `backward` takes the gradients of the results (None for one that nobody used),
    what was kept, and the arguments; it returns the gradients, an empty tensor for an argument that was None.

    Autograd does not look inside the two, so they are written for plain tensors. They meet no lazy conjugate or sign
    in their arguments if the public function resolved it; gradients may carry one. Autocast is off inside them: it
    would round the operands of their matrix products.

    Args:
        name: name of the operator; its backward is registered as ``<name>_backward``.
        forward: the computation.
        backward: its gradients.
        fake: what `forward` returns, as to shapes, dtypes and devices alone.
        arguments: those of `forward`, as torch writes them in a schema: ``"Tensor u, Tensor? D, int length"``.
        gradients: names of the arguments that have a gradient, in the order in which `backward` returns them.
        results: how many results `forward` has that a gradient may come back to.
        kept: how many further results it has that only its backward wants.
        instead: arguments of which `backward` wants no more than the shape, and the number of the result, of that
            shape, which it gets in their place; so they are not saved, and results are.
        selective: whether `backward` takes, as its last argument, a list that says which of the gradients are wanted.
            It then returns an empty tensor for one that is not.
    Returns:
        the operator, with the arguments and results of `forward`.
    """
    pairs = [argument.split() for argument in arguments.split(", ")]
    kinds, names = [kind for kind, _ in pairs], [argument for _, argument in pairs]
    at = [names.index(wanted) for wanted in gradients]
    replaced = {names.index(argument): result for argument, result in (instead or {}).items()}

    def tensors(count: int) -> str:
        return "Tensor" if count == 1 else f"({', '.join(['Tensor'] * count)})"

    operator = torch.library.custom_op(
        f"statespace::{name}",
        as_written(forward),
        mutates_args=(),
        schema=f"({arguments}) -> {tensors(results + kept)}",
    )
    operator.register_fake(fake)
    incoming = [f"Tensor? grad_{i}" for i in range(results)] + [f"Tensor kept_{i}" for i in range(kept)]
    choice = ["bool[] wanted"] if selective else []
    adjoint = torch.library.custom_op(
        f"statespace::{name}_backward",
        as_written(backward),
        mutates_args=(),
        schema=f"({', '.join([*incoming, arguments, *choice])}) -> {tensors(len(gradients))}",
    )

    @adjoint.register_fake
    def fake_backward(*values: Any) -> Any:
        given = values[results + kept :]
        wanted = given[-1] if selective else [True] * len(at)
        like = [given[i] if want else None for i, want in zip(at, wanted, strict=True)]
        some = next(value for value in given if isinstance(value, Tensor))
        found = [some.new_empty(0) if value is None else value.new_empty(value.shape) for value in like]
        return found[0] if len(found) == 1 else tuple(found)

    def save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        # Without this, the gradient of a result that nobody uses would arrive as zeros and cost a second pass.
        ctx.set_materialize_grads(False)
        outputs = (output,) if results + kept == 1 else output
        extra = outputs[results:]
        if extra:
            ctx.mark_non_differentiable(*extra)
        inputs = tuple(outputs[replaced[i]] if i in replaced else value for i, value in enumerate(inputs))
        ctx.save_for_backward(*extra, *(v for v, kind in zip(inputs, kinds, strict=True) if kind.startswith("Tensor")))
        ctx.plain = [v for v, kind in zip(inputs, kinds, strict=True) if not kind.startswith("Tensor")]

    def differentiate(ctx: Any, *incoming: Tensor | None) -> Any:
        found = [None] * len(names)
        grads = incoming[:results]
        if all(grad is None for grad in grads):
            return tuple(found) if len(found) > 1 else None
        saved = ctx.saved_tensors  # asked for once: activation checkpointing computes them anew
        extra, of_tensors, plain = saved[:kept], iter(saved[kept:]), iter(ctx.plain)
        inputs = [next(of_tensors) if kind.startswith("Tensor") else next(plain) for kind in kinds]
        wanted = [ctx.needs_input_grad[i] for i in at]
        values = adjoint(*grads, *extra, *inputs, *([wanted] if selective else []))
        for i, want, value in zip(at, wanted, (values,) if len(at) == 1 else values, strict=True):
            found[i] = value if want else None
        return tuple(found) if len(found) > 1 else found[0]

    def refuse(ctx: Any, *_: Any) -> None:
        raise InputError(
            f"{name}: second derivatives were asked for, but its backward has none: "
            "take backend='reference', which torch differentiates as often as you like (of layers: within "
            "statespace.kernels.prefer('reference'))."
        )

    operator.register_autograd(differentiate, setup_context=save)
    adjoint.register_autograd(refuse)
    return backward_only(name, operator)
