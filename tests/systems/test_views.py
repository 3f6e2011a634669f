"""Recurrent, convolution and scan: the same outputs and states, SciPy's numbers, gradients and chunks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import dlsim, lsim
from torch import Tensor

from statespace import Diagonal, StateSpace
from statespace.discretization import METHODS
from statespace.errors import InputError
from statespace.systems import VIEWS

views = pytest.mark.parametrize("view", VIEWS)
quickly = settings(deadline=None, max_examples=25)


def system(n: int = 5, m: int = 2, p: int = 3, leading: tuple[int, ...] = (), proper: bool = False) -> StateSpace:
    A = torch.randn(*leading, n, n, dtype=torch.float64) / n**0.5 - 1.5 * torch.eye(n, dtype=torch.float64)
    B, C, D = (torch.randn(*leading, *shape, dtype=torch.float64) for shape in ((n, m), (p, n), (p, m)))
    return StateSpace(A, B, C, 0 * D if proper else D)


@views
@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 333])
def test_equals_dlsim_from_any_initial_state(view: str, length: int) -> None:
    discrete = system().discretize(0.1)
    u, x0 = torch.randn(length, 2, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    _, y, x = dlsim((*(m.numpy() for m in list(discrete)[:4]), 0.1), u.numpy(), x0=x0.numpy())
    found = discrete.simulate(u, x0=x0, view=view)
    # A few hundred roundings of numbers of order one.
    np.testing.assert_allclose(found.y, y, rtol=0, atol=1e-12)
    last = discrete.A.numpy() @ x[-1] + discrete.B.numpy() @ u[-1].numpy()
    np.testing.assert_allclose(found.x, last, rtol=0, atol=1e-12)


@quickly
@given(st.integers(1, 6), st.integers(1, 200), st.integers(0, 2**31))
def test_the_three_views_agree(n: int, length: int, seed: int) -> None:
    torch.manual_seed(seed)
    discrete = system(n).discretize(0.2)
    u, x0 = torch.randn(4, length, 2, dtype=torch.float64), torch.randn(4, n, dtype=torch.float64)
    found = [discrete.simulate(u, x0=x0, view=view) for view in VIEWS]
    # Some of these systems are unstable: an FFT is exact relative to the largest output, not to each.
    largest = max(1.0, found[-1].y.abs().max().item(), found[-1].x.abs().max().item())
    for other in found[:-1]:
        torch.testing.assert_close(other.y, found[-1].y, rtol=0, atol=1e-10 * largest)
        torch.testing.assert_close(other.x, found[-1].x, rtol=0, atol=1e-10 * largest)


@views
def test_chunks_carry_the_state_over(view: str) -> None:
    discrete = system().discretize(0.1)
    u = torch.randn(100, 2, dtype=torch.float64)
    whole, state, outputs = discrete.simulate(u, view=view), None, []
    for chunk in u.split([1, 37, 0, 62] if view != "convolution" else [1, 37, 62]):
        part = discrete.simulate(chunk, x0=state, view=view)
        outputs.append(part.y)
        state = part.x
    torch.testing.assert_close(torch.cat(outputs), whole.y, rtol=0, atol=1e-12)
    torch.testing.assert_close(state, whole.x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("view", ["scan", "recurrent"])
@pytest.mark.parametrize("method", METHODS)
def test_irregular_steps_agree_between_views_and_reduce_to_equal_ones(method: str, view: str) -> None:
    continuous = system(proper=METHODS[method].strictly_proper)
    u = torch.randn(70, 2, dtype=torch.float64)
    equal = torch.full((70,), 0.1, dtype=torch.float64)
    expected = continuous.discretize(0.1, method, 0.3).simulate(u).y
    for dt in (0.1, equal):
        found = continuous.simulate(u, dt=dt, view=view, method=method, alpha=0.3)
        torch.testing.assert_close(found.y, expected, rtol=0, atol=1e-11)
    dt = torch.rand(70, dtype=torch.float64) * 0.2 + 0.01
    one, other = (continuous.simulate(u, dt=dt, view=v, method=method, alpha=0.3) for v in ("scan", "recurrent"))
    torch.testing.assert_close(one.y, other.y, rtol=0, atol=1e-11)
    torch.testing.assert_close(one.x, other.x, rtol=0, atol=1e-11)


@pytest.mark.parametrize("view", ["scan", "recurrent"])
@pytest.mark.parametrize("method", METHODS)
def test_pieces_of_an_irregular_signal_are_the_whole_for_every_method(method: str, view: str) -> None:
    continuous = system(proper=METHODS[method].strictly_proper)
    u = torch.randn(2, 40, 2, dtype=torch.float64)
    t = torch.cat([torch.zeros(2, 1), (0.01 + 0.3 * torch.rand(2, 40)).cumsum(-1)], -1).double()
    arguments = {"view": view, "method": method, "alpha": 0.3}
    whole = continuous.simulate(u, t=t, **arguments)
    for steps in (False, True):
        state, outputs, at = None, [], 0
        for length in (1, 17, 22):
            part = slice(at, at + length)
            step = {"dt": t.diff()[:, part]} if steps else {"t": t[:, at : at + length + 1]}
            state = continuous.simulate(u[:, part], x0=state, **step, **arguments)
            outputs.append(state.y)
            at += length
        torch.testing.assert_close(torch.cat(outputs, -2), whole.y, rtol=0, atol=1e-11)
        torch.testing.assert_close(state.x, whole.x, rtol=0, atol=1e-11)
        assert torch.equal(state.step, whole.step)


@pytest.mark.parametrize("method", METHODS)
def test_the_state_alone_carries_on_where_the_input_is_held(method: str) -> None:
    continuous = system(proper=METHODS[method].strictly_proper)
    u, dt = torch.randn(20, 2, dtype=torch.float64), torch.linspace(0.05, 0.9, 20, dtype=torch.float64)
    whole = continuous.simulate(u, dt=dt, method=method, alpha=0.3)
    first = continuous.simulate(u[:9], dt=dt[:9], method=method, alpha=0.3)
    second = continuous.simulate(u[9:], dt=dt[9:], x0=first.x, method=method, alpha=0.3)
    lost = (second.y - whole.y[9:]).abs().max()
    assert (lost < 1e-11) == (method in ("zoh", "euler", "euler-b"))


@views
def test_a_run_at_another_step_is_continued(view: str) -> None:
    continuous = system()
    u = torch.randn(30, 2, dtype=torch.float64)
    steps = torch.tensor([0.1] * 12 + [0.4] * 18, dtype=torch.float64)
    whole = continuous.simulate(u, dt=steps, method="foh")
    first = continuous.simulate(u[:12], dt=0.1, method="foh", view=view)
    second = continuous.simulate(u[12:], dt=0.4, x0=first, method="foh", view=view)
    torch.testing.assert_close(torch.cat([first.y, second.y]), whole.y, rtol=0, atol=1e-11)
    discrete = continuous.discretize(0.1)
    first = discrete.simulate(u[:12], view=view)
    assert first.step is None
    second = discrete.simulate(u[12:], x0=first, view=view)
    torch.testing.assert_close(torch.cat([first.y, second.y]), discrete.simulate(u).y, rtol=0, atol=1e-12)


def test_foh_on_irregular_stamps_is_exact_for_a_signal_of_straight_lines() -> None:
    # Between two stamps of a fine grid, the input that foh assumes on the coarse stamps is interpolated exactly.
    continuous = system(3, 1, 1)
    fine = torch.linspace(0, 4, 401, dtype=torch.float64)
    kept = torch.tensor([0, 3, 10, 11, 50, 170, 171, 300, 400])
    coarse = torch.randn(len(kept), dtype=torch.float64)
    line = torch.from_numpy(np.interp(fine, fine[kept], coarse))
    x0 = torch.zeros(3, dtype=torch.float64)
    found = continuous.simulate(coarse, t=fine[kept], method="foh", x0=x0 - _ahead(continuous, fine[3], coarse[0]))
    _, y, _ = lsim(tuple(m.numpy() for m in list(continuous)[:4]), line.numpy(), fine.numpy())
    np.testing.assert_allclose(found.y, y[kept], rtol=0, atol=1e-10)


def _ahead(continuous: StateSpace, dt: Tensor, first: Tensor) -> Tensor:
    """What the first sample adds to the state before it, phi2(A dt) B dt u."""
    states = StateSpace(continuous.A, continuous.B, torch.eye(continuous.n, dtype=torch.float64))
    return states.discretize(dt, "foh").D[:, 0] * first


@views
def test_gradients_reach_input_state_matrices_and_step(view: str) -> None:
    def run(A: Tensor, B: Tensor, dt: Tensor, u: Tensor, x0: Tensor) -> tuple[Tensor, Tensor]:
        found = StateSpace(A, B, torch.ones(1, 2, dtype=A.dtype)).simulate(u, dt=dt, x0=x0, view=view)
        return found.y, found.x

    torch.manual_seed(1)
    base = system(2, 1, 1)
    given = [
        base.A,
        base.B,
        torch.tensor(0.3, dtype=torch.float64),
        torch.randn(5, 1).double(),
        torch.randn(2).double(),
    ]
    assert torch.autograd.gradcheck(run, [tensor.clone().requires_grad_() for tensor in given])


@views
def test_batches_of_systems_and_signals_broadcast(view: str) -> None:
    discrete = system(4, 1, 1, leading=(3,)).discretize(torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))
    u = torch.randn(5, 3, 40, 1, dtype=torch.float64)
    found = discrete.simulate(u, view=view)
    assert found.y.shape == (5, 3, 40, 1)
    one = StateSpace(discrete.A[1], discrete.B[1], discrete.C[1], discrete.D[1], 0.2).simulate(
        u[2, 1], view="recurrent"
    )
    torch.testing.assert_close(found.y[2, 1], one.y, rtol=0, atol=1e-12)


def test_pairs_give_the_real_signal_of_their_dense_form() -> None:
    A = torch.complex(-torch.rand(4), torch.randn(4)).to(torch.complex128)
    B, C = (torch.randn(*shape, dtype=torch.complex128) for shape in ((4, 1), (1, 4)))
    pairs = Diagonal(A, B, C, pairs=True)
    both = Diagonal(torch.cat([A, A.conj()]), torch.cat([B, B.conj()]), torch.cat([C, C.conj()], 1))
    u = torch.randn(50, dtype=torch.float64)
    found = pairs.simulate(u, dt=0.1).y
    assert not found.is_complex()
    torch.testing.assert_close(found, both.simulate(u + 0j, dt=0.1).y.real, rtol=0, atol=1e-12)


def test_overflow_is_reported_with_the_margin_and_not_as_nan() -> None:
    growing = StateSpace([[2.0]], [[1.0]], [[1.0]])
    assert growing.stability_margin() == -2
    for view in VIEWS:
        with pytest.raises(InputError, match=r"overflows, in this view by step \d+; the stability margin .* is -"):
            growing.simulate(torch.ones(2000, dtype=torch.float64), dt=1.0, view=view)
    assert torch.isfinite(growing.simulate(torch.ones(100, dtype=torch.float64), dt=1.0).y).all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "neither t nor dt is given"),
        ({"dt": 0.1, "t": torch.arange(20.0)}, "both t and dt are given"),
        ({"dt": -0.1}, "dt is -0.1"),
        ({"dt": float("nan")}, "positive finite time step"),
        ({"dt": torch.rand(7)}, "a step for each sample"),
        ({"t": torch.zeros(20)}, "does not rise"),
        ({"t": torch.arange(5.0)}, "one real stamp for each of the 20 samples"),
        ({"dt": torch.rand(20) + 0.1, "view": "convolution"}, "only equal ones make a convolution"),
        ({"dt": 0.1, "view": "fast"}, "choose one of scan, convolution, recurrent"),
        ({"dt": 0.1, "method": "zho"}, "Did you mean 'zoh'"),
        ({"dt": 0.1, "x0": torch.zeros(7)}, "x0 is \\(7,\\)"),
        ({"dt": 0.1, "u": torch.randn(2, 20)}, "transposed"),
        ({"dt": 0.1, "u": torch.randn(20, 2) + 0j}, "u is complex but the system is real"),
        ({"dt": 0.1, "method": "gbt"}, "alpha is missing"),
    ],
)
def test_what_is_refused(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        system().simulate(**({"u": torch.randn(20, 2)} | arguments))  # type: ignore[arg-type]
