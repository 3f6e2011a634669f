"""The systems of all measures against the projections that they are to compute, by quadrature and closed forms."""

import numpy as np
import pytest
import torch
from numpy.polynomial import laguerre, legendre
from scipy.integrate import quad

from statespace.errors import InputError
from statespace.hippo import MEASURES, nplr, transition

measures = pytest.mark.parametrize("measure", MEASURES)


@measures
@pytest.mark.parametrize("n", [1, 3, 9])
def test_the_basis_is_orthonormal_in_its_measure(measure: str, n: int) -> None:
    basis = MEASURES[measure].basis
    if measure == "lagt":
        ages, weights = laguerre.laggauss(n + 2)
    else:
        x, weights = legendre.leggauss(200)
        ages, weights = (x + 1) / 2, weights / 2
    values = basis(n, torch.from_numpy(ages)).numpy()
    np.testing.assert_allclose(values.T @ (weights[:, None] * values), np.eye(n), atol=1e-12)


@pytest.mark.parametrize("n", [4, 9])
def test_legt_projects_polynomials_exactly(n: int) -> None:
    # For u(t) = t the system has the solution c = a + b t with A b + B = 0 and A a = b; at t = 0 it must be the
    # projection of s on [-1, 0].
    A, B = (matrix.numpy() for matrix in transition("legt", n))
    b = np.linalg.solve(A, -B[:, 0])
    a = np.linalg.solve(A, b)
    basis = MEASURES["legt"].basis
    exact = [
        quad(lambda s, k=k: s * basis(n, torch.tensor(-s, dtype=torch.float64))[k].item(), -1, 0)[0] for k in range(n)
    ]
    np.testing.assert_allclose(a, exact, atol=1e-11)


@pytest.mark.parametrize("frequency", [0, 1, 3])
def test_fout_projects_its_own_frequencies_exactly(frequency: int) -> None:
    # The steady response to exp(2πi f t) at t = 0 must be the projection of that function on [-1, 0].
    A, B = (matrix.numpy() for matrix in transition("fout", 9))
    w = 2j * np.pi * frequency
    found = np.linalg.solve(w * np.eye(9) - A, B[:, 0])
    age = np.arange(64) / 64  # a trapezoidal sum over a period is exact
    values = MEASURES["fout"].basis(9, torch.from_numpy(age)).numpy()
    np.testing.assert_allclose(found, (np.exp(-w * age)[:, None] * values).mean(0), atol=1e-12)


@pytest.mark.parametrize("s", [0.3, 1.0 + 2j])
def test_lagt_has_the_laplace_transforms_of_laguerre_functions(s: complex) -> None:
    # The transform of L_k(t) exp(-t) is s^k / (1 + s)^(k + 1).
    A, B = (matrix.numpy() for matrix in transition("lagt", 12))
    k = np.arange(12)
    np.testing.assert_allclose(np.linalg.solve(s * np.eye(12) - A, B[:, 0]), s**k / (1 + s) ** (k + 1), rtol=1e-12)


@measures
def test_a_longer_scale_slows_the_system_down(measure: str) -> None:
    (A, B), (A4, B4) = transition(measure, 5), transition(measure, 5, scale=4.0, dtype=torch.float32)
    torch.testing.assert_close(A4, (A / 4).float())
    torch.testing.assert_close(B4, (B / 4).float())


@measures
@pytest.mark.parametrize("n", [1, 3, 33, 255])
def test_normal_plus_low_rank_gives_the_matrices_back(measure: str, n: int) -> None:
    A, B = transition(measure, n)
    form = nplr(measure, n)
    whole = form.V @ (torch.diag(form.Lambda) - form.P @ form.P.mH) @ form.V.mH
    # Each eigenvalue is exact to some units of roundoff of the largest, and V is unitary.
    assert (whole - A).norm() <= 1e-14 * A.norm() + 1e-14
    assert (form.V @ form.B - B).norm() <= 1e-13 * B.norm()
    assert (form.V.mH @ form.V - torch.eye(n)).norm() <= 1e-13 * n**0.5
    assert (torch.linalg.eigvals(A).real < 1e-3 * n).all() or measure != "legs"
    assert (torch.sort(form.Lambda.imag).values + torch.sort(form.Lambda.imag).values.flip(0)).abs().max() <= 1e-10


@measures
def test_the_low_rank_form_is_stable(measure: str) -> None:
    # The Hermitian part of A is centre - P Pᴴ, which is not above 0: no state grows, whatever n.
    for n in (3, 65, 255):
        A, _ = transition(measure, n)
        assert torch.linalg.eigvalsh((A + A.mT) / 2).max() <= 1e-12 * A.norm()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("legx", 4), "choose one of legs, legt, lagt, fout"),
        (("fout", 4), "pass 3 or 5"),
        (("legs", 0), "n is 0"),
        (("lagt", 4, -1.0), "scale is -1.0"),
        (("lagt", 4, float("nan")), "scale is nan"),
    ],
)
def test_what_is_refused(arguments: tuple[object, ...], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        transition(*arguments)  # type: ignore[arg-type]
