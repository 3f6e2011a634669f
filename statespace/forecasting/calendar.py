"""Time stamps and their distance: what a frequency is, where stamps lie on its grid, and what comes after the last.

A frequency is an alias of pandas (``"MS"``, ``"h"``, ``"W-SAT"``) for dates, or a whole number for integer time. Rows
at times of their own have none: they are ``"irregular"``.
"""

import re
import warnings
from typing import Any

import numpy as np
import pandas as pd

from statespace.errors import InputError

Freq = str | int
IRREGULAR = "irregular"

# Steps in the season that people look for first, by the unit of the calendar.
_SEASONS = {"D": 7, "B": 5, "W": 52, "SM": 24, "M": 12, "Q": 4, "Y": 1}
KNOWN = ("s", "min", "15min", "h", "D", "B", "W-SUN … W-SAT", "MS", "ME", "QS", "QE", "YS", "YE")
# What earlier versions of pandas, and habit, call them.
_OTHER_NAMES = dict(
    zip(
        ["M", "Q", "Y", "A", "BM", "BQ", "BY", "H", "T", "S", "L", "U", "N", "d", "b", "w", "m"],
        ["ME", "QE", "YE", "YE", "BME", "BQE", "BYE", "h", "min", "s", "ms", "us", "ns", "D", "B", "W", "ME"],
        strict=True,
    )
)


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
    grid = pd.date_range(min(days.min(), start.min().normalize()), days.max(), freq=offset.base)
    at, origin = grid.get_indexer(days), grid.get_indexer(start.dt.normalize())
    position, rest = np.divmod(at - origin, offset.n)
    late = (wall != days + clock).to_numpy(copy=True)
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


def scaled_freq(where: str, freq: Freq, dt_scale: float) -> Freq:
    """Return the frequency whose step is `dt_scale` times that of `freq`.

    Raises:
        InputError: there is none: the step of a calendar's frequency varies, and whole numbers count whole steps.
    """
    if dt_scale == 1 or freq == IRREGULAR:
        return freq
    if isinstance(freq, int):
        scaled = round(freq * dt_scale)
        if scaled < 1 or abs(scaled - freq * dt_scale) > 1e-9 * scaled:
            raise InputError(
                f"{where}: dt_scale is {dt_scale}, but {freq} times that is no whole number of steps: number the "
                "stamps more finely, in training too."
            )
        return scaled
    offset = _offset(where, freq)
    step = pd.Timedelta(days=offset.n) if isinstance(offset, pd.offsets.Day) else _fixed_step(offset)
    if step is None:
        raise InputError(
            f"{where}: dt_scale is {dt_scale}, but the step of freq {freq!r} varies with the calendar: only steps of "
            "fixed length, such as 'h' or '15min', have multiples."
        )
    wide = round(step.as_unit("ns").value * dt_scale)
    if not 0 < wide < np.iinfo(np.int64).max:
        raise InputError(
            f"{where}: dt_scale is {dt_scale}, but {freq!r} times that is no distance between stamps, which are told "
            "apart by nanoseconds and lie within centuries: pass the true ratio of the rates."
        )
    return str(pd.tseries.frequencies.to_offset(pd.Timedelta(wide)).freqstr)


def as_ticks(stamps: pd.Series) -> np.ndarray:
    """Return stamps as whole numbers, int64: microseconds since 1970 of dates, and whole numbers as they are."""
    if pd.api.types.is_integer_dtype(stamps):
        return stamps.to_numpy(np.int64)
    return pd.DatetimeIndex(stamps).as_unit("us").asi8


def fixed_ticks(freq: Freq, last: Any) -> int | None:
    """Return the ticks in a step of `freq`; None where it varies, as months do, and days where clocks change.

    Args:
        freq: the frequency.
        last: a stamp, whose time zone tells whether clocks change.
    """
    if isinstance(freq, int) or freq == IRREGULAR:
        return freq if isinstance(freq, int) else None
    offset = pd.tseries.frequencies.to_offset(freq)
    step = _fixed_step(offset)
    if step is None and isinstance(offset, pd.offsets.Day) and last.tz is None:
        step = pd.Timedelta(days=offset.n)
    return None if step is None else int(step / pd.Timedelta(microseconds=1))


def as_stamps(ticks: np.ndarray, like: Any) -> np.ndarray:
    """Return ticks, as `as_ticks` gives them, as stamps of the kind of `like`."""
    if not isinstance(like, pd.Timestamp):
        return ticks
    utc = pd.DatetimeIndex(ticks.astype("datetime64[us]")).as_unit(like.unit)
    return utc.to_numpy() if like.tz is None else np.asarray(utc.tz_localize("UTC").tz_convert(like.tz))


def season_length(freq: Freq) -> int:
    """Return the steps in the season that a frequency usually has: 12 for months, 24 for hours, 1 for years.

    The day is the season of minutes and hours, the minute that of seconds.

    Args:
        freq: alias of pandas or a whole number.
    Returns:
        Steps in a season, 1 where none is usual. A multiple divides it: ``"30min"`` gives 48.
    """
    if isinstance(freq, int) or freq == IRREGULAR:
        return 1
    offset = pd.tseries.frequencies.to_offset(freq)
    step = _fixed_step(offset)
    if step is not None:
        season = pd.Timedelta(days=1) if step >= pd.Timedelta(minutes=1) else pd.Timedelta(minutes=1)
        return int(season / step) if season.value % step.value == 0 and step * 4 <= season else 1
    unit = offset.rule_code.split("-")[0].removesuffix("S").removesuffix("E")
    return max(_SEASONS.get(unit if unit == "B" else unit.removeprefix("B"), 1) // offset.n, 1)


def week_length(freq: Freq) -> int:
    """Return the steps in a week, where a step is a part of a day: 168 for hours; 1 for all others.

    Args:
        freq: alias of pandas or a whole number.
    """
    if isinstance(freq, int) or freq == IRREGULAR:
        return 1
    step = _fixed_step(pd.tseries.frequencies.to_offset(freq))
    week = pd.Timedelta(days=7)
    if step is None or step >= pd.Timedelta(days=1) or week.value % step.value:
        return 1
    return int(week / step)


def _localised(wall: pd.DatetimeIndex, tz: Any) -> pd.DatetimeIndex:
    """Read the time on the wall: one that summer time skips is the next that exists, of two the first is meant."""
    return wall.tz_localize(tz, nonexistent="shift_forward", ambiguous=np.ones(len(wall), bool))


def _range(known: Any, freq: str, periods: int, forward: bool) -> np.ndarray:
    """Return `periods` stamps from or up to the `known` one; a calendar goes by the clock on the wall."""

    def stamps(at: pd.Timestamp) -> pd.DatetimeIndex:
        if forward:
            return pd.date_range(start=at, periods=periods, freq=freq)
        return pd.date_range(end=at, periods=periods, freq=freq)

    try:
        if known.tz is None:
            return stamps(known).to_numpy()
        if _fixed_step(pd.tseries.frequencies.to_offset(freq)) is not None:
            return np.asarray(stamps(known))
        return np.asarray(_localised(stamps(known.tz_localize(None)), known.tz))
    except (pd.errors.OutOfBoundsDatetime, OverflowError) as error:
        raise InputError(
            f"forecast: {periods} stamps at freq {freq!r} from {known} leave the calendar: "
            "forecast fewer steps, or use whole numbers as stamps."
        ) from error


def future(last: Any, freq: Freq, h: int) -> np.ndarray:
    """Return the `h` stamps after `last`, which lies on the grid of `freq`."""
    if isinstance(freq, int):
        return np.asarray(last + freq * np.arange(1, h + 1))
    return _range(last, freq, h + 1, forward=True)[1:]


def past(last: Any, freq: Freq, steps: int) -> np.ndarray:
    """Return `steps` stamps of which the last is `last`, which lies on the grid of `freq`."""
    if isinstance(freq, int):
        return np.asarray(last - freq * np.arange(steps - 1, -1, -1))
    return _range(last, freq, steps, forward=False)
