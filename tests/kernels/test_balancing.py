"""Units by powers of 2, against LAPACK's."""

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy import signal

from statespace.kernels.balancing import balance


def scaled(A, units):
    return A * units[..., None, :] / units[..., :, None]


def test_a_filter_comes_down_to_the_size_of_its_poles():
    for order in (4, 8, 20):
        A = torch.from_numpy(signal.tf2ss(*signal.butter(order, 2000 * np.pi, analog=True))[0])
        found = scaled(A, balance(A, order))
        theirs = scipy.linalg.matrix_balance(A.numpy(), permute=False)[0]
        # Both stop where no factor of 2 helps much any more; ours must be no worse than twice LAPACK's.
        assert found.abs().sum(0).max() <= 2 * np.abs(theirs).sum(0).max()
        np.testing.assert_allclose(np.sort(np.abs(np.linalg.eigvals(found))), [2000 * np.pi] * order, rtol=1e-6)


def test_units_are_powers_of_two_and_leave_a_balanced_matrix_alone():
    A = torch.randn(5, 6, 6, dtype=torch.float64)
    units = balance(A * torch.logspace(-8, 8, 6, dtype=torch.float64), 6)
    assert torch.equal(torch.log2(units), torch.log2(units).round())
    assert torch.equal(balance(torch.ones(4, 4), 4), torch.ones(4))
    assert torch.equal(balance(torch.diag(torch.tensor([1.0, 1e8])), 2), torch.ones(2))


def test_a_batch_is_its_members_and_inputs_keep_their_units():
    M = torch.randn(3, 7, 7, dtype=torch.complex128) * torch.logspace(-5, 5, 7)
    together = balance(M, 5)
    for k in range(3):
        torch.testing.assert_close(together[k], balance(M[k], 5), rtol=0, atol=0)
    assert together.shape == (3, 5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_comes_to_an_end(bad):
    M = torch.ones(3, 3)
    M[0, 1] = bad
    assert torch.isfinite(balance(M, 3)).all()
