"""Which frequency a table has: the most common distance between two stamps, named as pandas names it.

Gaps are allowed, so names are tried, likeliest first, until every stamp lies on the grid of one.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from statespace.errors import InputError
from statespace.forecasting.calendar import KNOWN, Freq, positions


class NoGridError(InputError):
    """No frequency fits the stamps."""


_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAY = pd.Timedelta(days=1)
_EMPTIEST = 10  # where rows typically are this many steps apart, the grid is none, and the most common distance chance
_COARSER = 3  # a finer grid than this many steps from one row to the next would be empty for the most part


def _monthly(months: int, month: int) -> Iterator[str]:
    """Name frequencies of some months, of which one stamp lies in `month`, counted from 0."""
    for day in ("S", "E", "BS", "BE"):
        business, end = day[:-1], day[-1]
        if months % 12 == 0:
            unit, count = f"{business}Y{end}-{_MONTHS[month]}", months // 12
        elif months == 3:
            unit, count = f"{business}Q{end}-{_MONTHS[month % 3 + (9 if end == 'E' else 0)]}", 1
        else:
            unit, count = f"{business}M{end}", months
        yield unit if count == 1 else f"{count}{unit}"


def _candidates(stamps: pd.DatetimeIndex) -> Iterator[str]:
    """Name frequencies that the stamps might have, likeliest first."""
    wall = stamps.tz_localize(None)
    steps = np.diff(wall.asi8)
    values, counts = np.unique(steps, return_counts=True)
    common = pd.Timedelta(int(values[counts.argmax()]), unit=wall.unit)
    weekday = _WEEKDAYS[wall[0].weekday()]
    if common % _DAY:
        yield str(pd.tseries.frequencies.to_offset(common).freqstr)
    elif common == _DAY:
        weekend = bool((wall.day_of_week >= 5).any())
        over_a_weekend = wall[-1] - wall[0] > 4 * _DAY or wall[-1].weekday() < wall[0].weekday()
        yield "B" if over_a_weekend and not weekend else "D"
    elif common >= 28 * _DAY:
        yield from _monthly(round(common.days / 30.4375), wall[0].month - 1)
    if common % (7 * _DAY) == pd.Timedelta(0):
        weeks = common.days // 7
        yield f"W-{weekday}" if weeks == 1 else f"{weeks}W-{weekday}"
    if 13 * _DAY <= common <= 17 * _DAY:
        yield from ("SMS", "SME")
    # What divides every step, unless it is so fine that most of its grid would be empty.
    finest = pd.Timedelta(int(np.gcd.reduce(steps)), unit=wall.unit)
    if finest * _COARSER >= common:
        yield (
            f"{finest.days}D"
            if finest % _DAY == pd.Timedelta(0)
            else str(pd.tseries.frequencies.to_offset(finest).freqstr)
        )


def infer_freq(where: str, stamps: pd.Series, ids: np.ndarray, starts: np.ndarray) -> Freq:
    """Find the distance between two stamps, gaps allowed.

    Args:
        where: the function or option, for the message.
        stamps: stamps sorted by series and time, without duplicates in a series.
        ids: number of the series of each stamp.
        starts: position of the first stamp of each series.
    Returns:
        The most common distance, if every stamp of the longest series fits it.
    Raises:
        InputError: no frequency fits, or there are too few stamps to tell.
    """
    lengths = np.diff(np.append(starts, len(stamps)))
    longest = int(lengths.argmax())
    if lengths[longest] < 2:
        raise InputError(f"{where}: no series has two stamps, so freq cannot be inferred: pass freq.")
    series = stamps.iloc[starts[longest] : starts[longest] + lengths[longest]]
    if pd.api.types.is_integer_dtype(stamps):
        inside = np.diff(ids) == 0
        return int(np.gcd.reduce(np.diff(stamps.to_numpy(np.int64))[inside]))
    for freq in _candidates(pd.DatetimeIndex(series)):
        try:
            position = positions(where, series, pd.Series(series.iloc[0], index=series.index), freq)
        except InputError:
            continue
        if np.median(np.diff(position)) <= _EMPTIEST:
            return freq
    raise NoGridError(
        f"{where}: freq cannot be inferred from the stamps of the longest series ({series.iloc[0]}, {series.iloc[1]}, "
        f"…): move the stamps onto a regular grid and pass its freq, such as {', '.join(KNOWN)}."
    )
