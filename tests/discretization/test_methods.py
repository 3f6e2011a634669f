"""Every method, dense and diagonal, in every type, against ``scipy.signal.cont2discrete``."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from scipy.signal import cont2discrete
from torch import Tensor

from statespace.discretization import METHODS, Discrete

# SciPy and we solve the same well-conditioned problems, |A| dt up to about 5 and A with distant eigenvalues of G, in
# float64 by different routes: a few hundred roundings, each growing with sqrt(n), stay two decades below 1e-12. In
# float32 the same count of roundings is 64 eps.
TOLERANCE = {torch.float64: 1e-12, torch.complex128: 1e-12, torch.float32: 64 * 2**-23, torch.complex64: 64 * 2**-23}
STEPS = [1e-4, 1e-2, 0.3, 1.0]
FORMS = ["dense", "diagonal"]

methods = pytest.mark.parametrize("name", METHODS)
ALPHA = 0.3  # for the method that asks for one
forms = pytest.mark.parametrize("form", FORMS)
types = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)

System = tuple[Tensor, Tensor, Tensor, Tensor]


def random_system(n: int, form: str, dtype: torch.dtype, leading: tuple[int, ...] = (), margin: float = 0.1) -> System:
    """Draw a stable system of 2 inputs and 3 outputs whose slowest mode decays with the given margin."""
    wide = torch.complex128 if dtype.is_complex else torch.float64
    if form == "diagonal":
        A = torch.randn(*leading, n, dtype=wide)
        A = A - A.real.amax(-1, keepdim=True).clamp(min=0) - margin
    else:
        A = torch.randn(*leading, n, n, dtype=wide) / n**0.5
        slowest = torch.linalg.eigvals(A).real.amax(-1)
        A = A - (slowest + margin)[..., None, None] * torch.eye(n, dtype=wide)
    B, C, D = (torch.randn(*leading, *shape, dtype=wide) for shape in ((n, 2), (3, n), (3, 2)))
    A, B, C, D = (matrix.to(dtype) for matrix in (A, B, C, D))
    return A, B, C, D


def forms_of(name: str) -> dict[str, Callable[..., Discrete]]:
    """The dense and the diagonal form, with a weight where one must be given, and D = 0 where it must be."""
    method = METHODS[name]

    def ready(form: Callable[..., Discrete]) -> Callable[..., Discrete]:
        weighed = partial(form, alpha=ALPHA) if method.alpha == "required" else form

        def run(A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float) -> Discrete:
            return weighed(A, B, C, 0 * D if method.strictly_proper else D, dt)

        return run

    return {"dense": ready(method.dense), "diagonal": ready(method.diagonal)}


def not_in_scipy(name: str, A: np.ndarray, B: np.ndarray, C: np.ndarray, D: np.ndarray, dt: float) -> list[np.ndarray]:
    """The two methods of the deep models, from SciPy's exponential and the definitions of their papers."""
    Abar = expm(A * dt)
    if name == "euler-b":
        return [Abar, B * dt, C, D]
    return [Abar, Abar @ B * dt, C, D + C @ B * dt / 2]


def as_matrix(A: Tensor, form: str) -> Tensor:
    return torch.diag_embed(A) if form == "diagonal" else A


def reference(system: System, form: str, dt: float, name: str) -> list[np.ndarray]:
    A, B, C, D = (matrix.to(torch.complex128 if matrix.is_complex() else torch.float64) for matrix in system)
    given = (as_matrix(A, form).numpy(), B.numpy(), C.numpy(), (0 * D if name == "impulse" else D).numpy())
    if name in ("euler-b", "exponential-trapezoidal"):
        return not_in_scipy(name, *given, dt)
    return list(cont2discrete(given, dt, name, alpha=ALPHA)[:4])


def assert_equal(result: Discrete, expected: list[np.ndarray], form: str, tolerance: float) -> None:
    result = result._replace(A=as_matrix(result.A, form))
    for field, ours, theirs in zip(Discrete._fields, result, expected, strict=True):
        error = np.linalg.norm(ours.detach().numpy() - theirs)
        assert error <= tolerance * np.linalg.norm(theirs), f"{field} is off by {error:.1e}"


@methods
@forms
@types
@pytest.mark.parametrize("n", [1, 2, 5, 16, 33, 64])
def test_equals_scipy_on_random_stable_systems(name: str, form: str, dtype: torch.dtype, n: int) -> None:
    for dt in STEPS:
        system = random_system(n, form, dtype)
        result = forms_of(name)[form](*system, dt)
        assert {matrix.dtype for matrix in result} == {dtype}
        assert_equal(result, reference(system, form, dt, name), form, TOLERANCE[dtype])


def singular_systems() -> Iterator[tuple[str, Tensor]]:
    """Yield dense state matrices that have no inverse."""
    yield "integrator", torch.zeros(1, 1, dtype=torch.float64)
    yield "chain of 6 integrators", torch.diag(torch.ones(5, dtype=torch.float64), 1)
    yield "zero", torch.zeros(4, 4, dtype=torch.float64)
    yield (
        "double integrator and a decay",
        torch.block_diag(torch.tensor([[0.0, 1], [0, 0]]), torch.tensor([-2.0])).double(),
    )
    A = random_system(8, "dense", torch.float64)[0]
    yield "random of rank 7", A - torch.outer(A @ torch.ones(8, dtype=A.dtype), torch.ones(8, dtype=A.dtype)) / 8


@methods
@pytest.mark.parametrize("which", range(5))
def test_equals_scipy_on_singular_systems(name: str, which: int) -> None:
    _, A = list(singular_systems())[which]
    n = A.shape[-1]
    assert torch.linalg.matrix_rank(A) < n
    B, C, D = (torch.randn(*shape, dtype=A.dtype) for shape in ((n, 2), (3, n), (3, 2)))
    for dt in STEPS:
        assert_equal(
            forms_of(name)["dense"](A, B, C, D, dt), reference((A, B, C, D), "dense", dt, name), "dense", 1e-12
        )


@methods
def test_diagonal_with_zero_and_tiny_eigenvalues_equals_scipy(name: str) -> None:
    A = torch.tensor([0, 1e-300, -1e-12, 1e-8j, -1e-3 + 1e-3j, -0.2, -3 + 40j], dtype=torch.complex128)
    _, B, C, D = random_system(7, "diagonal", torch.complex128)
    for dt in STEPS[:-1]:
        result = forms_of(name)["diagonal"](A, B, C, D, dt)
        assert_equal(result, reference((A, B, C, D), "diagonal", dt, name), "diagonal", 1e-12)


@methods
@forms
@types
def test_batches_with_a_step_for_each_system_equal_scipy_one_by_one(name: str, form: str, dtype: torch.dtype) -> None:
    system = random_system(5, form, dtype, leading=(3, 4))
    dt = torch.logspace(-4, 0, 12, dtype=torch.float64).reshape(3, 4).to(dtype.to_real())
    result = forms_of(name)[form](*system, dt)
    for index in np.ndindex(3, 4):
        one = tuple(matrix[index] for matrix in system)
        expected = reference(one, form, dt[index].item(), name)
        assert_equal(Discrete(*(matrix[index] for matrix in result)), expected, form, TOLERANCE[dtype])


@methods
@forms
def test_leading_axes_broadcast_and_all_results_have_them(name: str, form: str) -> None:
    A, B, C, D = random_system(4, form, torch.float64)
    B = torch.randn(3, 1, 4, 2, dtype=torch.float64)
    dt = torch.tensor([0.1, 0.2, 0.5, 1.0, 2.0], dtype=torch.float64)
    result = forms_of(name)[form](A, B, C, D, dt)
    assert result.A.shape == ((3, 5, 4) if form == "diagonal" else (3, 5, 4, 4))
    assert [tuple(matrix.shape) for matrix in result[1:]] == [(3, 5, 4, 2), (3, 5, 3, 4), (3, 5, 3, 2)]
    for i, j in np.ndindex(3, 5):
        expected = reference((A, B[i, 0], C, D), form, dt[j].item(), name)
        assert_equal(Discrete(*(matrix[i, j] for matrix in result)), expected, form, 1e-12)


@methods
@types
def test_diagonal_equals_dense_of_its_matrix(name: str, dtype: torch.dtype) -> None:
    system = random_system(6, "diagonal", dtype, leading=(4,))
    dt = torch.tensor([1e-3, 0.05, 0.4, 1.5])
    diagonal = forms_of(name)["diagonal"](*system, dt)
    dense = forms_of(name)["dense"](torch.diag_embed(system[0]), *system[1:], dt)
    assert_equal(diagonal, [matrix.numpy() for matrix in dense], "diagonal", TOLERANCE[dtype])


@methods
@forms
def test_mixed_types_take_the_smallest_type_that_holds_all(name: str, form: str) -> None:
    A, B, C, D = random_system(4, form, torch.float64)
    mixed = (A.float(), torch.complex(B, -B).to(torch.complex64), C, D)
    result = forms_of(name)[form](*mixed, 0.1)
    assert {matrix.dtype for matrix in result} == {torch.complex128}
    assert_equal(result, reference(mixed, form, 0.1, name), form, 1e-12)


@methods
@forms
@pytest.mark.parametrize("dt", [0.25, np.float32(0.25), torch.tensor(0.25), torch.tensor(0.25, dtype=torch.float64)])
def test_a_step_may_be_a_number_or_a_tensor_of_any_real_type(name: str, form: str, dt: Tensor | float) -> None:
    system = random_system(3, form, torch.float32)
    expected = forms_of(name)[form](*system, 0.25)
    for ours, theirs in zip(forms_of(name)[form](*system, dt), expected, strict=True):
        assert torch.equal(ours, theirs)
        assert ours.dtype is torch.float32


@methods
@forms
def test_an_empty_batch_gives_an_empty_batch(name: str, form: str) -> None:
    result = forms_of(name)[form](*random_system(3, form, torch.float64, leading=(0,)), torch.ones(0))
    assert [matrix.shape[0] for matrix in result] == [0, 0, 0, 0]


def _states(name: str, form: str) -> Callable[..., tuple[Tensor, ...]]:
    def run(A: Tensor, B: Tensor, C: Tensor, D: Tensor, log_dt: Tensor) -> tuple[Tensor, ...]:
        return tuple(forms_of(name)[form](A, B, C, D, torch.exp(log_dt)))

    return run


@methods
@forms
def test_compiles_into_one_graph_with_the_same_values_and_gradients(name: str, form: str) -> None:
    arguments = [*random_system(3, form, torch.float64, leading=(2,)), torch.tensor([-1.0, 0.0], dtype=torch.float64)]
    arguments = [argument.requires_grad_() for argument in arguments]
    run = _states(name, form)
    torch.compiler.reset()  # one function for all methods: each is compiled afresh
    # The aot_eager backend traces forward and backward but leaves the arithmetic as it is, so equality is exact.
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    for ours, theirs in zip(compiled(*arguments), run(*arguments), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    gradients = [torch.autograd.grad(sum(r.square().sum() for r in f(*arguments)), arguments) for f in (compiled, run)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-13)


@methods
@forms
def test_vmap_equals_the_batch(name: str, form: str) -> None:
    arguments = (*random_system(3, form, torch.float64, leading=(4,)), torch.linspace(-2, 0, 4, dtype=torch.float64))
    run = _states(name, form)
    for ours, theirs in zip(torch.func.vmap(run)(*arguments), run(*arguments), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=1e-14)
