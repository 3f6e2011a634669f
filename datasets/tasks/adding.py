"""The adding problem: the sum of two numbers that are marked among many.

    u_t uniform in [0, 1),   m_t = 1 at one place of each half, else 0,   y = sum_t m_t u_t

Whoever always answers 1 has a mean squared error of 1/6.

Source: Hochreiter and Schmidhuber, Neural Computation 9(8), 1997, experiment 4; Le, Jaitly and Hinton 2015
(arXiv:1504.00941), section 4.1, for numbers in [0, 1).
"""

import numpy as np

from statespace.datasets.tasks.base import Batch, Task
from statespace.errors import at_least


class Adding(Task):
    """Add the two marked numbers.

    Args:
        length: samples of a sequence, at least 2.
    Raises:
        InputError: `length` is out of range.
    """

    tokens = classes = False
    per_sequence = True
    inputs, outputs = 2, 1

    def __init__(self, length: int = 256) -> None:
        at_least("Adding", 2, length=length)
        self.length = length

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw `size` sequences with `rng`."""
        rows, half = np.arange(size), self.length // 2
        x = np.zeros((size, self.length, 2), np.float32)
        x[..., 0] = rng.random((size, self.length), np.float32)
        x[rows, rng.integers(0, half, size), 1] = 1
        x[rows, rng.integers(half, self.length, size), 1] = 1
        return Batch(x, (x[..., 0] * x[..., 1]).sum(1, keepdims=True))
