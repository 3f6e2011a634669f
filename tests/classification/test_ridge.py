"""The readout against the normal equations, and its predictions for cases left out against really leaving them out."""

import pytest
import torch

from statespace.classification.ridge import PENALTIES, fit_readout


def left_out_by_hand(F: torch.Tensor, Y: torch.Tensor, share: torch.Tensor, penalty: float) -> torch.Tensor:
    """Fit without each case in turn, and predict it: weighted least squares with a free constant."""
    count, width = F.shape
    A = torch.cat([F, torch.ones(count, 1, dtype=F.dtype)], 1)
    price = torch.eye(width + 1, dtype=F.dtype) * penalty
    price[-1, -1] = 1e-12
    rows = []
    for case in range(count):
        w = share * count
        w[case] = 0
        W = torch.linalg.solve(A.T @ (w[:, None] * A) + price, A.T @ (w[:, None] * Y))
        rows.append(A[case] @ W)
    return torch.stack(rows)


@pytest.mark.parametrize(("count", "width"), [(24, 60), (60, 24), (40, 40)])
@pytest.mark.parametrize("weighted", [False, True])
def test_predictions_for_cases_left_out_are_those_of_leaving_them_out(count: int, width: int, weighted: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    X = torch.randn(count, width, generator=rng) * torch.rand(width, generator=rng) + 3
    X[:, 1] = 2.0  # a feature that says nothing
    Y = X[:, :2].double() + torch.randn(count, 2, generator=rng)
    weights = torch.rand(count, generator=rng) + 0.2 if weighted else None
    readout, left_out, _ = fit_readout(X.clone(), Y, weights)
    share = (torch.ones(count) if weights is None else weights).double()
    share = share / share.sum()
    F = (X.double() - readout.mean) / readout.scale
    candidates = [(float(p), left_out_by_hand(F, Y, share.clone(), float(p))) for p in PENALTIES[::3]]
    losses = [float((share[:, None] * (Y - found).square()).sum()) for _, found in candidates]
    # Ours looks at three times as many penalties, so it does at least as well as the best of these.
    ours = float((share[:, None] * (Y - left_out).square()).sum())
    assert ours <= min(losses) * (1 + 1e-4)
    close = [float((found - left_out).abs().max()) for _, found in candidates]
    assert min(close) < 1.0
    assert ours > 0


def test_the_readout_solves_the_normal_equations_at_the_penalty_whose_left_out_predictions_it_gives() -> None:
    rng = torch.Generator().manual_seed(1)
    X, Y = torch.randn(30, 50, generator=rng), torch.randn(30, 1, generator=rng).double()
    Y = Y + X[:, :1].double()
    readout, left_out, _ = fit_readout(X.clone(), Y)
    F = (X.double() - readout.mean) / readout.scale
    share = torch.full((30,), 1 / 30, dtype=torch.float64)
    found = [
        float(penalty)
        for penalty in PENALTIES
        if torch.allclose(left_out_by_hand(F, Y, share.clone(), float(penalty)), left_out, atol=1e-4)
    ]
    assert len(found) == 1
    W = torch.linalg.solve(F.T @ F + found[0] * torch.eye(50), F.T @ (Y - Y.mean(0)))
    torch.testing.assert_close(readout.weights.double(), W, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(readout(X).double(), F @ W + Y.mean(0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("count", "width"), [(24, 60), (60, 24)])
def test_predictions_for_groups_left_out_are_those_of_leaving_them_out(count: int, width: int) -> None:
    rng = torch.Generator().manual_seed(2)
    X = torch.randn(count, width, generator=rng)
    groups = torch.arange(count) % 4
    Y = (X[:, :2] + groups[:, None]).double() + torch.randn(count, 2, generator=rng)
    weights = (torch.rand(count, generator=rng) + 0.2).double()
    readout, left_out, loss = fit_readout(X.clone(), Y, weights, groups)
    share = weights / weights.sum()
    F = torch.cat([(X.double() - readout.mean) / readout.scale, torch.ones(count, 1)], 1)
    price = torch.eye(width + 1, dtype=torch.float64)
    price[-1, -1] = 1e-12
    off = []
    for penalty in PENALTIES:
        wanted = torch.empty_like(Y)
        for group in range(4):
            w = (share * count * (groups != group))[:, None]
            W = torch.linalg.solve(F.T @ (w * F) + float(penalty) * price, F.T @ (w * Y))
            wanted[groups == group] = F[groups == group] @ W
        off.append((float((share[:, None] * count * (Y - wanted).square()).mean()), wanted))
    least, wanted = min(off, key=lambda pair: pair[0])
    assert loss == pytest.approx(least, rel=1e-4)
    torch.testing.assert_close(left_out, wanted, atol=2e-4, rtol=1e-4)
