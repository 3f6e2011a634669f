"""Intervals from quantiles: which quantiles a level needs, and how they lie between the trained ones.

A level of 80 is the central interval from the 0.1 to the 0.9 quantile; `models.outputs.levels` tells what lies between
two trained ones.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from statespace.errors import InputError
from statespace.models.outputs.levels import MIDDLE, QUANTILES, between

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


def check_quantiles(where: str, quantiles: Sequence[float] | float | None) -> list[float]:
    """Return probabilities as a list, in ascending order.

    Args:
        where: the function or option, for the message.
        quantiles: probabilities, one or several, or ``None`` for none.
    Raises:
        InputError: one is not a number from 0.005 to 0.995.
    """
    if quantiles is None:
        return []
    shares: list[Any] = list(quantiles) if isinstance(quantiles, list | tuple | np.ndarray) else [quantiles]
    for share in shares:
        is_number = isinstance(share, int | float | np.number) and not isinstance(share, bool)
        if not is_number or not QUANTILES[0] <= share <= QUANTILES[-1]:
            raise InputError(
                f"{where}: quantile {share!r} is not known: a quantile is the share of outcomes below it, from "
                f"{QUANTILES[0]} to {QUANTILES[-1]}, such as 0.1."
            )
    return sorted({float(share) for share in shares})


def columns(
    quantiles: np.ndarray,
    levels: Sequence[float],
    name: str,
    shares: Sequence[float] = (),
    point: np.ndarray | None = None,
    whole: bool = False,
) -> dict[str, np.ndarray]:
    """Return the columns of a forecast: the point, then lower and upper end of each interval, then quantiles.

    Args:
        quantiles: forecast at the trained quantiles, ``(…, len(QUANTILES))``, ascending.
        levels: as `check_levels` returns them.
        name: name of the model.
        shares: as `check_quantiles` returns them.
        point: the point forecast, ``(…)``; by default the median.
        whole: whether all but the point are to be whole numbers.
    Returns:
        ``name``, ``name-lo-80``, ``name-hi-80`` …, ``name_ql0.1`` …, each ``(…)``.
    """
    found = {name: quantiles[..., MIDDLE] if point is None else point}
    asked: dict[str, float] = {}
    for level in levels:
        asked |= {f"{name}-lo-{level}": 0.5 - level / 200, f"{name}-hi-{level}": 0.5 + level / 200}
    asked |= {f"{name}_ql{share}": share for share in shares}
    if asked:
        wanted = [round(share, 9) for share in asked.values()]  # 0.5 - 80 / 200 is not 0.1 to the last digit
        between_them = between(torch.from_numpy(quantiles)[..., None, :], torch.tensor(wanted, dtype=torch.float64))
        for place, (column, share) in enumerate(zip(asked, wanted, strict=True)):
            trained = share in QUANTILES
            ends = quantiles[..., QUANTILES.index(share)] if trained else between_them[..., place].numpy()
            found[column] = np.rint(ends) if whole else ends
    return found
