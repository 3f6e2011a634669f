"""Fixed point against whole numbers of Python and mpmath, with more digits than the verification asks for."""

from fractions import Fraction

import numpy as np
import pytest
from mpmath import mp

from statespace.hippo import transition
from statespace.verification import fixed_point
from statespace.verification.fixed_point import LIMB, Fixed, add, from_floats, identity, multiply, scale, to_floats
from statespace.verification.oracles import Judge


def exactly(X: Fixed) -> list[list[Fraction]]:
    """The matrix as fractions, digit by digit."""
    count, rows, columns = X.limbs.shape
    weights = [Fraction(2) ** (X.exponent - LIMB * (k + 1)) for k in range(count)]
    return [
        [sum(int(X.limbs[k, i, j]) * weights[k] for k in range(count)) for j in range(columns)] for i in range(rows)
    ]


def distance(X: Fixed, exact: list[list[Fraction]]) -> float:
    """The largest error relative to the largest entry."""
    found = exactly(X)
    pairs = [(a, b) for row, other in zip(found, exact, strict=True) for a, b in zip(row, other, strict=True)]
    return float(max(abs(a - b) for a, b in pairs) / max(abs(b) for _, b in pairs))


def fractions(X: np.ndarray) -> list[list[Fraction]]:
    return [[Fraction(float(x)) for x in row] for row in X]


def test_floats_go_in_and_out_exactly() -> None:
    X = np.random.default_rng(0).standard_normal((5, 4)) * np.logspace(-9, 9, 4)
    assert distance(from_floats(X, 8), fractions(X)) == 0
    np.testing.assert_allclose(to_floats(from_floats(X, 8)), X, rtol=2e-16)
    assert (to_floats(from_floats(np.zeros((2, 2)), 3)) == 0).all()


def test_sums_products_and_multiples_are_those_of_fractions() -> None:
    random = np.random.default_rng(1)
    X, Y = random.standard_normal((6, 40)) * 1e5, random.standard_normal((40, 3)) / 7
    fixed_X, fixed_Y = from_floats(X, 8), from_floats(Y, 8)
    x, y = fractions(X), fractions(Y)
    product = [[sum(a * y[k][j] for k, a in enumerate(row)) for j in range(3)] for row in x]
    # 8 limbs are 168 bits; the tail costs some units of the last: 2^-150 = 7e-46.
    assert distance(multiply(fixed_X, fixed_Y, 8), product) < 1e-45
    third = Fraction(-1, 3)
    assert distance(scale(fixed_X, third, 8), [[third * a for a in row] for row in x]) < 1e-45
    small = X * 1e-20
    difference = [
        [a - b for a, b in zip(row, other, strict=True)] for row, other in zip(x, fractions(small), strict=True)
    ]
    assert distance(add(fixed_X, from_floats(small, 12), 12, -1), difference) < 1e-60


@pytest.mark.parametrize(("measure", "n", "dt"), [("legs", 8, 0.3), ("legs", 16, 10.0), ("lagt", 12, 1.0)])
def test_the_exponential_has_the_digits_of_mpmath_and_its_error_is_within_the_bound(
    measure: str, n: int, dt: float
) -> None:
    A, B = (matrix.numpy() for matrix in transition(measure, n))
    V, J = np.concatenate([B, 0 * B], 1), np.array([[0.0, 1], [0, 0]])
    found = fixed_point.exponential(A, V, J, dt, 10)
    with mp.workdps(90):
        whole = mp.expm(mp.matrix(np.block([[A, V], [np.zeros((2, n)), J]]).tolist()) * mp.mpf(dt))
        for block, columns, bound in ((found.whole, range(n), 0), (found.driven, range(n, n + 2), 1)):
            exact = [[Fraction(str(whole[i, j])) for j in columns] for i in range(n)]
            error = distance(block, exact)
            assert error < 1e-50
            assert np.log2(max(error, 1e-300)) < found.bounds[bound] + np.log2(n)


def test_solving_gains_the_digits_that_the_condition_takes() -> None:
    n = 10  # the Hilbert matrix, with the condition number 1.6e13, whose inverse is made of whole numbers
    H = np.array([[360360.0 * 646 / (i + j + 1) for j in range(n)] for i in range(n)])
    found, error = fixed_point.solve(from_floats(H, 10), identity(n, 10), 10)
    assert error < -150
    residual = add(multiply(from_floats(H, 10), found, 10), identity(n, 10), 10, -1)
    assert np.abs(to_floats(residual)).max() < 1e-30


def test_the_judge_says_so_where_it_has_no_answer() -> None:
    A = -np.eye(301)
    judge = Judge(A, np.ones((301, 1)), np.ones((1, 301)), np.zeros((1, 1)))
    assert judge.discrete(0.1, "zoh", 0.5) is None
    assert judge.response(np.ones(1)) is None


def test_the_judge_knows_the_response_of_a_low_pass() -> None:
    A, B, C, D = (np.array([[x]]) for x in (-2.0, 1.0, 3.0, 0.5))
    w = np.array([0.0, 2.0])
    found = Judge(A, B, C, D).response(w)
    assert found is not None
    np.testing.assert_allclose(found[:, 0, 0], 3 / (1j * w + 2) + 0.5, rtol=1e-15)
