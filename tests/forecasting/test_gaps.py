"""Series with gaps all over are forecast as those without."""

import numpy as np
import pandas as pd
import pytest
import torch

from statespace import Forecaster
from statespace.errors import InputError
from statespace.models import ForecastNetwork, History
from statespace.training import Windows


@pytest.mark.parametrize("missing", [0.0, 0.2, 0.4])
def test_what_is_missing_here_and_there_hardly_matters(missing: float) -> None:
    rng, time = np.random.default_rng(0), np.arange(624)
    truth = np.sin(2 * np.pi * time / 12.4) + 0.4 * np.sin(2 * np.pi * time / 25)
    y = np.where(rng.random(624) < missing, np.nan, truth + 0.05 * rng.normal(size=624))
    frame = pd.DataFrame({"unique_id": "pier", "ds": time, "y": y})
    fc = Forecaster(24, input_size=72, max_steps=2, d_model=4, d_state=4, n_layers=1, random_seed=0, verbose=False)
    found = fc.fit(frame.iloc[:600]).predict()["S4D"]
    assert np.abs(found - truth[600:]).mean() < 0.15  # of a deviation of 0.76


@pytest.mark.parametrize("silent", [0, 1, 4, 24])
def test_behind_a_gap_the_bands_are_as_wide_as_they_are_so_many_steps_later(silent: int) -> None:
    """A random walk whose last values are missing: n steps ahead, silent + n have passed."""
    torch.manual_seed(0)
    network = ForecastNetwork(6, 24, "s4d", d_model=4, n_layers=1, d_state=4, scaler="none").eval()
    torch.nn.init.zeros_(network.head.weight)
    network.begin_at(torch.zeros(6, 24), torch.arange(1, 31).sqrt(), torch.zeros(1, 0))
    observed = torch.ones(2, 24)
    observed[1, 24 - silent :] = 0
    with torch.no_grad():
        found = network(History(torch.randn(2, 24) * observed, observed)).quantiles
    width = found[..., -1] - found[..., 0]
    steps = torch.arange(1, 7)
    torch.testing.assert_close(width[1] / width[0], ((silent + steps) / steps).sqrt())


def test_the_bands_behind_a_gap_hold_what_they_say() -> None:
    rng = np.random.default_rng(0)
    walk = rng.standard_normal((200, 126)).cumsum(1)
    fc = Forecaster(6, input_size=36, season_length=1, max_steps=20, d_model=4, d_state=4, n_layers=1, verbose=False)
    fc.fit(pd.DataFrame({"unique_id": "walk", "ds": np.arange(120), "y": walk[0, :120]}))
    names = np.arange(200).repeat(120)
    frame = pd.DataFrame({"unique_id": names, "ds": np.tile(np.arange(120), 200), "y": walk[:, :120].ravel()})
    frame.loc[frame["ds"] > 114, "y"] = np.nan  # the last five
    found = fc.predict(frame, level=80)
    inside = found["S4D"].notna() & found["S4D-lo-80"].le(walk[:, 120:].ravel())
    assert (inside & found["S4D-hi-80"].ge(walk[:, 120:].ravel())).mean() == pytest.approx(0.8, abs=0.1)


def test_targets_are_filled_between_those_that_count() -> None:
    y = torch.tensor([[1.0, 0.0, 3.0, 9.0], [5.0, 0.0, 0.0, 0.0]])
    weight = torch.tensor([[1.0, 0.0, 2.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    none = torch.zeros(2, 3)
    found, enough = Windows(History(none, none), y, (weight > 0).float(), weight).targets()
    torch.testing.assert_close(found, torch.tensor([[1.0, 2.0, 3.0, 3.0], [5.0, 5.0, 5.0, 5.0]]))
    assert enough.tolist() == [True, False]


@pytest.mark.filterwarnings("ignore:.*no two rows are neighbours")
@pytest.mark.parametrize("count", [1, 3])
def test_a_freq_on_which_no_two_values_are_neighbours_is_said_to_be_the_cause(count: int) -> None:
    months = pd.date_range("2020-01-01", periods=36, freq="MS")
    df = pd.concat([pd.DataFrame({"unique_id": name, "ds": months, "y": np.arange(36.0)}) for name in range(count)])
    with pytest.raises(InputError, match="at freq 'D' no two values are neighbours, the nearest are 28 steps apart"):
        Forecaster(6, verbose=False).fit(df, freq="D")
