"""What systems take and refuse: matrices, steps, types, batches, systems without a state."""

import numpy as np
import pytest
import torch
from scipy import signal

from statespace import Diagonal, StateSpace, cont2discrete
from statespace.discretization import METHODS
from statespace.errors import InputError, ShapeError
from statespace.systems import diagonalise, plots, to_scipy

SECOND_ORDER = StateSpace([[0, 1], [-2, -3]], [[0], [1]], [[1, 0]])
GAIN = StateSpace(torch.zeros(0, 0), torch.zeros(0, 1), torch.zeros(1, 0), [[2.0]])


@pytest.mark.parametrize("method", ["zoh", "foh", "impulse", "exponential-trapezoidal"])
@pytest.mark.parametrize(
    "system",
    [
        StateSpace([[1000.0]], [[1.0]], [[1.0]]),
        StateSpace([[1000.0, 1], [0, -1]], [[1.0], [1]], [[1.0, 0]]),
        Diagonal([1000.0 + 0j], [[1.0]], [[1.0]]),
    ],
    ids=["scalar", "beside a stable pole", "diagonal"],
)
def test_a_discretization_that_overflows_tells_the_margin(system, method):
    with pytest.raises(InputError, match=rf"discretize: the result of {method} overflows.*-1e\+03 1/s.*smaller dt"):
        cont2discrete(system, 1.0, method)


def test_overflow_is_no_error_of_an_unstable_system_within_range():
    assert cont2discrete(StateSpace([[2.0]], [[1.0]], [[1.0]]), 1.0).A.item() == pytest.approx(np.exp(2), rel=1e-14)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_matrices_must_be_finite(bad):
    with pytest.raises(InputError, match="StateSpace: B holds NaN or infinity"):
        StateSpace([[1.0]], [[bad]], [[1.0]])


@pytest.mark.parametrize("name", ["A", "B", "C"])
def test_a_missing_matrix_is_named(name):
    matrices = {"A": [[1.0]], "B": [[1.0]], "C": [[1.0]]} | {name: None}
    with pytest.raises(InputError, match=f"StateSpace: {name} is missing"):
        StateSpace(**matrices)


def test_a_number_serves_as_feed_through_where_it_is_clear():
    assert StateSpace([[1.0]], [[1.0]], [[1.0]], 3).D.tolist() == [[3.0]]
    assert StateSpace(torch.eye(2), torch.eye(2), torch.eye(2), 0).D.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    with pytest.raises(ShapeError, match="D is"):
        StateSpace(torch.eye(2), torch.eye(2), torch.eye(2), 1)


@pytest.mark.parametrize("dt", [[0.1, 0.2], np.array([0.1, 0.2]), torch.tensor([0.1, 0.2], dtype=torch.float64)])
def test_steps_come_as_lists_arrays_or_tensors(dt):
    found = cont2discrete(SECOND_ORDER, dt)
    for k, step in enumerate((0.1, 0.2)):
        expected, *_ = signal.cont2discrete([matrix.numpy() for matrix in list(SECOND_ORDER)[:4]], step)
        np.testing.assert_allclose(found.A[k], expected, rtol=1e-14)


@pytest.mark.parametrize("dt", [True, "0.1", torch.tensor(True), 1 + 1j, None])
def test_what_is_no_step_is_refused(dt):
    with pytest.raises(InputError, match="dt is"):
        cont2discrete(SECOND_ORDER, dt)


def test_a_step_must_fit_the_batch():
    with pytest.raises(ShapeError, match=r"of dt \(2,\) do not broadcast"):
        StateSpace(torch.zeros(3, 2, 2), torch.zeros(2, 1), torch.zeros(1, 2), dt=torch.tensor([0.1, 0.2]))


def test_a_batch_answers_as_its_members_do():
    batch = cont2discrete(SECOND_ORDER, [0.1, 0.2, 0.3])
    w = torch.tensor([0.5, 2.0], dtype=torch.float64)
    answers = batch.frequency_response(w)
    assert answers.shape == (3, 2, 1, 1)
    for k, dt in enumerate((0.1, 0.2, 0.3)):
        member = batch.select(k)
        assert (member.dt, member.B.ndim) == (pytest.approx(dt), 2)
        _, expected = signal.dfreqresp(signal.dlti(*(m.numpy() for m in list(member)[:4]), dt=dt), w.numpy() * dt)
        np.testing.assert_allclose(answers[k].flatten(), expected, rtol=1e-12)
        torch.testing.assert_close(member.resample(0.5).A, SECOND_ORDER.discretize(0.5).A, rtol=1e-14, atol=0)
    with pytest.raises(InputError, match=r"select: the batch is \(3,\)"):
        batch.select(3)


def test_a_system_without_a_state_is_its_gain():
    for name, method in METHODS.items():
        if not method.strictly_proper:
            assert GAIN.discretize(0.1, name, alpha=0.5).D.item() == 2, name
    t = torch.tensor([0.0, 1.0, 3.0])
    assert GAIN.simulate(torch.ones(3), dt=0.1).y.tolist() == [2, 2, 2]
    assert GAIN.step_response(t).flatten().tolist() == [2, 2, 2]
    assert GAIN.impulse_response(t).flatten().tolist() == [0, 0, 0]
    assert GAIN.is_stable()
    assert GAIN.hankel_singular_values().numel() == 0


def test_a_real_type_is_the_precision_of_a_complex_system():
    system = Diagonal(torch.tensor([-1 + 2j], dtype=torch.complex128), [[1.0]], [[1.0]], pairs=True)
    assert system.to(torch.float32).A.tolist() == [-1 + 2j]
    assert system.to(torch.float32).A.dtype is torch.complex64
    for target in (torch.int64, torch.float16, "cdua"):
        with pytest.raises(InputError, match="to:"):
            system.to(target)


def test_scipy_systems_are_taken_as_they_are():
    lti = signal.lti([1.0], [1.0, 2.0, 1.0])
    expected = lti.to_discrete(0.1).to_ss().A
    np.testing.assert_allclose(
        np.sort(np.linalg.eigvals(cont2discrete(lti, 0.1).A)), np.sort(np.linalg.eigvals(expected)), atol=1e-7
    )


@pytest.mark.parametrize("method", ["zoh", "foh", "bilinear", "impulse"])
@pytest.mark.parametrize("view", ["scan", "recurrent"])
def test_each_series_of_a_batch_may_have_stamps_of_its_own(method, view):
    u = torch.randn(3, 20, 1, dtype=torch.float64)
    stamps = torch.cumsum(torch.rand(3, 20, dtype=torch.float64) + 0.1, -1)
    together = SECOND_ORDER.simulate(u, t=stamps, method=method, view=view)
    for k in range(3):
        alone = SECOND_ORDER.simulate(u[k], t=stamps[k], method=method, view="recurrent")
        torch.testing.assert_close(together.y[k], alone.y, rtol=0, atol=1e-14)
        torch.testing.assert_close(together.x[k], alone.x, rtol=0, atol=1e-14)


def test_an_unstable_method_is_not_blamed_on_a_stable_system():
    with pytest.raises(InputError, match=r"the system is stable .*but euler at this step is not.*modulus 999"):
        StateSpace([[-1e4]], [[1.0]], [[1.0]]).simulate(torch.ones(2000), dt=0.1, method="euler")
    with pytest.raises(InputError, match="margin of the system is -1:"):
        StateSpace([[1.0]], [[1.0]], [[1.0]]).simulate(torch.ones(20000), dt=0.1)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: SECOND_ORDER.simulate(torch.zeros(3), dt=0.1, x0=[1j, 2]), InputError, "x0 is complex"),
        (
            lambda: SECOND_ORDER.simulate(torch.zeros(4, 3, 1), dt=0.1, x0=torch.zeros(3, 2)),
            ShapeError,
            r"x0 has \(3,\)",
        ),
        (lambda: SECOND_ORDER.simulate(torch.zeros(3), t=[0.0]), ShapeError, "one real stamp"),
        (lambda: SECOND_ORDER.series(3), InputError, "series: a int came"),
        (lambda: SECOND_ORDER.feedback("x"), InputError, "feedback: a str came"),
        (lambda: diagonalise(3), InputError, "diagonalise: a int came"),
        (lambda: to_scipy(3), InputError, "to_scipy: a int came"),
        (lambda: StateSpace.from_zpk([], [-1], "a"), InputError, "k is 'a'"),
        (lambda: StateSpace.from_zpk([], [-1], [1, 2]), InputError, "one real number"),
        (lambda: StateSpace.from_transfer_function([np.nan], [1, 2]), InputError, "NaN"),
        (lambda: SECOND_ORDER.frequency_response(np.inf), InputError, "w holds NaN or infinity"),
        (lambda: SECOND_ORDER.frequency_response(torch.zeros(2, 3)), ShapeError, r"w is \(2, 3\)"),
        (lambda: SECOND_ORDER.discretize(0.1).kernel(2.0), InputError, "a whole number"),
    ],
)
def test_what_cannot_be_done_is_named(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()


def test_a_count_may_be_any_whole_number():
    assert SECOND_ORDER.discretize(0.1).kernel(np.int64(3)).shape == (3, 1, 1)


@pytest.mark.parametrize("t", [[0.0, 1.0, 2.0], np.linspace(0, 3, 5)])
def test_pictures_take_lists_and_arrays(t):
    pytest.importorskip("matplotlib")
    for draw in (plots.step, plots.impulse):
        (line,) = draw(SECOND_ORDER, t).axes[0].lines
        np.testing.assert_array_equal(line.get_xdata(), t)
    assert len(plots.bode(SECOND_ORDER, t[1:]).axes) == 2


def test_half_a_turn_is_drawn_as_a_lag():
    pytest.importorskip("matplotlib")
    oscillator = StateSpace([[0, 1], [-1, 0]], [[0], [1]], [[1, 0]])
    phase = plots.bode(oscillator, [0.5, 2.0]).axes[1].lines[0].get_ydata()
    np.testing.assert_allclose(phase, [0, -180], atol=1e-9)


def test_a_gain_can_be_drawn():
    pytest.importorskip("matplotlib")
    for draw in (plots.step, plots.impulse, plots.bode, plots.pole_zero):
        assert draw(GAIN).axes


@pytest.mark.parametrize("A", [[[0.0]], torch.arange(1, 10).reshape(3, 3) / -10])
def test_an_integrator_has_no_finite_gain_however_it_is_rounded(A):
    n = len(A)
    assert StateSpace(A, torch.ones(n, 1), torch.ones(1, n)).dc_gain().item() == np.inf
