"""What each series has of its own: against scikit-learn's ridge regression, and chosen where it serves."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from statespace.models.instance_norm import normalise
from statespace.models.linear_path import LinearPath
from statespace.training import own_readout
from statespace.training.closed_form import Fit, fit_readout
from statespace.training.own_readout import OWN_PENALTIES, fit_own
from statespace.training.windows import WindowSource

SIZE, H, STEPS = 8, 2, 600
CUTS = (SIZE, 200, 400, STEPS)


def process(a: float, seed: int) -> Tensor:
    """An autoregression of the second order around zero."""
    noise, x = np.random.default_rng(seed).standard_normal(STEPS), np.zeros(STEPS)
    for t in range(2, STEPS):
        x[t] = 2 * 0.95 * np.cos(a) * x[t - 1] - 0.95**2 * x[t - 2] + noise[t]
    return torch.as_tensor(x, dtype=torch.float32)


def origins(first: int, last: int, series: int) -> tuple[Tensor, Tensor]:
    position = torch.arange(first, last + 1).repeat(series, 1) + STEPS * torch.arange(series)[:, None]
    return torch.arange(series).repeat_interleave(last + 1 - first), position.reshape(-1)


def fitted(rates: list[float], penalties: Tensor | None = None) -> tuple[LinearPath, LinearPath, WindowSource, Tensor]:
    """The path with its own parts, the common path, the series, and the penalties."""
    count = len(rates)
    source = WindowSource(
        torch.cat([process(rate, seed) for seed, rate in enumerate(rates)]),
        torch.full((count,), STEPS),
        SIZE,
        H,
    )
    blocks = [origins(first, last - H, count) for first, last in itertools.pairwise(CUTS)]
    cuts = [origins(cut - H + 1, cut - 1, count) for cut in CUTS[1:-1]]
    between = torch.cat([part[0] for part in cuts]), torch.cat([part[1] for part in cuts])
    path = LinearPath(SIZE, H, series=count)
    fit = fit_readout(path, lambda _, window: path.known(window), path.groups, source, blocks, between)
    common = LinearPath(SIZE, H)
    common.load_state_dict({name: part for name, part in path.state_dict().items() if name != "own"}, strict=False)
    return path, common, source, fit_own(path, source, blocks, between, fit, penalties=penalties)


def windows(source: WindowSource, series: int) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised windows of a series, their targets normalised alike, and their scales."""
    position = torch.arange(SIZE, STEPS - H + 1) + STEPS * series
    batch = source.cut(torch.full_like(position, series), position)
    window = normalise(batch.past.x, batch.past.observed)
    return window, (batch.y - window.location) / window.scale, window.scale[:, 0]


@pytest.mark.parametrize("penalty", [0.03, 1.0])
def test_it_is_ridge_regression_towards_what_all_have_in_common(penalty: float) -> None:
    path, common, source, _ = fitted([0.3, 0.9], torch.tensor([penalty, float("inf")]))
    window, y, scale = windows(source, 0)
    left = (y - common.read(window)).detach().double().numpy()
    z = np.column_stack([window.x.double().numpy(), np.ones(len(y))])
    square = scale.double().square().numpy()
    alpha = penalty * (square[:, None] * z**2).sum(0).mean()
    want = Ridge(alpha=alpha, fit_intercept=False, solver="svd").fit(z, left, sample_weight=square).coef_
    np.testing.assert_allclose(path.own[0].numpy(), want, atol=1e-4)
    assert not path.own[1].any()


def test_series_apart_get_a_part_of_their_own_and_forecast_better_by_it() -> None:
    path, common, source, penalties = fitted([0.3, 0.9, 1.6])
    assert (penalties < float("inf")).all()
    for series in range(3):
        window, y, _ = windows(source, series)
        own = path.read(window, series=torch.full((len(y),), series))
        assert (y - own).square().mean() < 0.9 * (y - common.read(window)).square().mean()
        # A series that is not known is forecast by the common path.
        assert torch.equal(path.read(window, series=torch.full((len(y),), -1)), common.read(window))


def test_series_alike_are_left_to_what_they_have_in_common() -> None:
    _, _, _, penalties = fitted([0.5] * 6)
    assert (penalties == float("inf")).sum() >= 4  # chance may help one or another


def test_errors_of_stretches_left_out_are_those_of_fitting_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[tuple[Fit, Tensor]] = []
    judge = own_readout.SeriesWindows.judge

    def listening(windows: own_readout.SeriesWindows, fit: Fit, block: Tensor) -> Tensor:
        judged.append((fit, judge(windows, fit, block)))
        return judged[-1][1]

    monkeypatch.setattr(own_readout.SeriesWindows, "judge", listening)
    path, _, source, _ = fitted([0.3, 0.9])
    fit, found = judged[0]
    window, y, scale = windows(source, 0)
    known = torch.cat([path.known(window), torch.ones(len(y), 1)], 1).double()
    whole = torch.cat([path.weight, path.bias[:, None]], 1).double().T
    z, square = np.column_stack([window.x.double(), np.ones(len(y))]), scale.double().square().numpy()
    at = np.arange(SIZE, STEPS - H + 1)
    parts = [(at >= first) & (at <= last - H) for first, last in itertools.pairwise(CUTS)]
    squared = np.zeros(len(OWN_PENALTIES))
    for part, left_out in zip(parts, fit.left_out, strict=True):
        left = (y - known @ (whole - fit.change + left_out)).detach().numpy()
        others = np.any([other for other in parts if other is not part], axis=0)
        for number, penalty in enumerate(OWN_PENALTIES):
            own = np.zeros((H, SIZE + 1))
            if penalty < float("inf"):
                alpha = penalty * (square[others, None] * z[others] ** 2).sum(0).mean()
                ridge = Ridge(alpha=alpha, fit_intercept=False, solver="svd")
                own = ridge.fit(z[others], left[others], sample_weight=square[others]).coef_
            squared[number] += (square[part, None] * (left[part] - z[part] @ own.T) ** 2).sum()
    np.testing.assert_allclose(found.numpy(), squared, rtol=1e-4)
