"""Induction heads: what came after the special token the first time comes after it again.

    a … b s c d … e s        to be answered at the last position:  c

The special token stands once at a random place, and once more at the end. A model that has the rule, and not the
distance, answers at any length: that is why this task is judged far beyond the length of training.

Source: Olsson et al. 2022 (arXiv:2209.11895) for the mechanism; Gu and Dao 2023 (Mamba, arXiv:2312.00752), section
4.1.2 and appendix E.1, for the task: a vocabulary of 16, trained at length 256, judged up to 2^20.
"""

import numpy as np

from statespace.datasets.tasks.base import Batch, Task
from statespace.errors import at_least


class InductionHeads(Task):
    """Recall the token that followed the special one.

    Token ``vocabulary - 1`` is the special one; all others are noise, one of which is the answer.

    Args:
        length: positions of a sequence, at least 3.
        vocabulary: number of tokens, the special one included.
    Raises:
        InputError: an argument is out of range.
    """

    def __init__(self, length: int = 256, vocabulary: int = 16) -> None:
        at_least("InductionHeads", 3, length=length, vocabulary=vocabulary)
        self.length = length
        self.inputs = self.outputs = vocabulary

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw `size` sequences with `rng`."""
        special = self.inputs - 1
        x = rng.integers(0, special, (size, self.length))
        rows = np.arange(size)
        place = rng.integers(0, self.length - 2, size)
        x[rows, place] = x[:, -1] = special
        y = np.zeros_like(x)
        y[:, -1] = x[rows, place + 1]
        mask = np.zeros(x.shape, bool)
        mask[:, -1] = True
        return Batch(x, y, mask)
