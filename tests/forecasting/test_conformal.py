"""Conformal offsets against the definition, and the coverage that theory promises on exchangeable windows."""

import math

import numpy as np
import pytest
import torch

from statespace.forecasting.conformal import _order_statistic, calibrate
from statespace.models import QUANTILES, ForecastNetwork, History
from statespace.training import Windows

MIDDLE = len(QUANTILES) // 2


def windows(count: int, h: int, seed: int, spread: float) -> Windows:
    """Independent windows: noise around 0, and targets `spread` times as wide in later steps than in the first."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 12, generator=generator)
    y = torch.randn(count, h, generator=generator) * torch.linspace(1, spread, h)
    return Windows(History(x, torch.ones_like(x)), y, torch.ones_like(y), torch.ones_like(y))


def covered(model: ForecastNetwork, batch: Windows) -> torch.Tensor:
    """The share inside each interval, ``(h, levels)``, widest first."""
    with torch.no_grad():
        quantiles = model(batch.past).quantiles
    inside = (quantiles[..., :MIDDLE] <= batch.y[..., None]) & (
        batch.y[..., None] <= quantiles[..., MIDDLE + 1 :].flip(-1)
    )
    return inside.double().mean(0)


def model(h: int) -> ForecastNetwork:
    return ForecastNetwork(h, 12, d_model=8, n_layers=1, d_state=8).eval()


@pytest.mark.parametrize("spread", [1.0, 4.0])
def test_intervals_cover_at_least_what_they_say_step_by_step(spread: float) -> None:
    forecaster = model(3)
    calibrate(forecaster, windows(1500, 3, 1, spread))
    nominal = torch.tensor([1 - 2 * q for q in QUANTILES[:MIDDLE]], dtype=torch.float64)
    share = covered(forecaster, windows(20_000, 3, 2, spread))
    # Coverage over calibration sets is Beta(k, n + 1 - k): its standard deviation at n = 1500 is below 0.013.
    slack = 4 * torch.sqrt(nominal * (1 - nominal) / 1500)
    assert (share >= nominal - slack).all()
    assert (share <= nominal + slack + 1 / 1500).all()


def test_a_few_windows_share_one_offset_over_all_steps() -> None:
    forecaster = model(4)
    calibrate(forecaster, windows(20, 4, 3, 1.0))
    assert (forecaster.offsets == forecaster.offsets[:1]).all()
    calibrate(forecaster, windows(200, 4, 3, 3.0))
    assert not (forecaster.offsets == forecaster.offsets[:1]).all()


def test_offsets_are_the_order_statistics_of_the_scores() -> None:
    forecaster, batch = model(2), windows(150, 2, 4, 2.0)
    batch = batch._replace(y_observed=(torch.rand(150, 2, generator=torch.Generator().manual_seed(0)) > 0.2).float())
    with torch.no_grad():
        raw = forecaster.raw(batch.past)
        location, scale = raw.location, raw.scale
        quantiles = (forecaster.read(raw).quantiles - location[..., None]) / scale[..., None]
    calibrate(forecaster, batch)
    y = (batch.y - location) / scale
    for low, q in enumerate(QUANTILES[:MIDDLE]):
        for step in range(2):
            scores = sorted(
                max(float(quantiles[i, step, low] - y[i, step]), float(y[i, step] - quantiles[i, step, -1 - low]))
                for i in range(150)
                if batch.y_observed[i, step]
            )
            rank = min(math.ceil(round((len(scores) + 1) * (1 - 2 * q), 6)), len(scores))
            assert float(forecaster.offsets[step, -1 - low]) == pytest.approx(scores[rank - 1], rel=1e-6, abs=1e-7)
            assert float(forecaster.offsets[step, low]) == -float(forecaster.offsets[step, -1 - low])


def test_no_scores_move_nothing() -> None:
    assert _order_statistic(torch.full((5, 2), torch.nan), 0.9).tolist() == [0.0, 0.0]
    assert _order_statistic(torch.tensor([[3.0], [1.0], [torch.nan], [2.0]]), 0.5).tolist() == [2.0]


def test_quantiles_stay_in_order_after_calibration() -> None:
    forecaster = model(3)
    with torch.no_grad():
        forecaster.offsets.normal_(std=3.0)
    quantiles = forecaster(History(torch.randn(64, 12), torch.ones(64, 12))).quantiles.detach()
    assert (quantiles.diff(dim=-1) >= 0).all()
    assert np.isfinite(quantiles.numpy()).all()
