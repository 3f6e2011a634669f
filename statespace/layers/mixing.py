"""Mixing across channels after a layer that treats each of them alone.

    glu:    W1 g ⊙ σ(W2 g),        g = GELU(y)                  (S4, S4D)
    gated:  W (y ⊙ SiLU(V x)),     x the input of the layer     (the gate of the Mamba block)
    none:   y                                                   (a layer that mixes by itself, such as Mamba)

Source: Dauphin et al. 2017 (arXiv:1612.08083), equation (1), for the first; Gu and Dao 2023 (Mamba,
arXiv:2312.00752), figure 3, for the second.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class GLU(nn.Module):
    """Gated linear unit over the layer's output: ``W1 g ⊙ σ(W2 g)``, ``g = GELU(y)``.

    Args:
        d_model: number of channels.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.linear = nn.Linear(d_model, 2 * d_model)

    def forward(self, y: Tensor, x: Tensor) -> Tensor:  # noqa: ARG002  one signature for all mixings
        """Mix the layer's output `y` ``(..., d)``; its input `x` is not looked at."""
        return F.glu(self.linear(F.gelu(y)), dim=-1)


class Gated(nn.Module):
    """Gate from the layer's input: ``W (y ⊙ SiLU(V x))``.

    Args:
        d_model: number of channels.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.gate = nn.Linear(d_model, d_model)
        self.linear = nn.Linear(d_model, d_model)

    def forward(self, y: Tensor, x: Tensor) -> Tensor:
        """Mix the layer's output `y` ``(..., d)`` under a gate from its input `x` ``(..., d)``."""
        mixed: Tensor = self.linear(y * F.silu(self.gate(x)))
        return mixed


class Unmixed(nn.Module):
    """The layer's output as it is, for a layer that mixes channels itself.

    Args:
        d_model: number of channels.
    """

    def __init__(self, d_model: int) -> None:  # noqa: ARG002  one signature for all mixings
        super().__init__()

    def forward(self, y: Tensor, x: Tensor) -> Tensor:  # noqa: ARG002
        """Return `y`; the layer's input `x` is not looked at."""
        return y


MIXINGS: dict[str, type[GLU] | type[Gated] | type[Unmixed]] = {"glu": GLU, "gated": Gated, "none": Unmixed}
