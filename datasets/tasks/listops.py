"""ListOps: the value of nested lists of digits, read token by token.

    [MAX 4 3 [MIN 2 3 ] 1 0 [MED 1 5 8 9 2 ] ]   →   5

The operations are the smallest, the largest, the median (rounded down) and the sum modulo 10. The tree must be kept
while it is read: it is the one task here with a stack in it.

Source: Nangia and Bowman 2018 (arXiv:1804.06028) for the language; Tay et al. 2020 (Long Range Arena,
arXiv:2011.04006), section 3.1, for its use with long sequences. Where we deviate: trees are grown to a length that is
drawn first, evenly, by giving digits operations in their place; the published trees are drawn from the root, and those
of a wrong length thrown away, which prefers short ones.
"""

from collections.abc import Callable

import numpy as np

from statespace.datasets.tasks.base import Batch, Task
from statespace.errors import InputError, at_least

OPERATIONS: dict[str, Callable[[list[int]], int]] = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda values: int(np.median(values)),
    "[SM": lambda values: sum(values) % 10,
}
"""Each operation by its token."""

TOKENS = ("", *map(str, range(10)), *OPERATIONS, "]")
"""The vocabulary; the first is padding."""

_NUMBER = {token: number for number, token in enumerate(TOKENS)}

Tree = int | list["Tree | str"]


def _grow(rng: np.random.Generator, tokens: int, depth: int, arguments: int) -> Tree:
    """Grow a tree of at most `tokens` tokens, at most `depth` lists deep."""
    names = list(OPERATIONS)

    def digits(count: int) -> list[Tree | str]:
        return [names[rng.integers(len(names))], *map(int, rng.integers(0, 10, count))]

    root = digits(int(rng.integers(2, min(arguments, tokens - 2) + 1)))
    left = tokens - len(root) - 1
    places = [(root, i, 1) for i in range(1, len(root))]
    while left >= 3 and places:  # the shortest list has two digits: three tokens more than the digit it replaces
        parent, i, level = places.pop(int(rng.integers(len(places))))
        if level < depth:
            child = digits(int(rng.integers(2, min(arguments, left - 1) + 1)))
            parent[i] = child
            left -= len(child)
            places += [(child, j, level + 1) for j in range(1, len(child))]
    return root


def _value(tree: Tree | str) -> int:
    if isinstance(tree, list):
        return OPERATIONS[str(tree[0])]([_value(branch) for branch in tree[1:]])
    return int(tree)


def _written(tree: Tree | str) -> list[str]:
    if isinstance(tree, list):
        return [str(tree[0]), *(token for branch in tree[1:] for token in _written(branch)), "]"]
    return [str(tree)]


class ListOps(Task):
    """Evaluate nested lists.

    Args:
        length: longest sequence, in tokens; shorter ones are padded with token 0.
        shortest: shortest sequence that is aimed at, at least 4; a tree may come out shorter where `depth` ends it.
        depth: how deep lists may be nested.
        arguments: longest list, at least 2.
    Raises:
        InputError: an argument is out of range.
    """

    per_sequence = True
    inputs, outputs = len(TOKENS), 10

    def __init__(self, length: int = 256, shortest: int = 64, depth: int = 10, arguments: int = 10) -> None:
        at_least("ListOps", 4, length=length, shortest=shortest)
        at_least("ListOps", 1, depth=depth)
        at_least("ListOps", 2, arguments=arguments)
        if shortest > length:
            raise InputError(f"ListOps: shortest is {shortest} and length {length}: make shortest at most length.")
        self.length, self.shortest, self.depth, self.arguments = length, shortest, depth, arguments

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw `size` sequences with `rng`."""
        x, y = np.zeros((size, self.length), np.int64), np.empty(size, np.int64)
        lengths = np.empty(size, np.int64)
        for i, tokens in enumerate(rng.integers(self.shortest, self.length + 1, size).tolist()):
            tree = _grow(rng, tokens, self.depth, self.arguments)
            written = [_NUMBER[token] for token in _written(tree)]
            x[i, : len(written)], y[i], lengths[i] = written, _value(tree), len(written)
        return Batch(x, y, lengths=lengths)
