"""HiPPO-LegS against the paper's formula, its algebra, and what it claims to do: hold the past."""

from math import sqrt

import numpy as np
import pytest
import torch
from numpy.polynomial import legendre
from scipy.integrate import quad, solve_ivp

from statespace.errors import InputError
from statespace.hippo import legs, legs_low_rank

SIZES = [1, 2, 3, 16, 64, 256]


def test_four_states_written_out() -> None:
    A, B = legs(4)
    expected = [
        [-1, 0, 0, 0],
        [-sqrt(3), -2, 0, 0],
        [-sqrt(5), -sqrt(15), -3, 0],
        [-sqrt(7), -sqrt(21), -sqrt(35), -4],
    ]
    torch.testing.assert_close(A, torch.tensor(expected, dtype=torch.float64), rtol=1e-15, atol=0)
    torch.testing.assert_close(
        B, torch.tensor([[1], [sqrt(3)], [sqrt(5)], [sqrt(7)]], dtype=torch.float64), rtol=1e-15, atol=0
    )


@pytest.mark.parametrize("n", SIZES)
def test_symmetric_part_is_minus_half_of_one_and_the_input(n: int) -> None:
    A, B = legs(n)
    identity = torch.eye(n, dtype=torch.float64)
    # One rounding of entries up to 2n: relative to the largest.
    torch.testing.assert_close(A + A.mT + B @ B.mT, -identity, rtol=0, atol=4 * n * 2**-52)
    P = legs_low_rank(n)
    torch.testing.assert_close(2 * P @ P.mT, B @ B.mT, rtol=1e-15, atol=0)
    S = A + P @ P.mT
    torch.testing.assert_close(S + S.mT, -identity, rtol=0, atol=4 * n * 2**-52)


@pytest.mark.parametrize("n", SIZES)
def test_eigenvalues_are_the_diagonal_of_a_triangular_matrix(n: int) -> None:
    A, _ = legs(n)
    assert torch.equal(A, A.tril())
    assert torch.equal(A.diagonal(), -torch.arange(1.0, n + 1, dtype=torch.float64))


def test_the_memory_equation_projects_the_past_on_legendre_polynomials() -> None:
    def signal(t: float) -> float:
        return np.sin(3 * t) + 0.5 * np.cos(7 * t)

    n, end = 8, 2.0
    A, B = (matrix.numpy() for matrix in legs(n))

    def project(t: float) -> np.ndarray:
        return np.array(
            [
                sqrt(2 * i + 1) * quad(lambda x, i=i: signal(x * t) * legendre.legval(2 * x - 1, np.eye(n)[i]), 0, 1)[0]
                for i in range(n)
            ]
        )

    solved = solve_ivp(
        lambda t, c: (A @ c + B[:, 0] * signal(t)) / t,
        (0.1, end),
        project(0.1),
        method="DOP853",
        rtol=1e-11,
        atol=1e-12,
    )
    # The solver's tolerance over some thousand steps; the projection is exact to 1e-13.
    np.testing.assert_allclose(solved.y[:, -1], project(end), rtol=0, atol=1e-9)


def test_types_are_cast_last() -> None:
    A, B = legs(64, dtype=torch.float32)
    assert A.dtype is B.dtype is torch.float32
    assert torch.equal(A, legs(64)[0].float())


@pytest.mark.parametrize("n", [0, -1, 2.0, True, "4"])
@pytest.mark.parametrize("function", [legs, legs_low_rank])
def test_sizes_that_are_none(function: object, n: object) -> None:
    with pytest.raises(InputError, match=f"{function.__name__}: n is {n!r}, .*pass 1 or more"):
        function(n)
