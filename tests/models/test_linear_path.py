"""The linear path at its own rate and at others, against a loop that reads the window as it is written."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from statespace.models.instance_norm import Normalised
from statespace.models.linear_path import LinearPath, filled, seasonal_naive

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


def one_row(made: LinearPath, x: np.ndarray, dt_scale: Fraction, n: int, earlier: Fraction) -> float:
    """Apply row n to the window that ended some time before now, sample by sample; what no window reaches is zero."""
    total = float(made.bias[n - 1])
    for k in range(L):
        place = (len(x) - 1) - (k + earlier) / dt_scale
        low = math.floor(place)
        first = x[low] if low >= 0 else 0.0
        second = x[min(low + 1, len(x) - 1)] if low + 1 >= 0 else 0.0
        total += float(made.weight[n - 1, L - 1 - k]) * (first + float(place - low) * (second - first))
    return total


def by_hand(made: LinearPath, x: np.ndarray, dt_scale: Fraction, steps: int) -> np.ndarray:
    """Between two rows: the mean of the later one, read as much earlier, and of the line from the one before to it."""
    out = np.zeros((len(x), steps))
    for i, j in np.ndindex(out.shape):
        tau = dt_scale * (j + 1)
        n = math.ceil(tau)
        earlier, later = (one_row(made, x[i], dt_scale, n, ago) for ago in (n - tau, Fraction(0)))
        before = x[i, -1] if n == 1 else one_row(made, x[i], dt_scale, n - 1, Fraction(0))
        line = before + float(tau - n + 1) * (later - before)
        out[i, j] = earlier if tau == n else (earlier + line) / 2
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


def test_at_another_rate_as_well_a_window_is_read_without_its_gaps() -> None:
    """The last two values are missing, and the one before them is held."""
    made, x = path(), torch.randn(1, 2 * L, dtype=torch.float64)
    observed, zero = torch.ones_like(x), x.new_zeros(1, 1)
    observed[:, -2:] = 0
    found = made.read(Normalised(x * observed, zero, zero + 1, observed), 0.5).detach()
    held = x.clone()
    held[:, -2:] = x[:, -3:-2]
    np.testing.assert_allclose(found, by_hand(made, held.numpy(), Fraction(1, 2), 2 * H), rtol=0, atol=1e-10)


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


def fill_one(x: np.ndarray, seen: np.ndarray, season: int) -> np.ndarray:
    """A window value by value, from its first one on and then back to its beginning."""
    x = np.where(seen, x, np.nan)
    if not seen.any():
        return np.zeros_like(x)
    if season == 1:
        return np.interp(np.arange(len(x)), np.flatnonzero(seen), x[seen])
    for _ in range(2):
        first = int(np.flatnonzero(~np.isnan(x))[0])
        last = first
        for t in range(first, len(x)):
            if not np.isnan(x[t]):
                if seen[t]:
                    last = t
                continue
            if t - season < first:
                x[t] = x[last]
            else:
                x[t] = x[t - season] + (x[last] - x[last - season] if last - season >= first else 0)
        x, seen = x[::-1].copy(), np.ones_like(seen)
        seen[len(x) - first :] = False
    return x


@pytest.mark.parametrize("season", [1, 4, 7])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_gaps_are_filled_as_value_by_value(season: int, share: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 24)).cumsum(1)
    seen = rng.random(x.shape) > share
    seen[:5, :9] = seen[5:10, -6:] = seen[10] = False
    found = filled(torch.tensor(x * seen), torch.tensor(seen, dtype=torch.float64), season)
    for row, want in enumerate(map(fill_one, x, seen, [season] * len(x))):
        np.testing.assert_allclose(found[row], want, atol=1e-12, err_msg=str(row))


def test_a_season_with_a_trend_goes_on_through_gaps() -> None:
    time = np.arange(36)
    x = np.sin(2 * np.pi * time / 12) + 0.5 * (time // 12)
    seen = np.ones(36)
    seen[-5:] = seen[:4] = 0
    found = filled(torch.tensor(x * seen)[None], torch.tensor(seen)[None], 12)[0]
    np.testing.assert_allclose(found, x, atol=1e-12)
