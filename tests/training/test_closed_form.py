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
from statespace.training.windows import Beside, WindowSource

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


Origins = tuple[Tensor, Tensor]


def rows(source: WindowSource, parts: list[Origins], drawn_to: nn.Linear) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, what a readout leaves of the targets, and weights, each as plain regression takes them."""
    batch = source.cut(*(torch.cat(each) for each in zip(*parts, strict=True)))
    window = normalise(batch.past.x, batch.past.observed)
    known = features(batch.past, window)
    error = (batch.y - window.location) / window.scale - drawn_to(known)
    phi = torch.cat([known, torch.ones(len(batch.y), 1)], 1)
    return phi.double().numpy(), error.detach().double().numpy(), window.scale[:, 0].double().square().numpy()


class Refit:
    """Ridge regression by scikit-learn towards a readout, on columns scaled so that one penalty serves all."""

    def __init__(self, source: WindowSource, drawn_to: nn.Linear, penalty: float) -> None:
        self.source, self.drawn_to, self.penalty = source, drawn_to, penalty
        phi, _, weights = rows(source, [*BLOCKS, BETWEEN], drawn_to)
        diagonal = (weights[:, None] * phi**2).mean(0)
        groups = np.append(GROUPS.numpy(), 0)
        self.root = np.sqrt(np.array([diagonal[groups == group].mean() for group in (0, 1)]))[groups]

    def change(self, parts: list[Origins]) -> np.ndarray:
        phi, error, weights = rows(self.source, parts, self.drawn_to)
        model = Ridge(alpha=self.penalty * len(phi), fit_intercept=False, solver="svd")
        return model.fit(phi / self.root, error, sample_weight=weights).coef_.T / self.root[:, None]

    def left_out(self) -> float:
        squared = []
        for k, block in enumerate(BLOCKS):
            phi, error, weights = rows(self.source, [block], self.drawn_to)
            known = self.change([other for j, other in enumerate(BLOCKS) if j != k])
            squared.append(weights[:, None] * (error - phi @ known) ** 2)
        return float(np.concatenate(squared).mean())


@pytest.mark.parametrize("penalty", [0.01, 1.0])
@pytest.mark.parametrize("from_zero", [False, True])
def test_weights_and_left_out_errors_are_those_of_ridge_regression(
    penalty: float, from_zero: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closed_form, "PENALTIES", (penalty,))
    # A level that wanders is best told by its last value, noise by the window's mean.
    values = series() if not from_zero else torch.randn(STEPS, generator=torch.Generator().manual_seed(2))
    source = WindowSource(values, torch.tensor([STEPS]), SIZE, H)
    readout = repeat()
    choice, _, left_out = fit_readout(readout, features, GROUPS, source, BLOCKS, BETWEEN)
    assert choice[:2] == ((penalty, penalty), from_zero)
    drawn_to = repeat()
    if from_zero:
        nn.init.zeros_(drawn_to.weight)
    refit = Refit(source, drawn_to, penalty)
    change = refit.change([*BLOCKS, BETWEEN])
    # Moments are summed in float32.
    np.testing.assert_allclose((readout.weight - drawn_to.weight).detach().numpy(), change[:-1].T, atol=2e-4)
    np.testing.assert_allclose(readout.bias.detach().numpy(), change[-1], atol=2e-4)
    assert choice.error == pytest.approx(refit.left_out(), rel=1e-3)
    for block, found in enumerate(left_out):
        others = refit.change([other for number, other in enumerate(BLOCKS) if number != block])
        drawn = np.vstack(
            [(drawn_to.weight - repeat().weight).detach().T, (drawn_to.bias - repeat().bias).detach()[None]]
        )
        np.testing.assert_allclose(found.numpy(), others + drawn, atol=2e-4)


def test_the_unit_of_a_series_says_how_much_its_errors_count() -> None:
    values = torch.cat([series(1), 5 * series(2)])
    lengths = torch.tensor([STEPS, STEPS])
    second = [(torch.cat([at, at + 1]), torch.cat([position, position + STEPS])) for at, position in [*BLOCKS, BETWEEN]]
    heavy, alone = repeat(), repeat()
    source = WindowSource(values, lengths, SIZE, H, Beside(unit=torch.tensor([1.0, 1e6])))
    fit_readout(heavy, features, GROUPS, source, second[:-1], second[-1])
    fit_readout(alone, features, GROUPS, WindowSource(values[:STEPS], lengths[:1], SIZE, H), BLOCKS, BETWEEN)
    # Penalties are relative to all windows, of which half count for nothing here: the same in both.
    torch.testing.assert_close(heavy.weight, alone.weight, atol=1e-4, rtol=1e-3)


def test_a_random_walk_is_left_to_its_last_value() -> None:
    walk = torch.randn(STEPS, generator=torch.Generator().manual_seed(1)).cumsum(0)
    readout = repeat()
    choice = fit_readout(
        readout, features, GROUPS, WindowSource(walk, torch.tensor([STEPS]), SIZE, H), BLOCKS, BETWEEN
    ).choice
    assert choice.error <= choice.start_error
    assert (readout.weight - repeat().weight).abs().max() < 0.1


def test_windows_with_less_than_half_of_their_targets_do_not_count() -> None:
    values = series()
    values[200:202] = torch.nan  # one of three targets is there from 199 and from 200 on
    gap = WindowSource(values, torch.tensor([STEPS]), SIZE, H)
    kept = [tuple(part[(position < 199) | (position > 200)] for part in (at, position)) for at, position in BLOCKS]
    first, second = repeat(), repeat()
    fit_readout(first, features, GROUPS, gap, BLOCKS, BETWEEN)
    fit_readout(second, features, GROUPS, gap, kept, BETWEEN)
    assert torch.equal(first.weight, second.weight)


def test_one_stretch_of_time_leaves_the_start() -> None:
    readout = repeat()
    source = WindowSource(series(), torch.tensor([STEPS]), SIZE, H)
    choice = fit_readout(readout, features, GROUPS, source, BLOCKS[:1], BETWEEN).choice
    assert choice[:2] == ((float("inf"), float("inf")), False)
    assert torch.equal(readout.weight, repeat().weight)


def test_spare_features_serve_only_where_the_window_teaches_nothing() -> None:
    generator = torch.Generator().manual_seed(1)
    for values, used in ((series(), False), (torch.randn(STEPS, generator=generator).cumsum(0), True)):
        source = WindowSource(values, torch.tensor([STEPS]), SIZE, H)
        choice = fit_readout(repeat(), features, GROUPS, source, BLOCKS, BETWEEN, spare=(1,)).choice
        assert (choice.penalties[0] == float("inf")) == used
        if not used:
            assert choice.penalties[1] == float("inf")
