"""The matrix exponential against mpmath, SciPy and closed forms."""

import mpmath
import numpy as np
import pytest
import torch
from scipy.linalg import expm as scipy_expm
from scipy.linalg import expm_frechet
from torch import Tensor

from statespace.hippo import legs
from statespace.kernels import native as core
from statespace.kernels.expm import BACKENDS, expm
from statespace.kernels.expm.blocks import coupled
from statespace.kernels.expm.chunked import DOUBLE, TAYLOR_DOUBLE

TYPES = [torch.float32, torch.float64, torch.complex64, torch.complex128]
SCHEMES = [2.58e-8, 3.39e-4, 4.99e-2, 6.76e-1]  # where the polynomials of the native backend end

backends = pytest.mark.parametrize("backend", BACKENDS)
# The reference squares from a norm of 1/2 on, and pays for it with a few roundings.
sharp = pytest.mark.parametrize("backend", ["native", "chunked"])


@pytest.fixture(autouse=True)
def there(request: pytest.FixtureRequest) -> None:
    arguments = getattr(request.node, "callspec", None)
    if arguments is not None and arguments.params.get("backend") == "native":
        if core.why_missing():
            pytest.skip("no compiled core")
        if arguments.params.get("dtype", torch.float64).is_complex:
            pytest.skip("the compiled core is real")


def exact(A: Tensor) -> Tensor:
    """Return exp(A) by a Taylor series at 60 digits."""
    with mpmath.workdps(60):
        n = A.shape[-1]
        squarings = max(0, int(np.ceil(np.log2(A.abs().sum().item() + 1)))) + 4
        X = mpmath.matrix(A.tolist()) / 2**squarings
        term, total = mpmath.eye(n), mpmath.eye(n)
        for k in range(1, 40):
            term = term * X / k
            total += term
        for _ in range(squarings):
            total = total * total
        return torch.tensor(np.array(total.tolist(), dtype=complex))


def relative(found: Tensor, truth: Tensor) -> float:
    return ((found - truth).norm() / truth.norm()).item()


def hard() -> dict[str, tuple[Tensor, float]]:
    """Name matrices with the error that they may show: eps times the condition of the exponential.

    For a normal matrix that is its norm, from rounding of the phases and decays; for others it is larger.
    """
    order = torch.arange(8, dtype=torch.float64)
    rotation = torch.tensor([[-1e-3, 1], [-1, -1e-3]], dtype=torch.float64)
    stiff = -torch.diag(torch.logspace(-2, 4, 8, dtype=torch.float64))
    basis, _ = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64))
    return {
        "small": (1e-6 * torch.randn(8, 8, dtype=torch.float64), 1e-15),
        "HiPPO-LegS": (legs(8)[0], 1e-14),
        "HiPPO-LegS, a long step": (10 * legs(8)[0], 1e-13),
        "lightly damped": (torch.block_diag(rotation, 10 * rotation, 100 * rotation, 1e3 * rotation), 1e-12),
        "stiff": (basis @ stiff @ basis.mT, 1e-11),
        "nilpotent": (torch.diag(order[1:], 1), 1e-15),
        "not normal": (torch.triu(torch.full((8, 8), 1e4, dtype=torch.float64), 1) - torch.diag(order), 1e-11),
    }


@sharp
@pytest.mark.parametrize("bound", [*SCHEMES, *TAYLOR_DOUBLE.values(), *DOUBLE.values()])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_every_degree_is_exact_to_the_end_of_its_range(bound: float, sign: float, backend: str) -> None:
    # A term that is left out, or a threshold that is too wide, shows in the difference to the identity: relative to
    # that, not to exp(A) itself, a few roundings are allowed.
    A = torch.rand(6, 6, dtype=torch.float64) + 0.1
    A = sign * A * (bound * (1 - 1e-12) / A.abs().sum(0).max())
    eye = torch.eye(6, dtype=torch.complex128)
    error = (expm(A, backend).to(torch.complex128) - exact(A)).norm() / (exact(A) - eye).norm()
    assert error <= 1e-15 * max(1.0, 1 / bound) * np.exp(2 * max(0.0, -sign * bound))


@backends
@pytest.mark.parametrize("which", hard())
def test_hard_matrices_against_mpmath(which: str, backend: str) -> None:
    A, tolerance = hard()[which]
    assert relative(expm(A, backend).to(torch.complex128), exact(A)) <= tolerance


@sharp
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("norm", [1e-8, 1e-3, 0.01, 0.2, 0.9, 3.0, 30.0])
def test_small_entries_beside_the_identity_keep_all_their_digits(dtype: torch.dtype, norm: float, backend: str) -> None:
    # The upper right block is the integral of exp, of order `norm`; torch.linalg.matrix_exp loses it, see chunked.py.
    A = -torch.rand(3, 3, dtype=torch.float64).to(dtype)
    block = torch.zeros(5, 5, dtype=dtype)
    block[:3] = norm * torch.cat([A / A.abs().sum(0).max(), torch.randn(3, 2, dtype=torch.float64).to(dtype)], -1)
    # Eight times the unit of rounding, once for the approximant and once for each of five squarings.
    bound = 8 * torch.finfo(dtype).eps * (1 + max(0.0, np.log2(norm)))
    truth = exact(block)
    assert relative(expm(block, backend)[:3, 3:], truth[:3, 3:]) <= bound


@backends
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_each_matrix_of_a_batch_is_scaled_by_its_own_norm(dtype: torch.dtype, backend: str) -> None:
    scale = torch.logspace(-6, 1.5, 12).reshape(3, 4, 1, 1)
    A = torch.randn(3, 4, 5, 5, dtype=torch.float64).to(dtype)
    A = scale * (A - A.mH) / 4  # skew: no growth, so the exponential is well-conditioned at every norm
    expected = torch.from_numpy(scipy_expm(A.to(torch.complex128).numpy()))
    torch.testing.assert_close(
        expm(A, backend).to(torch.complex128), expected, rtol=0, atol=100 * torch.finfo(dtype).eps
    )


@backends
def test_empty_zero_and_not_finite(backend: str) -> None:
    assert expm(torch.zeros(0, 3, 3), backend).shape == (0, 3, 3)
    assert torch.equal(expm(torch.zeros(2, 3, 3), backend), torch.eye(3).expand(2, 3, 3))
    A = torch.zeros(3, 2, 2)
    A[1, 0, 0], A[2, 1, 1] = float("nan"), float("inf")
    found = expm(A, backend)
    assert torch.equal(found[0], torch.eye(2))
    assert torch.isnan(found[1:]).any(-1).any(-1).all()


@pytest.mark.parametrize("scale", [1.0, 1e10])
def test_coupled_blocks_are_the_frechet_derivative_of_scipy(scale: float) -> None:
    A, E = torch.randn(2, 6, 6, dtype=torch.float64)
    expected, derivative = expm_frechet(A.numpy(), E.numpy())
    found, X = coupled(expm, A, scale * E, A)
    assert relative(found, torch.from_numpy(expected)) <= 1e-14
    assert relative(X / scale, torch.from_numpy(derivative)) <= 1e-14


@backends
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_first_and_second_derivatives(dtype: torch.dtype, backend: str) -> None:
    A = torch.randn(2, 3, 3, dtype=dtype, requires_grad=True)
    assert torch.autograd.gradcheck(lambda A: expm(A, backend), A)
    assert torch.autograd.gradgradcheck(lambda A: expm(A, backend), A)
