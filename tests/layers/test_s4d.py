"""S4D against SciPy: the same systems, simulated by ``scipy.signal``, and what the layer promises of itself."""

from math import log

import numpy as np
import pytest
import torch
from scipy.signal import dlsim, lfilter

from statespace.discretization import METHODS
from statespace.hippo import INITIALISATIONS
from statespace.kernels import native
from statespace.layers import S4D
from statespace.layers.s4d import LOG_POLES
from statespace.verification.oracles import scipy_discrete

LENGTH, CHANNELS, STATES = 100, 3, 8
# Two simulations in float64: a hundred roundings in each of up to 16 states, which cancel by three digits at most.
TOLERANCE = 1e-11
VIEWS = ["convolution", "scan"]

inits = pytest.mark.parametrize("init", INITIALISATIONS)
methods = pytest.mark.parametrize("method", LOG_POLES)
views = pytest.mark.parametrize("view", VIEWS)


def make(init: str, method: str, view: str = "auto") -> S4D:
    return S4D(CHANNELS, STATES, init=init, discretization=method, view=view).double()


def eigenvalues(layer: S4D) -> np.ndarray:
    A = -np.exp(layer.A_log.detach().numpy())
    return A if layer.A_imag is None else A + 1j * layer.A_imag.detach().numpy()


def steps(layer: S4D) -> list[float]:
    return layer.log_dt.detach().exp().tolist()


def weights(layer: S4D) -> np.ndarray:
    C = layer.C.detach().numpy()
    return C[..., 0] + 1j * C[..., 1] if layer.A_imag is not None else C[..., 0]


def real_system(layer: S4D, channel: int) -> tuple[np.ndarray, ...]:
    """The whole real system of one channel: each conjugate pair as a block [[α, -ω], [ω, α]] on (Re h, Im h)."""
    A, C = eigenvalues(layer)[channel], weights(layer)[channel]
    D = layer.D.detach().numpy()[channel].reshape(1, 1)
    if layer.A_imag is None:
        return np.diag(A), np.ones((len(A), 1)), C[None], D
    blocks = np.zeros((2 * len(A), 2 * len(A)))
    for k, a in enumerate(A):
        blocks[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = [[a.real, -a.imag], [a.imag, a.real]]
    B = np.tile([[1.0], [0.0]], (len(A), 1))
    return blocks, B, 2 * np.stack([C.real, -C.imag], -1).reshape(1, -1), D


def relative(ours: torch.Tensor, theirs: np.ndarray) -> float:
    return float(np.abs(ours.detach().numpy() - theirs).max() / np.abs(theirs).max())


@inits
@methods
@views
def test_is_the_real_system_that_scipy_simulates(init: str, method: str, view: str) -> None:
    layer = make(init, method, view)
    x = torch.randn(1, LENGTH, CHANNELS, dtype=torch.float64)
    y, final = layer(x)
    for channel in range(CHANNELS):
        A, B, C, D = real_system(layer, channel)
        dt = steps(layer)[channel]
        Abar, Bbar, *_ = scipy_discrete(A, B, C, D, dt, method, 0.5)
        # y_t = C h_t + D u_t sees u_t, where SciPy's y[k] = C x[k] + D u[k] sees it one sample later. C is that of
        # the continuous system for every method, as in S4.
        now = (Abar, Bbar, C @ Abar, C @ Bbar + D, dt)
        u = np.append(x[0, :, channel].numpy(), 0.0)
        _, expected, states = dlsim(now, u[:, None])  # SciPy's layout is (time, inputs); x[L] is the state after L
        assert relative(y[0, :, channel], expected[:LENGTH, 0]) < TOLERANCE
        h = states[LENGTH]
        state = h if layer.A_imag is None else h.reshape(-1, 2) @ [1, 1j]
        assert relative(final[0, channel], state) < TOLERANCE


@inits
@methods
def test_unequal_times_are_systems_that_scipy_discretises_one_by_one(init: str, method: str) -> None:
    layer = make(init, method)
    x = torch.randn(1, 12, CHANNELS, dtype=torch.float64)
    times = 10 ** (torch.rand(1, 12, dtype=torch.float64) - 0.5)
    y, final = layer(x, dt=times, dt_scale=1.5)
    for channel in range(CHANNELS):
        A, B, C, D = real_system(layer, channel)
        h, expected = np.zeros((len(A), 1)), []
        for u, time in zip(x[0, :, channel].tolist(), times[0].tolist(), strict=True):
            Abar, Bbar, *_ = scipy_discrete(A, B, C, D, steps(layer)[channel] * 1.5 * time, method, 0.5)
            h = Abar @ h + Bbar * u
            expected.append((C @ h + D * u).item())
        assert relative(y[0, :, channel], np.array(expected)) < TOLERANCE
        state = h[:, 0] if layer.A_imag is None else h[:, 0].reshape(-1, 2) @ [1, 1j]
        assert relative(final[0, channel], state) < TOLERANCE


def test_a_held_input_may_be_sampled_at_any_times() -> None:
    """A zero-order hold over one long step is that over two short ones of the same input: only time counts."""
    layer = make("legs", "zoh")
    x = torch.randn(1, LENGTH, CHANNELS, dtype=torch.float64)
    first = torch.rand(1, LENGTH, dtype=torch.float64) * 0.9 + 0.05
    halves = torch.stack([first, 1 - first], -1).flatten(1)
    twice = x.repeat_interleave(2, 1)
    y, final = layer(twice, dt=halves)
    expected, last = layer(x)
    assert relative(y[:, 1::2], expected.detach().numpy()) < TOLERANCE
    assert relative(final, last.detach().numpy()) < TOLERANCE


@pytest.mark.parametrize("method", LOG_POLES)
def test_unequal_times_in_blocks_of_any_length(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = make("legs", method), torch.randn(2, 30, CHANNELS, dtype=torch.float64)
    dt = torch.rand(2, 30, dtype=torch.float64) + 0.5

    def result() -> list[torch.Tensor]:
        y, final = layer(x, dt=dt)
        loss = y.square().sum() + final.abs().square().sum()
        return [y, final, *torch.autograd.grad(loss, list(layer.parameters()))]

    expected = result()
    monkeypatch.setattr("statespace.layers._unequal.STATES_IN_A_BLOCK", 7 * 2 * layer.A_log.numel())
    for ours, theirs in zip(result(), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@inits
@methods
@views
def test_is_a_sum_of_recursive_filters(init: str, method: str, view: str) -> None:
    layer = make(init, method, view)
    x = torch.randn(1, LENGTH, CHANNELS, dtype=torch.float64)
    state = torch.randn_like(layer.initial_state(1))
    y, _ = layer(x, state)
    pairs = 1 if layer.A_imag is None else 2
    for channel in range(CHANNELS):
        u, dt = x[0, :, channel].numpy(), steps(layer)[channel]
        expected = layer.D[channel].item() * u.astype(complex)
        for a, c, h in zip(eigenvalues(layer)[channel], weights(layer)[channel], state[0, channel], strict=True):
            one = np.ones((1, 1))
            abar, bbar = (matrix.item() for matrix in scipy_discrete(a * one, one, one, 0 * one, dt, method, 0.5)[:2])
            filtered, _ = lfilter([c * bbar], [1, -abar], u.astype(complex), zi=[c * abar * h.item()])
            expected += pairs * filtered
        assert relative(y[0, :, channel], expected.real) < TOLERANCE


@inits
@methods
def test_input_weights_are_those_of_the_method(init: str, method: str) -> None:
    """The layer takes them from the poles; values and gradients are those of the method's own formula."""
    layer = S4D(CHANNELS, STATES, init=init, discretization=method, dt_min=1e-4).double()
    A = torch.from_numpy(eigenvalues(layer)) + 0j
    A.requires_grad_()
    dt = layer.log_dt.detach().exp().requires_grad_()
    ones = torch.ones_like(A)[..., None]
    expected = METHODS[method].diagonal(A, ones, ones.mT, 0 * ones[:, :1], dt).B[..., 0]
    weigh = torch.randn_like(expected)
    of_A, of_dt = torch.autograd.grad(expected, [A, dt], weigh)
    _, found, _ = layer.discretized()
    found.backward(weigh)
    # Half the step times A is at least 2.5e-5, which the logarithm of a bilinear pole knows to 2^-53 / 2.5e-5 = 4e-12;
    # the derivative with respect to A divides by it once more.
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=0)
    torch.testing.assert_close(layer.log_dt.grad, of_dt * dt, rtol=1e-9, atol=0)
    torch.testing.assert_close(layer.A_log.grad, of_A.real * A.real, rtol=1e-6, atol=1e-12)
    if layer.A_imag is not None:
        torch.testing.assert_close(layer.A_imag.grad, of_A.imag, rtol=1e-6, atol=1e-12)


@views
def test_gradients_are_finite_differences(view: str) -> None:
    """All of them at once, through outputs and final state, in a ragged batch."""
    layer = S4D(2, 4, init="inv", discretization="bilinear", dt_min=0.1, dt_max=0.5, view=view).double()
    lengths = torch.tensor([7, 4])
    names = [name for name, _ in layer.named_parameters()]

    def function(x: torch.Tensor, state: torch.Tensor, *values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        given = dict(zip(names, values, strict=True))
        y, final = torch.func.functional_call(layer, given, (x, state, lengths))
        return y, final

    x = torch.randn(2, 7, 2, dtype=torch.float64, requires_grad=True)
    state = torch.randn_like(layer.initial_state(2)).requires_grad_()
    assert torch.autograd.gradcheck(function, (x, state, *layer.parameters()))


def test_the_final_state_over_many_chunks() -> None:
    """A length at which the convolution takes the final state in two levels, with rest, against the scan."""
    x = torch.randn(2, 1000, CHANNELS, dtype=torch.float64)
    layer = make("legs", "zoh", "convolution")
    other = make("legs", "zoh", "scan")
    other.load_state_dict(layer.state_dict())
    for ours, theirs in zip(layer(x), other(x), strict=True):
        assert relative(ours, theirs.detach().numpy()) < TOLERANCE


def test_auto_takes_the_scan_only_where_it_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for name in ("convolve", "lti_scan"):
        monkeypatch.setattr(f"statespace.layers.s4d.{name}", lambda u, *_, name=name: (taken.append(name) or u, u))
    x, layer = torch.zeros(1, 2, CHANNELS), S4D(CHANNELS)
    monkeypatch.setattr(native, "why_missing", lambda: None)
    layer(x)
    monkeypatch.setattr(native, "why_missing", lambda: "no compiler")
    layer(x)
    assert taken == ["lti_scan", "convolve"]


def test_parameters_of_the_dynamics() -> None:
    for init in INITIALISATIONS:
        layer = S4D(2, 4, init=init)
        names = {name for name, parameter in layer.named_parameters() for p in layer.ssm_parameters() if p is parameter}
        assert names == {"log_dt", "A_log"} | ({"A_imag"} if init != "real" else set())


def test_starts_with_steps_within_the_range() -> None:
    dt = S4D(1000, dt_min=1e-3, dt_max=1e-1).log_dt.detach().exp()
    assert 1e-3 <= float(dt.min()) < 2e-3  # a thousand draws, uniform in the logarithm, come near both ends
    assert 0.5e-1 < float(dt.max()) <= 1e-1 * (1 + 1e-6)


@views
@methods
def test_another_rate_is_another_step(method: str, view: str) -> None:
    layer, x = make("lin", method, view), torch.randn(2, 30, CHANNELS, dtype=torch.float64)
    expected, _ = layer(x, dt_scale=2.0)
    with torch.no_grad():
        layer.log_dt.add_(log(2))
    torch.testing.assert_close(layer(x)[0], expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("init", ["legs", "inv"])
@pytest.mark.parametrize("dt_scale", [0.5, 3.0])
def test_poles_far_round_the_circle_keep_their_phase_in_float32(init: str, dt_scale: float) -> None:
    """Bilinear poles lie up to π round the circle: over 333 steps their phase must be known to 1e-5 of a thousand."""
    layer = S4D(CHANNELS, 64, init=init, discretization="bilinear")
    x, start = torch.randn(2, 333, CHANNELS), torch.randn_like(layer.initial_state(2))
    state, outputs = start, []
    with torch.no_grad():
        for sample in x.unbind(1):
            y, state = layer.step(sample, state, dt_scale=dt_scale)
            outputs.append(y)
        for view in ("convolution", "scan"):
            layer.view = view
            found, final = layer(x, start, dt_scale=dt_scale)
            assert relative(found.double(), torch.stack(outputs, 1).double().numpy()) < 1e-5
            assert relative(final.to(torch.complex128), state.to(torch.complex128).numpy()) < 1e-5
