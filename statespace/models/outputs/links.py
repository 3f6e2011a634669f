"""From any number that a network puts out to a positive one, without vanishing gradients or overflow."""

import torch
import torch.nn.functional as F
from torch import Tensor

_BEND = 0.2  # units of the window's scale around zero in which the line bends
LEAST_SPREAD = 1e-3  # in units of the window's scale: no likelihood can grow beyond all bounds


def squareplus(x: Tensor) -> Tensor:
    """Return ``(x + √(x² + 0.2²)) / 2``: close to `x` where it is positive, and small but above zero elsewhere.

    A seasonal naive forecast of 1 stays 1.01, and a forecast below zero, which a linear path may give, becomes almost
    zero with a gradient that falls as 1/x² and not exponentially.

    Args:
        x: ``(...)``.
    Returns:
        ``(...)``, above zero for all numbers up to 1e18.
    Source:
        Barron 2021 (arXiv:2112.11687), equation (1), "squareplus".
    """
    root = (x.square() + _BEND**2).sqrt()
    return torch.where(x > 0, (x + root) / 2, _BEND**2 / 2 / (root - x.clamp(max=0)))  # no difference of near equals


def spread(x: Tensor, least: float = LEAST_SPREAD) -> Tensor:
    """Return ``softplus(x) + least``, the width of a distribution in units of the window's scale."""
    return F.softplus(x) + least


def before_softplus(y: Tensor) -> Tensor:
    """Return the number whose softplus is `y`, which is above zero."""
    return y + torch.log(-torch.expm1(-y))


def before_spread(width: Tensor, least: float = LEAST_SPREAD) -> Tensor:
    """Return the number whose `spread` is a width; of a width below `least`, one close to it."""
    return before_softplus((width - least).clamp(min=least))


def ratio(scale: Tensor, unit: Tensor | None) -> Tensor:
    """Return the scale in units in which errors count, ``(...)``; 1 without a unit."""
    return scale.new_ones(()) if unit is None else scale / unit
