"""Normalisation of the stream between residual blocks, whatever the types of stream and weights.

    rms:    w ⊙ x / sqrt(mean(x²) + ε)
    layer:  w ⊙ (x - mean(x)) / sqrt(var(x) + ε) + b

The stream may be kept in float32 while the weights are in half precision: the sums are formed in the wider type, and
what is handed to the layer has the type of the weights. Where all is of one type, `layers.norm` does the same.

Source: Zhang and Sennrich 2019 (arXiv:1910.07467), equation (4); Ba, Kiros, Hinton 2016 (arXiv:1607.06450).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class StreamNorm(nn.Module):
    """RMSNorm or LayerNorm over the channels, from the type of the stream to that of the weights.

    Args:
        d_model: number of channels.
        kind: ``"rms"`` or ``"layer"``.
        eps: added to the mean square or the variance.
    """

    def __init__(self, d_model: int, kind: str = "rms", eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model)) if kind == "layer" else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` ``(..., d)``."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        weight = self.weight.to(wide.dtype)
        if self.bias is None:
            y = F.rms_norm(wide, weight.shape, weight, self.eps)
        else:
            y = F.layer_norm(wide, weight.shape, weight, self.bias.to(wide.dtype), self.eps)
        return y.to(self.weight.dtype)
