"""Instance normalisation: each window is brought to location 0 and scale 1, and its forecast back.

    x̂ = (x - μ) / s,    s² = s₀² + floor²

| kind | μ | s₀ |
|---|---|---|
| standard | mean of the observed values | their standard deviation |
| robust | their median | their interquartile range / 1.349, the standard deviation of a normal distribution |
| minmax | the middle between their least and largest | half the distance between them |
| scale | 0 | mean of their absolute values: for counts, whose zero means something |
| none | 0 | 1, without a floor |

A learnt scale and shift may follow, see `Reversible`.

Source: Kim et al. 2022 (RevIN, openreview.net/forum?id=cGDAkQo1C0p), equations (1) to (3).
Where we deviate: gaps do not count; the floor keeps a constant window from turning into noise; and what is learnt is
one scale, which stays positive, and one shift for all series, since one network forecasts each.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

FLOOR = 0.05  # in standard deviations of the series: far below any window that carries a signal
NORMS = ("standard", "robust", "minmax", "scale", "none")
REVERSIBLE = "reversible"
_NORMAL_IQR = 1.3489795  # interquartile range of the standard normal distribution


class Normalised(NamedTuple):
    """A window at location 0 and scale 1, where it was observed, and the way back."""

    x: Tensor
    location: Tensor
    scale: Tensor
    observed: Tensor | None = None

    @property
    def silent(self) -> Tensor | None:
        """Steps since the last value of each window, ``(b, 1)``; None where all end with one."""
        if self.observed is None or bool(self.observed[:, -1].all()):
            return None
        back = (self.observed.flip(1) > 0).to(torch.uint8)
        never = back.new_ones(len(back), 1)
        return torch.cat([back, never], 1).argmax(1, keepdim=True)

    @property
    def begun(self) -> Tensor | None:
        """Steps of each window from its first value on, ``(b, 1)``; None where all begin with one."""
        if self.observed is None or bool(self.observed[:, 0].all()):
            return None
        return (self.observed.cummax(1).values > 0).sum(1, keepdim=True)


class Reversible(nn.Module):
    """Kind "standard" with a learnt scale γ and shift β behind it, which are those of another location and scale.

        γ x̂ + β = (x - μ') / s',    s' = s / γ,    μ' = μ - β s',    γ = exp(log_scale)

    The way back by μ' and s' undoes both. Before training they change nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(1))
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, observed: Tensor) -> Normalised:
        """Normalise windows; see `normalise`."""
        window = normalise(x, observed, "standard")
        scale = window.scale / self.log_scale.exp()
        x = (window.x * self.log_scale.exp() + self.shift) * observed
        return Normalised(x, window.location - self.shift * scale, scale, observed)

    def before(self, scale: Tensor) -> Tensor:
        """Return the scale s that windows have by themselves, given s'."""
        return scale * self.log_scale.exp()


def _quantile(ordered: Tensor, count: Tensor, q: float) -> Tensor:
    """Return the quantile `q` of the first `count` ``(b, 1)`` of ascending values ``(b, l)``, by interpolation."""
    place = q * (count - 1)
    low = place.floor()
    share = place - low
    first = ordered.gather(1, low.long())
    second = ordered.gather(1, place.ceil().long())
    return torch.lerp(first, second, share.to(first.dtype))


def _location_and_scale(x: Tensor, observed: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    count = observed.sum(1, keepdim=True).clamp(min=1)
    zero = torch.zeros_like(count)
    if kind == "none":
        return zero, torch.ones_like(count)
    if kind == "scale":
        return zero, (x * observed).abs().sum(1, keepdim=True) / count
    if kind == "standard":
        location = (x * observed).sum(1, keepdim=True) / count
        return location, (((x - location) * observed).square().sum(1, keepdim=True) / count).sqrt()
    seen = observed.any(1, keepdim=True)
    # What was not observed comes last, behind all that counts.
    ordered = x.masked_fill(observed == 0, torch.inf).sort(1).values.where(seen, zero)
    if kind == "robust":
        low, location, high = (_quantile(ordered, count, q) for q in (0.25, 0.5, 0.75))
        return location, (high - low) / _NORMAL_IQR
    low, high = _quantile(ordered, count, 0.0), _quantile(ordered, count, 1.0)
    return (low + high) / 2, (high - low) / 2


def normalise(x: Tensor, observed: Tensor, kind: str | Reversible = "standard") -> Normalised:
    """Normalise each window by its observed values.

    Args:
        x: values, ``(b, l)``; what stands in a gap does not matter, as long as it is finite.
        observed: 1 where a value was observed, 0 in a gap, ``(b, l)``.
        kind: one of `NORMS`, or a kind that learns.
    Returns:
        The window with zeros in its gaps, ``(b, l)``, and location and scale, ``(b, 1)``. A window without any
        observed value has location 0.
    """
    if isinstance(kind, Reversible):
        found: Normalised = kind(x, observed)
        return found
    location, scale = _location_and_scale(x, observed, kind)
    if kind != "none":
        scale = (scale.square() + FLOOR**2).sqrt()
    return Normalised((x - location) * observed / scale, location, scale, observed)
