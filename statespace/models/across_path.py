"""What the other series say of a series, in a straight line: a matrix for each series from the values of all of them.

    ŷ_i(n) += Σ_j Σ_k V_i,n,j,k (z_j(t - k) - m_j) + b_i,n      n = 1 … h steps ahead, k = 0 … reach - 1 steps back

z_j are the values of series j in common units, m_j their mean over the reach, so that a level that moves on does not
matter. It starts at zero: as long as nothing is known of them, the others say nothing.
"""

import torch
from torch import Tensor, nn

from statespace.models.history import History

FEATURES = 1024  # numbers that are read for a series, at most, where it has so many others
MOST_SERIES = 128  # beyond, matrices for each would take more than they tell


class AcrossPath(nn.Module):
    """A matrix for each series from the newest values of all series to the horizon.

    Args:
        series: number of series. Their values are the last covariates of the past, and which of them a window is of is
            its last category.
        input_size: length of the window, in steps.
        h: horizon, in steps.
    Attributes:
        reach: steps that are read.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, series: int, input_size: int, h: int) -> None:
        super().__init__()
        self.series, self.reach = series, max(1, min(input_size, FEATURES // series))
        # Fitted in closed form, and never by gradient.
        self.register_buffer("weight", torch.zeros(series, h, series * self.reach))
        self.register_buffer("bias", torch.zeros(series, h))

    def known(self, past: History) -> Tensor:
        """Return what is read of windows, ``(b, series * reach)``: zero where nothing was observed."""
        assert past.hist is not None
        assert past.hist_observed is not None
        z, seen = (part[:, -self.reach :, -self.series :] for part in (past.hist, past.hist_observed))
        mean = (z * seen).sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp(min=1)
        return ((z - mean) * seen).transpose(1, 2).flatten(1)

    def forward(self, past: History, steps: int) -> Tensor:
        """Return what is added to the forecast of the first `steps` steps, ``(b, steps)``, in common units."""
        assert past.codes is not None
        of, known = past.codes[:, -1], self.known(past)
        found = known.new_zeros(len(known), steps)
        for place in of.unique().tolist():
            rows = of == place
            found[rows] = known[rows] @ self.weight[place, :steps].T + self.bias[place, :steps]
        return found
