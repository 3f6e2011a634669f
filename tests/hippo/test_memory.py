"""The online memory against the exact projection of its signal, by quadrature."""

import numpy as np
import pytest
import scipy.linalg
import torch
from numpy.polynomial import laguerre, legendre

from statespace.discretization import METHODS
from statespace.errors import InputError, ShapeError
from statespace.hippo import MEASURES, HiPPOMemory, transition
from statespace.hippo.dilation import take_in


def signal(t: np.ndarray) -> np.ndarray:
    return np.sin(7 * t) + 0.5 * np.cos(19 * t + 1) + t**2


def project_legs(u: np.ndarray, n: int) -> np.ndarray:
    """The orthonormal Legendre coefficients on [0, 1] of a held signal, by Gauss quadrature over each piece."""
    x, w = legendre.leggauss(n)
    edges = np.linspace(0, 1, len(u) + 1)
    places = (edges[:-1, None] + edges[1:, None]) / 2 + x * np.diff(edges)[:, None] / 2
    values = legendre.legvander(2 * places.ravel() - 1, n - 1) * np.sqrt(2 * np.arange(n) + 1)
    weights = (np.diff(edges)[:, None] * w / 2).ravel()
    return values.T @ (weights * np.repeat(u, len(x)))


@pytest.mark.parametrize("n", [1, 8, 32, 64])
def test_legs_holds_the_exact_projection_of_a_held_signal(n: int) -> None:
    u = signal((np.arange(300) + 0.5) / 300)
    found = HiPPOMemory("legs", n).update(torch.from_numpy(u))
    # Exact but for rounding, which 500 steps of a contraction leave near 1e-13.
    np.testing.assert_allclose(found, project_legs(u, n), atol=1e-11)


def test_legs_of_a_smooth_signal_reaches_its_projection_to_1e_6() -> None:
    # The held signal differs from the smooth one by O(dt²) in the coefficients when it is sampled in the middle.
    length, n = 4096, 16
    found = HiPPOMemory("legs", n, dt=1 / length).update(torch.from_numpy(signal((np.arange(length) + 0.5) / length)))
    x, w = legendre.leggauss(80)
    values = legendre.legvander(x, n - 1) * np.sqrt(2 * np.arange(n) + 1)
    np.testing.assert_allclose(found, values.T @ (w / 2 * signal((x + 1) / 2)), atol=1e-6)


def test_lagt_holds_the_exact_projection_of_a_held_signal() -> None:
    n, dt, scale = 8, 0.05, 0.7
    u = signal(np.arange(400) * dt)
    found = HiPPOMemory("lagt", n, dt=dt, scale=scale).update(torch.from_numpy(u))
    x, w = legendre.leggauss(20)
    edges = np.arange(401) * dt
    times = (edges[:-1, None] + edges[1:, None]) / 2 + x * dt / 2
    age = (edges[-1] - times.ravel()) / scale
    values = laguerre.lagvander(age, n - 1) * np.exp(-age)[:, None] / scale
    exact = values.T @ (np.tile(w * dt / 2, 400) * np.repeat(u, 20))
    np.testing.assert_allclose(found, exact, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_comes_to_the_same_memory_as_the_steps_shrink(method: str) -> None:
    errors = []
    for length in (500, 4000):
        u = torch.from_numpy(signal((np.arange(length) + 0.5) / length))
        memory = HiPPOMemory("lagt", 6, dt=4 / length, method=method, alpha=0.5)
        exact = HiPPOMemory("lagt", 6, dt=4 / length)
        errors.append((memory.update(u) - exact.update(u)).norm().item())
    assert errors[1] < 1e-12 or errors[1] < 0.2 * errors[0]  # at least of first order


@pytest.mark.parametrize("method", ["zoh", "bilinear", "backward_diff", "foh"])
def test_legs_is_built_by_every_stable_method(method: str) -> None:
    u = torch.from_numpy(signal((np.arange(2000) + 0.5) / 2000))
    found = HiPPOMemory("legs", 8, method=method).update(u)
    assert (found - torch.from_numpy(project_legs(u.numpy(), 8))).abs().max() < 0.02


@pytest.mark.parametrize("measure", MEASURES)
def test_chunks_and_batches_are_one_signal_each(measure: str) -> None:
    u = torch.randn(3, 300, dtype=torch.float64)
    whole = HiPPOMemory(measure, 7, dt=0.01).update(u)
    parts = HiPPOMemory(measure, 7, dt=0.01)
    for chunk in u.split([1, 99, 200], -1):
        parts.update(chunk)
    torch.testing.assert_close(parts.coefficients, whole, rtol=0, atol=1e-12)
    one = HiPPOMemory(measure, 7, dt=0.01)
    for sample in u[1]:
        one.update(sample)
    torch.testing.assert_close(one.coefficients, whole[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("measure", "n", "bound"), [("legs", 32, 1e-3), ("legt", 32, 0.02), ("fout", 33, 0.2)])
def test_the_signal_is_recalled(measure: str, n: int, bound: float) -> None:
    dt = 1 / 2000
    t = (torch.arange(2000, dtype=torch.float64) + 0.5) * dt
    u = torch.sin(7 * t) + 0.5 * torch.cos(19 * t + 1)
    memory = HiPPOMemory(measure, n, dt=dt, scale=0.5)
    memory.update(u)
    recalled = t[1100:1900]
    assert (memory.reconstruct(recalled) - u[1100:1900]).abs().max() < bound


@pytest.mark.parametrize("n", [1, 7, 40])
def test_the_step_of_a_held_signal_is_the_matrix_exponential(n: int) -> None:
    A, B = (matrix.numpy() for matrix in transition("legs", n))
    for samples in (1, 10, 1000):
        # Columns of the identity in, columns of the step out; the last row is an input of 1 alone.
        c = torch.cat([torch.eye(n, dtype=torch.float64), torch.zeros(1, n, dtype=torch.float64)])
        u = torch.zeros(n + 1, 1, dtype=torch.float64)
        u[-1] = 1
        step = scipy.linalg.expm(np.block([[A, B], [np.zeros((1, n + 1))]]) * np.log((samples + 1) / samples))
        np.testing.assert_allclose(take_in(c, u, samples).T, step[:n], atol=1e-12)


def test_numbers_lists_and_arrays_are_signals_too() -> None:
    whole, parts = HiPPOMemory("legs", 6, dt=np.float32(0.5)), HiPPOMemory("legs", 6, dt=0.5)
    whole.update(torch.tensor([3.0, 1.0, 2.0, 5.0]))
    parts.update(3.0)
    parts.update([1, 2])
    parts.update(np.array([5.0], dtype=np.float32))
    torch.testing.assert_close(parts.coefficients, whole.coefficients, rtol=0, atol=1e-14)
    assert parts.reconstruct(0.75).shape == (1,)


def test_a_memory_of_256_coefficients_stays_finite_and_exact() -> None:
    u = signal((np.arange(120) + 0.5) / 120)
    found = HiPPOMemory("legs", 256).update(torch.from_numpy(u))
    np.testing.assert_allclose(found, project_legs(u, 256), atol=1e-9)


def test_what_is_refused() -> None:
    memory = HiPPOMemory("legt", 8, dt=0.1)
    with pytest.raises(InputError, match="call update first"):
        memory.reconstruct(torch.zeros(1))
    memory.update(torch.ones(2, 30))
    with pytest.raises(InputError, match="the memory reaches from 2 s to 3 s"):
        memory.reconstruct(torch.tensor([0.5]))
    with pytest.raises(ShapeError, match="leading axes"):
        memory.update(torch.ones(3, 5))
    for bad, sentence in (([1j], "real numbers"), ("x", "real numbers"), ([float("nan")], "holds NaN")):
        with pytest.raises(InputError, match=sentence):
            memory.update(bad)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"t is \(2, 2\)"):
        memory.reconstruct(torch.zeros(2, 2))
    for name, value in (("dt", -1.0), ("dt", float("nan")), ("dtype", torch.int64), ("scale", 0)):
        with pytest.raises(InputError, match=f"{name} is"):
            HiPPOMemory("legs", 8, **{name: value})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="alpha is missing"):
        HiPPOMemory("legs", 8, method="gbt")
    with pytest.raises(InputError, match="Did you mean 'legs'"):
        HiPPOMemory("legss", 8)
    with pytest.raises(InputError, match="dt is -1"):
        HiPPOMemory("lagt", 8, dt=-1.0)
