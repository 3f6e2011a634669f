"""The S4D initialisations against the paper's formulas and asymptotics."""

from math import pi

import mpmath
import numpy as np
import pytest
import torch

from statespace.errors import InputError
from statespace.hippo import INITIALISATIONS, legs, s4d_inv, s4d_legs, s4d_lin, s4d_real

COMPLEX = ["legs", "lin", "inv"]


def test_the_list_is_complete() -> None:
    assert list(INITIALISATIONS) == ["legs", "lin", "inv", "real"]


@pytest.mark.parametrize("name", COMPLEX)
@pytest.mark.parametrize("n", [2, 4, 64, 256])
def test_one_of_each_pair_on_the_line_by_rising_frequency(name: str, n: int) -> None:
    A = INITIALISATIONS[name](n)
    assert A.shape == (n // 2,)
    assert A.dtype is torch.complex128
    torch.testing.assert_close(A.real, torch.full_like(A.real, -0.5), rtol=0, atol=1e-14)
    assert (A.imag.diff() > 0).all()
    assert (A.imag > 0).all() or (name == "lin" and A.imag[0] == 0)


def test_four_states_written_out() -> None:
    np.testing.assert_allclose(s4d_lin(8).numpy(), [-0.5 + 1j * pi * k for k in range(4)], rtol=1e-15)
    inverse = [-0.5 + 1j * 8 / pi * (8 / d - 1) for d in (7, 5, 3, 1)]
    np.testing.assert_allclose(s4d_inv(8).numpy(), inverse, rtol=1e-15)
    np.testing.assert_array_equal(s4d_real(4).numpy(), [-1, -2, -3, -4])


def test_real_is_the_spectrum_of_legs() -> None:
    assert s4d_real(7).dtype is torch.float64
    assert torch.equal(s4d_real(7), legs(7)[0].diagonal())


@pytest.mark.parametrize("n", [2, 8, 32])
def test_legs_against_mpmath(n: int) -> None:
    with mpmath.workdps(30):
        root = [mpmath.sqrt(2 * i + 1) for i in range(n)]
        skew = mpmath.matrix(n, n)
        for i in range(n):
            for j in range(n):
                skew[i, j] = mpmath.mpc(0, (i > j) - (i < j)) * root[i] * root[j] / 2
        exact = sorted(mpmath.eighe(skew, eigvals_only=True))[n // 2 :]
    # Exact to a few roundings of the largest, as the page of nplr states.
    np.testing.assert_allclose(s4d_legs(n).imag.numpy(), np.array(exact, dtype=float), rtol=0, atol=1e-15 * n * n)


def test_inv_meets_the_largest_frequency_of_legs_as_n_grows() -> None:
    # The paper conjectures the limit; the distance is seen to be 1/n.
    for n in (64, 256, 512):
        ratio = (s4d_inv(n).imag[-1] / s4d_legs(n).imag[-1]).item()
        assert n * (1 - ratio) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("name", COMPLEX)
def test_odd_sizes_name_their_neighbours(name: str) -> None:
    with pytest.raises(InputError, match=f"s4d_{name}: n is 5, .*pass 4 or 6"):
        INITIALISATIONS[name](5)
    with pytest.raises(InputError, match=f"s4d_{name}: n is 1, .*pass 2"):
        INITIALISATIONS[name](1)


@pytest.mark.parametrize("name", INITIALISATIONS)
@pytest.mark.parametrize("n", [0, -2, 4.0, None])
def test_sizes_that_are_none(name: str, n: object) -> None:
    with pytest.raises(InputError, match=f"s4d_{name}: n is {n!r}"):
        INITIALISATIONS[name](n)
