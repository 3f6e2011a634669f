"""LSSL against SciPy and against the dense system of the library, and its start against HiPPO."""

import numpy as np
import pytest
import torch
from scipy.signal import dlsim

from statespace import StateSpace
from statespace.errors import InputError
from statespace.hippo import MEASURES
from statespace.layers import LSSL
from statespace.verification.oracles import scipy_discrete

CHANNELS, STATES, LENGTH = 2, 7, 150  # more than two blocks of the scan
VIEWS = ["convolution", "scan"]
# Two simulations of 7 states over 150 steps in float64.
TOLERANCE = 1e-11


def continuous(layer: LSSL, channel: int) -> tuple[np.ndarray, ...]:
    A, B = layer.matrix().detach().numpy(), layer.B.detach().numpy()[:, None]
    return A, B, layer.C.detach().numpy()[channel : channel + 1], layer.D.detach().numpy()[channel].reshape(1, 1)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("method", ["bilinear", "zoh"])
@pytest.mark.parametrize("init", MEASURES)
def test_is_the_system_that_scipy_simulates(init: str, method: str, view: str) -> None:
    layer = LSSL(CHANNELS, STATES, init=init, discretization=method, view=view).double()
    x = torch.randn(1, LENGTH, CHANNELS, dtype=torch.float64)
    y, final = layer(x)
    for channel in range(CHANNELS):
        A, B, C, D = continuous(layer, channel)
        dt = layer.log_dt[channel].exp().item()
        Abar, Bbar, *_ = scipy_discrete(A, B, C, D, dt, method, 0.5)
        # y_t = C h_t + D u_t sees u_t, where SciPy's y[k] = C x[k] + D u[k] sees it one sample later.
        u = np.append(x[0, :, channel].numpy(), 0.0)
        _, expected, states = dlsim((Abar, Bbar, C @ Abar, C @ Bbar + D, dt), u[:, None])
        np.testing.assert_allclose(
            y[0, :, channel].detach(), expected[:LENGTH, 0], rtol=0, atol=TOLERANCE * abs(expected).max()
        )
        np.testing.assert_allclose(
            final[0, channel].detach(), states[LENGTH], rtol=0, atol=TOLERANCE * abs(states).max()
        )


def test_is_the_state_space_system_discretised_and_simulated() -> None:
    layer = LSSL(1, STATES, discretization="zoh").double()
    A, B, C, D = (torch.from_numpy(matrix) for matrix in continuous(layer, 0))
    x, state = torch.randn(1, LENGTH, 1, dtype=torch.float64), torch.randn(1, 1, STATES, dtype=torch.float64)
    dt = layer.log_dt.exp().item()
    found = StateSpace(A, B, C, D).discretize(dt)
    now = StateSpace(found.A, found.B, C @ found.A, C @ found.B + D, dt)
    run = now.simulate(x[0], x0=state[0, 0])
    y, final = layer(x, state)
    torch.testing.assert_close(y[0], run.y, rtol=0, atol=TOLERANCE * run.y.abs().max().item())
    torch.testing.assert_close(final[0, 0], run.x, rtol=0, atol=TOLERANCE * run.x.abs().max().item())


@pytest.mark.parametrize("init", MEASURES)
def test_starts_as_hippo(init: str) -> None:
    layer = LSSL(1, 9, init=init)
    A, B = MEASURES[init].matrices(9)
    torch.testing.assert_close(layer.matrix(), A, rtol=1e-6, atol=1e-5)  # parameters are float32
    torch.testing.assert_close(layer.B.double(), B[:, 0], rtol=1e-6, atol=0)


def test_order_256_stays_finite() -> None:
    layer = LSSL(1, 256)
    y, final = layer(torch.randn(1, 100, 1))
    assert y.isfinite().all()
    assert final.isfinite().all()


@pytest.mark.parametrize("init", MEASURES)
def test_no_parameter_makes_it_unstable(init: str) -> None:
    layer = LSSL(2, 9, init=init).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter))
    # The norm, not only the eigenvalues: not even for a while can a state grow.
    assert np.linalg.norm(layer.discretized().Abar.detach(), 2, axis=(1, 2)).max() <= 1 + 1e-12


def test_gradients_are_finite_differences() -> None:
    layer = LSSL(2, 3, dt_min=0.1, dt_max=0.5, view="convolution").double()
    names = [name for name, _ in layer.named_parameters()]

    def function(x: torch.Tensor, state: torch.Tensor, *values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x, state))

    x = torch.randn(2, 5, 2, dtype=torch.float64, requires_grad=True)
    state = torch.randn_like(layer.initial_state(2)).requires_grad_()
    assert torch.autograd.gradcheck(function, (x, state, *layer.parameters()), fast_mode=True)


def test_unequal_steps_in_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = LSSL(CHANNELS, STATES).double()
    x, dt = torch.randn(2, 20, CHANNELS, dtype=torch.float64), torch.rand(2, 20, dtype=torch.float64) + 0.1
    whole = layer(x, dt=dt)
    monkeypatch.setattr("statespace.layers.lssl.NUMBERS_IN_A_BLOCK", 3 * 2 * CHANNELS * STATES**2)
    for ours, expected in zip(layer(x, dt=dt), whole, strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"init": "hippo"}, "init is 'hippo', which is not known: choose one of legs, legt, lagt, fout"),
        ({"discretization": "euler"}, "discretization is 'euler', which is not known: choose one of zoh, bilinear"),
        ({"view": "fft"}, "view is 'fft', which is not known: choose one of auto, convolution, scan"),
        ({"dt_min": 0.0}, "dt_min is 0.0 and dt_max 0.1, but 0 < dt_min <= dt_max"),
    ],
)
def test_what_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        LSSL(4, **options)
    with pytest.raises(InputError, match="d_model is 0"):
        LSSL(0)


@pytest.mark.parametrize("view", VIEWS)
def test_autocast_rounds_nothing(view: str) -> None:
    layer, x = LSSL(4, 8, view=view), torch.randn(2, 300, 4)
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert all(map(torch.equal, layer(x), expected))
