"""The mean of all that has come so far, carried from call to call beside the states of the layers.

    m_t = m_{t-1} + (h_t - m_{t-1}) / t

The mean itself is carried, not a sum that would grow without end, in float32 at least.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class RunningMean(NamedTuple):
    """Means over the past of each of a batch of sequences.

    Attributes:
        mean: ``(b, d)``; zeros before anything has come.
        over: how many rows it is over, ``(b,)``, int64.
    """

    mean: Tensor
    over: Tensor

    @classmethod
    def initial(cls, like: Tensor) -> "RunningMean":
        """Return the mean over nothing, for rows ``(b, d)`` of the type and device of `like`."""
        mean = torch.zeros_like(like, dtype=torch.promote_types(like.dtype, torch.float32))
        return cls(mean, torch.zeros(len(like), dtype=torch.int64, device=like.device))

    def after(self, h: Tensor, lengths: Tensor | None = None) -> "RunningMean":
        """Take in rows ``(b, l, d)``, of which the first `lengths` ``(b,)`` count, or all."""
        apart = h - self.mean[:, None]
        if lengths is None:
            count = self.over + h.shape[1]
        else:
            counted = torch.arange(h.shape[1], device=h.device) < lengths[:, None]
            apart, count = torch.where(counted[..., None], apart, 0), self.over + lengths
        return RunningMean(self.mean + apart.sum(1) / count.clamp(min=1)[:, None], count)

    def at_each(self, h: Tensor) -> tuple[Tensor, "RunningMean"]:
        """Take in rows ``(b, l, d)``; return the mean after each of them, ``(b, l, d)``, and after the last."""
        counts = self.over[:, None] + torch.arange(1, h.shape[1] + 1, device=h.device)
        means = self.mean[:, None] + (h - self.mean[:, None]).cumsum(1) / counts[..., None]
        return means, self if h.shape[1] == 0 else RunningMean(means[:, -1], counts[:, -1])

    def step(self, h: Tensor, new: Tensor) -> "RunningMean":
        """Take in one row of each sequence, ``(b, d)``, where there is a new one, ``(b,)``."""
        count = self.over + new
        moved = self.mean + (h - self.mean) / count.clamp(min=1)[:, None]
        return RunningMean(torch.where(new[:, None], moved, self.mean), count)
