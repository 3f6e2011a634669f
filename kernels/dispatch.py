"""Which backend computes: the first that can, or the one that was asked for, or why not."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from statespace.errors import InputError, choose

_KNOWN = ("triton", "native", "chunked", "reference")
_preferred: str | None = None  # a global, since a traced graph is guarded by those and by no variable of a context

Looked = TypeVar("Looked", bound=Callable[..., object])


def looked_up_once(function: Looked) -> Looked:
    """Mark a function that is to be called when a graph is traced, and not traced itself.

    This is what `torch.compiler.assume_constant_result` does, except that torch loads its compiler for that, and Triton
    with it, where there is one: an import of this library would take seconds.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]  # functions take any attribute
    return function


@contextmanager
def prefer(backend: str) -> Iterator[None]:
    """Take a backend wherever ``backend="auto"`` leaves the choice, as in all layers, while the context lasts.

    ``with prefer("reference"):`` gives derivatives of any order, backward and forward, of layers whose own backends
    have first ones only; it also tells a fault of a kernel from one of a model. Operators that do not have the backend,
    or that it refuses, take their fastest one. It holds for all threads.

    Args:
        backend: ``"triton"``, ``"native"``, ``"chunked"`` or ``"reference"``.
    Returns:
        A context that holds until it is left.
    Raises:
        InputError: the name is not known.
    """
    global _preferred
    before, _preferred = _preferred, choose("prefer", "backend", backend, _KNOWN)
    try:
        yield
    finally:
        _preferred = before


def leaves_to(backend: str, name: str) -> bool:
    """Return whether a backend that was asked for may be the one of this name, as far as is known without a call."""
    return backend == name or (backend == "auto" and _preferred in (None, name))


def pick(where: str, backend: str, refusals: Mapping[str, str | None]) -> str:
    """Return the name of the backend to compute with.

    Args:
        where: the function that was called, for the message.
        backend: a name, or ``auto`` for the one that is preferred, or the first that refuses nothing.
        refusals: for each backend, fastest first, why it cannot compute this call, or None where it can. One at least
            can.
    Returns:
        the name of a backend.
    Raises:
        InputError: the name is unknown, or that backend refuses; the message says why.
    """
    choose(where, "backend", backend, ("auto", *refusals))
    if backend == "auto":
        if _preferred is not None and refusals.get(_preferred, "") is None:
            return _preferred
        return next(name for name, why in refusals.items() if why is None)
    if why := refusals[backend]:
        able = next(name for name, other in refusals.items() if other is None)
        raise InputError(f"{where}: backend {backend!r} cannot compute this: {why} Take backend={able!r} or 'auto'.")
    return backend
