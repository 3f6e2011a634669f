"""Selective copying: the tokens stand anywhere among noise, and only they are to be said again, in order.

    0 … t_1 0 … 0 t_2 … t_M … 0  m … m        to be answered at the M marks m:  t_1 … t_M

The distance between a token and its answer differs from sequence to sequence: a model whose dynamics do not follow its
input cannot tell tokens from noise.

Source: Jing et al. 2019 (gated orthogonal recurrent units, arXiv:1706.02761), the denoise task; Gu and Dao 2023 (Mamba,
arXiv:2312.00752), section 4.1.1 and appendix E.1: 16 tokens, a vocabulary of 16, length 4096.
"""

import numpy as np

from statespace.datasets.tasks.copying import Copying


class SelectiveCopying(Copying):
    """Copy tokens that stand at random places.

    Token 0 is noise and token ``vocabulary - 1`` the mark; those between are copied. A sequence has
    ``length + memorize`` positions.

    Args:
        length: positions before the first mark, at `memorize` of which a token stands.
        memorize: number of tokens to be copied.
        vocabulary: number of tokens, noise and mark included.
    Raises:
        InputError: an argument is out of range.
    """

    def _positions(self, rng: np.random.Generator, size: int) -> np.ndarray:
        places = rng.permuted(np.tile(np.arange(self.length), (size, 1)), axis=1)
        return np.sort(places[:, : self.memorize], axis=1)
