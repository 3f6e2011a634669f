"""Who is told of distributions that know of zeros."""

import warnings

import numpy as np
import pandas as pd
import pytest

from statespace import Forecaster
from statespace.forecasting.intermittent import note_zeros

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(0.5, 200).astype(float)
AMOUNTS = COUNTS * RNG.gamma(2.0, size=200)
SOLAR = np.maximum(0, np.sin(np.arange(200) * np.pi / 12)) * RNG.gamma(9.0, size=200)


@pytest.mark.parametrize(("values", "name"), [(COUNTS, "negative-binomial"), (AMOUNTS, "tweedie")])
def test_intermittent_series_are_told_of_a_distribution(values: np.ndarray, name: str) -> None:
    gaps = np.where(np.arange(200) % 17 == 0, np.nan, values)
    for series in (values, gaps):
        with pytest.warns(UserWarning, match=f"fit: [0-9]+ % of the values are zero.*distribution='{name}'"):
            note_zeros("fit", series, 7)


@pytest.mark.parametrize(
    ("values", "season"),
    [
        (COUNTS - 1, 1),
        (COUNTS + 1, 1),
        (np.zeros(50), 1),
        (np.full(50, np.nan), 1),
        (np.array([]), 1),
        (SOLAR, 24),
        (np.repeat([0.0, 3.0, 0.0], 50), 1),
    ],
    ids=["negative", "positive", "nothing", "gaps", "empty", "night", "stretches"],
)
def test_others_are_not(values: np.ndarray, season: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        note_zeros("fit", values, season)


def test_it_is_said_once_at_the_line_that_fits() -> None:
    frame = pd.DataFrame({"unique_id": "parts", "ds": np.arange(60), "y": COUNTS[:60]})
    fc = Forecaster(4, input_size=12, max_steps=1, d_model=4, d_state=4, n_layers=1, verbose=False)
    with pytest.warns(UserWarning, match="negative-binomial") as told:
        fc.fit(frame, freq=1).predict(frame)
    assert [note.filename for note in told] == [__file__]
