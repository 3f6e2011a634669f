"""From a column of a table to stamps: dates, or whole numbers. What can be read in two ways is refused or told.

Text is best written as ISO 8601, ``2000-01-31 12:00``. Whole numbers that are written like dates, ``20000131``, are
read as dates: as numbers they would have a gap after each month.
"""

import re
import warnings
from typing import Any

import numpy as np
import pandas as pd

from statespace.errors import InputError

_FARTHEST = 10**18  # whole numbers beyond would overflow when two of them are compared
_EITHER_WAY = re.compile(
    r"\d{1,2}([./-])\d{1,2}\1\d{4}\b.*"
)  # 01/02/2000: the first of February, or January the second


def shown(value: Any) -> str:
    """Write a value for a message: text in quotes, numbers without the name of their type."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def _wrong(where: str, time: pd.Series, wrong: np.ndarray) -> InputError:
    row = int(wrong.argmax())
    return InputError(
        f"{where}: column {time.name!r} holds {shown(time.iloc[row])} in row {row + 1}, which is no stamp: "
        "write dates as YYYY-MM-DD, or use whole numbers."
    )


def _numbers(where: str, time: pd.Series) -> pd.Series:
    """Read whole numbers; those of the form 20000131 become dates."""
    if pd.api.types.is_complex_dtype(time):
        raise _wrong(where, time, np.ones(len(time), bool))
    values = time.to_numpy(np.float64)
    wrong = ~(np.abs(values) <= _FARTHEST) | (np.trunc(values) != values)
    if wrong.any():
        raise _wrong(where, time, wrong)
    whole = time.astype(np.int64)
    if whole.between(1000_01_01, 9999_12_31).all() and whole.nunique() > 1:
        dates = pd.to_datetime(whole.astype(str), format="%Y%m%d", errors="coerce")
        if dates.notna().all():
            warnings.warn(
                f"{where}: the whole numbers in {time.name!r}, such as {whole.iloc[0]}, were read as dates, YYYYMMDD.",
                stacklevel=4,
            )
            return pd.Series(dates)
    return whole


def _parsed(where: str, time: pd.Series) -> pd.Series:
    """Parse text; day and month are told apart only where one order fits all rows and the other does not."""
    text = time.astype(str)
    if not text.str.fullmatch(_EITHER_WAY).all():
        return pd.to_datetime(time)
    orders = [pd.to_datetime(time, dayfirst=first, errors="coerce", format="mixed") for first in (False, True)]
    fits = [bool(order.notna().all()) for order in orders]
    if all(fits) and not orders[0].equals(orders[1]):
        # Every text fits both orders somehow to pandas, unless a day above 12 stands where the month should be.
        numbers = text.str.extract(r"(\d+)\D(\d+)").astype(int)
        fits = [bool((numbers[place] <= 12).all()) for place in (0, 1)]
        if all(fits):
            raise InputError(
                f"{where}: the stamps in column {time.name!r}, such as {text.iloc[0]!r}, may begin with the day or "
                "with the month: write dates as YYYY-MM-DD."
            )
    if not any(fits):
        raise ValueError
    return pd.Series(orders[0] if fits[0] else orders[1])


def read_stamps(where: str, time: pd.Series) -> pd.Series:
    """Check a column of stamps and return them as dates or whole numbers.

    Args:
        where: the function or option, for the messages.
        time: dates, text, periods or whole numbers.
    Returns:
        ``datetime64`` with or without a time zone, or ``int64``.
    Raises:
        InputError: a stamp is missing, cannot be read, or can be read in two ways.
    """
    missing = time.isna().to_numpy()
    if missing.any():
        raise InputError(
            f"{where}: column {time.name!r} is empty in row {int(missing.argmax()) + 1}: every row needs a stamp."
        )
    if time.dtype == object:
        time = time.infer_objects()
    if pd.api.types.is_bool_dtype(time):
        raise InputError(f"{where}: column {time.name!r} holds true and false, but stamps are expected.")
    if isinstance(time.dtype, pd.PeriodDtype):
        return pd.Series(time.dt.to_timestamp())
    if pd.api.types.is_datetime64_any_dtype(time):
        return time
    if pd.api.types.is_numeric_dtype(time):
        return _numbers(where, time)
    number = time.map(lambda value: isinstance(value, int | float | np.number)).to_numpy(bool)
    if number.any():  # numbers among dates would be read as nanoseconds
        raise _wrong(where, time, number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of pandas, on how it reads what it can read
        try:
            # pandas reads NaT, nan and nothing as missing, and now as the time of reading.
            unread = time.astype("str").str.strip().str.lower().isin(["", "nat", "nan", "none", "null", "now", "today"])
            if unread.any():
                raise _wrong(where, time, unread.to_numpy(bool))
            return _parsed(where, time)
        except InputError:
            raise
        except (ValueError, TypeError, OverflowError):
            parsed = pd.to_datetime(time, errors="coerce", format="mixed", utc=True)
    wrong = parsed.isna().to_numpy()
    if wrong.any():
        raise _wrong(where, time, wrong)
    raise InputError(
        f"{where}: the stamps in column {time.name!r} are written in several formats or time zones, such as "
        f"{shown(time.iloc[0])}: write all of them in one, best YYYY-MM-DD HH:MM:SS."
    )


def _kind(stamp: Any) -> str:
    if not isinstance(stamp, pd.Timestamp):
        return "whole numbers"
    return "dates without a time zone" if stamp.tz is None else f"dates in {stamp.tz}"


def in_kind(where: str, table: str, time: pd.Series, like: Any) -> pd.Series:
    """Return stamps in the time zone of a series.

    Args:
        where: the function or option, for the message.
        table: the argument that holds the stamps, for the message.
        time: stamps, as `read_stamps` returns them.
        like: a stamp of the series.
    Raises:
        InputError: the stamps are of another kind than those of the series, so that no two can be compared.
    """
    given = time.iloc[0] if len(time) else like
    dates = isinstance(given, pd.Timestamp), isinstance(like, pd.Timestamp)
    if dates[0] != dates[1] or (all(dates) and (given.tz is None) != (like.tz is None)):
        raise InputError(
            f"{where}: the stamps of {table} are {_kind(given)}, such as {given}, but those of the series are "
            f"{_kind(like)}, such as {like}: write both alike."
        )
    return time if not all(dates) or like.tz is None else time.dt.tz_convert(like.tz)


def as_plain(values: list[Any]) -> list[Any]:
    """Turn names or stamps into what JSON can hold: stamps become text with their time zone beside it."""
    return [
        [value.tz_localize(None).isoformat(), value.unit, None if value.tz is None else str(value.tz)]
        if isinstance(value, pd.Timestamp)
        else value.item()
        if isinstance(value, np.generic)
        else value
        if isinstance(value, str | int | float)
        else str(value)
        for value in values
    ]


def from_plain(values: list[Any]) -> list[Any]:
    """Turn stamps that `as_plain` made back."""
    return [
        pd.Timestamp(value[0]).as_unit(value[1]).tz_localize(value[2]) if isinstance(value, list) else value
        for value in values
    ]
