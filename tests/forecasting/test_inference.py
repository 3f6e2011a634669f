"""Frequencies read off stamps, gaps and all, against pandas.date_range."""

import numpy as np
import pandas as pd
import pytest

from statespace.errors import InputError
from statespace.forecasting.calendar import KNOWN, check_freq, future, past, positions, season_length
from statespace.forecasting.inference import infer_freq

FREQS = [
    *("s", "10s", "min", "15min", "90min", "h", "2h", "6h", "36h", "D", "2D", "5D", "30D", "B", "ms", "ns"),
    *("W-SUN", "W-WED", "2W-SUN", "4W-MON", "SMS", "SME", "MS", "ME", "BMS", "BME", "2MS", "2ME", "6MS"),
    *("QS-JAN", "QS-FEB", "QS-MAR", "QE-OCT", "QE-NOV", "QE-DEC", "BQS-FEB", "BQE-DEC", "YS-JAN", "YS-JUL", "YE-JUN"),
    *("YE-DEC", "BYS-JAN", "BYE-DEC", "2YS-JAN", "10YS-JAN"),
]
ZONES = [None, "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]


def inferred(stamps: pd.DatetimeIndex) -> str | int:
    series = pd.Series(stamps)
    return infer_freq("test", series, np.zeros(len(series), int), np.array([0]))


@pytest.mark.parametrize("freq", FREQS)
def test_the_grid_of_an_inferred_frequency_is_that_of_pandas(freq: str) -> None:
    # 150 days from a Monday that is no holiday anywhere: leap day, month and quarter ends lie within
    whole = pd.date_range("1999-11-01", periods=60, freq=freq)
    stamps = whole[:48]
    assert (future(stamps[-1], inferred(stamps), 12) == whole[48:].to_numpy()).all()
    assert (past(stamps[-1], inferred(stamps), 48) == stamps.to_numpy()).all()


@pytest.mark.parametrize("freq", FREQS)
def test_gaps_do_not_change_what_is_inferred(freq: str) -> None:
    whole = pd.date_range("1999-11-01", periods=60, freq=freq)
    kept = np.setdiff1d(np.arange(48), [5, 6, 7, 20, 30, 31])
    stamps = whole[kept]
    found = inferred(stamps)
    assert (future(stamps[-1], found, 12) == whole[48:].to_numpy()).all()
    series = pd.Series(stamps)
    assert (positions("test", series, pd.Series(stamps[0], index=series.index), found) == kept).all()


@pytest.mark.parametrize("freq", FREQS)
def test_a_frequency_that_is_given_numbers_the_stamps_of_pandas_in_order(freq: str) -> None:
    series = pd.Series(pd.date_range("1999-11-01 06:30", periods=60, freq=freq))
    first = pd.Series(series.iloc[0], index=series.index)
    assert (positions("test", series, first, freq) == np.arange(60)).all()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("freq", ["D", "2D", "h", "30min", "W-SUN", "MS", "ME", "B"])
@pytest.mark.parametrize("start", ["2020-03-01", "2020-09-27 06:00"])
def test_changes_to_and_from_summer_time_are_no_gaps(zone: str | None, freq: str, start: str) -> None:
    whole = pd.date_range(start, periods=400, freq=freq, tz=zone)
    series = pd.Series(whole[:380])
    found = inferred(whole[:380])
    assert (positions("test", series, pd.Series(whole[0], index=series.index), found) == np.arange(380)).all()
    assert (future(whole[379], found, 20) == (whole[380:] if zone else whole[380:].to_numpy())).all()


@pytest.mark.parametrize("zone", ["America/Santiago", "Asia/Beirut"])
def test_days_whose_midnight_is_skipped_are_days_all_the_same(zone: str) -> None:
    wall = pd.date_range("2020-01-01", periods=400, freq="D")
    stamps = wall.tz_localize(zone, nonexistent="shift_forward", ambiguous=np.ones(400, bool))
    assert (stamps.hour > 0).any()  # the case is there
    series = pd.Series(stamps)
    assert (positions("test", series, pd.Series(stamps[0], index=series.index), "D") == np.arange(400)).all()
    assert (future(stamps[0], "D", 399) == stamps[1:]).all()


def test_a_week_of_working_days_is_daily_until_a_weekend_is_left_out() -> None:
    assert inferred(pd.date_range("2024-01-01", periods=5)) == "D"
    assert inferred(pd.date_range("2024-01-01", periods=6, freq="B")) == "B"
    assert inferred(pd.date_range("2024-01-04", periods=3, freq="B")) == "B"


def test_stamps_on_no_calendar_are_refused() -> None:
    fifteenth = pd.date_range("2000-01-01", periods=40, freq="MS") + pd.Timedelta(days=14)
    irregular = pd.to_datetime([0, 17, 4711, 10**6, 10**6 + 13, 10**9], unit="s")
    for stamps in (fifteenth, irregular):
        with pytest.raises(InputError, match=r"freq cannot be inferred .* pass its freq, such as s, min, .* MS"):
            inferred(stamps)
    with pytest.raises(InputError, match="no series has two stamps"):
        inferred(fifteenth[:1])


def test_integer_time_steps_by_the_greatest_common_divisor() -> None:
    assert inferred(pd.Index([3, 9, 15, 33])) == 6
    assert inferred(pd.Index([0, 4, 6])) == 2
    assert list(future(33, 6, 3)) == [39, 45, 51]
    assert list(past(33, 6, 3)) == [21, 27, 33]


def test_the_next_stamps_of_month_ends_know_leap_years() -> None:
    assert [str(stamp)[:10] for stamp in future(pd.Timestamp("2024-01-31"), "ME", 2)] == ["2024-02-29", "2024-03-31"]
    assert [str(stamp)[:10] for stamp in future(pd.Timestamp("2023-12-31"), "D", 60)][-1] == "2024-02-29"


@pytest.mark.parametrize(
    "freq", ["", "x", "M", "2M", "H", "BM", "bh", "cbh", "nan", "NaT", "0D", "-1D", "-MS", "²", "--1"]
)
@pytest.mark.parametrize("kind", [True, False])
def test_an_unknown_frequency_lists_the_known(freq: str, kind: bool) -> None:
    with pytest.raises(InputError, match=r"which is not known: use an alias of pandas such as s, min, .*, YS, YE") as e:
        check_freq("test", freq, kind)
    assert all(name in str(e.value) for name in KNOWN)


@pytest.mark.parametrize(("freq", "meant"), [("M", "ME"), ("3M", "3ME"), ("H", "h"), ("T", "min"), ("d", "D")])
def test_a_frequency_of_earlier_times_says_what_it_is_now(freq: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"Did you mean '{meant}'"):
        check_freq("test", freq, False)


@pytest.mark.parametrize("freq", [None, 1.0, True, b"MS", pd.Timedelta("1D"), pd.offsets.MonthBegin()])
def test_a_frequency_is_text_or_a_whole_number(freq: object) -> None:
    with pytest.raises(InputError, match="which is not known"):
        check_freq("test", freq, False)


def test_dates_and_whole_numbers_do_not_mix() -> None:
    with pytest.raises(InputError, match="freq is 1, but the stamps are dates"):
        check_freq("test", "1", False)
    with pytest.raises(InputError, match="freq is 'MS', but the stamps are integers"):
        check_freq("test", "MS", True)
    with pytest.raises(InputError, match="a whole number from 1 on"):
        check_freq("test", 0, True)
    assert check_freq("test", "+7", True) == check_freq("test", np.int64(7), True) == 7


def test_a_stamp_off_the_grid_is_named() -> None:
    series = pd.Series(pd.to_datetime(["2024-01-01", "2024-02-01", "2024-02-02"]))
    first = pd.Series(series.iloc[0], index=series.index)
    with pytest.raises(
        InputError, match="2024-02-02 00:00:00 does not lie on a grid of freq 'MS' that starts at 2024-01"
    ):
        positions("test", series, first, "MS")
    with pytest.raises(InputError, match="2024-01-01 00:00:00 does not lie on a grid of freq 'ME': pass"):
        positions("test", series, first, "ME")


def test_leaving_the_calendar_is_said() -> None:
    last = pd.Timestamp("2262-04-01").as_unit("ns")
    with pytest.raises(InputError, match="leave the calendar"):
        future(last, "MS", 12)


@pytest.mark.parametrize(
    ("freq", "season"),
    [
        *(("MS", 12), ("ME", 12), ("BME", 12), ("2MS", 6), ("QE", 4), ("QS-FEB", 4), ("YS", 1), ("YE-JUN", 1)),
        *(("W-SAT", 52), ("2W", 26), ("D", 7), ("B", 5), ("SMS", 24), ("30D", 1), ("10YS", 1), (1, 1)),
        *(("h", 24), ("2h", 12), ("30min", 48), ("s", 60), ("10s", 6), ("7h", 1), ("36h", 1)),
    ],
)
def test_the_season_is_the_one_people_expect(freq: str | int, season: int) -> None:
    assert season_length(freq) == season
