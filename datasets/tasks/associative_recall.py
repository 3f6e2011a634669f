"""Multi-query associative recall: after a list of pairs, say the value of each key that is named.

    k_1 v_1 k_2 v_2 … k_P v_P   … k_2 … k_P … k_1 …        to be answered at each key of the second part:  its value

Each key is asked for once, at a distance that follows a power law: often soon, sometimes late. The state must hold all
pairs at once, so its size decides how many can be recalled.

Source: Arora et al. 2023 (Zoology, arXiv:2312.04927), section 3 and appendix on synthetic data.
"""

import numpy as np

from statespace.datasets.tasks.base import Batch, Task, positive
from statespace.errors import InputError, at_least


class AssociativeRecall(Task):
    """Recall the values of several keys.

    Token 0 is the filler between the questions; the lower half of the others are keys, the upper half values.

    Args:
        length: positions of a sequence.
        pairs: number of keys, each with a value of its own choice.
        vocabulary: number of tokens, the filler included.
        power: exponent of the distances, ``p(g) ~ g^(power - 1)``; 1 spreads them evenly.
    Raises:
        InputError: an argument is out of range.
    """

    def __init__(self, length: int = 256, pairs: int = 8, vocabulary: int = 64, power: float = 0.1) -> None:
        at_least("AssociativeRecall", 1, length=length, pairs=pairs)
        at_least("AssociativeRecall", 3, vocabulary=vocabulary)
        positive("AssociativeRecall", power=power)
        self.keys = (vocabulary - 1) // 2
        if pairs > self.keys:
            raise InputError(
                f"AssociativeRecall: pairs is {pairs}, but a vocabulary of {vocabulary} has {self.keys} keys: "
                f"make vocabulary at least {2 * pairs + 1}."
            )
        if 3 * pairs > length:
            raise InputError(
                f"AssociativeRecall: length is {length}, but {pairs} pairs and their questions need {3 * pairs}: "
                "make length larger, or pairs smaller."
            )
        self.length, self.pairs, self.power = length, pairs, power
        self.inputs = self.outputs = vocabulary

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw `size` sequences with `rng`."""
        pairs, rows = self.pairs, np.arange(size)[:, None]
        keys = rng.permuted(np.tile(np.arange(1, self.keys + 1), (size, 1)), axis=1)[:, :pairs]
        values = rng.integers(self.keys + 1, self.inputs, (size, pairs))
        x = np.zeros((size, self.length), np.int64)
        x[:, 0 : 2 * pairs : 2], x[:, 1 : 2 * pairs : 2] = keys, values
        # Places without replacement, each taken with its weight: the largest of log w + Gumbel noise.
        weight = np.arange(1, self.length - 2 * pairs + 1) ** (self.power - 1.0)
        noise = np.log(weight) + rng.gumbel(size=(size, len(weight)))
        places = 2 * pairs + np.argsort(-noise, axis=1)[:, :pairs]
        x[rows, places] = keys
        y, mask = np.zeros_like(x), np.zeros(x.shape, bool)
        y[rows, places], mask[rows, places] = values, True
        return Batch(x, y, mask)
