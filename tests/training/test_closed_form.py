"""The readout in closed form: against scikit-learn's ridge regression, and left-out errors against refitting."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor, nn

from statespace.models.history import History
from statespace.models.instance_norm import Normalised, normalise
from statespace.training import closed_form
from statespace.training.closed_form import fit_readout
from statespace.training.windows import WindowSource

SIZE, H, STEPS = 12, 3, 400


def features(past: History, window: Normalised) -> Tensor:
    return torch.cat([window.x, window.x[:, -4:].square()], dim=1)


GROUPS = torch.cat([torch.zeros(SIZE), torch.ones(4)]).long()


def origins(first: int, last: int) -> tuple[Tensor, Tensor]:
    position = torch.arange(first, last + 1)
    return torch.zeros_like(position), position


BLOCKS = [origins(SIZE, 130 - H), origins(130, 260 - H), origins(260, STEPS - H)]
BETWEEN = tuple(torch.cat(parts) for parts in zip(origins(131 - H, 129), origins(261 - H, 259), strict=True))


def series(seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    t = np.arange(STEPS)
    return torch.as_tensor(np.sin(t / 3) + 0.1 * rng.standard_normal(STEPS).cumsum(), dtype=torch.float32)


def repeat() -> nn.Linear:
    readout = nn.Linear(SIZE + 4, H)
    nn.init.zeros_(readout.weight)
    nn.init.zeros_(readout.bias)
    with torch.no_grad():
        readout.weight[:, SIZE - 1] = 1.0
    return readout


def rows(source: WindowSource, at: tuple[Tensor, Tensor]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, errors of repeating the last value, and weights, each as plain regression takes them."""
    batch = source.cut(*at)
    window = normalise(batch.past.x, batch.past.observed)
    phi = torch.cat([features(batch.past, window), torch.ones(len(batch.y), 1)], 1)
    error = (batch.y - batch.past.x[:, -1:]) / window.scale
    return phi.double().numpy(), error.double().numpy(), window.scale[:, 0].double().square().numpy()


def joined(source: WindowSource, parts: list[tuple[Tensor, Tensor]]) -> list[np.ndarray]:
    return [np.concatenate(each) for each in zip(*(rows(source, part) for part in parts), strict=True)]


@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_weights_and_left_out_errors_are_those_of_ridge_regression(
    penalty: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closed_form, "PENALTIES", (penalty,))
    source = WindowSource(series(), torch.tensor([STEPS]), SIZE, H)
    readout = repeat()
    choice = fit_readout(readout, features, GROUPS, source, BLOCKS, BETWEEN)
    assert choice.penalties == (penalty, penalty)

    phi, error, weights = joined(source, [*BLOCKS, BETWEEN])
    diagonal = (weights[:, None] * phi**2).mean(0)
    groups = np.append(GROUPS.numpy(), 0)
    unit = np.array([diagonal[groups == group].mean() for group in (0, 1)])[groups]

    def ridge(parts: list[tuple[Tensor, Tensor]]) -> np.ndarray:
        """Fit with columns scaled so that one penalty serves all."""
        phi, error, weights = joined(source, parts)
        model = Ridge(alpha=penalty * len(phi), fit_intercept=False, solver="svd")
        return model.fit(phi / np.sqrt(unit), error, sample_weight=weights).coef_.T / np.sqrt(unit)[:, None]

    change = ridge([*BLOCKS, BETWEEN])
    # Moments are summed in float32.
    np.testing.assert_allclose((readout.weight - repeat().weight).detach().numpy(), change[:-1].T, atol=2e-4)
    np.testing.assert_allclose(readout.bias.detach().numpy(), change[-1], atol=2e-4)
    squared = []
    for k, block in enumerate(BLOCKS):
        known = ridge([other for j, other in enumerate(BLOCKS) if j != k])
        phi, error, weights = rows(source, block)
        squared.append(weights[:, None] * (error - phi @ known) ** 2)
    assert choice.error == pytest.approx(np.concatenate(squared).mean(), rel=1e-3)


def test_a_random_walk_is_left_to_its_last_value() -> None:
    walk = torch.randn(STEPS, generator=torch.Generator().manual_seed(1)).cumsum(0)
    readout = repeat()
    choice = fit_readout(readout, features, GROUPS, WindowSource(walk, torch.tensor([STEPS]), SIZE, H), BLOCKS, BETWEEN)
    assert choice.error <= choice.start_error
    assert (readout.weight - repeat().weight).abs().max() < 0.1


def test_windows_with_gaps_among_their_targets_do_not_count() -> None:
    values = series()
    values[200] = torch.nan
    gap = WindowSource(values, torch.tensor([STEPS]), SIZE, H)
    kept = [tuple(part[(position > 200) | (position <= 200 - H)] for part in (at, position)) for at, position in BLOCKS]
    first, second = repeat(), repeat()
    fit_readout(first, features, GROUPS, gap, BLOCKS, BETWEEN)
    fit_readout(second, features, GROUPS, gap, kept, BETWEEN)
    assert torch.equal(first.weight, second.weight)


def test_one_stretch_of_time_leaves_the_start() -> None:
    readout = repeat()
    source = WindowSource(series(), torch.tensor([STEPS]), SIZE, H)
    choice = fit_readout(readout, features, GROUPS, source, BLOCKS[:1], BETWEEN)
    assert choice.penalties == (float("inf"), float("inf"))
    assert torch.equal(readout.weight, repeat().weight)
