"""There and back through python-control, whose conventions of time differ: dt may be a number, 0, True or None."""

import numpy as np
import pytest
import torch

from statespace import Diagonal, InputError, StateSpace
from statespace.systems import from_control, to_control

control = pytest.importorskip("control")


def random(n: int, m: int, p: int, dt: float | None) -> StateSpace:
    A = torch.randn(n, n, dtype=torch.float64) / (2 * n**0.5)
    A = A if dt is not None else A - torch.eye(n, dtype=torch.float64)
    return StateSpace(A, *(torch.randn(*shape, dtype=torch.float64) for shape in ((n, m), (p, n), (p, m))), dt)


@pytest.mark.parametrize("dt", [None, 0.1, 1.0])
@pytest.mark.parametrize(("m", "p"), [(1, 1), (2, 3), (3, 1)])
def test_the_matrices_come_back_as_they_went(m: int, p: int, dt: float | None) -> None:
    system = random(5, m, p, dt)
    there = to_control(system)
    assert there.dt == (0 if dt is None else dt)
    assert (there.ninputs, there.noutputs, there.nstates) == (m, p, 5)
    back = from_control(there)
    assert back.dt == dt
    for ours, theirs in zip(list(back)[:4], list(system)[:4], strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("dt", [None, 0.1])
def test_both_sides_say_the_same_of_a_system(dt: float | None) -> None:
    system = random(4, 2, 2, dt)
    there = to_control(system)
    w = np.logspace(-1, 1, 15)
    theirs = there(1j * w if dt is None else np.exp(1j * w * dt))  # (p, m, w)
    ours = system.frequency_response(torch.from_numpy(w)).numpy()
    np.testing.assert_allclose(ours, np.moveaxis(theirs, -1, 0), rtol=1e-10, atol=1e-10 * np.abs(theirs).max())
    np.testing.assert_allclose(system.dc_gain(), there.dcgain(), rtol=1e-10)
    ours, theirs = np.sort_complex(system.poles().numpy()), np.sort_complex(there.poles())
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


@pytest.mark.parametrize("dt", [0, 0.1])
def test_polynomials_of_one_input_keep_their_response(dt: float) -> None:
    there = control.tf([2.0, 3, 5], [4.0, 1, 7, 2] if dt == 0 else [4.0, 1, 0.7, 0.2], dt)
    back = from_control(there)
    assert back.dt == (dt or None)
    w = np.linspace(0.1, 3, 9)
    theirs = there(1j * w if dt == 0 else np.exp(1j * w * dt))
    np.testing.assert_allclose(back.frequency_response(torch.from_numpy(w))[:, 0, 0], theirs, rtol=1e-10)


def test_time_without_a_unit_counts_steps_of_one_second() -> None:
    matrices = ([[0.5]], [[1.0]], [[2.0]], [[0.0]])
    assert from_control(control.ss(*matrices, True)).dt == 1.0
    assert from_control(control.ss(*matrices, 0)).dt is None
    assert from_control(control.ss(*matrices, None)).dt is None  # it says neither; continuous is the default there
    assert from_control(control.ss(*matrices)).dt is None


@pytest.mark.parametrize("dt", [0.05, 0.5])
@pytest.mark.parametrize(("ours", "theirs"), [("zoh", "zoh"), ("bilinear", "tustin"), ("euler", "euler")])
def test_discretization_equals_sample_system(ours: str, theirs: str, dt: float) -> None:
    system = random(4, 2, 1, None)
    found = system.discretize(dt, ours)
    expected = control.sample_system(to_control(system), dt, theirs)
    for one, other in zip(list(found)[:4], (expected.A, expected.B, expected.C, expected.D), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-13)


def test_simulation_equals_forced_response() -> None:
    system = random(3, 2, 2, 0.1)
    u = torch.randn(25, 2, dtype=torch.float64)
    x0 = torch.randn(3, dtype=torch.float64)
    theirs = control.forced_response(to_control(system), inputs=u.numpy().T, initial_state=x0.numpy())  # (p, t)
    np.testing.assert_allclose(system.simulate(u, x0=x0).y, theirs.outputs.T, rtol=0, atol=1e-12)


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="complex, but real"):
        to_control(Diagonal(torch.tensor([1j]), torch.ones(1, 1), torch.ones(1, 1)))
    with pytest.raises(InputError, match="one at a time"):
        to_control(StateSpace(-torch.eye(2).repeat(3, 1, 1), torch.ones(2, 1), torch.ones(1, 2)))
    with pytest.raises(InputError, match="a linear system of python-control"):
        from_control((1, 2))
