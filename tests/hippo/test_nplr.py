"""The diagonalisation gives back the matrices that it was made from, at the accuracy that its page states."""

import numpy as np
import pytest
import torch
from scipy.linalg import eigvals

from statespace.errors import InputError
from statespace.hippo import legs, legs_low_rank, nplr

SIZES = [1, 2, 3, 4, 7, 16, 33, 64, 128, 256]


@pytest.mark.parametrize("n", SIZES)
def test_gives_the_matrices_back(n: int) -> None:
    A, B = legs(n)
    Lambda, P, Bnew, V = nplr("legs", n)
    back = V @ (torch.diag(Lambda) - P @ P.mH) @ V.mH
    # An eigendecomposition of a Hermitian matrix is backward stable: a few roundings of its norm.
    assert (back - A).norm() <= 1e-14 * A.norm()
    assert (V @ Bnew - B).norm() <= 1e-14 * B.norm()
    assert (V @ P - legs_low_rank(n)).norm() <= 1e-14 * B.norm()
    assert (V.mH @ V - torch.eye(n)).abs().max() <= 1e-13


@pytest.mark.parametrize("n", SIZES)
def test_spectrum_is_conjugate_pairs_on_a_line(n: int) -> None:
    Lambda = nplr("legs", n).Lambda
    torch.testing.assert_close(Lambda.real, torch.full_like(Lambda.real, -0.5), rtol=0, atol=1e-14)
    assert (Lambda.imag.diff() > 0).all()
    torch.testing.assert_close(Lambda.imag, -Lambda.imag.flip(0), rtol=0, atol=1e-14 * max(1, n * n))


@pytest.mark.parametrize("n", SIZES)
def test_phases_are_fixed_by_the_low_rank_term(n: int) -> None:
    _, P, B, _ = nplr("legs", n)
    assert (P.real > 0.3).all()
    assert P.imag.abs().max() <= 1e-13
    # Input and low-rank term of LegS are parallel, B = √2 P.
    torch.testing.assert_close(B, 2**0.5 * P, rtol=1e-12, atol=0)


@pytest.mark.parametrize("n", [2, 16, 64])
def test_eigenvalues_equal_scipy(n: int) -> None:
    A, P = legs(n)[0].numpy(), legs_low_rank(n).numpy()
    # The matrix is normal, so a general solver does well too: to roundings of the largest eigenvalue, about n²/3.
    expected = np.sort(eigvals(A + P @ P.T).imag)
    np.testing.assert_allclose(nplr("legs", n).Lambda.imag.numpy(), expected, rtol=0, atol=1e-15 * n * n)


def test_frequency_response_equals_that_of_the_matrix() -> None:
    n, w = 32, np.logspace(-2, 3, 30)
    A, B = (matrix.numpy() for matrix in legs(n))
    expected = np.stack([np.linalg.solve(1j * frequency * np.eye(n) - A, B)[:, 0] for frequency in w])
    Lambda, P, Bnew, V = (matrix.numpy() for matrix in nplr("legs", n))
    # The inverse of a diagonal and a term of rank one, by Sherman and Morrison: what S4 computes.
    R = 1 / (1j * w[:, None] - Lambda)
    coupling = (R * P[:, 0].conj() * Bnew[:, 0]).sum(-1) / (1 + (R * abs(P[:, 0]) ** 2).sum(-1))
    found = (R * (Bnew[:, 0] - coupling[:, None] * P[:, 0])) @ V.T
    # Roundings of |A|, about n²/2, over the distance of the imaginary axis from the spectrum, at least 1/2.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_bad_input() -> None:
    with pytest.raises(InputError, match=r"nplr: measure is 'legss', .*choose one of legs.* Did you mean 'legs'"):
        nplr("legss", 4)
    with pytest.raises(InputError, match="nplr: n is 0"):
        nplr("legs", 0)
