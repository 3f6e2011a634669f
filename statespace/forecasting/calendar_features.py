"""What the calendar says of a stamp, past or future: its place in the day, the week, the month and the year; holidays.

    place f in [0, 1) of a cycle   →   sin 2πf, cos 2πf

A cycle is given as a point on a circle: 23 h lies next to 0 h and December next to January, and one linear map can put
a hill anywhere on it. A single number from 0 to 1 would fall from its highest to its lowest value at midnight. All
columns lie in [-1, 1] and need no scaling. Places are those on the clock and the calendar of the stamps' own time zone.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from statespace.errors import InputError, choose


def _day(stamps: pd.DatetimeIndex) -> np.ndarray:
    """Return what has gone by of the day, on the clock."""
    wall = stamps.tz_localize(None)
    return np.asarray((wall - wall.normalize()) / pd.Timedelta(days=1))


def _week(stamps: pd.DatetimeIndex) -> np.ndarray:
    """Return the place of the ISO week in its year of 52 or 53 weeks."""
    iso = stamps.isocalendar()
    # The 28th of December always lies in the last week of its year.
    years, place = np.unique(iso["year"].to_numpy(np.int64), return_inverse=True)
    weeks = pd.DatetimeIndex([f"{year:04d}-12-28" for year in years]).isocalendar()["week"].to_numpy(np.float64)
    return np.asarray((iso["week"].to_numpy(np.float64) - 1) / weeks[place])


_CYCLES: dict[str, Callable[[pd.DatetimeIndex], Any]] = {
    "hour": _day,
    "weekday": lambda stamps: stamps.day_of_week / 7,
    "day_of_month": lambda stamps: (stamps.day - 1) / stamps.days_in_month,
    "day_of_year": lambda stamps: (stamps.day_of_year - 1) / np.where(stamps.is_leap_year, 366, 365),
    "week": _week,
    "month": lambda stamps: (stamps.month - 1) / 12,
    "quarter": lambda stamps: (stamps.quarter - 1) / 4,
}
NAMES = (*_CYCLES, "weekend")


def _listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _dates(where: str, stamps: Any) -> pd.DatetimeIndex:
    """Return stamps as an index of dates."""
    column = pd.Series(stamps)
    if pd.api.types.is_numeric_dtype(column):
        raise InputError(
            f"{where}: the stamps are numbers, such as {column.iloc[0]}, and a number has no place in a calendar: use "
            "dates as stamps, or no calendar features."
        )
    try:
        dates = pd.DatetimeIndex(column)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{where}: the stamps, such as {column.iloc[0]!r}, are not dates of one time zone, of which alone a "
            f"calendar can be made ({error}): convert them with pandas.to_datetime."
        ) from error
    if dates.hasnans:
        raise InputError(
            f"{where}: stamp {int(dates.isna().argmax()) + 1} is missing: every calendar feature needs a date."
        )
    return dates


def _holidays(where: str, dates: pd.DatetimeIndex, place: str) -> np.ndarray:
    """Return 1 on the public holidays of a country, or of a part of it, and 0 on other days."""
    try:
        package = import_module("holidays")
    except ImportError as error:
        raise InputError(
            f"{where}: holidays={place!r} needs the package holidays, which is missing: "
            "pip install 'statespace[holidays]'."
        ) from error
    country, _, part = place.partition("-")
    try:
        days = package.country_holidays(country, subdiv=part or None, years=dates.year.unique().tolist())
    except NotImplementedError as error:
        known = package.list_supported_countries().get(country)
        raise InputError(
            f"{where}: holidays is {place!r}, which the package holidays does not know: "
            + (
                f"{country!r} has the parts {', '.join(known) or 'none'}."
                if known is not None
                else "use the code of a country such as 'DE' or 'US', or of a part of it such as 'DE-BY'."
            )
        ) from error
    return np.asarray(dates.tz_localize(None).normalize().isin(pd.DatetimeIndex(list(days))), np.float64)


def names_of(where: str, names: str | Sequence[str], holidays: str | Sequence[str] = ()) -> list[str]:
    """Return the names of the columns that `features` gives.

    Args:
        where: the function or option, for the message.
        names: one or several of ``hour, weekday, day_of_month, day_of_year, week, month, quarter, weekend``.
        holidays: codes of countries or of parts of them, one or several, such as ``"DE"`` or ``"DE-BY"``.
    Returns:
        ``hour_sin``, ``hour_cos`` …, ``weekend``, ``holiday_DE``, in the order given.
    Raises:
        InputError: a name is not known or given twice.
    """
    columns: list[str] = []
    for name in _listed(names):
        choose(where, "a calendar feature", name, NAMES)
        columns += [name] if name == "weekend" else [f"{name}_sin", f"{name}_cos"]
    columns += [f"holiday_{place}" for place in _listed(holidays)]
    doubled = [column for column in columns if columns.count(column) > 1]
    if doubled:
        raise InputError(f"{where}: the calendar features have {doubled[0]!r} twice: name each once.")
    return columns


def features(where: str, stamps: Any, names: str | Sequence[str], holidays: str | Sequence[str] = ()) -> np.ndarray:
    """Return what the calendar says of each stamp.

    Args:
        where: the function or option, for the messages.
        stamps: dates, past or future, with or without a time zone, ``(n,)``; anything that pandas takes for an index.
        names: one or several of ``hour, weekday, day_of_month, day_of_year, week, month, quarter``, each a sine and a
            cosine, and ``weekend``, 1 on Saturdays and Sundays. The hour has its minutes and seconds as a fraction.
        holidays: codes of countries or of parts of them, one or several, such as ``"DE"`` or ``"DE-BY"``: 1 on their
            public holidays.
    Returns:
        Columns in the order of `names_of`, ``(n, k)``, float64 within [-1, 1].
    Raises:
        InputError: the stamps are numbers, are missing or have several time zones, a name is not known, or the package
            holidays is missing or does not know the country.
    """
    columns: list[np.ndarray] = []
    names_of(where, names, holidays)
    dates = _dates(where, stamps)
    for name in _listed(names):
        if name == "weekend":
            columns.append(np.asarray(dates.day_of_week >= 5, np.float64))
        else:
            angle = 2 * np.pi * np.asarray(_CYCLES[name](dates), np.float64)
            columns += [np.sin(angle), np.cos(angle)]
    columns += [_holidays(where, dates, place) for place in _listed(holidays)]
    return np.stack(columns, axis=1) if columns else np.empty((len(dates), 0))
