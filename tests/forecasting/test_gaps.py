"""Series with gaps all over are forecast as those without."""

import numpy as np
import pandas as pd
import pytest
import torch

from statespace import Forecaster
from statespace.models import History
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


def test_targets_are_filled_between_those_that_count() -> None:
    y = torch.tensor([[1.0, 0.0, 3.0, 9.0], [5.0, 0.0, 0.0, 0.0]])
    weight = torch.tensor([[1.0, 0.0, 2.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    none = torch.zeros(2, 3)
    found, enough = Windows(History(none, none), y, (weight > 0).float(), weight).targets()
    torch.testing.assert_close(found, torch.tensor([[1.0, 2.0, 3.0, 3.0], [5.0, 5.0, 5.0, 5.0]]))
    assert enough.tolist() == [True, False]
