"""Time stamps and their distance: what a frequency is, which one a table has, and what comes after the last stamp.

A frequency is an alias of pandas (``"MS"``, ``"h"``, ``"W-SAT"``) for dates, or a whole number for integer time.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from statespace.errors import InputError

Freq = str | int

# Steps in the season that people look for first, by the unit of the calendar.
_SEASONS = {"D": 7, "B": 5, "W": 52, "SM": 24, "M": 12, "Q": 4, "Y": 1}
KNOWN = ("s", "min", "15min", "h", "D", "B", "W-SUN … W-SAT", "MS", "ME", "QS", "QE", "YS", "YE")
_OLD_NAMES = {"M": "ME", "Q": "QE", "Y": "YE", "A": "YE", "H": "h", "T": "min", "S": "s"}


def _unknown(where: str, freq: object) -> InputError:
    text = str(freq)
    hint = f" Did you mean {_OLD_NAMES[text]!r}?" if text in _OLD_NAMES else ""
    return InputError(
        f"{where}: freq is {freq!r}, which is not known: use an alias of pandas such as {', '.join(KNOWN)}, "
        f"a multiple such as '30min', or a whole number for integer time.{hint}"
    )


def _offset(where: str, freq: str) -> pd.tseries.offsets.BaseOffset:
    if freq in _OLD_NAMES:  # accepted with a warning by some versions of pandas, refused by others
        raise _unknown(where, freq)
    try:
        offset = pd.tseries.frequencies.to_offset(freq)
    except ValueError as error:
        raise _unknown(where, freq) from error
    if offset is None or offset.n < 1:
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
    if isinstance(freq, str) and freq.strip().lstrip("+-").isdigit():
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
            position, rest = np.divmod(elapsed, step.value)
            off = rest != 0
        else:
            # The days of the calendar that the frequency falls on, without its multiple: '2W' starts anywhere.
            unit = offset.base
            days = stamps.dt.normalize()
            grid = pd.date_range(days.min(), days.max(), freq=unit)
            at, start = grid.get_indexer(days), grid.get_indexer(first.dt.normalize())
            position, rest = np.divmod(at - start, offset.n)
            clock = (stamps - days) != (first - first.dt.normalize())
            off = (at < 0) | (start < 0) | (rest != 0) | clock.to_numpy()
    if off.any():
        raise InputError(
            f"{where}: {stamps.to_numpy()[off][0]} does not lie on a grid of freq {freq!r} that starts at "
            f"{first.to_numpy()[off][0]}: pass the freq of the stamps, or round them."
        )
    return position.astype(np.int64)


def _candidates(stamps: pd.DatetimeIndex) -> Iterator[str]:
    """Name frequencies that the stamps might have, likeliest first."""
    found = pd.infer_freq(stamps) if len(stamps) >= 3 else None
    if found is not None:
        yield found
    steps = np.diff(stamps.asi8)
    values, counts = np.unique(steps, return_counts=True)
    common = pd.Timedelta(int(values[counts.argmax()]), unit=stamps.unit)
    if common < pd.Timedelta(days=1):
        yield pd.tseries.frequencies.to_offset(common).freqstr
    elif common == pd.Timedelta(days=1):
        yield "D" if (stamps.dayofweek >= 5).any() else "B"
    elif common == pd.Timedelta(days=7):
        yield "W-" + stamps[0].strftime("%a").upper()
    elif common < pd.Timedelta(days=32):
        yield "MS" if stamps.is_month_start.all() else "ME" if stamps.is_month_end.all() else f"{common.days}D"
    elif common < pd.Timedelta(days=93):
        yield "QS" if stamps.is_month_start.all() else "QE"
    else:
        yield "YS" if stamps.is_year_start.all() else "YE"
    yield "D"


def infer_freq(where: str, stamps: pd.Series, ids: np.ndarray, starts: np.ndarray) -> Freq:
    """Find the distance between two stamps, gaps allowed.

    Args:
        where: the function or option, for the message.
        stamps: stamps sorted by series and time, without duplicates in a series.
        ids: number of the series of each stamp.
        starts: position of the first stamp of each series.
    Returns:
        The most common distance, if every stamp fits it.
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
        f"…): pass freq, such as {', '.join(KNOWN)}."
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


def future(last: Any, freq: Freq, h: int) -> np.ndarray:
    """Return the `h` stamps after `last`, which lies on the grid of `freq`."""
    if isinstance(freq, int):
        return np.asarray(last + freq * np.arange(1, h + 1))
    stamps = pd.date_range(last, periods=h + 1, freq=freq)
    return stamps[1:].to_numpy() if stamps.tz is None else np.asarray(stamps[1:])


def past(last: Any, freq: Freq, steps: int) -> np.ndarray:
    """Return `steps` stamps of which the last is `last`, which lies on the grid of `freq`."""
    if isinstance(freq, int):
        return np.asarray(last - freq * np.arange(steps - 1, -1, -1))
    stamps = pd.date_range(end=last, periods=steps, freq=freq)
    return stamps.to_numpy() if stamps.tz is None else np.asarray(stamps)
