"""Shape checks for tensors at the public edge: documented axes, checked once, with a message that helps."""

import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError


def expect_tensor(where: str, name: str, value: object) -> None:
    """Check that an argument is a tensor whose numbers lie in memory one by one.

    Args:
        where: the function that was called, for the message.
        name: the argument's name.
        value: what came.
    Raises:
        InputError: it is something else, or a sparse tensor.
    """
    if not isinstance(value, Tensor):
        kind = "None" if value is None else f"a {type(value).__name__}"
        raise InputError(f"{where}: {name} is {kind}, but a tensor is expected: convert it with torch.as_tensor.")
    if value.layout is not torch.strided:
        raise InputError(f"{where}: {name} is {value.layout}, but a dense tensor is expected: use {name}.to_dense().")


def expect(where: str, name: str, tensor: Tensor, axes: str, sizes: dict[str, int], hint: str = "") -> None:
    """Check that `tensor` has the named `axes`, and remember their sizes.

    ``expect("zoh", "A", A, "... n n", sizes)`` takes any leading axes and a square matrix at the end; the size of
    ``n`` is stored in `sizes`, and every later call with the same dictionary must agree with it.

    Args:
        where: the function that was called, for the message.
        name: the argument's name.
        tensor: the tensor to check.
        axes: names of the axes, separated by blanks; a number is a fixed size; a leading ``...`` takes any axes.
        sizes: sizes known so far, by name; new ones are added.
        hint: a sentence that says what is probably wrong, added to the message.
    Raises:
        InputError: it is no tensor, or a sparse one.
        ShapeError: the number of axes or one of their sizes differs.
    """
    expect_tensor(where, name, tensor)
    names = axes.split()
    free = names[0] == "..."
    names = names[1:] if free else names
    shape = tuple(tensor.shape)
    tail = shape[len(shape) - len(names) :]
    fits = len(shape) >= len(names) if free else len(shape) == len(names)
    found = dict(sizes)
    for axis, size in zip(names, tail, strict=False):
        fits = fits and size == (int(axis) if axis.isdigit() else found.setdefault(axis, size))
    if not fits:
        known = ", ".join(f"{axis} = {sizes[axis]}" for axis in dict.fromkeys(names) if axis in sizes)
        given = f" with {known}" if known else ""
        raise ShapeError(
            f"{where}: {name} is {shape}, but ({', '.join(axes.split())}){given} is expected."
            + (f" {hint}" if hint else "")
        )
    sizes.update(found)


def broadcast(*shapes: torch.Size) -> torch.Size:
    """Return the shape to which all broadcast; ``torch.broadcast_shapes``, without its 20 us where there is no doubt.

    Args:
        shapes: any number of shapes.
    Returns:
        Their common shape.
    Raises:
        RuntimeError: there is none.
    """
    given = [shape for shape in shapes if len(shape)]
    if all(shape == given[0] for shape in given):
        return given[0] if given else torch.Size()
    common: torch.Size = torch.broadcast_shapes(*given)
    return common
