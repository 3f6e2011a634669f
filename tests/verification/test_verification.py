"""The verification itself: that it finds what is wrong, and that the family holds."""

import numpy as np
import pytest
import scipy.linalg
import torch

from statespace import InputError, StateSpace, verify
from statespace.discretization import METHODS
from statespace.verification import families, summarise, verify_families
from statespace.verification.oracles import exact_discrete, exact_response, scipy_discrete

SMALL = [name for name, system in families().items() if system.n <= 8]


def test_the_small_systems_hold_for_every_method_over_six_decades() -> None:
    table = verify_families({name: families()[name] for name in SMALL}, dt=(1e-4, 1e-1, 1e2))
    assert table["holds"].all()
    assert set(table["method"]) == set(METHODS)
    well = table[table["condition"] < 50]
    assert (well["tolerance"] <= 1e-12).all()
    assert (summarise(table)["verdict"] == "holds").all()


def test_scipy_is_brought_before_fifty_digits_where_it_fails() -> None:
    # SciPy's expm overflows on this triangular matrix; ours keeps ten digits.
    system = families()["non-normal by 1e4, n=10"]
    table = verify(system, 10.0, "zoh")
    row = table.iloc[0]
    assert row["against"] == "mpmath"
    assert row["ours to 50 digits"] < row["tolerance"] <= 1e-6
    assert not row["scipy to 50 digits"] < 1e-6
    assert row["holds"]


def test_a_wrong_matrix_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    import statespace.verification.comparison as comparison

    right = comparison._discretised
    monkeypatch.setattr(comparison, "_discretised", lambda *given: [m * (1 + 1e-10) for m in right(*given)])
    table = verify(StateSpace([[-1.0]], [[1.0]], [[1.0]]), 0.1, "zoh")
    assert not table["holds"].any()
    assert summarise(table)["verdict"].tolist() == ["1 fail"]


@pytest.mark.parametrize("method", METHODS)
def test_the_two_oracles_agree_on_a_harmless_system(method: str) -> None:
    random = np.random.default_rng(0)
    A, B, C = (
        random.standard_normal((3, 3)) - 2 * np.eye(3),
        random.standard_normal((3, 2)),
        random.standard_normal((1, 3)),
    )
    D = np.zeros((1, 2))
    for one, other in zip(
        scipy_discrete(A, B, C, D, 0.1, method, 0.3), exact_discrete(A, B, C, D, 0.1, method, 0.3), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-15)


def test_the_exact_response_is_that_of_a_low_pass() -> None:
    A, B, C, D = (np.array([[x]]) for x in (-2.0, 1.0, 3.0, 0.5))
    w = np.array([0.0, 2.0])
    np.testing.assert_allclose(exact_response(A, B, C, D, w), 3 / (1j * w + 2) + 0.5, rtol=1e-15)
    assert np.isfinite(scipy.linalg.expm(A)).all()


@pytest.mark.parametrize(
    ("system", "sentence"),
    [
        (StateSpace([[-1.0]], [[1.0]], [[1.0]], dt=1.0), "discrete already"),
        (StateSpace(-torch.ones(2, 1, 1), [[1.0]], [[1.0]]), "one at a time"),
        (StateSpace([[-1j]], [[1.0]], [[1.0]]), "complex"),
    ],
)
def test_what_is_refused(system: StateSpace, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        verify(system, 0.1)
