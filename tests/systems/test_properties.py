"""What holds for every system: property tests of the issue's own list that need more than one module."""

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from statespace import StateSpace
from statespace.discretization import METHODS

quickly = settings(deadline=None, max_examples=40)
sizes, seeds, steps = st.integers(1, 6), st.integers(0, 2**31), st.floats(1e-3, 1.0)


def contractive(n: int, seed: int, proper: bool = False) -> StateSpace:
    """A system whose states never grow, so that rounding does not either; it decays at 1/2 at least."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    A = normal(n, n)
    abscissa = torch.linalg.eigvalsh((A + A.mT) / 2)[-1]
    A = A - (abscissa + 0.5) * torch.eye(n, dtype=torch.float64)
    return StateSpace(A, normal(n, 2), normal(2, n), normal(2, 2) * (not proper))


@quickly
@given(st.floats(-1e3, 1e3), st.floats(1e-6, 1e3), seeds)
def test_zoh_of_an_integrator_sums_its_input(gain: float, dt: float, seed: int) -> None:
    assume(gain == 0 or abs(gain * dt) > 1e-300)  # the compiled core takes denormal numbers for zero
    discrete = StateSpace([[0.0]], [[gain]], [[1.0]]).discretize(dt)
    assert discrete.A.item() == 1
    assert abs(discrete.B.item() - gain * dt) <= 4e-16 * abs(gain * dt)
    u = torch.randn(30, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    held = discrete.simulate(u)
    sums = gain * dt * torch.cat([torch.zeros(1, dtype=torch.float64), u.cumsum(0)])
    torch.testing.assert_close(held.y, sums[:-1], rtol=0, atol=1e-13 * abs(gain * dt) * 30)
    torch.testing.assert_close(held.x, sums[-1:], rtol=0, atol=1e-13 * abs(gain * dt) * 30)


@quickly
@given(sizes, seeds)
def test_foh_of_a_ramp_is_exact_at_uneven_stamps(n: int, seed: int) -> None:
    system = contractive(n, seed)
    torch.manual_seed(seed)
    t = torch.cat([torch.zeros(1), (0.01 + torch.rand(20)).cumsum(0)]).double()
    slope = torch.randn(2, dtype=torch.float64)
    # Integrated, the step response is the response to a ramp: one more integrator in front.
    ahead = StateSpace(torch.zeros(2, 2), torch.eye(2), torch.eye(2)).to(torch.float64).series(system)
    exact = (ahead.step_response(t) @ slope[:, None])[..., 0]
    found = system.simulate(t[:, None] * slope, t=t, method="foh").y
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-11 * max(1.0, exact.abs().max().item()))


@quickly
@given(sizes, seeds, st.floats(0.1, 1.0), st.sampled_from([name for name in METHODS if name not in ("euler", "gbt")]))
def test_the_frequency_response_is_the_transform_of_the_impulse_response(
    n: int, seed: int, dt: float, method: str
) -> None:
    system = contractive(n, seed, proper=METHODS[method].strictly_proper).discretize(dt, method)
    # exp(-1/2 dt k) and its rational likenesses have decayed to 1e-15 after 70 / dt steps and more.
    length = 2048
    taps = system.kernel(length)
    w = 2 * torch.pi * torch.arange(0, length, 64, dtype=torch.float64) / length / dt
    spectrum = torch.fft.fft(taps, dim=0)[::64]
    found = system.frequency_response(w)
    torch.testing.assert_close(found, spectrum, rtol=0, atol=1e-9 * max(1.0, taps.abs().sum(0).max().item()))


@quickly
@given(sizes, seeds, steps)
def test_the_continuous_response_is_the_integral_of_the_impulse_response(n: int, seed: int, w: float) -> None:
    system = contractive(n, seed, proper=True)
    # The response decays at 1/2 or faster and both are smooth: 40 Gauss points a second up to 80 s leave rounding.
    nodes, weights = np.polynomial.legendre.leggauss(40)
    edges = torch.linspace(0, 80, 81, dtype=torch.float64)
    t = (edges[:-1, None] + (torch.from_numpy(nodes) + 1) / 2).flatten()
    share = (torch.from_numpy(weights) / 2).repeat(80)
    response = system.impulse_response(t)
    wave = share * torch.exp(-1j * w * t)
    integral = torch.einsum("l,lpm->pm", wave, response.to(torch.complex128))
    found = system.frequency_response(w)[0]
    torch.testing.assert_close(found, integral, rtol=0, atol=1e-9 * max(1.0, response.abs().max().item()))


@quickly
@given(sizes, seeds, st.floats(1e-3, 1e3))
def test_backward_differences_keep_stability_at_any_step(n: int, seed: int, dt: float) -> None:
    system = contractive(n, seed)
    for method, alpha in (("backward_diff", None), ("gbt", 0.5), ("gbt", 0.8), ("bilinear", None)):
        assert system.discretize(dt, method, alpha).is_stable()
