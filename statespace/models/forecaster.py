"""A direct multi-horizon quantile forecaster on a state space backbone.

    x̂        = (x - μ) / s                           each window normalised by its own observed values
    z        = Backbone(W_e [x̂, observed])_L          the representation at the last stamp
    median_j = (W_h z)_j + (W_s x̂)_j                  j = 1 … h, all at once
    q_j,k    = median_j ± cumulative sum of softplus  so that quantiles never cross

The linear path `W_s` starts as the seasonal naive forecast with drift, so that training starts from a forecast that
is hard to beat on short series, and learns what differs.

Source: Gu, Gupta, Goel, Ré 2022 (arXiv:2206.11893) for the backbone; Wen et al. 2017 (arXiv:1711.11053), section 3,
for direct multi-horizon quantiles; Zeng et al. 2023 (arXiv:2205.13504), section 4, for the linear path.
"""

import torch
from torch import Tensor, nn

from statespace.errors import InputError
from statespace.models.backbone import Backbone
from statespace.models.instance_norm import normalise
from statespace.models.outputs.levels import QUANTILES
from statespace.models.outputs.quantile import fan
from statespace.shapes import expect


def _seasonal_naive(input_size: int, h: int, season_length: int, drift: float) -> Tensor:
    """Return the weights ``(h, input_size)`` of the seasonal naive forecast with a share of the seasonal drift."""
    weight = torch.zeros(h, input_size)
    season = min(season_length, input_size)
    steps = torch.arange(h)
    weight[steps, input_size - season + steps % season] = 1.0
    if input_size >= 2 * season and season > 1:
        # The mean change from season to season over the window, once for each season ahead.
        changes = input_size // season - 1
        first = input_size - (changes + 1) * season
        ahead = drift * (steps // season + 1.0)[:, None] / (season * changes)
        weight[:, input_size - season :] += ahead
        weight[:, first : first + season] -= ahead
    return weight


def _ascending(quantiles: Tensor) -> Tensor:
    """Move quantiles that would cross out to their neighbour nearer to the median."""
    middle = len(QUANTILES) // 2
    above = quantiles[..., middle:].cummax(-1).values
    below = quantiles[..., : middle + 1].flip(-1).cummin(-1).values.flip(-1)
    return torch.cat([below, above[..., 1:]], dim=-1)


class QuantileForecaster(nn.Module):
    """Forecast quantiles of the next `h` values from the last `input_size` ones.

    The buffer `offsets`, ``(h, len(QUANTILES))``, in units of the window's scale, widens or narrows the trained
    quantiles after training (see `forecasting.conformal`); it starts at zero.

    Args:
        h: horizon, in steps.
        input_size: length of the window, in steps.
        layer: name of the backbone's layer, a key of `statespace.layers.LAYERS`.
        d_model: number of channels.
        n_layers: number of blocks.
        d_state: order of each system.
        mixing: ``"glu"``, ``"gated"``, ``"none"``, or ``"auto"``: none for a layer that mixes the channels itself, glu
            for the others.
        dropout: probability of dropping, in [0, 1).
        season_length: steps in a season, for the start of the linear path; 1 where there is none.
        drift: share of the mean change from season to season in the start of the linear path, 0 to 1.
    Raises:
        InputError: an argument is out of range or its name is not known.
    """

    offsets: Tensor

    def __init__(
        self,
        h: int,
        input_size: int,
        layer: str = "s4d",
        d_model: int = 32,
        n_layers: int = 2,
        d_state: int = 64,
        mixing: str = "auto",
        dropout: float = 0.1,
        season_length: int = 1,
        drift: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value in {"h": h, "input_size": input_size, "season_length": season_length}.items():
            if value < 1:
                raise InputError(f"QuantileForecaster: {name} is {value}, but a number of steps from 1 on is expected.")
        self.h, self.input_size = h, input_size
        self.embed = nn.Linear(2, d_model)
        self.backbone = Backbone(d_model, n_layers, layer, d_state, mixing, dropout)
        self.head = nn.Linear(d_model, h * len(QUANTILES))
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.constant_(self.head.bias, 0.0)
        self.shortcut = nn.Linear(input_size, h)
        with torch.no_grad():
            self.shortcut.weight.copy_(_seasonal_naive(input_size, h, season_length, drift))
            self.shortcut.bias.zero_()
        self.register_buffer("offsets", torch.zeros(h, len(QUANTILES)))

    def normalised_quantiles(self, x: Tensor, observed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the quantiles in the units of the normalised window, and the window's location and scale.

        Args:
            x: windows, ``(b, input_size)``.
            observed: 1 where a value was observed, else 0, ``(b, input_size)``.
        Returns:
            Quantiles ``(b, h, len(QUANTILES))``, ascending along the last axis; location and scale ``(b, 1, 1)``.
        """
        window = normalise(x, observed)
        z, _ = self.backbone(self.embed(torch.stack([window.x, observed], dim=-1)), observed=observed)
        raw = self.head(z[:, -1]).unflatten(-1, (self.h, len(QUANTILES)))
        median = raw[..., :1] + self.shortcut(window.x)[..., None]
        quantiles = fan(torch.cat([median, raw[..., 1:]], dim=-1))
        return quantiles, window.location[..., None], window.scale[..., None]

    def forward(self, x: Tensor, observed: Tensor) -> Tensor:
        """Forecast from windows.

        Args:
            x: windows, ``(b, input_size)``; short ones padded in front.
            observed: 1 where a value was observed, 0 in gaps and padding, ``(b, input_size)``.
        Returns:
            Quantiles at the levels `QUANTILES` in the units of `x`, ``(b, h, len(QUANTILES))``, ascending.
        Raises:
            ShapeError: `x` or `observed` is not ``(b, input_size)``.
        """
        sizes = {"l": self.input_size}
        expect("QuantileForecaster", "x", x, "b l", sizes, "Pad shorter windows in front.")
        expect("QuantileForecaster", "observed", observed, "b l", sizes)
        quantiles, location, scale = self.normalised_quantiles(x, observed)
        return _ascending(quantiles + self.offsets) * scale + location

    def extend(self, x: Tensor, observed: Tensor, h: int) -> Tensor:
        """Forecast any number of steps: beyond the trained horizon, the median is taken as observed and fed back.

        The spread around the median adds up over the blocks as that of independent errors does, in squares: an
        approximation, since errors of one block carry over into the next.

        Args:
            x: windows, ``(b, input_size)``.
            observed: 1 where a value was observed, else 0.
            h: number of steps, from 1 on.
        Returns:
            Quantiles ``(b, h, len(QUANTILES))``, ascending along the last axis.
        """
        middle = len(QUANTILES) // 2
        blocks: list[Tensor] = []
        before = x.new_zeros(len(x), 1, len(QUANTILES))
        while sum(block.shape[1] for block in blocks) < h:
            quantiles = self(x, observed)
            median = quantiles[..., middle : middle + 1]
            spread = quantiles - median
            spread = spread.sign() * torch.hypot(spread, before)
            blocks.append(median + spread)
            before = spread[:, -1:]
            x = torch.cat([x, median[..., 0]], dim=1)[:, -self.input_size :]
            observed = torch.cat([observed, torch.ones_like(median[..., 0])], dim=1)[:, -self.input_size :]
        return torch.cat(blocks, dim=1)[:, :h]
