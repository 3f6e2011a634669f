"""Calendar features against the accessors of pandas, read back from the circle, and against holidays that we know."""

import datetime as dt
import sys
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statespace.errors import InputError
from statespace.forecasting.calendar import future
from statespace.forecasting.calendar_features import NAMES, features, names_of

STAMPS = {
    "hourly over a year's end": pd.date_range("2023-11-20", periods=3000, freq="h"),
    "daily over a leap year": pd.date_range("2019-12-01", periods=900, freq="D"),
    "half-hourly in a zone": pd.date_range("2024-03-28", periods=3000, freq="30min", tz="Europe/Berlin"),
    "monthly far away": pd.date_range("1890-01-31", periods=2400, freq="ME"),
}
every_stamps = pytest.mark.parametrize("stamps", STAMPS.values(), ids=STAMPS)


def place(columns: np.ndarray) -> np.ndarray:
    """Where on the circle a sine and a cosine lie, in [0, 1)."""
    found = np.arctan2(columns[:, 0], columns[:, 1]) / (2 * np.pi)
    return np.where(found < -1e-9, found + 1, np.abs(found))


@every_stamps
@pytest.mark.parametrize("name", [name for name in NAMES if name != "weekend"])
def test_each_cycle_is_what_pandas_says(name: str, stamps: pd.DatetimeIndex) -> None:
    last_week = pd.Series([dt.date(year, 12, 28).isocalendar().week for year in stamps.isocalendar()["year"]])
    want = {
        "hour": lambda: (stamps.hour + stamps.minute / 60) / 24,
        "weekday": lambda: (stamps.isocalendar()["day"].to_numpy() - 1) / 7,
        "day_of_month": lambda: (stamps.day - 1) / stamps.days_in_month,
        "day_of_year": lambda: (stamps.day_of_year - 1) / (365 + stamps.is_leap_year),
        "week": lambda: (stamps.isocalendar()["week"].to_numpy() - 1) / last_week,
        "month": lambda: (stamps.month - 1) / 12,
        "quarter": lambda: (stamps.quarter - 1) / 4,
    }[name]()
    np.testing.assert_allclose(place(features("test", stamps, [name])), np.asarray(want, float), atol=1e-12)


@every_stamps
def test_weekends_are_saturdays_and_sundays_of_the_stamps_own_clock(stamps: pd.DatetimeIndex) -> None:
    want = stamps.day_name().isin(["Saturday", "Sunday"])
    np.testing.assert_array_equal(features("test", stamps, "weekend")[:, 0], want)


def test_the_last_week_of_a_year_is_next_to_the_first() -> None:
    found = features("test", ["2020-12-31", "2021-01-04", "2021-12-30", "2022-01-03"], ["week"])  # 53, 1, 52, 1
    np.testing.assert_allclose(place(found), [52 / 53, 0, 51 / 52, 0], atol=1e-12)


def test_columns_are_in_the_order_of_their_names_and_within_one() -> None:
    stamps = STAMPS["half-hourly in a zone"]
    names = names_of("test", NAMES, ["DE", "US-CA"])
    assert names[:4] == ["hour_sin", "hour_cos", "weekday_sin", "weekday_cos"]
    assert names[-3:] == ["weekend", "holiday_DE", "holiday_US-CA"]
    found = features("test", stamps, NAMES, ["DE", "US-CA"])
    assert found.shape == (len(stamps), len(names))
    assert np.abs(found).max() <= 1
    for name, column in zip(names, found.T, strict=True):
        own = name.removesuffix("_sin").removesuffix("_cos")
        if not name.startswith("holiday"):
            part = features("test", stamps, own)
            np.testing.assert_array_equal(column, part[:, -1 if name.endswith("_cos") or own == name else 0])
    assert features("test", stamps, []).shape == (len(stamps), 0)


KNOWN_HOLIDAYS = [
    ("DE", ["2024-10-03", "2024-12-25", "2024-03-29", "2025-04-21"], ["2024-10-04", "2024-12-24", "2024-01-06"]),
    ("DE-BY", ["2024-01-06", "2024-10-03"], ["2024-01-08"]),  # Epiphany is kept in Bavaria
    ("US", ["2024-07-04", "2024-11-28", "2023-01-02"], ["2024-11-27", "2024-07-05"]),
    ("FR", ["2024-07-14", "2030-05-08"], ["2024-07-13"]),
]


@pytest.mark.parametrize(("country", "kept", "other"), KNOWN_HOLIDAYS, ids=[one[0] for one in KNOWN_HOLIDAYS])
def test_known_holidays_are_kept_all_day(country: str, kept: list[str], other: list[str]) -> None:
    assert features("test", kept, [], country).tolist() == [[1.0]] * len(kept)
    assert features("test", other, [], country).tolist() == [[0.0]] * len(other)
    late = pd.DatetimeIndex([pd.Timestamp(day) + pd.Timedelta(hours=23.5) for day in kept]).tz_localize("Asia/Tokyo")
    assert features("test", late, [], country).tolist() == [[1.0]] * len(kept)


@pytest.mark.parametrize("tz", [None, "Europe/Berlin", "America/New_York"])
def test_future_stamps_are_taken_as_forecasts_have_them(tz: str | None) -> None:
    """What comes after a series is what a longer series would have had, over a change of the clock as well."""
    whole = pd.date_range("2024-03-08", periods=24 * 40, freq="h", tz=tz)
    ahead = future(whole[99], "h", 24 * 40 - 100)
    want = features("test", whole, NAMES, "US")
    for stamps in (ahead, pd.Series(ahead), list(ahead)):
        np.testing.assert_array_equal(features("test", stamps, NAMES, "US"), want[100:])


@settings(deadline=None)
@given(st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)), st.sampled_from(["UTC", "Asia/Kolkata"]))
def test_any_date_has_its_features(date: dt.datetime, zone: str) -> None:
    for one in (date, date.replace(tzinfo=ZoneInfo(zone))):
        found = features("test", [one], NAMES)
        assert np.isfinite(found).all()
        pairs = found[0, :-1].reshape(-1, 2)
        np.testing.assert_allclose((pairs**2).sum(1), 1, rtol=1e-12)
        assert found[0, -1] == (date.weekday() >= 5)
        midnight = date.replace(hour=0, minute=0, second=0, microsecond=0)
        angle = 2 * np.pi * ((date - midnight) / dt.timedelta(days=1))
        np.testing.assert_allclose(found[0, :2], [np.sin(angle), np.cos(angle)], atol=1e-12)


@pytest.mark.parametrize("stamps", [np.arange(5), [1.0, 2.0], pd.Series([3, 4])])
def test_whole_numbers_have_no_calendar(stamps: object) -> None:
    with pytest.raises(
        InputError, match=r"fit: the stamps are numbers, such as .* use dates as stamps, or no calendar"
    ):
        features("fit", stamps, "hour")


def test_what_cannot_be_used_is_named() -> None:
    day = ["2024-01-01"]
    with pytest.raises(InputError, match=r"fit: a calendar feature is 'wekday'.* Did you mean 'weekday'\?"):
        features("fit", day, ["wekday"])
    with pytest.raises(InputError, match=r"have 'month_sin' twice"):
        names_of("fit", ["month", "month"])
    with pytest.raises(InputError, match=r"stamp 2 is missing"):
        features("fit", ["2024-01-01", None], "month")
    mixed = [pd.Timestamp("2024-01-01", tz="Europe/Berlin"), pd.Timestamp("2024-01-01", tz="Asia/Tokyo")]
    with pytest.raises(InputError, match=r"are not dates of one time zone.*pandas\.to_datetime"):
        features("fit", mixed, "month")
    with pytest.raises(InputError, match=r"are not dates of one time zone"):
        features("fit", ["yesterday?"], "month")
    with pytest.raises(InputError, match=r"holidays is 'XX', .* code of a country such as 'DE' or 'US'"):
        features("fit", day, [], "XX")
    with pytest.raises(InputError, match=r"holidays is 'DE-ZZ', .* 'DE' has the parts BB, BE,"):
        features("fit", day, [], "DE-ZZ")


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(InputError, match=r"holidays='DE' needs .* pip install 'statespace\[holidays\]'"):
        features("fit", ["2024-01-01"], [], "DE")
