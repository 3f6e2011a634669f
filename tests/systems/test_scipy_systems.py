"""The systems of SciPy's documentation and of its own tests: the same numbers, or those of a closed form."""

import numpy as np
import pytest
import scipy.signal as signal
import torch
from torch import Tensor

from statespace import StateSpace, cont2discrete
from statespace.systems import System, from_scipy

# SciPy goes through polynomials or eigenvectors for some of these; where a closed form is known, ours is held to it.
SINGLE = {
    "low-pass": ([1.0], [1.0, 1.0]),
    "integrator": ([1.0], [1.0, 0.0]),
    "repeated root": ([1.0], [1.0, 2.0, 1.0]),
    "second order": ([0.25, 0.25, 0.5], [0.75, 0.75, 1.0]),
    "first order with feed-through": ([0.5, 0.3], [1.0, 0.4]),
    "Bessel of 12 Hz": signal.bessel(N=5, Wn=2 * np.pi * 12, btype="lowpass", analog=True),
}
METHODS = ["zoh", "foh", "bilinear", "gbt", "euler", "backward_diff", "impulse"]


def single(name: str) -> StateSpace:
    return StateSpace.from_transfer_function(*SINGLE[name])


def arrays(system: System) -> tuple[np.ndarray, ...]:
    return tuple(matrix.numpy() for matrix in list(system)[:4])


def close(ours: Tensor, theirs: object, tolerance: float) -> None:
    expected = np.asarray(theirs)
    assert np.linalg.norm(ours.numpy().ravel() - expected.ravel()) <= tolerance * max(np.linalg.norm(expected), 1e-300)


PROPER = [name for name in SINGLE if len(SINGLE[name][0]) < len(SINGLE[name][1])]


@pytest.mark.parametrize(
    ("name", "method"),
    [(name, method) for name in SINGLE for method in METHODS if method != "impulse" or name in PROPER],
)
def test_polynomials_are_discretised_as_scipy_does(name: str, method: str) -> None:
    dt = 0.02
    num, den, _ = signal.cont2discrete(SINGLE[name], dt, method, alpha=1 / 3)
    found = cont2discrete(SINGLE[name], dt, method, 1 / 3)
    # Two factors of a polynomial may meet at 1, so it is compared as a polynomial is used: by its values.
    w = np.linspace(0.3, 3.0, 12)
    _, theirs = signal.freqz(num.ravel(), den, w)
    close(found.frequency_response(torch.from_numpy(w / dt)), theirs, 1e-9)


# Published results: of scipy.signal.cont2discrete's tests, with alpha = 1/3 for gbt.
TRUTH = {
    "zoh": (1.648721270700128, 0.324360635350064, [[0.75, 1], [1, 1], [1, 0.25]], [0, 0, -0.33]),
    "gbt": (1.6, 0.3, [[0.9, 1.2], [1.2, 1.2], [1.2, 0.3]], [0.175, 0.2, -0.205]),
    "euler": (1.5, 0.25, [[0.75, 1], [1, 1], [1, 0.25]], [0, 0, -0.33]),
    "backward_diff": (2.0, 0.5, [[1.5, 2], [2, 2], [2, 0.5]], [0.875, 1.0, 0.295]),
    "bilinear": (5 / 3, 1 / 3, [[1, 4 / 3], [4 / 3, 4 / 3], [4 / 3, 1 / 3]], [7 / 24, 1 / 3, 1 / 3 * 0.625 - 0.33]),
}


@pytest.mark.parametrize("method", TRUTH)
def test_the_published_results_of_its_tests_come_out(method: str) -> None:
    A, B = np.eye(2), np.full((2, 1), 0.5)
    C, D = [[0.75, 1.0], [1.0, 1.0], [1.0, 0.25]], [[0.0], [0.0], [-0.33]]
    found = cont2discrete((A, B, C, D), 0.5, method, 1 / 3).to_dense()
    diagonal, drive, Cbar, Dbar = TRUTH[method]
    close(found.A, diagonal * A, 1e-14)
    close(found.B, np.full((2, 1), drive), 1e-14)
    close(found.C, Cbar, 1e-14)
    close(found.D, Dbar, 1e-13)


def test_a_transfer_function_and_a_coupled_system_come_out_as_published() -> None:
    found = cont2discrete(([0.5, 0.3], [1.0, 0.4]), 0.005).to_dense()
    assert found.A.item() == pytest.approx(0.998001998667333, abs=1e-14)  # exp(-0.4 dt)
    coupled = cont2discrete(([[-0.3, 0.1], [0.2, -0.7]], [[0.0], [1]], [[1.0, 0]], [[0.0]]), 0.05).to_dense()
    close(coupled.A, [[0.985136404135682, 0.004876671474795], [0.009753342949590, 0.965629718236502]], 1e-14)
    close(coupled.B, [0.000122937599964, 0.049135527547844], 1e-11)


@pytest.mark.parametrize("name", SINGLE)
def test_impulse_and_step_are_those_of_scipy(name: str) -> None:
    t = np.linspace(0, 3, 40)
    system = single(name)
    impulse, step = (respond(SINGLE[name], T=t)[1] for respond in (signal.impulse, signal.step))
    close(system.impulse_response(torch.from_numpy(t)), impulse, 1e-8)
    close(system.step_response(torch.from_numpy(t)), step, 1e-8)


def test_impulse_and_step_have_their_closed_forms() -> None:
    t = torch.linspace(0, 7, 50, dtype=torch.float64)
    known = {
        "low-pass": (torch.exp(-t), 1 - torch.exp(-t)),
        "integrator": (torch.ones_like(t), t),
        "repeated root": (t * torch.exp(-t), 1 - (1 + t) * torch.exp(-t)),
    }
    for name, (impulse, step) in known.items():
        close(single(name).impulse_response(t), impulse, 1e-14)
        close(single(name).step_response(t), step, 1e-14)


@pytest.mark.parametrize("name", SINGLE)
def test_frequency_responses_are_those_of_scipy(name: str) -> None:
    w = np.logspace(-1, 2, 30)
    close(single(name).frequency_response(torch.from_numpy(w)), signal.freqs(*SINGLE[name], w)[1], 1e-12)


def test_the_documented_frequency_responses() -> None:
    unstable = signal.ZerosPolesGain([], [1, 1, 1], [5])  # 5 / (s - 1)³
    w, H = signal.freqresp(unstable)
    close(from_scipy(unstable).frequency_response(torch.from_numpy(w)), 5 / (1j * w - 1) ** 3, 1e-13)
    close(from_scipy(unstable).frequency_response(torch.from_numpy(w)), H, 1e-12)
    discrete = signal.TransferFunction([1], [1, 2, 3], dt=0.05)
    w, H = signal.dfreqresp(discrete)
    close(from_scipy(discrete).frequency_response(torch.from_numpy(w / 0.05)), H, 1e-12)


def run(system: StateSpace, u: np.ndarray, t: np.ndarray, x0: list[float] | None = None) -> Tensor:
    """Simulate a signal of straight lines from a state at the first sample, as lsim does."""
    states = StateSpace(system.A, system.B, torch.eye(system.n, dtype=torch.float64)).discretize(t[1] - t[0], "foh")
    start = torch.zeros(system.n, dtype=torch.float64) if x0 is None else torch.tensor(x0, dtype=torch.float64)
    first = torch.from_numpy(np.atleast_1d(u[0]))
    return system.simulate(torch.from_numpy(u), t=torch.from_numpy(t), x0=start - states.D @ first, method="foh").y


LSIM = {
    "decay": ([[-1.0]], [[1.0]], [[1.0]], [1.0], lambda t: 0 * t, lambda t: np.exp(-t)),
    "integrator of a ramp": ([[0.0]], [[1.0]], [[1.0]], [0.0], lambda t: t, lambda t: t**2 / 2),
    "double integrator": ([[0.0, 1], [0, 0]], [[0.0], [1]], [[2.0, 0]], [0.0, 0], lambda t: 1 + 0 * t, lambda t: t**2),
    "Jordan block": (
        [[-1.0, 1], [0, -1]],
        [[0.0], [1]],
        [[1.0, 0]],
        [0.0, 1],
        lambda t: 0 * t,
        lambda t: t * np.exp(-t),
    ),
    "two decays": (
        [[-1.0, 0], [0, -2]],
        [[1.0], [0]],
        [[1.0, 1]],
        [1.0, 1],
        lambda t: 0 * t,
        lambda t: np.exp(-t) + np.exp(-2 * t),
    ),
}


@pytest.mark.parametrize("name", LSIM)
def test_simulations_have_the_closed_forms_of_its_tests(name: str) -> None:
    A, B, C, x0, u, y = LSIM[name]
    t = np.linspace(0, 5, 50)
    system = StateSpace(A, B, C)
    close(run(system, u(t), t, x0), y(t), 1e-12)
    close(run(system, u(t), t, x0), signal.lsim(arrays(system), u(t), t, X0=x0)[1], 1e-9)


def test_the_documented_filter_gives_the_signal_of_lsim() -> None:
    t = np.linspace(0, 1.25, 500, endpoint=False)
    u = np.cos(2 * np.pi * 4 * t) + 0.6 * np.sin(2 * np.pi * 40 * t) + 0.5 * np.cos(2 * np.pi * 80 * t)
    system = single("Bessel of 12 Hz")
    close(run(system, u, t), signal.lsim(SINGLE["Bessel of 12 Hz"], u, t)[1], 1e-9)


def test_the_documented_discrete_systems() -> None:
    integrator = StateSpace.from_transfer_function([1.0], [1.0, -1.0], dt=1.0)
    close(integrator.simulate(torch.tensor([0.0, 0, 1, 1], dtype=torch.float64)).y, [0.0, 0, 0, 1], 0)
    b, a = signal.butter(3, 0.25, fs=1)
    filtered = StateSpace.from_transfer_function(b, a, dt=1.0)
    close(filtered.impulse_response(25), signal.dimpulse((b, a, 1), n=25)[1][0], 1e-13)
    close(filtered.step_response(25), signal.dstep((b, a, 1), n=25)[1][0], 1e-13)
    assert filtered.dc_gain().item() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("a", [0.5, -0.75, 1.0])
def test_first_order_recursions_have_their_closed_forms(a: float) -> None:
    k = np.arange(12)
    system = StateSpace([[a]], [[1.0]], [[1.0]], dt=1.0)
    close(system.impulse_response(12), np.where(k > 0, a ** np.maximum(k - 1.0, 0), 0), 1e-15)
    close(system.simulate(torch.zeros(12, dtype=torch.float64), x0=torch.ones(1)).y, a**k, 1e-15)


@pytest.mark.parametrize("dt", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("name", ["low-pass", "repeated root", "second order"])
def test_each_hold_is_exact_for_its_own_input(name: str, dt: float) -> None:
    # What the names promise: impulse keeps the impulse response, zoh the step response and foh that to a ramp.
    system = single(name)
    system = StateSpace(system.A, system.B, system.C)
    count = 30
    t = torch.arange(count, dtype=torch.float64) * dt
    close(system.discretize(dt, "impulse").impulse_response(count), dt * system.impulse_response(t), 1e-12)
    close(system.discretize(dt, "zoh").step_response(count), system.step_response(t), 1e-12)
    ramp = system.series(StateSpace([[0.0]], [[1.0]], [[1.0]])).step_response(t)
    close(system.discretize(dt, "foh").simulate(t).y, ramp, 1e-12)
