"""Time stamps and their distance: what a frequency is, which one a table has, and what comes after the last stamp.

A frequency is an alias of pandas (``"MS"``, ``"h"``, ``"W-SAT"``) for dates, or a whole number for integer time.
"""

import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from statespace.errors import InputError

Freq = str | int

# Steps in the season that people look for first, by the unit of the calendar.
_SEASONS = {"D": 7, "B": 5, "W": 52, "SM": 24, "M": 12, "Q": 4, "Y": 1}
KNOWN = ("s", "min", "15min", "h", "D", "B", "W-SUN … W-SAT", "MS", "ME", "QS", "QE", "YS", "YE")
_OTHER_NAMES = {
    **{"M": "ME", "Q": "QE", "Y": "YE", "A": "YE", "BM": "BME", "BQ": "BQE", "BY": "BYE"},
    **{"H": "h", "T": "min", "S": "s", "L": "ms", "U": "us", "N": "ns", "d": "D", "b": "B", "w": "W", "m": "ME"},
    **{"daily": "D", "weekly": "W", "monthly": "MS", "quarterly": "QS", "yearly": "YS", "hourly": "h"},
}
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAY = pd.Timedelta(days=1)
_COARSER = 10  # most steps of an inferred grid from one row to the next, as a rule


def _unknown(where: str, freq: object) -> InputError:
    parts = re.fullmatch(r"(\d*)(\w+)", freq) if isinstance(freq, str) else None
    meant = _OTHER_NAMES.get(parts[2]) if parts else None
    hint = f" Did you mean {parts[1] + meant!r}?" if parts and meant else ""
    return InputError(
        f"{where}: freq is {freq!r}, which is not known: use an alias of pandas such as {', '.join(KNOWN)}, "
        f"a multiple such as '30min', or a whole number for integer time.{hint}"
    )


def _offset(where: str, freq: str) -> pd.tseries.offsets.BaseOffset:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an alias that some version of pandas is about to drop
            offset = pd.tseries.frequencies.to_offset(freq)
    except (ValueError, Warning) as error:
        raise _unknown(where, freq) from error
    if offset is None or offset.n < 1 or isinstance(offset, pd.offsets.BusinessHour):
        raise _unknown(where, freq)
    return offset


def check_freq(where: str, freq: object, integer_time: bool) -> Freq:
    """Check that `freq` is known and fits the kind of time.

    Args:
        where: the function or option, for the message.
        freq: an alias of pandas, or a whole number (also written as text) for integer time.
        integer_time: whether the stamps are integers.
    Returns:
        The alias, or the number of units in a step.
    Raises:
        InputError: it is not known, or of the other kind of time.
    """
    if isinstance(freq, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", freq.strip()):
        freq = int(freq)
    if isinstance(freq, int | np.integer) and not isinstance(freq, bool):
        if not integer_time:
            raise InputError(f"{where}: freq is {freq}, but the stamps are dates: use an alias such as 'MS' or 'h'.")
        if freq < 1:
            raise InputError(f"{where}: freq is {freq}, but a whole number from 1 on is expected.")
        return int(freq)
    if not isinstance(freq, str):
        raise _unknown(where, freq)
    _offset(where, freq)
    if integer_time:
        raise InputError(f"{where}: freq is {freq!r}, but the stamps are integers: use a whole number, such as 1.")
    return freq


def _fixed_step(offset: pd.tseries.offsets.BaseOffset) -> pd.Timedelta | None:
    """Return the step of a frequency of fixed length, ``None`` for days, months and the like of a calendar."""
    return (
        pd.Timedelta(offset) if isinstance(offset, pd.offsets.Tick) and not isinstance(offset, pd.offsets.Day) else None
    )


def _calendar_positions(
    stamps: pd.Series, first: pd.Series, offset: pd.tseries.offsets.BaseOffset
) -> tuple[np.ndarray, np.ndarray]:
    """Number stamps by days of the calendar, as a clock on the wall shows them; tell which are off the grid."""
    wall, start = stamps.dt.tz_localize(None), first.dt.tz_localize(None)
    days, clock = wall.dt.normalize(), start - start.dt.normalize()
    # The days that the frequency falls on, without its multiple: '2W' starts anywhere.
    grid = pd.date_range(days.min(), days.max(), freq=offset.base)
    at, origin = grid.get_indexer(days), grid.get_indexer(start.dt.normalize())
    position, rest = np.divmod(at - origin, offset.n)
    late = (wall != days + clock).to_numpy()
    if late.any() and stamps.dt.tz is not None:
        # A time that the change to summer time skips is the next one that exists.
        skipped = _localised(pd.DatetimeIndex((days + clock)[late]), stamps.dt.tz)
        late[late] = skipped != pd.DatetimeIndex(stamps[late])
    return position, (at < 0) | (origin < 0) | (rest != 0) | late


def positions(where: str, stamps: pd.Series, first: pd.Series, freq: Freq) -> np.ndarray:
    """Number the stamps by steps of `freq`, counted from the `first` stamp of the same series.

    Args:
        where: the function or option, for the message.
        stamps: stamps, dates or integers.
        first: the first stamp of the series that each belongs to.
        freq: distance between two stamps.
    Returns:
        Whole numbers, one for each stamp.
    Raises:
        InputError: a stamp does not lie a whole number of steps after the first.
    """
    if isinstance(freq, int):
        position, rest = np.divmod((stamps - first).to_numpy(np.int64), freq)
        off = rest != 0
    else:
        offset = _offset(where, freq)
        step = _fixed_step(offset)
        if step is not None:
            elapsed = (stamps - first).to_numpy("timedelta64[ns]").astype(np.int64)
            position, rest = np.divmod(elapsed, step.as_unit("ns").value)
            off = rest != 0
        else:
            position, off = _calendar_positions(stamps, first, offset)
    if off.any():
        row = int(off.argmax())
        where_from = "" if stamps.iloc[row] == first.iloc[row] else f" that starts at {first.iloc[row]}"
        raise InputError(
            f"{where}: {stamps.iloc[row]} does not lie on a grid of freq {freq!r}{where_from}: pass the freq of the "
            "stamps, or round them."
        )
    return position.astype(np.int64)


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
        yield f"{finest.days}D" if finest % _DAY == pd.Timedelta(0) else str(
            pd.tseries.frequencies.to_offset(finest).freqstr
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
            positions(where, series, pd.Series(series.iloc[0], index=series.index), freq)
        except InputError:
            continue
        return freq
    raise InputError(
        f"{where}: freq cannot be inferred from the stamps of the longest series ({series.iloc[0]}, {series.iloc[1]}, "
        f"…): move the stamps onto a regular grid and pass its freq, such as {', '.join(KNOWN)}."
    )


def season_length(freq: Freq) -> int:
    """Return the steps in the season that a frequency usually has: 12 for months, 24 for hours, 1 for years.

    The day is the season of minutes and hours, the minute that of seconds.

    Args:
        freq: alias of pandas or a whole number.
    Returns:
        Steps in a season, 1 where none is usual. A multiple divides it: ``"30min"`` gives 48.
    """
    if isinstance(freq, int):
        return 1
    offset = pd.tseries.frequencies.to_offset(freq)
    step = _fixed_step(offset)
    if step is not None:
        season = pd.Timedelta(days=1) if step >= pd.Timedelta(minutes=1) else pd.Timedelta(minutes=1)
        return int(season / step) if season.value % step.value == 0 and step * 4 <= season else 1
    unit = offset.rule_code.split("-")[0].removesuffix("S").removesuffix("E")
    return max(_SEASONS.get(unit if unit == "B" else unit.removeprefix("B"), 1) // offset.n, 1)


def _localised(wall: pd.DatetimeIndex, tz: Any) -> pd.DatetimeIndex:
    """Read the time on the wall: one that summer time skips is the next that exists, of two the first is meant."""
    return wall.tz_localize(tz, nonexistent="shift_forward", ambiguous=np.ones(len(wall), bool))


def _range(freq: str, periods: int, start: Any = None, end: Any = None) -> np.ndarray:
    """Return `periods` stamps from `start` or up to `end`; a calendar goes by the clock on the wall."""
    known = end if start is None else start
    try:
        if known.tz is None or _fixed_step(pd.tseries.frequencies.to_offset(freq)) is not None:
            stamps = pd.date_range(start, end, periods=periods, freq=freq)
        else:
            start, end = (stamp and stamp.tz_localize(None) for stamp in (start, end))
            stamps = _localised(pd.date_range(start, end, periods=periods, freq=freq), known.tz)
    except (pd.errors.OutOfBoundsDatetime, OverflowError) as error:
        raise InputError(
            f"forecast: {periods} stamps at freq {freq!r} from {known} leave the calendar: "
            "forecast fewer steps, or use whole numbers as stamps."
        ) from error
    return stamps.to_numpy() if stamps.tz is None else np.asarray(stamps)


def future(last: Any, freq: Freq, h: int) -> np.ndarray:
    """Return the `h` stamps after `last`, which lies on the grid of `freq`."""
    if isinstance(freq, int):
        return np.asarray(last + freq * np.arange(1, h + 1))
    return _range(freq, h + 1, start=last)[1:]


def past(last: Any, freq: Freq, steps: int) -> np.ndarray:
    """Return `steps` stamps of which the last is `last`, which lies on the grid of `freq`."""
    if isinstance(freq, int):
        return np.asarray(last - freq * np.arange(steps - 1, -1, -1))
    return _range(freq, steps, end=last)
