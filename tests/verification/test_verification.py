"""The verification itself: that it finds what is wrong, and that the family holds."""

import json

import numpy as np
import pytest
import scipy.signal
import torch
from mpmath import mp
from scipy.signal import butter, cheby2, dlsim, freqs

from statespace import InputError, StateSpace, verify
from statespace.discretization import METHODS
from statespace.hippo import transition
from statespace.verification import cut_short, disputed, families, summarise, verify_families
from statespace.verification.oracles import Judge, exact_discrete, scipy_discrete
from statespace.verification.reading import read_system

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
    assert disputed(table)["system"].tolist() == ["system"]
    assert not row["scipy to 50 digits"] < 1e-6
    assert row["holds"]


def test_the_filters_of_the_family_are_those_of_scipy() -> None:
    w = np.logspace(2, 6, 20)
    for name, design in (
        ("Butterworth 1000 Hz, n=4", butter(4, 2e3 * np.pi, analog=True)),
        ("inverse Chebyshev 1e+04 Hz, n=6", cheby2(6, 40, 2e4 * np.pi, analog=True)),
    ):
        ours = families()[name].frequency_response(torch.from_numpy(w))[:, 0, 0]
        np.testing.assert_allclose(ours, freqs(*design, w)[1], rtol=1e-10, atol=1e-12)


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


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["stiff by 1e6, n=8", "non-normal by 1e4, n=10", "HiPPO legs, n=16"])
def test_fixed_point_and_mpmath_agree_where_float64_is_hard(name: str, method: str) -> None:
    A, B, C, D = (matrix.numpy() for matrix in list(families()[name])[:4])
    judge = Judge(A, B, C, D)
    for dt in (1e-4, 1.0, 100.0):
        found = judge.discrete(dt, method, 0.3)
        assert found is not None
        for one, other in zip(found, exact_discrete(A, B, C, D, dt, method, 0.3), strict=True):
            # Both are rounded to float64, the one to an ulp and the other correctly.
            assert np.abs(one - other).max() <= 4e-16 * np.abs(other).max()


@pytest.mark.parametrize("method", ["zoh", "foh", "bilinear"])
def test_hippo_of_64_states_is_held_against_50_digits(method: str) -> None:
    table = verify(families()["HiPPO legs, n=64"], [1e-3, 1.0, 100.0], method)
    assert table["holds"].all()
    assert (table["ours to 50 digits"] <= table["tolerance"]).all()
    assert table["scipy to 50 digits"].notna().all()


@pytest.mark.parametrize("name", [name for name in families() if "Hz" in name])
def test_filters_in_hertz_keep_their_digits_where_scipy_loses_them(name: str) -> None:
    # In companion form the coefficients go with powers of the frequency, up to 1e40: balanced, that costs nothing.
    table = verify(families()[name], [1e-6, 1e-4, 1e-2], ["zoh", "foh", "bilinear", "backward_diff"])
    assert table["holds"].all()
    assert table["ours to 50 digits"].max() < 2e-11
    if "n=8" in name:
        assert table["scipy to 50 digits"].max() > 1e-6


def test_the_wildly_non_normal_are_judged_with_more_digits() -> None:
    table = verify(families()["non-normal by 1e4, n=10"], [1e-3, 1.0, 100.0])
    assert table["holds"].all()
    assert table["ours to 50 digits"].notna().all()
    # Componentwise the problem is well conditioned, in norm it is not: the tolerance knows the difference.
    assert table[table["method"].isin(["bilinear", "backward_diff"])]["tolerance"].max() < 1e-6


def test_the_number_of_compared_steps_is_told_with_its_reason() -> None:
    euler = verify(families()["HiPPO legt, n=32"], [1e-3, 0.1, 1.0], "euler")
    assert euler["holds"].all()
    assert euler["steps"].tolist()[0] == 40
    assert (euler["steps"][1:] <= 20).all()
    assert euler["cut short as"].tolist() == ["", "unstable", "unstable"]
    assert (euler["largest pole"][1:] > 5).all()
    assert cut_short(euler)[["why", "comparisons"]].to_numpy().tolist() == [["unstable", 2]]
    assert summarise(euler)["steps"].item() == "16 to 40"
    assert verify(StateSpace([[0.0, 1], [0, 0]], [[0.0], [1]], [[1.0, 0]]), 1e6, "zoh")["cut short as"][0] == "cancels"
    assert disputed(euler).empty


def test_euler_on_legt_leaves_dlsim_no_more_digits_than_us() -> None:
    # Not a fault of either: the discrete system is unstable, and forty steps in exact arithmetic show that both have
    # lost all their digits, to rounding that grows as |A^i| |A^j| while the response cancels.
    A, B = (matrix.numpy() for matrix in transition("legt", 32))
    C = np.random.default_rng(0).standard_normal((1, 32))
    discrete = StateSpace(A, B, C).discretize(0.1, "euler")
    assert discrete.stability_margin() < -4
    u = np.random.default_rng(1).standard_normal((40, 1))
    ours = discrete.simulate(torch.from_numpy(u), view="recurrent").y.numpy()[:, 0]
    theirs = dlsim((*(m.numpy() for m in list(discrete)[:4]), 0.1), u)[1][:, 0]
    with mp.workdps(100):
        a, b, c = (mp.matrix(m.numpy().tolist()) for m in list(discrete)[:3])
        x, exact = mp.zeros(32, 1), []
        for sample in u[:, 0]:
            exact.append(float((c * x)[0]))
            x = a * x + b * mp.mpf(float(sample))
    lost = [abs(y[-1] - exact[-1]) / abs(exact[-1]) for y in (ours, theirs)]
    assert min(lost) > 1e-6
    for y in (ours, theirs):
        np.testing.assert_allclose(y[:10], exact[:10], rtol=1e-9)


def test_a_tolerance_is_never_below_what_its_condition_number_says() -> None:
    table = verify(families()["stiff by 1e6, n=8"], [1e-4, 1.0, 100.0])
    expected = np.maximum(1e-12, 64 * 2**-52 * table["condition"])
    np.testing.assert_allclose(table["tolerance"], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("system", "sentence"),
    [
        (StateSpace([[-1.0]], [[1.0]], [[1.0]], dt=1.0), "discrete already"),
        (StateSpace(-torch.ones(2, 1, 1), [[1.0]], [[1.0]]), "one at a time"),
        (StateSpace([[-1j]], [[1.0]], [[1.0]]), "complex"),
        (StateSpace([[1e5]], [[1.0]], [[1.0]]), "overflows.*smaller dt"),
    ],
)
def test_what_is_refused(system: StateSpace, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        verify(system, 0.1)


@pytest.mark.parametrize(
    "dt", [np.float32(0.5), torch.tensor([0.5]), np.array([0.5]), (0.5 for _ in range(1)), [0.5, 0.5]]
)
def test_steps_and_systems_come_in_any_form(dt):
    for system in (([1.0], [1.0, 2.0]), scipy.signal.lti([1.0], [1.0, 2.0])):
        steps = list(dt) if not isinstance(dt, np.floating) else dt
        found = verify(system, steps, "zoh")
        assert found["dt"].tolist() == [0.5]
        assert found["holds"].all()
        dt = steps


@pytest.mark.parametrize("dt", [None, "a", [], -1.0])
def test_what_is_no_step_is_told(dt):
    with pytest.raises(InputError, match="verify: dt is"):
        verify(([1.0], [1.0, 2.0]), dt, "zoh")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[" * 100_000, "is not JSON"),
        (json.dumps({"num": [1], "den": [1, 10**400]}), "rows of real numbers are expected"),
    ],
    ids=["nested", "huge"],
)
def test_a_file_that_goes_beyond_all_bounds_is_told(tmp_path, content, sentence):
    path = tmp_path / "system.json"
    path.write_text(content)
    with pytest.raises(InputError, match=sentence):
        read_system(path)


def test_the_step_is_told_as_it_was_given():
    with pytest.raises(InputError, match=r"dt is 0\.0, but"):
        verify(([1.0], [1.0, 2.0]), [0.0], "zoh")
