"""The LRU against SciPy's filters and the paper's start, and the meaning that it has between samples."""

from math import pi

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from statespace.errors import InputError
from statespace.layers import LRU

CHANNELS, STATES, LENGTH = 3, 6, 100


def test_is_a_bank_of_recursive_filters() -> None:
    layer = LRU(CHANNELS, STATES).double()
    nu, theta, gamma = (part.detach().exp().numpy() for part in (layer.nu_log, layer.theta_log, layer.gamma_log))
    B, C = (torch.view_as_complex(part.detach()).numpy() for part in (layer.B, layer.C))
    x = torch.randn(1, LENGTH, CHANNELS, dtype=torch.float64)
    state = torch.randn_like(layer.initial_state(1))
    entering = x[0].numpy() @ B.T
    expected, final = x[0].numpy() * layer.D.detach().numpy(), []
    for n in range(STATES):
        pole = np.exp(-nu[n] + 1j * theta[n])
        h, last = lfilter([gamma[n]], [1, -pole], entering[:, n], zi=[pole * state[0, n].item()])
        expected = expected + (h[:, None] * C[:, n]).real
        final.append(last[0] / pole)
    y, found = layer(x, state)
    # A hundred roundings in each of six states, in float64.
    np.testing.assert_allclose(y[0].detach(), expected, rtol=0, atol=1e-12 * abs(expected).max())
    np.testing.assert_allclose(found[0].detach(), final, rtol=0, atol=1e-12 * np.abs(final).max())


def test_starts_on_a_ring_of_even_density() -> None:
    layer = LRU(1, 4000, r_min=0.5, r_max=0.9, max_phase=pi / 10)
    modulus, phase = torch.exp(-torch.exp(layer.nu_log)), torch.exp(layer.theta_log)
    assert 0.5 <= modulus.min() < 0.51
    assert 0.89 < modulus.max() <= 0.9
    # Even over the area: half of the poles lie inside the radius that halves it. 4000 draws are sure to 0.8 %.
    inside = (modulus < ((0.5**2 + 0.9**2) / 2) ** 0.5).double().mean()
    assert abs(inside - 0.5) < 0.04
    assert abs((phase < pi / 20).double().mean() - 0.5) < 0.04
    assert phase.max() <= pi / 10
    torch.testing.assert_close(layer.gamma_log.exp(), (1 - modulus**2).sqrt(), rtol=1e-4, atol=0)


def test_gamma_keeps_noise_at_its_size() -> None:
    """That is what γ is for: white noise of variance 1 that enters a state leaves it with variance 1."""
    layer = LRU(1, 32, r_min=0.9, r_max=0.99)
    with torch.no_grad():
        layer.B.copy_(torch.tensor([1.0, 0.0]).expand(32, 1, 2))
    _, final = layer(torch.randn(500, 1000, 1))  # 500 independent states, known to 4.5 % each
    assert ((final.detach().abs() ** 2).mean(0) - 1).abs().max() < 0.3


@pytest.mark.parametrize("parts", [2, 5])
def test_an_input_held_for_a_while_is_one_sample(parts: int) -> None:
    """Several samples that divide an interval and hold one input are that sample: the zero-order hold."""
    layer = LRU(CHANNELS, STATES).double()
    x = torch.randn(2, 20, CHANNELS, dtype=torch.float64)
    y, final = layer(x)
    shares = torch.rand(2, 20, parts, dtype=torch.float64) + 0.1
    dt = (shares / shares.sum(-1, keepdim=True)).flatten(1)
    fine, last = layer(x.repeat_interleave(parts, 1), dt=dt)
    torch.testing.assert_close(fine[:, parts - 1 :: parts], y, rtol=0, atol=1e-12)
    torch.testing.assert_close(last, final, rtol=0, atol=1e-12)
    fine, last = layer(x.repeat_interleave(parts, 1), dt_scale=1 / parts)
    torch.testing.assert_close(last, final, rtol=0, atol=1e-12)


def test_between_samples_a_state_turns_the_shorter_way() -> None:
    """A phase of 3π/2 a sample is -π/2 a sample: in half the time the state turns by -π/4."""
    layer = LRU(1, 1).double()
    with torch.no_grad():
        layer.theta_log.fill_(np.log(1.5 * pi))
    state = torch.ones(1, 1, dtype=torch.complex128)
    _, after = layer.step(torch.zeros(1, 1, dtype=torch.float64), state, dt_scale=0.5)
    assert torch.angle(after).item() == pytest.approx(-pi / 4, abs=1e-12)


def test_gradients_are_finite_differences() -> None:
    layer = LRU(2, 3).double()
    names = [name for name, _ in layer.named_parameters()]

    def function(
        x: torch.Tensor, dt: torch.Tensor, state: torch.Tensor, *values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x, state, None, dt))

    x = torch.randn(2, 5, 2, dtype=torch.float64, requires_grad=True)
    dt = (torch.rand(2, 5, dtype=torch.float64) + 0.5).requires_grad_()
    state = torch.randn_like(layer.initial_state(2)).requires_grad_()
    assert torch.autograd.gradcheck(function, (x, dt, state, *layer.parameters()), fast_mode=True)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"r_min": 0.9, "r_max": 0.5}, "r_min is 0.9 and r_max 0.5, but 0 <= r_min < r_max <= 1"),
        ({"max_phase": 7.0}, "max_phase is 7.0, but an angle above 0 and up to 2 pi"),
        ({"d_state": 0}, "d_state is 0, but a whole number of at least 1"),
    ],
)
def test_what_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        LRU(4, **options)
