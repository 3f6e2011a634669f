"""S5 against SciPy on the real system that it stands for, its start against HiPPO-N, and its gradients."""

import numpy as np
import pytest
import torch
from scipy.linalg import block_diag
from scipy.signal import dlsim

from statespace.errors import InputError
from statespace.hippo import legs, legs_low_rank
from statespace.layers import S5
from statespace.verification.oracles import scipy_discrete

CHANNELS, STATES, LENGTH = 3, 8, 100


def numbers(layer: S5) -> tuple[np.ndarray, ...]:
    """A, B and C of the kept states, complex, and D."""
    A = -np.exp(layer.A_log.detach().numpy()) + 1j * layer.A_imag.detach().numpy()
    B, C = (torch.view_as_complex(part.detach()).numpy() for part in (layer.B, layer.C))
    return A, B, C, np.diag(layer.D.detach().numpy())


@pytest.mark.parametrize("method", ["zoh", "bilinear"])
@pytest.mark.parametrize("conj_sym", [True, False])
def test_is_the_real_system_that_scipy_simulates(conj_sym: bool, method: str) -> None:
    """On real and imaginary parts; each state with its own step, so each block is discretised by itself."""
    layer = S5(CHANNELS, STATES, blocks=2, conj_sym=conj_sym, discretization=method).double()
    A, B, C, D = numbers(layer)
    found = []
    for a, row, dt in zip(A, B, layer.log_dt.exp().tolist(), strict=True):
        turn, enters = np.array([[a.real, -a.imag], [a.imag, a.real]]), np.stack([row.real, row.imag])
        found.append(scipy_discrete(turn, enters, np.eye(2), np.zeros((2, CHANNELS)), dt, method, 0.5)[:2])
    Abar, Bbar = block_diag(*(pair[0] for pair in found)), np.concatenate([pair[1] for pair in found])
    leaves = (2 if conj_sym else 1) * np.stack([C.real, -C.imag], -1).reshape(CHANNELS, -1)
    x = torch.randn(1, LENGTH, CHANNELS, dtype=torch.float64)
    u = np.concatenate([x[0].numpy(), np.zeros((1, CHANNELS))])
    # y_t = C h_t + D u_t sees u_t, where SciPy's y[k] = C x[k] + D u[k] sees it one sample later.
    _, expected, states = dlsim((Abar, Bbar, leaves @ Abar, leaves @ Bbar + D, 1.0), u)
    y, final = layer(x)
    # Two simulations of up to 16 states over a hundred steps in float64.
    np.testing.assert_allclose(y[0].detach(), expected[:LENGTH], rtol=0, atol=1e-12 * abs(expected).max())
    state = torch.view_as_real(final[0]).flatten().detach()
    np.testing.assert_allclose(state, states[LENGTH], rtol=0, atol=1e-12 * abs(states).max())


@pytest.mark.parametrize("blocks", [1, 4])
def test_starts_as_blocks_of_the_normal_part_of_hippo(blocks: int) -> None:
    layer = S5(2, 32, blocks=blocks)
    order = 32 // blocks
    P = legs_low_rank(order).numpy()
    expected = np.linalg.eigvals(legs(order)[0].numpy() + P @ P.T)  # normal: its eigenvalues are well conditioned
    expected = np.sort_complex(np.round(expected[expected.imag > 0], 6)).imag
    A, *_ = numbers(layer)
    np.testing.assert_allclose(A.real, -0.5, rtol=1e-6)
    for block in A.reshape(blocks, -1):
        np.testing.assert_allclose(np.sort(block.imag), np.sort(expected), rtol=1e-5)


def test_both_halves_of_the_pairs_are_the_same_system_as_one() -> None:
    half, whole = S5(2, 8).double(), S5(2, 8, conj_sym=False).double()
    with torch.no_grad():
        for name in ("A_log", "A_imag", "B", "C", "log_dt"):
            kept = half.get_parameter(name)
            other = -kept if name == "A_imag" else kept
            if name in ("B", "C"):
                other = kept * torch.tensor([1.0, -1.0])
            whole.get_parameter(name).copy_(torch.cat([kept, other], 1 if name == "C" else 0))
        whole.D.copy_(half.D)
    x = torch.randn(2, 50, 2, dtype=torch.float64)
    torch.testing.assert_close(whole(x)[0], half(x)[0], rtol=0, atol=1e-12)


def test_order_256_stays_finite() -> None:
    layer = S5(1, 256)
    assert all(parameter.isfinite().all() for parameter in layer.parameters())
    assert layer(torch.randn(1, 100, 1))[0].isfinite().all()


def test_gradients_are_finite_differences() -> None:
    layer = S5(2, 4, discretization="bilinear", dt_min=0.1, dt_max=0.5).double()
    names = [name for name, _ in layer.named_parameters()]
    lengths = torch.tensor([5, 3])

    def function(
        x: torch.Tensor, dt: torch.Tensor, state: torch.Tensor, *values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x, state, lengths, dt))

    x = torch.randn(2, 5, 2, dtype=torch.float64, requires_grad=True)
    dt = (torch.rand(2, 5, dtype=torch.float64) + 0.5).requires_grad_()
    state = torch.randn_like(layer.initial_state(2)).requires_grad_()
    assert torch.autograd.gradcheck(function, (x, dt, state, *layer.parameters()), fast_mode=True)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"d_state": 10, "blocks": 4}, "d_state is 10, but 4 blocks of conjugate pairs take a multiple of 8: pass 8"),
        ({"d_state": 7, "blocks": 2, "conj_sym": False}, "d_state is 7, but 2 blocks take a multiple of 2: pass 6"),
        ({"blocks": 0}, "blocks is 0, but a whole number of at least 1"),
        ({"discretization": "foh"}, "discretization is 'foh', which is not known: choose one of zoh, bilinear"),
        ({"dt_max": float("inf")}, "dt_max inf, but 0 < dt_min <= dt_max is expected, both finite"),
    ],
)
def test_what_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        S5(4, **options)
