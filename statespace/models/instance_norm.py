"""Reversible instance normalisation: each window is brought to location 0 and scale 1, and its forecast back.

    x̂ = (x - μ) / s,    μ = mean of the observed values,    s² = var of the observed values + floor²

Source: Kim et al. 2022 (RevIN, openreview.net/forum?id=cGDAkQo1C0p), equations (1) and (2).
Where we deviate: gaps do not count; there is no learnt affine map, which a linear layer follows anyway; and the floor
keeps a constant window from turning into noise.
"""

from typing import NamedTuple

from torch import Tensor

FLOOR = 0.05  # in standard deviations of the series: far below any window that carries a signal


class Normalised(NamedTuple):
    """A window at location 0 and scale 1, and the way back."""

    x: Tensor
    location: Tensor
    scale: Tensor


def normalise(x: Tensor, observed: Tensor) -> Normalised:
    """Normalise each window by its observed values.

    Args:
        x: values, ``(b, l)``; what stands in a gap does not matter, as long as it is finite.
        observed: 1 where a value was observed, 0 in a gap, ``(b, l)``.
    Returns:
        The window with zeros in its gaps, ``(b, l)``, and location and scale, ``(b, 1)``. A window without any
        observed value has location 0.
    """
    count = observed.sum(1, keepdim=True).clamp(min=1)
    location = (x * observed).sum(1, keepdim=True) / count
    centred = (x - location) * observed
    scale = (centred.square().sum(1, keepdim=True) / count + FLOOR**2).sqrt()
    return Normalised(centred / scale, location, scale)
