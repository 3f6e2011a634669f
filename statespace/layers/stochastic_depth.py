"""Stochastic depth: in training, the branch of a residual block is left out for some sequences.

    x + m / (1 - p) F(x),   m = 0 with probability p, else 1, drawn once for each sequence.

The states of the branch move on all the same, so that a sequence can be continued. In evaluation, the branch is whole.

Source: Huang et al. 2016 (arXiv:1603.09382), section 3. Where we deviate: the branch is scaled in training, not in
evaluation, as dropout is.
"""

from torch import Tensor, nn

from statespace.errors import InputError


class StochasticDepth(nn.Module):
    """Leave out the whole of a branch for a sequence at random.

    Args:
        p: probability, in [0, 1).
    Raises:
        InputError: `p` is out of range.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise InputError(f"StochasticDepth: p is {p}, but a probability in [0, 1) is expected.")
        self.p = p

    def forward(self, y: Tensor) -> Tensor:
        """Return the branch's output `y` ``(b, ...)``, with some sequences at zero in training."""
        if not self.training or self.p == 0:
            return y
        kept = y.new_empty(len(y), *[1] * (y.ndim - 1)).bernoulli_(1 - self.p)
        return y * (kept / (1 - self.p))

    def extra_repr(self) -> str:
        """Return the probability, for the printed model."""
        return f"p={self.p}"
