"""How many steps a week has, against pandas' own arithmetic."""

import pandas as pd
import pytest

from statespace.forecasting.calendar import IRREGULAR, week_length


@pytest.mark.parametrize("freq", ["h", "30min", "15min", "6h", "min"])
def test_a_week_of_parts_of_days_is_as_many_stamps_as_pandas_makes(freq: str) -> None:
    assert week_length(freq) == len(pd.date_range("2024-01-01", "2024-01-08", freq=freq, inclusive="left"))


@pytest.mark.parametrize("freq", ["D", "W-SUN", "MS", "B", 1, 24, "5h", IRREGULAR])
def test_other_steps_have_none(freq: str | int) -> None:
    assert week_length(freq) == 1
