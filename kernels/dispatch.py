"""Which backend computes: the first that can, or the one that was asked for, or why not."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from statespace.errors import InputError, choose

Looked = TypeVar("Looked", bound=Callable[..., object])


def looked_up_once(function: Looked) -> Looked:
    """Mark a function that is to be called when a graph is traced, and not traced itself.

    This is what `torch.compiler.assume_constant_result` does, except that torch loads its compiler for that, and Triton
    with it, where there is one: an import of this library would take seconds.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]  # functions take any attribute
    return function


def pick(where: str, backend: str, refusals: Mapping[str, str | None]) -> str:
    """Return the name of the backend to compute with.

    Args:
        where: the function that was called, for the message.
        backend: a name, or ``auto`` for the first that refuses nothing.
        refusals: for each backend, fastest first, why it cannot compute this call, or None where it can. One at least
            can.
    Returns:
        the name of a backend.
    Raises:
        InputError: the name is unknown, or that backend refuses; the message says why.
    """
    choose(where, "backend", backend, ("auto", *refusals))
    if backend == "auto":
        return next(name for name, why in refusals.items() if why is None)
    if why := refusals[backend]:
        able = next(name for name, other in refusals.items() if other is None)
        raise InputError(f"{where}: backend {backend!r} cannot compute this: {why} Take backend={able!r} or 'auto'.")
    return backend
