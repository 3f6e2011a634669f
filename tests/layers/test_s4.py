"""S4 against SciPy on its own dense matrices, its kernel against powers of them, and its start against HiPPO."""

import numpy as np
import pytest
import torch
from scipy.signal import dlsim

from statespace.errors import InputError
from statespace.hippo import legs, nplr
from statespace.layers import S4
from statespace.verification.oracles import scipy_discrete

CHANNELS = 3


def dense(layer: S4) -> tuple[np.ndarray, ...]:
    """A, B, C and D on all n complex states, both of each pair, written out from the definition."""
    half = [torch.view_as_complex(part.detach()).numpy() for part in (layer.P, layer.B, layer.C)]
    Lambda = -np.exp(layer.A_log.detach().numpy()) + 1j * layer.A_imag.detach().numpy()
    P, B, C = (np.concatenate([part, part.conj()], -1) for part in half)
    A = np.diag(np.concatenate([Lambda, Lambda.conj()])) - np.outer(P, P.conj())
    return A, B[:, None], C, layer.D.detach().numpy()


def moved(layer: S4) -> S4:
    """Away from the start, where P is real and the real parts are equal."""
    with torch.no_grad():
        for parameter in layer.ssm_parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return layer


@pytest.mark.parametrize("view", ["convolution", "scan"])
def test_is_the_system_that_scipy_simulates(view: str) -> None:
    layer = moved(S4(CHANNELS, 8, view=view).double())
    A, B, C, D = dense(layer)
    x = torch.randn(1, 100, CHANNELS, dtype=torch.float64)
    y, final = layer(x)
    for channel in range(CHANNELS):
        dt = layer.log_dt[channel].exp().item()
        row, direct = C[channel : channel + 1], D[channel].reshape(1, 1)
        Abar, Bbar, *_ = scipy_discrete(A, B, row, direct, dt, "bilinear", 0.5)
        # y_t = C h_t + D u_t sees u_t, where SciPy's y[k] = C x[k] + D u[k] sees it one sample later. SciPy's dlsim
        # drops imaginary parts, so the states are simulated as real and imaginary outputs of the real form.
        T = np.kron(np.eye(4), [[1, 1j]])  # (4, 8): a pair's state from its real and imaginary part
        whole = np.concatenate([T, T.conj()])  # (8, 8): all states from real and imaginary parts
        back = np.linalg.inv(whole)
        real = [np.real(matrix) for matrix in (back @ Abar @ whole, back @ Bbar, row @ whole)]
        u = np.append(x[0, :, channel].numpy(), 0.0)
        now = (real[0], real[1], real[2] @ real[0], real[2] @ real[1] + direct, dt)
        _, expected, states = dlsim(now, u[:, None])
        # Two simulations of 8 states over a hundred steps, and an FFT, in float64.
        np.testing.assert_allclose(
            y[0, :, channel].detach(), expected[:100, 0], rtol=0, atol=1e-11 * abs(expected).max()
        )
        found = torch.view_as_real(final[0, channel]).flatten().detach()
        np.testing.assert_allclose(found, states[100], rtol=0, atol=1e-11 * abs(states).max())


@pytest.mark.parametrize("start", ["HiPPO", "moved"])
@pytest.mark.parametrize("length", [1024, 1000])
def test_the_kernel_is_that_of_powers_of_the_dense_matrix(start: str, length: int) -> None:
    layer = S4(CHANNELS, 64).double()
    layer = layer if start == "HiPPO" else moved(layer)
    A, B, C, _ = dense(layer)
    K = layer.kernel(length).detach().numpy()
    for channel in range(CHANNELS):
        dt = layer.log_dt[channel].exp().item()
        half = dt / 2 * A
        inverse = np.linalg.inv(np.eye(64) - half)
        Abar, column = inverse @ (np.eye(64) + half), dt * inverse @ B[:, 0]
        expected = np.empty(length)
        for t in range(length):
            expected[t] = (C[channel] @ column).real
            column = Abar @ column
        # The sums over 64 states cancel by two digits; the tail comes from powers up to the 1024th.
        assert np.abs(K[channel] - expected).max() < 1e-10 * np.abs(expected).max()


@pytest.mark.parametrize("length", [1, 2, 3])
def test_short_kernels(length: int) -> None:
    """Of two points of the circle, one is the Nyquist point."""
    layer = moved(S4(CHANNELS, 8).double())
    system = layer.discretized()
    column, expected = system.Bbar, []
    for _ in range(length):
        expected.append((system.C * column).sum(-1))
        column = (system.Abar @ column[..., None])[..., 0]
    torch.testing.assert_close(layer.kernel(length), torch.stack(expected, 1), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("n", [64, 256])
def test_starts_as_hippo(n: int) -> None:
    """The system is HiPPO's, in another basis, and finite."""
    layer = S4(1, n, dt_min=1e-2, dt_max=1e-2).double()
    A, B, _, _ = dense(layer)
    their_A, their_B = legs(n)
    # Bᵀ A B and Bᵀ A A B, which no unitary change of basis alters. Parameters are rounded to float32.
    ours, theirs = (B[:, 0], A), (their_B[:, 0].numpy(), their_A.numpy())
    for power in (1, 2):
        here, there = (b.conj() @ np.linalg.matrix_power(matrix, power) @ b for b, matrix in (ours, theirs))
        assert abs(here - there) < 1e-5 * abs(there)
    K = layer.kernel(2048)
    assert K.isfinite().all()
    assert K[:, -256:].abs().max() < 1e-2 * K.abs().max()  # 20 time constants on


def test_no_parameter_makes_it_unstable() -> None:
    layer = S4(2, 16).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter))
    A, *_ = dense(layer)
    assert np.linalg.eigvals(A).real.max() < 0
    assert np.linalg.norm(layer.discretized().Abar.detach(), 2, axis=(1, 2)).max() <= 1 + 1e-12


def test_a_step_costs_no_digits_where_a_diagonalised_one_would() -> None:
    """Why the step goes by Woodbury's identity: the eigenvectors of LegS of order 64 cannot be used."""
    layer = S4(CHANNELS, 64).double()
    A, *_ = dense(layer)
    basis = nplr("legs", 64)
    exact = (torch.diag(basis.Lambda) - basis.P @ basis.P.mH).numpy()
    assert np.linalg.cond(np.linalg.eig(exact)[1]) > 1e12
    assert np.linalg.cond(np.linalg.eig(A)[1]) > 1e7  # rounding parameters to float32 moves it away from the worst
    x = torch.randn(1, 200, CHANNELS, dtype=torch.float64)
    y, final = layer(x)
    state, outputs = layer.initial_state(1), []
    with torch.no_grad():
        for sample in x.unbind(1):
            out, state = layer.step(sample, state)
            outputs.append(out)
    # Both are 200 products with 64 by 64 matrices, or what replaces them.
    torch.testing.assert_close(torch.stack(outputs, 1), y.detach(), rtol=0, atol=1e-12 * y.abs().max().item())
    torch.testing.assert_close(state, final.detach(), rtol=0, atol=1e-12 * final.abs().max().item())


@pytest.mark.parametrize("view", ["convolution", "scan"])
def test_gradients_are_finite_differences(view: str) -> None:
    layer = moved(S4(2, 4, dt_min=0.1, dt_max=0.5, view=view).double())
    lengths = torch.tensor([5, 3])
    names = [name for name, _ in layer.named_parameters()]

    def function(x: torch.Tensor, state: torch.Tensor, *values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x, state, lengths))

    x = torch.randn(2, 5, 2, dtype=torch.float64, requires_grad=True)
    state = torch.randn_like(layer.initial_state(2)).requires_grad_()
    assert torch.autograd.gradcheck(function, (x, state, *layer.parameters()), fast_mode=True)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"d_state": 7}, "d_state is 7, but the states are conjugate pairs: pass 8"),
        ({"view": "fft"}, "view is 'fft', which is not known: choose one of auto, convolution, scan"),
        ({"dt_min": 1.0, "dt_max": 0.1}, "dt_min is 1.0 and dt_max 0.1, but 0 < dt_min <= dt_max"),
    ],
)
def test_what_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        S4(4, **options)
    with pytest.raises(InputError, match="d_model is 0"):
        S4(0)
