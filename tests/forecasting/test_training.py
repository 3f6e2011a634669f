"""How the linear path is made: when features of random systems are read, and what going on leaves of them."""

import numpy as np
import pandas as pd
import pytest
import torch

from statespace import Forecaster

SMALL = {"max_steps": 2, "d_model": 4, "n_layers": 1, "d_state": 4, "verbose": False}


def counts(steps: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    mean = 5 + 4 * np.sin(2 * np.pi * np.arange(steps) / 12)
    return pd.DataFrame({"unique_id": "a", "ds": np.arange(steps), "y": rng.poisson(mean).astype(float)})


@pytest.fixture(autouse=True)
def _few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("statespace.forecasting.fitting.FEATURES", 32)
    monkeypatch.setattr("statespace.forecasting.fitting.ENOUGH", 100)


@pytest.mark.parametrize(
    ("distribution", "steps", "features"),
    [
        ("quantile", 300, 32),
        ("quantile", 90, 0),
        ("student-t", 300, 32),
        ("negative-binomial", 300, 0),
        ("tweedie", 300, 0),
    ],
)
def test_features_are_read_where_a_closed_form_fits_their_weights(distribution: str, steps: int, features: int) -> None:
    fc = Forecaster(3, 12, distribution=distribution, **SMALL).fit(counts(steps), 1)  # type: ignore[arg-type]
    linear = fc._fitted.network.linear
    assert (0 if linear.bank is None else linear.bank.features) == features


def test_going_on_leaves_the_features_as_they_are() -> None:
    """Weights of features belong to their scale: other series must not change it beneath them."""
    fc = Forecaster(3, 12, **SMALL).fit(counts(300), 1)  # type: ignore[arg-type]  # a dictionary of options
    bank = fc._fitted.network.linear.bank
    with torch.no_grad():  # as if the closed form had made use of them
        fc._fitted.network.linear.weight[:, -1] = 0.1
    before = bank.mix.clone()
    fc.fit(counts(300, 1).assign(y=lambda f: f["y"].cumsum()), 1, warm_start=True)
    after = fc._fitted.network.linear.bank
    assert after is not None
    assert torch.equal(after.mix, before)
