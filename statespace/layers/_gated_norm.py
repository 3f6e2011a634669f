"""RMS normalisation of a layer's output together with its gate.

    after the gate:    w ⊙ v / rms(v),   v = y ⊙ SiLU(z)            (the published models)
    before the gate:   w ⊙ y / rms(y) ⊙ SiLU(z)

where ``rms(v)² = mean(v²) + eps`` over each of a number of equal groups of channels.

Source: Dao and Gu 2024 (Mamba-2, arXiv:2405.21060), section 7.2; the root mean square of Zhang and Sennrich 2019
(arXiv:1910.07467), equation (4).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from statespace.errors import InputError, choose

ORDERS = ("after-gate", "before-gate")


class GatedRMSNorm(nn.Module):
    """Normalise ``(..., d)`` under a gate.

    Args:
        where: the layer's name, for messages.
        channels: number of channels ``d``.
        order: ``"after-gate"`` or ``"before-gate"``: what is normalised is the gated output, or the output.
        groups: number of groups of channels that are normalised apart, a divisor of `channels`.
        eps: added to the mean square.
    Raises:
        InputError: `order` is not known, or `groups` does not divide `channels`.
    """

    def __init__(
        self, where: str, channels: int, order: str = "after-gate", groups: int = 1, eps: float = 1e-5
    ) -> None:
        super().__init__()
        if groups < 1 or channels % groups:
            raise InputError(
                f"{where}: norm_groups is {groups}, but groups of equally many of the {channels} channels are "
                f"expected: choose a divisor of {channels}."
            )
        self.after = choose(where, "norm", order, ORDERS) == "after-gate"
        self.groups, self.eps = groups, eps
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, y: Tensor, gate: Tensor) -> Tensor:
        """Return `y` ``(..., d)`` normalised, under SiLU of `gate` ``(..., d)``."""
        gate = F.silu(gate)
        v = (y * gate if self.after else y).unflatten(-1, (self.groups, -1))
        v = F.rms_norm(v, [v.shape[-1]], None, self.eps).flatten(-2) * self.weight
        return v if self.after else v * gate
