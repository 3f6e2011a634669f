"""What the times of a long table say of its sampling: models take samples as evenly spaced, and the same in each case.

Times are looked at and never used beyond that: where they say otherwise, a warning tells.
"""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

SLACK = 0.1  # of a step, by which clocks may be off


def as_numbers(times: "pd.Series[Any]") -> "pd.Series[Any] | None":
    """Return times from the first on as numbers, stamps in seconds, or ``None`` for text that names no stamps."""
    if pd.api.types.is_numeric_dtype(times):
        numbers: pd.Series[Any] = (times - times.min()).astype("float64")
        return numbers
    if times.dtype.kind not in "mM":
        times = pd.to_datetime(times, format="ISO8601", errors="coerce", utc=True)
    return None if times.isna().any() else (times - times.min()).dt.total_seconds()


def usual_step(where: str, cases: Iterable[tuple[Any, np.ndarray]]) -> float | None:
    """Return the usual time between two samples, and warn where steps within a case, or of two cases, differ.

    Args:
        where: the function, for the warning.
        cases: the name of each case and its times, ``(n,)``, ascending.
    Returns:
        The step, in units of the times; ``None`` where no case has two samples.
    """
    steps: dict[Any, float] = {}
    uneven: dict[Any, tuple[float, float]] = {}
    for case, times in cases:
        with np.errstate(invalid="ignore"):
            between = np.diff(times)
        if not len(between) or not np.isfinite(between).all():
            continue
        steps[case] = float(np.median(between))
        if np.abs(between - steps[case]).max() > SLACK * steps[case]:
            uneven[case] = float(between.min()), float(between.max())
    if not steps:
        return None
    if uneven:
        case, (least, most) = next(iter(uneven.items()))
        more = f", nor are those of {len(uneven) - 1} other cases" if len(uneven) > 1 else ""
        warnings.warn(
            f"{where}: the times of case {str(case)!r} are not evenly spaced (steps from {least:g} to {most:g}){more}, "
            "but samples are taken as if they were: resample them to even steps, and add rows with empty channels "
            "where samples are missing.",
            stacklevel=4,
        )
    usual = sorted(steps.values())[(len(steps) - 1) // 2]
    others = [case for case, step in steps.items() if differs(step, usual)]
    if others:
        warnings.warn(
            f"{where}: the times of case {str(others[0])!r} are {steps[others[0]]:g} apart, those of most cases "
            f"{usual:g} ({len(others)} of {len(steps)} differ), but samples are taken as if all were the same: "
            "resample the cases to one step, or predict those of another step on their own, with dt_scale.",
            stacklevel=4,
        )
    return usual


def differs(step: float, other: float) -> bool:
    """Tell whether two steps are not the same but for a clock that is a little off."""
    return abs(step - other) > SLACK * other
