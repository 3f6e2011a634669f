"""Balancing: exact, only where it helps, and the digits that it saves."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, cont2discrete

from statespace import StateSpace
from statespace.discretization import METHODS, discretize
from statespace.discretization._balance import to_units, units
from statespace.hippo import transition


def well_scaled(n: int) -> tuple[torch.Tensor, ...]:
    A = torch.randn(n, n, dtype=torch.float64) - 2 * torch.eye(n, dtype=torch.float64)
    return A, torch.randn(n, 1, dtype=torch.float64), torch.randn(1, n, dtype=torch.float64)


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 10), st.integers(0, 2**31), st.integers(3, 60))
def test_bad_units_are_found_whatever_they_were(n: int, seed: int, spread: int) -> None:
    torch.manual_seed(seed)
    A, B, C = well_scaled(n)
    bad = torch.exp2(torch.randint(-spread, spread, (n,)).double())
    given = to_units(A, B, C, bad)
    found = units(given[0])
    size = given[0].abs().sum(-2).max()
    if found is None:  # nothing to be gained: the norm is near that of the well-scaled matrix
        assert size < 64 * A.abs().sum(-2).max()
        return
    mended = to_units(*given, found)
    # The way there and back is exact.
    for one, other in zip(to_units(*mended, 1 / found), given, strict=True):
        assert torch.equal(one, other)
    assert mended[0].abs().sum(-2).max() < 32 * A.abs().sum(-2).max()


@pytest.mark.parametrize("method", METHODS)
def test_a_change_of_units_changes_nothing_but_the_units(method: str) -> None:
    A, B, C = well_scaled(6)
    D = torch.zeros(1, 1, dtype=torch.float64)
    bad = torch.exp2(torch.tensor([0, 40, -30, 7, 90, -60], dtype=torch.float64))
    plain = discretize(A, B, C, D, 0.7, method, 0.3)
    scaled = discretize(*to_units(A, B, C, bad), D, 0.7, method, 0.3)
    for one, other in zip(to_units(*scaled[:3], 1 / bad), plain[:3], strict=True):
        # Rounding sees the matrix in units of its own, so a few roundings apart.
        assert (one - other).norm() <= 1e-13 * other.norm()


def test_triangular_and_well_scaled_matrices_are_left_alone() -> None:
    triangular = torch.triu(1e4 * torch.randn(6, 6, dtype=torch.float64))
    assert units(triangular) is None
    assert units(well_scaled(8)[0]) is None
    assert units(transition("lagt", 16)[0], 100.0) is None
    assert units(torch.zeros(3, 3), 1e9) is None


def test_each_system_of_a_batch_has_its_own_units() -> None:
    A, B, C = well_scaled(4)
    bad = torch.exp2(torch.tensor([[0, 0, 0, 0], [0, 50, 0, -20]], dtype=torch.float64))
    batch = to_units(A.expand(2, 4, 4), B.expand(2, 4, 1), C.expand(2, 1, 4), bad)
    found = discretize(*batch, torch.zeros(1, 1), 0.5)
    for k in range(2):
        one = discretize(*(matrix[k] for matrix in batch), torch.zeros(1, 1), 0.5)
        torch.testing.assert_close(found.A[k] * bad[k] / bad[k][:, None], one.A * bad[k] / bad[k][:, None])


@pytest.mark.filterwarnings("ignore:An ill-conditioned matrix")  # as it is to SciPy, in the units it is given
@pytest.mark.parametrize("order", [3, 4])
@pytest.mark.parametrize("method", ["zoh", "foh", "bilinear"])
def test_a_filter_of_a_kilohertz_equals_scipy(order: int, method: str) -> None:
    b, a = butter(order, 2 * np.pi * 1000, analog=True)
    system = StateSpace.from_transfer_function(b, a)
    theirs = cont2discrete(tuple(m.numpy() for m in list(system)[:4]), 1e-4, method)
    for ours, expected in zip(list(system.discretize(1e-4, method))[:4], theirs, strict=False):
        # Without balancing zoh was off by 3e-7 and foh by 6e-6; SciPy is within 1e-12 up to this order.
        np.testing.assert_allclose(ours, expected, rtol=1e-11, atol=1e-11 * np.abs(expected).max())


def test_gradients_pass_through_the_units() -> None:
    A, B, C = to_units(*well_scaled(3), torch.tensor([1.0, 2.0**12, 2.0**-6], dtype=torch.float64))
    assert units(A) is not None
    given = [A.requires_grad_(), B.requires_grad_()]
    loss = sum(m.square().sum() for m in discretize(*given, C, torch.zeros(1, 1), 0.5)[:2])
    gradients = torch.autograd.grad(loss, given)
    change = [1e-6 * torch.rand_like(m) * m.detach() for m in given]
    ahead, behind = (
        sum(
            m.square().sum()
            for m in discretize(
                *(m.detach() + s * c for m, c in zip(given, change, strict=True)), C, torch.zeros(1, 1), 0.5
            )[:2]
        )
        for s in (1, -1)
    )
    slope = sum((g * c).sum() for g, c in zip(gradients, change, strict=True))
    torch.testing.assert_close((ahead - behind) / 2, slope, rtol=1e-6, atol=0)
