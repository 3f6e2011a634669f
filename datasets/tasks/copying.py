"""Copying: say again, in order, the tokens that stood at the beginning.

    t_1 … t_M  0 … 0  m … m        to be answered at the M marks m:  t_1 … t_M

A time-invariant model can do it: the distance between a token and its answer never changes.

Source: Hochreiter and Schmidhuber, Neural Computation 9(8), 1997, for tasks of this kind; Arjovsky, Shah and Bengio
2016 (arXiv:1511.06464), section 5.1, for this form.
"""

import numpy as np

from statespace.datasets.tasks.base import Batch, Task
from statespace.errors import InputError, at_least


class Copying(Task):
    """Copy the first tokens after a long silence.

    Token 0 is silence and token ``vocabulary - 1`` the mark; those between are copied. A sequence has
    ``length + memorize`` positions.

    Args:
        length: positions before the first mark; the tokens are the first of them.
        memorize: number of tokens to be copied.
        vocabulary: number of tokens, silence and mark included.
    Raises:
        InputError: an argument is out of range.
    """

    def __init__(self, length: int = 256, memorize: int = 16, vocabulary: int = 16) -> None:
        name = type(self).__name__
        at_least(name, 1, length=length, memorize=memorize)
        at_least(name, 3, vocabulary=vocabulary)
        if memorize > length:
            raise InputError(
                f"{name}: memorize is {memorize} and length {length}, but the tokens need a place each: "
                "make length at least memorize."
            )
        self.length, self.memorize = length, memorize
        self.inputs = self.outputs = vocabulary

    def _positions(self, rng: np.random.Generator, size: int) -> np.ndarray:  # noqa: ARG002  one signature with the next
        """Return where the tokens stand, in order, ``(size, memorize)``."""
        return np.tile(np.arange(self.memorize), (size, 1))

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw `size` sequences with `rng`."""
        mark = self.inputs - 1
        tokens = rng.integers(1, mark, (size, self.memorize))
        x = np.zeros((size, self.length + self.memorize), np.int64)
        np.put_along_axis(x, self._positions(rng, size), tokens, axis=1)
        x[:, self.length :] = mark
        y = np.zeros_like(x)
        y[:, self.length :] = tokens
        mask = np.zeros(x.shape, bool)
        mask[:, self.length :] = True
        return Batch(x, y, mask)
