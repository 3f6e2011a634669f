"""NLinear and DLinear: one linear map from window to horizon, the baselines that any forecaster should beat.

    NLinear:   ŷ = W (x - x_L) + b + x_L                        x_L the last value of the window
    DLinear:   ŷ = W_t m + b_t + W_s (x - m) + b_s              m the moving average of the window

The moving average is centred, and the first and last values go on beyond the window's ends. One map serves all
channels, or each has its own.

Source: Zeng et al. 2023, "Are Transformers Effective for Time Series Forecasting?" (arXiv:2205.13504), section 4, and
the authors' repository, LTSF-Linear.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from statespace.errors import InputError, ShapeError


class _LinearForecaster(nn.Module):
    """Checks, and the shapes of windows with and without an axis of channels.

    Args:
        h: horizon, in steps.
        input_size: length of the window, in steps.
        channels: number of channels that have a map of their own each; None for one map that serves all.
    """

    def __init__(self, h: int, input_size: int, channels: int | None) -> None:
        super().__init__()
        for name, value in {"h": h, "input_size": input_size, "channels": 1 if channels is None else channels}.items():
            if value < 1:
                raise InputError(f"{type(self).__name__}: {name} is {value}, but at least 1 is expected.")
        self.h, self.input_size, self.channels = h, input_size, channels

    def _columns(self, x: Tensor) -> Tensor:
        """Check the windows and return them as ``(b, channels, input_size)``."""
        channels = "" if self.channels is None else f" with {self.channels} channels"
        fits = x.ndim in (2, 3) and x.shape[1] == self.input_size
        columns = x.mT if x.ndim == 3 else x[:, None] if x.ndim == 2 else x
        if not fits or (self.channels is not None and columns.shape[1] != self.channels):
            turned = x.ndim == 3 and x.shape[2] == self.input_size
            raise ShapeError(
                f"{type(self).__name__}: x is {tuple(x.shape)}, but (b, {self.input_size}) or "
                f"(b, {self.input_size}, channels){channels} is expected."
                + (" It looks transposed: pass x.transpose(1, 2)." if turned else " Pad shorter windows in front.")
            )
        return columns


class _Map(nn.Module):
    """Linear map of ``(b, channels, input_size)`` to ``(b, channels, h)``, one for all channels or one for each."""

    def __init__(self, h: int, input_size: int, channels: int | None) -> None:
        super().__init__()
        bound = input_size**-0.5  # as torch.nn.Linear starts
        self.weight = nn.Parameter(torch.empty(channels or 1, h, input_size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels or 1, h).uniform_(-bound, bound))

    def forward(self, columns: Tensor) -> Tensor:
        """Map the last axis."""
        weight = self.weight.expand(columns.shape[1], -1, -1)
        return torch.einsum("bcl,chl->bch", columns, weight) + self.bias


class NLinear(_LinearForecaster):
    """Forecast by one linear map of the window less its last value, which is added again.

    Args:
        h: horizon, in steps.
        input_size: length of the window, in steps.
        channels: number of channels, each with a map of its own; None for one map that serves any number of them.
    Raises:
        InputError: an argument is below 1.
    """

    def __init__(self, h: int, input_size: int, channels: int | None = None) -> None:
        super().__init__(h, input_size, channels)
        self.map = _Map(h, input_size, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Forecast from windows.

        Args:
            x: windows, ``(b, input_size)`` or ``(b, input_size, channels)``.
        Returns:
            The next `h` values in the units of `x`, ``(b, h)`` or ``(b, h, channels)``.
        Raises:
            ShapeError: `x` is not of this shape.
        """
        columns = self._columns(x)
        last = columns[..., -1:]
        ahead: Tensor = self.map(columns - last) + last
        return ahead.mT if x.ndim == 3 else ahead[:, 0]


class DLinear(_LinearForecaster):
    """Forecast by two linear maps, one of the window's moving average and one of what is left.

    Args:
        h: horizon, in steps.
        input_size: length of the window, in steps.
        channels: number of channels, each with maps of its own; None for maps that serve any number of them.
        average: length of the moving average, in steps, odd; 25 in the paper.
    Raises:
        InputError: an argument is below 1, or `average` is even.
    """

    def __init__(self, h: int, input_size: int, channels: int | None = None, average: int = 25) -> None:
        super().__init__(h, input_size, channels)
        if average < 1 or average % 2 == 0:
            raise InputError(
                f"DLinear: average is {average}, but an odd number of steps is expected, so that it has a middle: "
                f"pass {max(1, average + 1)}."
            )
        self.average = average
        self.trend = _Map(h, input_size, channels)
        self.season = _Map(h, input_size, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Forecast from windows; see `NLinear.forward`."""
        columns = self._columns(x)
        around = self.average // 2
        mean = F.avg_pool1d(F.pad(columns, (around, around), mode="replicate"), self.average, stride=1)
        ahead: Tensor = self.trend(mean) + self.season(columns - mean)
        return ahead.mT if x.ndim == 3 else ahead[:, 0]
