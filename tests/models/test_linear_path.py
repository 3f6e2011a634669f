"""The linear path at its own rate and at others, against a loop that reads the window as it is written."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from statespace.models.instance_norm import Normalised
from statespace.models.linear_path import LinearPath, seasonal_naive

L, H = 24, 6


def path() -> LinearPath:
    torch.manual_seed(0)
    made = LinearPath(L, H).double()
    with torch.no_grad():
        made.weight.normal_()
        made.bias.normal_()
    return made


def read(made: LinearPath, x: torch.Tensor, dt_scale: float = 1.0, steps: int | None = None) -> torch.Tensor:
    zero = x.new_zeros(len(x), 1)
    return made.read(Normalised(x, zero, zero + 1), dt_scale, steps).detach()


def by_hand(made: LinearPath, x: np.ndarray, dt_scale: Fraction, steps: int) -> np.ndarray:
    """Apply row n to the window that ended n - τ before now, sample by sample; what no window reaches is zero."""
    weight, bias = made.weight.detach().numpy(), made.bias.detach().numpy()
    out = np.zeros((len(x), steps))
    for j in range(steps):
        tau = dt_scale * (j + 1)
        n = math.ceil(tau)
        for i in range(len(x)):
            total = bias[n - 1]
            for k in range(L):
                place = (x.shape[1] - 1) - (k + n - tau) / dt_scale
                low = math.floor(place)
                first = x[i, low] if low >= 0 else 0.0
                second = x[i, min(low + 1, x.shape[1] - 1)] if low + 1 >= 0 else 0.0
                total += weight[n - 1, L - 1 - k] * (first + float(place - low) * (second - first))
            out[i, j] = total
    return out


@pytest.mark.parametrize("rate", ["1/2", "2", "3/4", "1/3", "1"])
def test_other_rates_are_the_loop(rate: str) -> None:
    made, dt_scale = path(), Fraction(rate)
    x = torch.randn(3, round(L / dt_scale), dtype=torch.float64)
    steps = math.floor(H / dt_scale)
    found = read(made, x, float(dt_scale))
    assert found.shape == (3, steps)
    np.testing.assert_allclose(found, by_hand(made, x.numpy(), dt_scale, steps), rtol=0, atol=1e-10)
    torch.testing.assert_close(read(made, x, float(dt_scale), 2), found[:, :2])


@pytest.mark.parametrize("rate", [0.5, 0.25, 2.0])
def test_a_straight_line_is_forecast_the_same_at_any_rate(rate: float) -> None:
    """Interpolation is exact on it, so at common times, away from the window's far end, all rates agree."""
    made = path()
    with torch.no_grad():
        made.weight[:, : L // 2] = 0
    time = torch.arange(-L + 1, 1, dtype=torch.float64)
    want = read(made, (2 * time + 1)[None])[0]
    other = rate * torch.arange(-round(L / rate) + 1, 1, dtype=torch.float64)
    found = read(made, (2 * other + 1)[None], rate)[0]
    both = [n for n in range(1, H + 1) if (n / rate).is_integer()]
    torch.testing.assert_close(
        found[[int(n / rate) - 1 for n in both]], want[[n - 1 for n in both]], rtol=1e-12, atol=1e-12
    )


def test_it_starts_as_the_seasonal_naive_forecast_with_damped_drift() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=L)
    season = 5
    np.testing.assert_allclose(
        seasonal_naive(L, 7, season, 0.0) @ torch.tensor(x, dtype=torch.float32),
        [x[L - season + j % season] for j in range(7)],
        rtol=1e-6,
    )
    means = x[L - 20 :].reshape(4, season).mean(1)
    change = (means[-1] - means[0]) / 3
    np.testing.assert_allclose(
        seasonal_naive(L, 7, season, 0.5) @ torch.tensor(x, dtype=torch.float32),
        [x[L - season + j % season] + change * (0.5, 0.75)[j // season] for j in range(7)],
        rtol=1e-5,
        atol=1e-6,
    )
