"""Exponentials and their integrals: every backend and every instruction set against SciPy, mpmath and invariants."""

import mpmath
import numpy as np
import pytest
import torch
from scipy.linalg import expm as scipy_expm
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.kernels import native as core
from statespace.kernels.expm import BACKENDS, expm, expm_phi, native

pytestmark = pytest.mark.skipif(core.why_missing() is not None, reason="no compiled core")
SETS = [] if core.why_missing() else list(core.instruction_sets())
every_set = pytest.mark.parametrize("instruction_set", SETS)
real = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def problem(n: int, m: int, norm: float = 1.0, count: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Matrices of a spectral radius of about `norm`, inputs a million times as large, and times."""
    A = norm * torch.randn(count, n, n, dtype=torch.float64) / max(n, 1) ** 0.5
    return A, 1e6 * torch.randn(count, n, m, dtype=torch.float64), 0.5 + torch.rand(count, dtype=torch.float64)


def truth(A: Tensor, B: Tensor, t: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Return both results from SciPy's exponential of the whole block matrix, with B brought to the size of A."""
    n, m = B.shape[-2:]
    scale = 2.0**20
    block = torch.zeros(len(A), n + order * m, n + order * m, dtype=torch.float64)
    block[:, :n, :n] = t[:, None, None] * A
    if order:
        block[:, :n, n : n + m] = t[:, None, None] * B / scale
        block[:, n:, n:] = torch.diag(torch.ones((order - 1) * m, dtype=torch.float64), m) if order > 1 else 0
    found = torch.from_numpy(np.stack([scipy_expm(each) for each in block.numpy()]))[:, :n]
    return found[..., :n], found[..., n:] * scale


def off(found: Tensor, expected: Tensor) -> float:
    """The largest error among the matrices of a batch, relative to the norm of each."""
    if not expected.numel():
        return 0.0
    error = (found.double() - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1)
    return error.max().item()


@every_set
@real
@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 40, 70])
def test_every_instruction_set_agrees_with_scipy(n: int, order: int, dtype: torch.dtype, instruction_set: str) -> None:
    for m in (1, 3):
        for norm in (1e-8, 1e-4, 0.04, 0.5, 1.5):
            A, B, t = (tensor.to(dtype) for tensor in problem(n, m, norm))
            found = native.forward(A, B, t, order, instruction_set)
            expected = truth(A.double(), B.double(), t.double(), order)
            # Some ten roundings; SciPy itself loses three digits from a norm of 1 on, see the test that follows.
            bound = 40 * torch.finfo(dtype).eps if norm < 1 or dtype is torch.float32 else 1e-12
            assert off(found[0], expected[0]) <= bound, (m, norm)
            assert off(found[1], expected[1]) <= bound, (m, norm)


def exact(A: Tensor, B: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Return both results for one matrix from mpmath, at 60 digits."""
    n, m = B.shape
    with mpmath.workdps(60):
        block = mpmath.zeros(n + order * m)
        block[:n, : n + m] = mpmath.matrix(torch.cat([A, B], 1).tolist())
        for i in range((order - 1) * m):
            block[n + i, n + m + i] = 1
        found = torch.tensor(np.array(mpmath.expm(block, method="taylor").tolist(), dtype=float))[:n]
    return found[:, :n], found[:, n:]


@every_set
@pytest.mark.parametrize("norm", [0.3, 1.0, 4.0, 10.0])
def test_mpmath_at_norms_where_scipy_is_inexact(norm: float, instruction_set: str) -> None:
    A, B, t = problem(7, 1, norm)
    for order in (1, 2):
        found = native.forward(A, B, torch.ones_like(t), order, instruction_set)
        for i in range(len(A)):
            for one, other in zip(found, exact(A[i], B[i], order), strict=True):
                assert off(one[i][None], other[None]) <= 4e-15 * max(1.0, norm)


@pytest.mark.parametrize("backend", ["chunked", "reference"])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_portable_backends_agree_with_scipy(backend: str, order: int) -> None:
    for norm in (1e-8, 0.04, 0.5):
        A, B, t = problem(6, 2, norm)
        for found, expected in zip(expm_phi(A, B, t, order, backend), truth(A, B, t, order), strict=True):
            assert off(found, expected) <= 1e-14


@every_set
@pytest.mark.parametrize("n", [2, 8, 16, 33])
def test_matrices_out_of_the_ordinary(n: int, instruction_set: str) -> None:
    order = torch.arange(1.0, n + 1, dtype=torch.float64)
    cases = {
        "zero": (torch.zeros(n, n, dtype=torch.float64), 0.0),
        "nilpotent": (torch.diag(torch.ones(n - 1, dtype=torch.float64), 1), 1e-15),
        "defective": (torch.diag(torch.ones(n - 1, dtype=torch.float64), 1) - torch.eye(n), 1e-14),
        "tiny": (1e-8 * torch.randn(n, n, dtype=torch.float64), 1e-15),
        "large and decaying": (-1e3 * torch.diag(order), 1e-15),
        # eps |A| is what rounding A alone does to a phase
        "large and turning": (1e3 * (torch.ones(n, n).triu(1) - torch.ones(n, n).tril(-1)) / n, 1e-12),
        "all powers but the first vanish": (1e6 * torch.ones(n, 1) * torch.eye(n)[:1] * (order[:, None] > 1), 1e-15),
    }
    for name, (A, tolerance) in cases.items():
        A = A.to(torch.float64)
        E, F = native.forward(
            A[None], torch.eye(n, dtype=torch.float64)[None], torch.ones(1).double(), 1, instruction_set
        )
        if n > 8:
            expected = torch.from_numpy(scipy_expm(A.numpy()))
            assert (E[0] - expected).abs().max() <= max(tolerance, 1e-14) * max(1.0, expected.abs().max()), name
            continue
        for found, wanted in zip((E[0], F[0]), exact(A, torch.eye(n).double(), 1), strict=True):
            assert (found - wanted).abs().max() <= max(tolerance, 2e-16) * wanted.abs().max(), name


@every_set
@real
def test_what_is_not_finite_neither_hangs_nor_spreads(dtype: torch.dtype, instruction_set: str) -> None:
    huge = torch.finfo(dtype).max / 100
    for n in (1, 3, 9, 17):
        A = 0.1 * torch.randn(5, n, n, dtype=dtype)
        A[1, 0, 0], A[2, -1, 0], A[3] = float("nan"), float("inf"), huge
        B = torch.ones(5, n, 1, dtype=dtype)
        E, F = native.forward(A, B, torch.ones(5, dtype=dtype), 1, instruction_set)
        assert E[1:3].isnan().all()
        assert F[1:3].isnan().all()
        assert not E[3].isfinite().any()
        for i in (0, 4):
            assert E[i].isfinite().all()
            assert F[i].isfinite().all()


@pytest.mark.parametrize("order", [0, 1, 2])
def test_same_bits_for_any_number_of_threads_and_any_company(order: int) -> None:
    A, B, t = problem(16, 1, 0.5, count=600)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = native.forward(A, B, t, order)
        for count in (2, 3, 8):
            torch.set_num_threads(count)
            assert all(map(torch.equal, native.forward(A, B, t, order), expected))
    finally:
        torch.set_num_threads(before)
    alone = native.forward(A[417:418], B[417:418], t[417:418], order)
    assert all(torch.equal(one[0], many[417]) for one, many in zip(alone, expected, strict=True))


def test_strides_are_read_as_they_are() -> None:
    for n in (5, 16):
        A, B, t = problem(n, 3)
        expected = native.forward(A, B, t, 2)
        padded = torch.full((10, n + 3, n + 2), float("nan"), dtype=torch.float64)
        padded[::2, 1 : n + 1, :n] = A
        views = [A.mT.contiguous().mT, padded[::2, 1 : n + 1, :n], A.permute(1, 2, 0).contiguous().permute(2, 0, 1)]
        for view in views:
            found = native.forward(view, B.mT.contiguous().mT, t, 2)
            assert all(map(torch.equal, found, expected))
        one = native.forward(A[:1].expand(5, n, n), B[:1].expand(5, n, 3), t, 1)
        each = native.forward(A[:1].repeat(5, 1, 1), B[:1].repeat(5, 1, 1), t, 1)
        assert all(map(torch.equal, one, each))


def test_every_element_of_the_results_is_written_and_none_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    guards = []

    def guarded(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        memory = torch.full((int(np.prod(shape)) + 128,), 7.0, dtype=dtype)
        memory[64:-64] = float("nan")
        guards.append(memory)
        return memory[64:-64].view(*shape)

    for n in (3, 16, 21):
        arguments = problem(n, 2)
        with monkeypatch.context() as patch:
            patch.setattr(torch, "empty", guarded)
            found = native.forward(*arguments, 2)
        assert all(result.isfinite().all() for result in found)
    for memory in guards:
        assert (memory[:64] == 7).all()
        assert (memory[-64:] == 7).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_empty_batches_states_and_inputs(backend: str) -> None:
    for shape, m in (((0, 3), 2), ((2, 0), 2), ((2, 3), 0)):
        A, B = torch.zeros(*shape, shape[-1]).double(), torch.zeros(*shape, m).double()
        E, F = expm_phi(A, B, 0.5, 2, backend)
        assert E.shape == A.shape
        assert F.shape == (*shape, 2 * m)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("order", [0, 1, 2])
def test_first_and_second_derivatives_of_all_arguments(backend: str, order: int) -> None:
    A, B, t = problem(3, 2, count=2)
    arguments = [tensor.requires_grad_() for tensor in (A, B / 1e6, t)]

    def run(A: Tensor, B: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        E, F = expm_phi(A, B, t, order, backend)
        return (E, F) if order else (E,)

    used = arguments if order else [arguments[0], arguments[1].detach(), arguments[2]]
    assert torch.autograd.gradcheck(run, used)
    assert torch.autograd.gradgradcheck(run, used)


def test_a_gradient_through_a_large_input_matrix_keeps_its_digits() -> None:
    # The gradient is linear in the weight of F: a power of two may not change its digits.
    A, B, t = problem(4, 1)
    A.requires_grad_()
    gradients = [torch.autograd.grad((weight * expm_phi(A, B, t)[1]).sum(), A)[0] / weight for weight in (1.0, 2.0**40)]
    assert off(*gradients) <= 1e-14


def test_is_a_proper_operator() -> None:
    A, B, t = (tensor.requires_grad_() for tensor in problem(3, 2, count=2))
    tests = ("test_schema", "test_faketensor", "test_autograd_registration", "test_aot_dispatch_static")
    torch.library.opcheck(torch.ops.statespace.expm_phi_native.default, (A, B, t, 1), test_utils=tests)


def test_vmap_over_some_arguments() -> None:
    A, B, t = problem(3, 2)
    expected = expm_phi(A, B[:1], t)
    found = torch.vmap(lambda A, t: expm_phi(A, B[0], t))(A, t)
    assert all(map(torch.equal, found, expected))


def test_leading_axes_broadcast_and_the_reference_agrees() -> None:
    A, B, t = torch.randn(2, 1, 3, 3).double(), torch.randn(4, 3, 2).double(), torch.rand(1, 1).double()
    found, expected = expm_phi(A, B, t, 2), expm_phi(A, B, t, 2, "reference")
    assert found[1].shape == (2, 4, 3, 4)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-13)


def test_bad_arguments_are_told_apart() -> None:
    A, B, t = problem(3, 2)
    with pytest.raises(ShapeError, match=r"expm_phi: A is \(5, 3, 2\)"):
        expm_phi(A[..., :2], B)
    with pytest.raises(ShapeError, match=r"expm_phi: B is .*n = 3"):
        expm_phi(A, B[:, :2])
    with pytest.raises(ShapeError, match=r"expm_phi: the leading axes do not broadcast: .*t has \(4,\)"):
        expm_phi(A, B, t[:4])
    with pytest.raises(InputError, match=r"expm_phi: B is torch.float32 and A is torch.float64"):
        expm_phi(A, B.float())
    with pytest.raises(InputError, match=r"expm_phi: t is torch.complex128"):
        expm_phi(A, B, t + 0j)
    with pytest.raises(InputError, match=r"expm_phi: order is 3"):
        expm_phi(A, B, order=3)
    with pytest.raises(InputError, match=r"expm_phi: backend is 'nativ'.*Did you mean 'native'"):
        expm_phi(A, B, backend="nativ")
    with pytest.raises(
        InputError, match=r"backend 'native' computes in float32 and float64, but A is torch.complex128"
    ):
        expm_phi(A + 0j, B + 0j, backend="native")


def test_without_a_core_auto_takes_the_portable_path(monkeypatch: pytest.MonkeyPatch) -> None:
    A, _, _ = problem(3, 1)
    monkeypatch.setattr(core, "_open", lambda: "not built: for this test.")
    torch.testing.assert_close(expm(A), expm(A, "chunked"), rtol=0, atol=0)
    with pytest.raises(InputError, match="backend 'native' is not built"):
        expm(A, "native")
