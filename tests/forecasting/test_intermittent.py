"""Who is told of distributions that know of zeros."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from statespace import Forecaster
from statespace.forecasting.intermittent import note_zeros
from statespace.models import OUTPUTS

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


def few(distribution: str, values: np.ndarray, intervals: str = "quantile") -> Forecaster:
    df = pd.DataFrame({"unique_id": "shop", "ds": np.arange(len(values)), "y": values})
    options = {"d_model": 4, "d_state": 4, "n_layers": 1, "season_length": 1, "max_steps": 5, "verbose": False}
    return Forecaster(5, input_size=10, distribution=distribution, intervals=intervals, **options).fit(df)


@pytest.mark.parametrize("intervals", ["quantile", "conformal"])
def test_bands_and_paths_of_counts_are_whole_numbers_from_zero_on(intervals: str) -> None:
    fc = few("negative-binomial", np.random.default_rng(0).poisson(5, 150).astype(float), intervals)
    bands = fc.predict(h=12, level=[50, 80, 95, 99]).iloc[:, 3:].to_numpy()
    np.testing.assert_array_equal(bands, np.rint(bands))
    paths = fc.simulate(500, h=12)["S4D"]
    np.testing.assert_array_equal(paths, np.rint(paths))
    assert paths.min() >= 0


@pytest.mark.parametrize(
    ("name", "want"),
    [("negative-binomial", [0, 0, 2, 7]), ("tweedie", [0, 0.4, 2.4, 7]), ("normal", [-1.5, 0.4, 2.4, 7])],
)
def test_what_is_drawn_beyond_the_quantiles_can_come(name: str, want: list[float]) -> None:
    np.testing.assert_array_equal(
        OUTPUTS[name]().possible(torch.tensor([-1.5, 0.4, 2.4, 7.0], dtype=torch.float64)), want
    )


def test_paths_of_positive_values_under_the_logarithm_are_positive() -> None:
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(size=150) + np.linspace(0, 3, 150))
    paths = few("quantile", values).simulate(2000)["S4D"]
    assert paths.gt(0).all()
