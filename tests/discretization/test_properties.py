"""What holds for a method whatever the system: property tests."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from statespace.discretization import bilinear, bilinear_diagonal, zoh, zoh_diagonal

sizes = st.integers(1, 8)
seeds = st.integers(0, 2**32 - 1)
steps = st.floats(1e-4, 2.0)
# No deadline: a busy machine is slow, which is no failure.
quickly = settings(deadline=None, max_examples=60)


def draw(n: int, seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=dtype, generator=generator)

    A = normal(n, n)
    # The numerical abscissa bounds the growth of exp(A t), so that rounding is not blown up by it.
    abscissa = torch.linalg.eigvalsh((A + A.mH) / 2)[-1]
    A = A - (abscissa + 0.05) * torch.eye(n, dtype=dtype)
    return A, normal(n, 2), normal(2, n), normal(2, 2)


@quickly
@given(sizes, seeds, steps)
def test_two_half_steps_of_zoh_are_one_step(n: int, seed: int, dt: float) -> None:
    A, B, C, D = draw(n, seed)
    whole, half = zoh(A, B, C, D, dt), zoh(A, B, C, D, dt / 2)
    # The systems are contractive, |Abar| <= 1, so errors are a few roundings of numbers of order 1 and of |B| dt.
    torch.testing.assert_close(half.A @ half.A, whole.A, rtol=0, atol=1e-13)
    torch.testing.assert_close(half.A @ half.B + half.B, whole.B, rtol=0, atol=1e-13 * max(1.0, B.abs().max().item()))


@quickly
@given(sizes, seeds, steps)
def test_two_half_steps_of_diagonal_zoh_are_one_step(n: int, seed: int, dt: float) -> None:
    A, B, C, D = draw(n, seed, torch.complex128)
    eigenvalues = torch.linalg.eigvals(A)
    whole, half = zoh_diagonal(eigenvalues, B, C, D, dt), zoh_diagonal(eigenvalues, B, C, D, dt / 2)
    torch.testing.assert_close(half.A * half.A, whole.A, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(half.A[:, None] * half.B + half.B, whole.B, rtol=1e-13, atol=1e-13)


@quickly
@given(sizes, seeds, st.floats(1e-4, 1e4))
def test_bilinear_keeps_stability_at_any_step(n: int, seed: int, dt: float) -> None:
    A, B, C, D = draw(n, seed)
    # For a contractive system the bilinear transform is a contraction, in norm and not merely in spectrum: Cayley.
    assert torch.linalg.matrix_norm(bilinear(A, B, C, D, dt).A, 2) < 1
    eigenvalues = torch.linalg.eigvals(A)
    diagonal = bilinear_diagonal(eigenvalues, B.to(eigenvalues.dtype), C, D, dt).A
    assert (diagonal.abs() < 1).all()


@quickly
@given(sizes, seeds, st.floats(1e-3, 1.0))
def test_bilinear_keeps_instability(n: int, seed: int, dt: float) -> None:
    A, B, C, D = draw(n, seed)
    assert (torch.linalg.eigvals(bilinear(-A, B, C, D, dt).A).abs() > 1).all()


@quickly
@given(sizes, seeds, st.floats(1e-3, 2.0))
def test_both_keep_the_gain_for_constant_input(n: int, seed: int, dt: float) -> None:
    A, B, C, D = draw(n, seed)
    gain = D - C @ torch.linalg.solve(A, B)
    for method in (zoh, bilinear):
        Abar, Bbar, Cbar, Dbar = method(A, B, C, D, dt)
        discrete = Dbar + Cbar @ torch.linalg.solve(torch.eye(n, dtype=A.dtype) - Abar, Bbar)
        # I - Abar is about A dt, of which one eigenvalue may be 0.05 dt: rounding grows by 1 / (0.05 dt) <= 2e4.
        torch.testing.assert_close(discrete, gain, rtol=1e-9, atol=1e-9 * gain.abs().max().item())


@quickly
@given(sizes, seeds, st.integers(-40, 40))
def test_zoh_does_not_depend_on_the_unit_of_the_input(n: int, seed: int, exponent: int) -> None:
    A, B, C, D = draw(n, seed)
    plain, scaled = zoh(A, B, C, D, 0.5), zoh(A, 2.0**exponent * B, C, D, 0.5)
    torch.testing.assert_close(scaled.A, plain.A, rtol=0, atol=1e-14)
    torch.testing.assert_close(scaled.B / 2.0**exponent, plain.B, rtol=1e-13, atol=1e-14)


def test_zoh_of_a_chain_of_integrators_is_a_taylor_polynomial() -> None:
    # x''' = u: Abar is [[1, h, h²/2], [0, 1, h], [0, 0, 1]] and Bbar is (h³/6, h²/2, h).
    A = torch.diag(torch.ones(2, dtype=torch.float64), 1)
    B, C, D = (torch.tensor(m, dtype=torch.float64) for m in ([[0], [0], [1]], [[1, 0, 0]], [[0]]))
    for h in (1e-6, 0.1, 3.0, 1e3):
        result = zoh(A, B, C, D, h)
        expected = torch.tensor([[1, h, h**2 / 2], [0, 1, h], [0, 0, 1]], dtype=torch.float64)
        # Element by element: nothing is lost beside large neighbours, 1e-18 beside 1 included.
        torch.testing.assert_close(result.A, expected, rtol=1e-13, atol=0)
        exact = torch.tensor([h**3 / 6, h**2 / 2, h], dtype=torch.float64)
        torch.testing.assert_close(result.B[:, 0], exact, rtol=1e-13, atol=0)
