"""The Cauchy product against SciPy, mpmath, the materialised reference, and torch's own checks."""

import mpmath
import numpy as np
import pytest
import torch
from scipy import signal
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.kernels import native as core
from statespace.kernels.cauchy import BACKENDS, cauchy, chunked, native

HERE = [name for name in BACKENDS if name != "triton"]  # which has suites of its own, interpreted and compiled

# leading axes of v alone, systems, poles, points, whether the points are shared: around segments of 512 points
CASES = [
    ((), 3, 5, 7, False),
    ((4,), 3, 5, 600, True),
    ((3,), 2, 4, 33, False),
    ((2, 3), 1, 3, 1025, True),
    ((), 1, 1, 1, False),
    ((5,), 2, 3, 512, False),
]
MODULES = {"native": native, "chunked": chunked}


def able(backend: str) -> str:
    """The backend, or a skip with the reason where it is missing."""
    if backend == "native" and (reason := core.why_missing()):
        pytest.skip(f"native: {reason}")
    return backend


@pytest.fixture(params=HERE)
def backend(request: pytest.FixtureRequest) -> str:
    return able(request.param)


@pytest.fixture(params=[name for name in HERE if name != "reference"])
def fast(request: pytest.FixtureRequest) -> str:
    return able(request.param)


def arguments(case: tuple, dtype: torch.dtype = torch.complex128, seed: int = 0) -> list[Tensor]:
    """Residues, points on the imaginary axis and stable poles, of numbers that float32 holds."""
    own, d, n, length, shared = case
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.complex64, generator=generator)

    w = normal(d, n)
    poles = torch.complex(-w.real.abs() - 0.1, w.imag)
    points = 1j * normal(*(() if shared else (d,)), length).real
    return [tensor.to(dtype) for tensor in (normal(*own, d, n), points, poles)]


def relative(value: Tensor, truth: Tensor) -> float:
    """Largest error, relative to the largest true value."""
    return float((value.to(truth.dtype) - truth).abs().max() / truth.abs().max()) if truth.numel() else 0.0


def differentiate(given: list[Tensor], conjugate: bool, backend: str, of_points: bool = True) -> list[Tensor]:
    """The result and all gradients."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in given]
    leaves[1].requires_grad_(of_points)
    y = cauchy(*leaves, conjugate, backend=backend)
    G = torch.randn(y.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(1)).to(y.dtype)
    return [y.detach(), *torch.autograd.grad(y, [leaf for leaf in leaves if leaf.requires_grad], G)]


def test_frequency_response_of_scipy(backend: str) -> None:
    # Two damped oscillators as a real system, beside the sum over the upper half of its poles. A few roundings.
    w = torch.tensor([-0.3 + 2j, -1 + 5j], dtype=torch.complex128)
    v = torch.tensor([0.7 - 0.2j, 1.1 + 0.5j], dtype=torch.complex128)
    omega = np.linspace(0.01, 10, 57)
    blocks = [np.array([[p.real, p.imag], [-p.imag, p.real]]) for p in w.numpy()]
    A = np.block([[blocks[0], np.zeros((2, 2))], [np.zeros((2, 2)), blocks[1]]])
    C = np.stack([2 * v.numpy().real, 2 * v.numpy().imag], 1).reshape(1, 4)
    B = np.array([1.0, 0, 1, 0])[:, None]
    # exp(t [[a, b], [-b, a]]) takes (1, 0) to exp(a t) (cos b t, -sin b t)
    _, expected = signal.freqresp((A, B, C, [[0.0]]), omega)
    ours = cauchy(v, 1j * torch.from_numpy(omega), w, conjugate=True, backend=backend)
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("conjugate", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.complex128, 1e-13), (torch.complex64, 1e-6)], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_gradients_of_the_reference(fast, case, dtype, tolerance, conjugate) -> None:
    # Sums of up to 1000 terms, each good to a few roundings; points come as close to poles as 0.1.
    given = arguments(case, dtype)
    for of_points in (True, False):
        truth = differentiate([t.to(torch.complex128) for t in given], conjugate, "reference", of_points)
        for ours, expected in zip(differentiate(given, conjugate, fast, of_points), truth, strict=True):
            assert ours.dtype == dtype
            assert relative(ours, expected) < tolerance


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize("name", [] if core.why_missing() else [*core.instruction_sets()])
def test_every_instruction_set(name: str, dtype: torch.dtype) -> None:
    v, z, w = arguments(CASES[1], dtype)
    for conjugate in (False, True):
        truth = differentiate([t.to(torch.complex128) for t in (v, z, w)], conjugate, "reference")
        y = native.forward(v, z[None], w, conjugate, instruction_set=name)
        G = torch.randn(y.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(1)).to(dtype)
        grads = native.backward(G, v, z[None], w, conjugate, [True] * 3, instruction_set=name)
        for ours, expected in zip([y, *grads], truth, strict=True):
            assert relative(ours.reshape(expected.shape), expected) < (1e-13 if dtype == torch.complex128 else 1e-6)


@pytest.mark.parametrize("conjugate", [False, True])
def test_float32_keeps_its_digits_beside_a_pole(backend: str, conjugate: bool) -> None:
    # As one fraction over z^2 - 2 Re(w) z + |w|^2, the pair would have lost every digit here. Five roundings.
    w = torch.tensor([-1e-3 + 3j, -2e-12 + 1j, -1e-15 + 5j], dtype=torch.complex64)
    z = torch.stack([1j * w.imag * (1 + k * 2.0**-23) for k in (-2, -1, 0, 1, 2)]).flatten().to(torch.complex64)
    v = torch.tensor([1 - 2j, 0.5 + 1j, -1 + 0.3j], dtype=torch.complex64)
    ours = cauchy(v, z, w, conjugate, backend=backend)
    with mpmath.workdps(40):
        for point, value in zip(z.tolist(), ours.tolist(), strict=True):
            pairs = [(mpmath.mpc(a), mpmath.mpc(b)) for a, b in zip(v.tolist(), w.tolist(), strict=True)]
            exact = mpmath.fsum(a / (mpmath.mpc(point) - b) for a, b in pairs)
            if conjugate:
                exact += mpmath.fsum(mpmath.conj(a) / (mpmath.mpc(point) - mpmath.conj(b)) for a, b in pairs)
            assert abs(mpmath.mpc(value) - exact) < 5e-7 * abs(exact)


def test_near_and_far_points_do_not_overflow() -> None:
    if core.why_missing():
        pytest.skip("native: not built")
    w = torch.tensor([-1.0 + 0j], dtype=torch.complex64)
    z = w + torch.tensor([1e-30, 1e30, 1e-30j, 1e36j], dtype=torch.complex64)
    z[0], z[2] = complex(-1 + 2**-24, 0), complex(-1, 1e-30)
    ours = cauchy(torch.ones(1, dtype=torch.complex64), z, w, backend="native")
    torch.testing.assert_close(ours * (z - w), torch.ones(4, dtype=torch.complex64))


@pytest.mark.parametrize("conjugate", [False, True])
def test_gradcheck(backend: str, conjugate: bool) -> None:
    for case in (((2,), 2, 3, 5, True), ((), 2, 2, 4, False)):
        given = tuple(tensor.requires_grad_() for tensor in arguments(case))
        torch.autograd.gradcheck(lambda *tensors: cauchy(*tensors, conjugate, backend=backend), given)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize("conjugate", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_opcheck(fast: str, shared: bool, conjugate: bool, dtype: torch.dtype) -> None:
    v, z, w = arguments(((2,), 3, 2, 5, shared), dtype)
    z = z[None] if shared else z
    for of_points in (False, True):
        given = v.requires_grad_(), z.detach().requires_grad_(of_points), w.requires_grad_()
        torch.library.opcheck(getattr(torch.ops.statespace, f"cauchy_{fast}"), (*given, conjugate))


@pytest.mark.parametrize("of_points", [False, True])
def test_compiles_into_one_graph(fast: str, of_points: bool) -> None:
    given = arguments(((2,), 3, 4, 20, True))
    compiled = torch.compile(cauchy, backend="aot_eager", fullgraph=True)
    results = []
    for function in (cauchy, compiled):
        leaves = [tensor.clone().requires_grad_() for tensor in given]
        leaves[1].requires_grad_(of_points)
        y = function(*leaves, conjugate=True, backend=fast)
        results.append([y, *torch.autograd.grad(y.abs().sum(), [t for t in leaves if t.requires_grad])])
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected)


def test_leading_axes_broadcast(backend: str) -> None:
    v, z, w = arguments(((4,), 3, 2, 9, True))
    each = torch.stack([cauchy(v[i], z, w, backend=backend) for i in range(4)])
    torch.testing.assert_close(cauchy(v, z, w, backend=backend), each)
    torch.testing.assert_close(cauchy(v[:, :1], z, w, backend=backend)[:, 2], cauchy(v[:, 0], z, w[2], backend=backend))
    torch.testing.assert_close(cauchy(v[0, 0], z, w[0], backend=backend), each[0, 0])
    many = torch.stack([w, 2 * w])[:, None]  # (2, 1, 3, 2)
    both = cauchy(v, z, many, backend=backend)
    assert both.shape == (2, 4, 3, 9)
    torch.testing.assert_close(both[1], cauchy(v, z, 2 * w, backend=backend))
    torch.testing.assert_close(cauchy(v[0, 0], torch.stack([z, 2 * z]), w[0], backend=backend)[0], each[0, 0])


@pytest.mark.parametrize(
    "case", [((2,), 0, 3, 5, True), ((2,), 3, 0, 5, False), ((2,), 3, 2, 0, True), ((0,), 3, 2, 5, True)]
)
def test_empty_axes(fast: str, case: tuple) -> None:
    given = arguments(case)
    for ours, expected in zip(differentiate(given, True, fast), differentiate(given, True, "reference"), strict=True):
        assert ours.shape == expected.shape
        assert not ours.any()


def test_views_and_lazy_conjugates(fast: str) -> None:
    v, z, w = arguments(((2,), 3, 4, 30, False))
    expected = cauchy(v.conj().resolve_conj(), z[:, ::2].clone(), w.conj().resolve_conj(), backend=fast)
    turned = w.mT.contiguous().mT.conj()
    torch.testing.assert_close(cauchy(v.conj(), z[:, ::2], turned, backend=fast), expected)


def test_same_bits_for_any_number_of_threads() -> None:
    if core.why_missing():
        pytest.skip("native: not built")
    given = arguments(((2,), 5, 24, 9000, True), torch.complex64)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 8):
            torch.set_num_threads(threads)
            results.append(differentiate(given, True, "native"))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            assert torch.equal(first, second)


def test_second_derivatives(fast: str) -> None:
    v, z, w = (tensor.requires_grad_() for tensor in arguments(((), 1, 2, 3, False)))
    (grad,) = torch.autograd.grad(cauchy(v, z, w, backend=fast).abs().sum(), w, create_graph=True)
    with pytest.raises(InputError, match=r"second derivatives.*backend='reference'"):
        grad.abs().sum().backward()
    torch.autograd.gradgradcheck(lambda *tensors: cauchy(*tensors, backend="reference"), (v, z, w))


def test_buffers_hold_no_unwritten_memory(fast: str) -> None:
    # Deterministic mode fills fresh memory with NaN.
    torch.use_deterministic_algorithms(True)
    try:
        for case in CASES:
            for value in differentiate(arguments(case), True, fast):
                assert value.isfinite().all()
    finally:
        torch.use_deterministic_algorithms(False)


def test_messages_name_the_fix() -> None:
    v, z, w = arguments(((), 3, 2, 5, True))
    with pytest.raises(InputError, match=r"cauchy: z is torch.float64.*z.to\(torch.complex64\)"):
        cauchy(v, z.imag, w)
    with pytest.raises(InputError, match=r"v is torch.complex128 but w is torch.complex64: convert"):
        cauchy(v, z, w.to(torch.complex64))
    with pytest.raises(ShapeError, match=r"v is \(3, 2\) but w is \(5,\).*w has 5.*exchanged"):
        cauchy(v, w, z)
    with pytest.raises(ShapeError, match=r"leading axes of v \(3, 2\), z \(5,\) and w \(2, 2\) do not broadcast"):
        cauchy(v, z, w[:2])
    with pytest.raises(ShapeError, match=r"z has no axis.*reshape\(1\)"):
        cauchy(v, z[0], w)
    with pytest.raises(InputError, match=r"v is on cpu but w is on meta"):
        cauchy(v, z, w.to("meta"))
    with pytest.raises(InputError, match=r"backend is 'nativ'.*Did you mean 'native'"):
        cauchy(v, z, w, backend="nativ")
    on_meta = [tensor.to("meta") for tensor in (v, z, w)]
    with pytest.raises(InputError, match=r"'native' cannot compute this: it computes on the CPU"):
        cauchy(*on_meta, backend="native")
