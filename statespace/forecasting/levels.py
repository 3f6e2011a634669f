"""Intervals from quantiles: which quantiles a level needs, and how they lie between the trained ones.

A level of 80 is the central interval from the 0.1 to the 0.9 quantile; `models.outputs.levels` tells what lies between
two trained ones.
"""

from collections.abc import Sequence

import numpy as np
import torch

from statespace.errors import InputError
from statespace.models.outputs.levels import MIDDLE, between

LOWEST, HIGHEST = 1, 99


def check_levels(where: str, level: Sequence[float] | float | None) -> list[float]:
    """Return the levels as a list, in ascending order.

    Args:
        where: the function or option, for the message.
        level: central coverage in percent, one or several, or ``None`` for none.
    Raises:
        InputError: a level is not a number from 1 to 99.
    """
    if level is None:
        return []
    levels: list[object] = list(level) if isinstance(level, list | tuple | range | np.ndarray) else [level]
    numbers: set[float] = set()
    for value in levels:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float | np.number)
            or not LOWEST <= float(value) <= HIGHEST
        ):
            raise InputError(
                f"{where}: level {value!r} is not known: a level is the share of outcomes an interval should hold, "
                f"in percent, from {LOWEST} to {HIGHEST}, such as 80 or 95."
            )
        numbers.add(float(value))
    return sorted(int(number) if number.is_integer() else number for number in numbers)


def _quantile(quantiles: np.ndarray, q: float) -> np.ndarray:
    """Return the quantile `q` from the trained ones along the last axis."""
    found: np.ndarray = between(torch.from_numpy(quantiles), torch.tensor(q, dtype=torch.float64)).numpy()
    return found


def columns(quantiles: np.ndarray, levels: Sequence[float], name: str) -> dict[str, np.ndarray]:
    """Return the columns of a forecast: the median, then lower and upper end of each interval.

    Args:
        quantiles: forecast at the trained quantiles, ``(…, len(QUANTILES))``, ascending.
        levels: as `check_levels` returns them.
        name: name of the model.
    Returns:
        ``name``, ``name-lo-80``, ``name-hi-80`` …, each ``(…)``.
    """
    found = {name: quantiles[..., MIDDLE]}
    for level in levels:
        found[f"{name}-lo-{level}"] = _quantile(quantiles, 0.5 - level / 200)
        found[f"{name}-hi-{level}"] = _quantile(quantiles, 0.5 + level / 200)
    return found
