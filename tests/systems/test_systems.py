"""The forms of a system, their responses and analysis, against SciPy, python-control and closed forms."""

import numpy as np
import pytest
import scipy.linalg
import scipy.signal as signal
import torch
from torch import Tensor

from statespace import DPLR, Diagonal, InputError, ShapeError, StateSpace, cont2discrete
from statespace.discretization import METHODS
from statespace.hippo import nplr
from statespace.systems import System, diagonalise, from_scipy, plots, to_scipy, transform


def random(n: int = 5, m: int = 1, p: int = 1) -> StateSpace:
    A = torch.randn(n, n, dtype=torch.float64) / n**0.5 - 1.5 * torch.eye(n, dtype=torch.float64)
    return StateSpace(A, *(torch.randn(*shape, dtype=torch.float64) for shape in ((n, m), (p, n), (p, m))))


def arrays(system: System) -> tuple[np.ndarray, ...]:
    return tuple(matrix.numpy() for matrix in list(system)[:4])


def close(ours: Tensor, theirs: object, tolerance: float = 1e-10) -> None:
    theirs = torch.as_tensor(theirs)
    assert ours.shape == theirs.shape
    assert (ours - theirs).norm() <= tolerance * max(theirs.norm().item(), 1e-300)


def test_a_system_unpacks_as_the_tuple_of_scipy_does() -> None:
    system = random()
    A, B, C, D, dt = cont2discrete(system, 0.1)
    for ours, theirs in zip((A, B, C, D), signal.cont2discrete(arrays(system), 0.1), strict=False):
        close(ours, theirs, 1e-12)
    assert dt == 0.1


def test_a_step_may_be_learnt_and_each_system_of_a_batch_may_have_its_own() -> None:
    dt = torch.tensor([0.1, 0.2], dtype=torch.float64, requires_grad=True)
    discrete = cont2discrete(random(), dt, "foh")
    assert discrete.A.shape == (2, 5, 5)
    assert discrete.dt is dt
    (gradient,) = torch.autograd.grad(discrete.A.square().sum(), dt)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("method", METHODS)
def test_every_form_discretises_alike(method: str) -> None:
    Lambda = torch.complex(-torch.rand(4), torch.randn(4)).to(torch.complex128)
    P, Q = torch.randn(2, 4, 2, dtype=torch.complex128)
    B, C = torch.randn(4, 2, dtype=torch.complex128), torch.randn(3, 4, dtype=torch.complex128)
    D = torch.zeros(3, 2) if METHODS[method].strictly_proper else torch.randn(3, 2)
    for system in (Diagonal(Lambda, B, C, D), Diagonal(Lambda, B, C, D, pairs=True), DPLR(Lambda, P, B, C, D, Q)):
        ours, dense = (form.discretize(0.2, method, 0.3) for form in (system, system.to_dense()))
        w = torch.linspace(0, 10, 7)
        close(ours.frequency_response(w), dense.frequency_response(w), 1e-11)
        assert ours.dt == dense.dt == 0.2
        close(ours.kernel(20), dense.kernel(20), 1e-11)


def test_rational_rules_keep_the_low_rank_of_a_hippo_matrix() -> None:
    hippo = nplr("legs", 16)
    system = DPLR(hippo.Lambda, hippo.P, hippo.B, torch.randn(1, 16, dtype=torch.complex128))
    discrete = system.discretize(0.01, "bilinear")
    assert isinstance(discrete, DPLR)
    close(discrete.to_dense().A, system.to_dense().discretize(0.01, "bilinear").A, 1e-12)
    assert isinstance(system.discretize(0.01), StateSpace)


def test_frequency_response_equals_scipy_and_the_transform_of_the_impulse_response() -> None:
    system = random()
    w = np.logspace(-2, 2, 20)
    close(
        system.frequency_response(torch.from_numpy(w))[:, 0, 0],
        signal.freqresp(signal.StateSpace(*arrays(system)), w)[1],
    )
    discrete = system.discretize(0.3)
    taps = discrete.kernel(512)[:, 0, 0]  # the slowest mode has decayed below rounding by then
    spectrum = torch.fft.fft(taps)[:257]
    w = 2 * torch.pi * torch.arange(257, dtype=torch.float64) / 512 / 0.3
    close(discrete.frequency_response(w)[:, 0, 0], spectrum, 1e-11)
    dlti = signal.dlti(*arrays(discrete), dt=0.3)
    close(discrete.frequency_response(w)[:, 0, 0], signal.dfreqresp(dlti, w.numpy() * 0.3)[1], 1e-9)


def test_responses_equal_scipy_on_even_and_uneven_times() -> None:
    system = random()
    for t in (np.linspace(0, 5, 60), np.linspace(1, 5, 30), np.sort(np.random.default_rng(0).uniform(0, 5, 20))):
        exact = np.array([system.C.numpy() @ scipy.linalg.expm(system.A.numpy() * s) @ system.B.numpy() for s in t])
        close(system.impulse_response(torch.from_numpy(t)), exact, 1e-12)
        driven = np.linalg.solve(system.A.numpy(), system.B.numpy())
        steps = exact.copy()
        for index, s in enumerate(t):
            grown = scipy.linalg.expm(system.A.numpy() * s) @ driven - driven
            steps[index] = system.C.numpy() @ grown + system.D.numpy()
        close(system.step_response(torch.from_numpy(t)), steps, 1e-12)
    t = np.linspace(0, 5, 60)
    close(system.impulse_response(torch.from_numpy(t))[:, 0, 0], signal.impulse(arrays(system), T=t)[1], 1e-9)
    discrete = system.discretize(0.1)
    given = (*arrays(discrete), 0.1)
    close(discrete.impulse_response(30)[:, :, 0], signal.dimpulse(given, n=30)[1][0], 1e-12)
    close(discrete.kernel(30)[:, :, 0], signal.dimpulse(given, n=30)[1][0], 1e-12)
    close(discrete.step_response(30)[:, :, 0], signal.dstep(given, n=30)[1][0], 1e-12)


@pytest.mark.parametrize("discrete", [False, True])
def test_gramians_solve_the_lyapunov_equations_of_scipy(discrete: bool) -> None:
    system: System = random(6, 2, 3)
    system = system.discretize(0.2) if discrete else system
    A, B, C, _ = arrays(system)
    if discrete:
        solve = scipy.linalg.solve_discrete_lyapunov
        Wc, Wo = solve(A, B @ B.T), solve(A.T, C.T @ C)
    else:
        solve = scipy.linalg.solve_continuous_lyapunov
        Wc, Wo = solve(A, -B @ B.T), solve(A.T, -C.T @ C)
    close(system.controllability_gramian(), Wc, 1e-11)
    close(system.observability_gramian(), Wo, 1e-11)
    values = np.sqrt(np.sort(np.linalg.eigvals(Wc @ Wo).real)[::-1])
    close(system.hankel_singular_values(), values, 1e-9)


def test_balanced_truncation_stays_within_twice_the_values_left_out() -> None:
    system = random(8)
    values = system.hankel_singular_values()
    w = torch.logspace(-3, 3, 400)
    for order in (2, 4, 8):
        reduced = system.balanced_truncation(order)
        assert reduced.n == order
        error = (reduced.frequency_response(w) - system.frequency_response(w)).abs().max()
        assert error <= 2 * values[order:].sum() + 1e-9
        torch.testing.assert_close(reduced.hankel_singular_values()[0], values[0], rtol=0.3, atol=0)


def test_poles_zeros_and_gain() -> None:
    z, p, k = [-1.0, 2 + 1j, 2 - 1j], [-0.5, -3.0, -4.0, -1 + 2j, -1 - 2j], 3.0
    system = StateSpace.from_zpk(z, p, k)
    for ours, theirs in ((system.zeros(), z), (system.poles(), p)):
        close(
            torch.tensor(sorted(ours.tolist(), key=lambda c: (c.real, c.imag))),
            torch.tensor(sorted(map(complex, theirs), key=lambda c: (c.real, c.imag)), dtype=torch.complex128),
            1e-8,
        )
    w = np.logspace(-1, 1, 9)
    close(system.frequency_response(torch.from_numpy(w))[:, 0, 0], signal.freqs_zpk(z, p, k, w)[1])
    close(system.dc_gain()[0, 0], signal.freqs_zpk(z, p, k, [1e-12])[1][0].real)
    assert torch.isinf(StateSpace([[0.0]], [[1.0]], [[1.0]]).dc_gain()).all()
    assert len(StateSpace([[0.0, 1], [0, 0]], [[0.0], [1]], [[1.0, 0]]).zeros()) == 0
    close(system.discretize(0.1).dc_gain(), system.dc_gain())


def test_zeros_of_several_inputs_and_outputs_equal_those_of_python_control() -> None:
    control = pytest.importorskip("control")
    for m, p in ((2, 2), (1, 1), (3, 3)):
        system = random(6, m, p)
        system = StateSpace(system.A, system.B, system.C)
        theirs = control.ss(*arrays(system)).zeros()
        ours = system.zeros().numpy()
        assert len(ours) == len(theirs)
        assert np.abs(ours[:, None] - theirs).min(1).max() < 1e-7 * np.abs(theirs).max()


def test_series_parallel_and_feedback_add_and_multiply_transfer_functions() -> None:
    one, other = random(3), random(2)
    w = torch.logspace(-1, 1, 11)
    G, H = (system.frequency_response(w) for system in (one, other))
    close(one.series(other).frequency_response(w), H * G, 1e-11)
    close(one.parallel(other).frequency_response(w), H + G, 1e-11)
    close(one.feedback(other).frequency_response(w), G / (1 + G * H), 1e-10)
    close(one.feedback().frequency_response(w), G / (1 + G), 1e-10)
    close(one.feedback(other, sign=1).frequency_response(w), G / (1 - G * H), 1e-10)
    discrete = one.discretize(0.1)
    with pytest.raises(InputError, match="one system is continuous"):
        discrete.series(other)
    with pytest.raises(InputError, match="resample one of them"):
        discrete.series(other.discretize(0.2))
    with pytest.raises(ShapeError, match="3 outputs lead into 1 inputs"):
        random(2, 1, 3).series(one)
    with pytest.raises(InputError, match="ill-posed"):
        StateSpace([[-1.0]], [[1.0]], [[1.0]], [[-1.0]]).feedback()


def test_diagonal_form_tells_its_condition_number() -> None:
    system = random()
    found = diagonalise(system)
    w = torch.logspace(-1, 1, 5)
    close(found.system.frequency_response(w), system.frequency_response(w), 1e-11)
    torch.testing.assert_close(found.condition, torch.tensor(np.linalg.cond(found.V.numpy())))
    with pytest.raises(InputError, match="condition number"):
        diagonalise(StateSpace([[0.0, 1], [0, 0]], [[0.0], [1]], [[1.0, 0]]))
    T = torch.randn(5, 5, dtype=torch.float64)
    close(transform(system, T).frequency_response(w), system.frequency_response(w), 1e-10)


def test_resampling_goes_back_to_the_continuous_system() -> None:
    system = random()
    for method in ("zoh", "foh", "bilinear"):
        close(system.discretize(0.1, method).resample(0.3).to_dense().B, system.discretize(0.3, method).B, 1e-15)
    born_discrete = StateSpace(*list(system.discretize(0.1))[:4], 0.1)
    close(born_discrete.resample(0.25).to_dense().B, system.discretize(0.25).B, 1e-11)
    with pytest.raises(InputError, match="discrete by birth"):
        StateSpace([[0.0]], [[1.0]], [[1.0]], dt=1.0).resample(2.0)


@pytest.mark.parametrize("form", ["state-space", "transfer-function", "zeros-poles-gain"])
@pytest.mark.parametrize("dt", [None, 0.1])
def test_there_and_back_through_scipy(form: str, dt: float | None) -> None:
    system: System = random(4)
    system = system if dt is None else system.discretize(dt)
    there = to_scipy(system, form)
    back = from_scipy(there)
    assert back.dt == dt
    w = torch.logspace(-1, 1, 20)
    close(back.frequency_response(w), system.frequency_response(w), 1e-10)
    if form == "state-space":
        for ours, theirs in zip(list(back)[:4], list(system)[:4], strict=True):
            assert torch.equal(ours, theirs)


def test_polynomials_and_roots_give_the_matrices_of_scipy() -> None:
    num, den = [2.0, 3, 5], [4.0, 1, 7, 2]
    for ours, theirs in zip(StateSpace.from_transfer_function(num, den), signal.tf2ss(num, den), strict=False):
        close(ours, theirs, 1e-15)
    for ours, theirs in zip(
        StateSpace.from_zpk([-1.0], [-2, -3 + 1j, -3 - 1j], 2.0),
        signal.zpk2ss([-1.0], [-2, -3 + 1j, -3 - 1j], 2.0),
        strict=False,
    ):
        close(ours, theirs, 1e-14)
    assert StateSpace.from_transfer_function([3.0], [2.0]).D.item() == 1.5


def test_the_documented_examples_of_scipy_give_the_same_numbers() -> None:
    # cont2discrete's example: a mass on a damped spring; lti's: two states.
    A, B, C, D = ([[0, 1], [-10.0, -3]], [[0], [10.0]], [[1.0, 0]], [[0.0]])
    for method in ("zoh", "bilinear", "euler", "backward_diff", "foh", "impulse"):
        theirs = signal.cont2discrete(tuple(map(np.array, (A, B, C, D))), 0.1, method=method)
        for ours, expected in zip(cont2discrete((A, B, C, D), 0.1, method), theirs, strict=False):
            close(torch.as_tensor(ours), expected, 1e-14)
    # Of SciPy's own tests: the zero-order hold of [[1, 0], [0, 1]]/2 ... with its stated results.
    eye = np.eye(2)
    found = cont2discrete(
        (eye, 0.5 * np.ones((2, 1)), [[0.75, 1.0], [1.0, 1.0], [1.0, 0.25]], [[0.0], [0], [-0.33]]), 0.5
    )
    close(found.to_dense().A, 1.648721270700128 * eye, 1e-15)
    close(found.to_dense().B, np.full((2, 1), 0.324360635350064), 1e-15)


# The systems of SciPy's own tests: of test_cont2discrete, and of test_dltisys with its three inputs.
OF_SCIPY = {
    "cont2discrete": (
        np.eye(2),
        0.5 * np.ones((2, 1)),
        [[0.75, 1.0], [1.0, 1.0], [1.0, 0.25]],
        [[0.0], [0], [-0.33]],
        0.5,
    ),
    "dltisys": ([[0.9, 0.1], [-0.2, 0.9]], [[0.4, 0.1, -0.1], [0, 0.05, 0]], [[0.1, 0.3]], [[0.0, -0.1, 0.0]], 0.5),
}


@pytest.mark.parametrize("name", OF_SCIPY)
@pytest.mark.parametrize("method", ["zoh", "foh", "bilinear", "gbt", "euler", "backward_diff", "impulse"])
def test_the_systems_of_its_test_suite_give_the_numbers_of_scipy(name: str, method: str) -> None:
    A, B, C, D, dt = OF_SCIPY[name]
    D = np.zeros_like(D) if method == "impulse" else D
    theirs = signal.cont2discrete(tuple(map(np.array, (A, B, C, D))), dt, method, alpha=1 / 3)
    for ours, expected in zip(cont2discrete((A, B, C, D), dt, method, 1 / 3), theirs[:4], strict=False):
        close(torch.as_tensor(ours), expected, 1e-14)
    discrete = StateSpace(A, B, C, D, dt)
    given = (*map(np.array, (A, B, C, D)), dt)
    u = np.random.default_rng(0).standard_normal((25, np.shape(B)[1]))
    close(discrete.simulate(torch.from_numpy(u)).y, signal.dlsim(given, u)[1], 1e-13)
    close(discrete.kernel(25), np.stack(signal.dimpulse(given, n=25)[1], -1), 1e-13)
    close(discrete.step_response(25), np.stack(signal.dstep(given, n=25)[1], -1), 1e-13)


def test_first_order_hold_is_exact_for_a_ramp() -> None:
    # Integrated, a ramp is a parabola; through a low-pass of 1 s it is t - 1 + exp(-t).
    t = torch.arange(50, dtype=torch.float64) * 0.37
    for system, exact in (
        (StateSpace([[0.0]], [[1.0]], [[1.0]]), t**2 / 2),
        (StateSpace([[-1.0]], [[1.0]], [[1.0]]), t - 1 + torch.exp(-t)),
    ):
        for view in ("scan", "convolution", "recurrent"):
            found = system.discretize(0.37, "foh").simulate(t, view=view).y
            torch.testing.assert_close(found, exact, rtol=1e-12, atol=1e-12)


def test_immutable_and_movable() -> None:
    system = random()
    with pytest.raises(AttributeError):
        system.A = torch.zeros(5, 5)  # type: ignore[misc]
    assert system.to(torch.float32).A.dtype is torch.float32
    assert system.to(torch.complex64).B.dtype is torch.complex64


def test_pictures_carry_units() -> None:
    pytest.importorskip("matplotlib")
    for system in (random(4), random(4).discretize(0.1)):
        for draw in (plots.bode, plots.nyquist, plots.impulse, plots.step, plots.pole_zero):
            figure = draw(system)
            labels = " ".join(axis.get_xlabel() + axis.get_ylabel() for axis in figure.axes)
            assert "(" in labels
            figure.canvas.draw()
    with pytest.raises(InputError, match="one input and one output"):
        plots.bode(random(3, 2, 2))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: StateSpace(torch.ones(3, 2), torch.ones(3, 1), torch.ones(1, 3)), "A must be square"),
        (lambda: StateSpace(torch.ones(3, 3), torch.ones(2, 1), torch.ones(1, 3)), "B is \\(2, 1\\)"),
        (lambda: StateSpace(torch.ones(3, 3), torch.ones(3, 1), torch.ones(1, 2)), "C is \\(1, 2\\)"),
        (lambda: StateSpace(torch.ones(3, 3), torch.ones(3, 1), torch.ones(1, 3), torch.ones(2, 2)), "D is \\(2, 2\\)"),
        (lambda: StateSpace([[1, 2], [3]], [[1]], [[1]]), "rows of numbers of equal length"),
        (lambda: StateSpace([["a"]], [[1]], [[1]]), "A is "),
        (lambda: StateSpace([[-1.0]], [[1.0]], [[1.0]], dt=0.0), "dt is 0.0"),
        (lambda: StateSpace([[-1.0]], [[1.0]], [[1.0]], dt=float("nan")), "dt is nan"),
        (lambda: Diagonal([[-1.0]], [[1.0], [2.0]], [[1.0]]), "B has a row for each eigenvalue"),
        (lambda: Diagonal([-1j], [[1.0]], [[1.0]], [[1j]], pairs=True), "pass D.real"),
        (lambda: DPLR([-1.0, -2], [[1.0]], [[1.0], [1]], [[1.0, 1]]), "P has a row for each state"),
        (lambda: cont2discrete(random(), 0.1, "zho"), "zoh, foh, bilinear"),
        (lambda: cont2discrete(random(), 0.1, "gbt"), "alpha is missing"),
        (lambda: cont2discrete(random(), 0.1, "gbt", 1.5), "alpha is 1.5"),
        (lambda: cont2discrete(random(), 0.0), "dt is 0.0"),
        (lambda: cont2discrete(random().discretize(0.1), 0.1), "already discrete"),
        (lambda: cont2discrete("system", 0.1), "from_control"),
        (lambda: random().kernel(3), "call discretize\\(dt\\) first"),
        (lambda: random().impulse_response(3), "pass times in s"),
        (lambda: random().discretize(0.1).impulse_response(torch.ones(3)), "answers in steps"),
        (lambda: random().frequency_response(torch.ones(2) + 1j), "w is complex"),
        (lambda: StateSpace([[0.0]], [[1.0]], [[1.0]]).frequency_response(0.0), "a pole lies on"),
        (lambda: StateSpace([[1.0]], [[1.0]], [[1.0]]).controllability_gramian(), "not stable \\(margin -1"),
        (lambda: random().balanced_truncation(9), "from 1 to 5"),
        (lambda: StateSpace([[2.0]], [[1.0]], [[1.0]], dt=1.0).kernel(5000), "overflows; the stability margin"),
        (lambda: StateSpace.from_transfer_function([1.0, 2, 3], [1.0, 2]), "differentiates its input"),
        (lambda: StateSpace.from_transfer_function([1.0], [0.0]), "not zero"),
        (lambda: StateSpace.from_zpk([1j], [-1.0, -2], 1.0), "without their conjugates"),
        (lambda: from_scipy((1, 2)), "scipy.signal.lti"),
        (lambda: to_scipy(random(), "tf"), "transfer-function"),
        (
            lambda: to_scipy(StateSpace(-torch.eye(2).repeat(3, 1, 1), torch.ones(2, 1), torch.ones(1, 2))),
            "one at a time",
        ),
    ],
)
def test_what_is_refused(make: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make()  # type: ignore[operator]


def test_a_system_says_what_it_is():
    system = StateSpace([[0, 1], [-2, -3]], [[0], [1]], [[1, 0]])
    assert repr(system) == "StateSpace(2 states, 1 input, 1 output, float64, continuous)"
    assert repr(system.discretize(0.1)).endswith("discrete, dt = 0.1 s by zoh)")
    batch = system.discretize(torch.tensor([0.1, 0.2]), "tustin")
    assert (
        repr(batch)
        == "StateSpace(2 systems of 2 states, 1 input, 1 output, float64, discrete, several steps by bilinear)"
    )
    assert str(system).splitlines()[1:3] == ["A = [[ 0.  1.]", "     [-2. -3.]]"]
