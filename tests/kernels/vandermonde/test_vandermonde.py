"""The Vandermonde product against closed forms, SciPy, the materialised reference, and torch's own checks."""

import math

import numpy as np
import pytest
import torch
from scipy import signal
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.kernels.vandermonde import BACKENDS, vandermonde
from statespace.kernels.vandermonde.chunked import split
from statespace.kernels.vandermonde.powers import power_table

LENGTHS = (1, 2, 3, 17, 63, 64, 100, 1023)
EPS = torch.finfo(torch.float64).eps


def system(d: int, n: int, dtype: torch.dtype = torch.complex128, dt_max: float = 0.1) -> tuple[Tensor, Tensor]:
    """Random steps between 1e-3 and `dt_max`, S4D-Lin poles, random coefficients."""
    dt = torch.exp(torch.empty(d, 1, dtype=torch.float64).uniform_(math.log(1e-3), math.log(dt_max)))
    A = torch.complex(torch.full((n,), -0.5, dtype=torch.float64), math.pi * torch.arange(n, dtype=torch.float64))
    return (A * dt).to(dtype), torch.randn(d, n, dtype=torch.complex128).to(dtype)


def relative(value: Tensor, truth: Tensor) -> float:
    """Largest error, relative to the largest true value."""
    return float((value - truth).abs().max() / truth.abs().max())


@pytest.mark.parametrize("backend", BACKENDS)
def test_impulse_response_of_scipy(backend: str) -> None:
    # Two damped oscillators as a real system in discrete time; SciPy runs the recursion. Both sides round a hundred
    # times, hence 1e-13.
    log_a = torch.tensor([[-0.03 + 0.4j, -0.1 + 1.3j]], dtype=torch.complex128)
    c = torch.tensor([[0.7 - 0.2j, 1.1 + 0.5j]], dtype=torch.complex128)
    z = np.exp(log_a[0].numpy())
    A = np.zeros((4, 4))
    for i, pole in enumerate(z):
        A[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[pole.real, -pole.imag], [pole.imag, pole.real]]
    B = np.array([1.0, 0, 1, 0])[:, None]
    C = np.stack([c[0].real.numpy(), -c[0].imag.numpy()], 1).reshape(1, 4)
    steps = 101
    _, (impulse,) = signal.dimpulse((A, B, C, [[0.0]], 1.0), n=steps + 1)
    ours = vandermonde(log_a, c, steps, backend=backend)
    np.testing.assert_allclose(ours[0].numpy(), impulse[1:, 0], atol=1e-13)  # SciPy's first sample is D


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("length", LENGTHS)
def test_geometric_series(backend: str, length: int) -> None:
    # A single mode sums to (1 - z^L) / (1 - z), with z far enough from 1 not to cancel. The sum rounds L times.
    log_a = torch.complex(-0.02 - 0.5 * torch.rand(5, 1), 0.5 + 2 * torch.rand(5, 1)).to(torch.complex128)
    c = torch.randn(5, 1, dtype=torch.complex128)
    ours = vandermonde(log_a, c, length, backend=backend).sum(-1)
    closed = (c * (torch.exp(length * log_a) - 1) / (torch.exp(log_a) - 1)).real[:, 0]
    assert relative(ours, closed) < (10 + length) * EPS


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.complex128, 1e-13), (torch.complex64, 1e-6)])
@pytest.mark.parametrize("length", [*LENGTHS, 65536])
def test_values_and_gradients_of_the_reference(length: int, dtype: torch.dtype, tolerance: float) -> None:
    # float64: phases of up to 6e5 rad are known to 1e-10 rad, where the mode has died; a few hundred roundings remain.
    # float32: a few roundings (6e-8) of the sum of |c|, at any length.
    log_a, c = system(3, 32, dtype)
    G = torch.randn(3, length, dtype=c.real.dtype)
    results = []
    for backend in BACKENDS:
        wide = dtype if backend == "chunked" else torch.complex128
        arguments = [tensor.to(wide).requires_grad_() for tensor in (log_a, c)]
        K = vandermonde(*arguments, length, backend=backend)
        results.append([K.detach(), *torch.autograd.grad(K, arguments, G.to(K.dtype))])
    for ours, truth in zip(*results, strict=True):
        if truth.abs().max() > 0:  # the gradient of log_a is zero at length 1
            assert relative(ours, truth) < tolerance
        else:
            assert not ours.any()


@pytest.mark.parametrize("length", [1, 7, 12])
def test_gradcheck(length: int) -> None:
    log_a, c = (tensor.requires_grad_() for tensor in system(2, 3, dt_max=0.5))
    for backend in BACKENDS:
        torch.autograd.gradcheck(lambda a, w, name=backend: vandermonde(a, w, length, backend=name), (log_a, c))


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("length", [1, 6, 16])
def test_opcheck(length: int, dtype: torch.dtype) -> None:
    log_a, c = system(3, 4, dtype)
    torch.library.opcheck(
        torch.ops.statespace.vandermonde_chunked, (log_a.requires_grad_(), c.requires_grad_(), length)
    )
    G = torch.randn(3, length, dtype=c.real.dtype)
    torch.library.opcheck(torch.ops.statespace.vandermonde_chunked_backward, (G, log_a.detach(), c.detach(), length))


def test_compiles_into_one_graph() -> None:
    log_a, c = (tensor.requires_grad_() for tensor in system(3, 4))

    def loss(a: Tensor, w: Tensor) -> Tensor:
        return vandermonde(a, w, 20).square().sum()

    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    eager = torch.autograd.grad(loss(log_a, c), (log_a, c))
    for ours, truth in zip(torch.autograd.grad(compiled(log_a, c), (log_a, c)), eager, strict=True):
        torch.testing.assert_close(ours, truth)


def test_autocast_rounds_nothing() -> None:
    # Rounded to bfloat16, the tables would be off by 4e-3.
    log_a, c = (tensor.requires_grad_() for tensor in system(3, 32, torch.complex64))
    plain = torch.autograd.grad(vandermonde(log_a, c, 100).sum(), (log_a, c))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        K = vandermonde(log_a, c, 100)
        rounded = torch.autograd.grad(K.sum(), (log_a, c))
    assert torch.equal(K, vandermonde(log_a, c, 100))
    for ours, truth in zip(rounded, plain, strict=True):
        assert torch.equal(ours, truth)


def test_second_derivatives() -> None:
    log_a, c = (tensor.requires_grad_() for tensor in system(2, 2))
    (grad,) = torch.autograd.grad(vandermonde(log_a, c, 5).square().sum(), c, create_graph=True)
    with pytest.raises(InputError, match=r"second derivatives.*backend='reference'"):
        grad.abs().sum().backward()


@pytest.mark.parametrize("backend", BACKENDS)
def test_lazy_conjugates(backend: str) -> None:
    log_a, c = system(3, 4)
    expected = vandermonde(log_a.conj().resolve_conj(), c.conj().resolve_conj(), 20, backend=backend)
    torch.testing.assert_close(vandermonde(log_a.conj(), c.conj(), 20, backend=backend), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_leading_axes_broadcast(backend: str) -> None:
    log_a, c = system(4, 3)
    heads = torch.randn(2, 5, 4, 3, dtype=torch.complex128)
    K = vandermonde(log_a, heads, 10, backend=backend)
    assert K.shape == (2, 5, 4, 10)
    torch.testing.assert_close(K[1, 2], vandermonde(log_a, heads[1, 2], 10))
    assert vandermonde(log_a[0], c[0], 10, backend=backend).shape == (10,)
    assert vandermonde(log_a[:0], c[:0], 10, backend=backend).shape == (0, 10)
    assert not vandermonde(log_a[:, :0], c[:, :0], 10, backend=backend).any()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_a_dead_mode_lasts_for_one_sample(backend: str, dtype: torch.dtype) -> None:
    log_a = torch.tensor([[complex(-math.inf, 0.3), -1 + 2j]], dtype=dtype, requires_grad=True)
    c = torch.tensor([[2 - 1j, 0.5 + 1j]], dtype=dtype, requires_grad=True)
    K = vandermonde(log_a, c, 9, backend=backend)
    alone = vandermonde(log_a[:, 1:], c[:, 1:], 9, backend=backend)
    torch.testing.assert_close(K[:, 0], alone[:, 0] + 2)
    torch.testing.assert_close(K[:, 1:], alone[:, 1:])
    grad_log_a, grad_c = torch.autograd.grad(K.sum(), (log_a, c))
    assert grad_log_a[0, 0] == 0
    assert grad_c[0, 0] == 1
    assert grad_log_a.isfinite().all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_growing_modes_and_nan_are_not_hidden(backend: str) -> None:
    log_a = torch.tensor([[0.1 + 1j]], dtype=torch.complex128)
    one = torch.ones_like(log_a)
    steps = torch.arange(200, dtype=torch.float64)
    expected = torch.exp(0.1 * steps) * torch.cos(steps)
    assert relative(vandermonde(log_a, one, 200, backend=backend)[0], expected) < 1e-13
    assert vandermonde(log_a * math.nan, one, 5, backend=backend).isnan().all()


def test_tables_hold_no_unwritten_memory() -> None:
    # Deterministic mode fills fresh memory with NaN.
    log_a, c = (tensor.requires_grad_() for tensor in system(3, 4))
    torch.use_deterministic_algorithms(True)
    try:
        for length in LENGTHS:
            K = vandermonde(log_a, c, length)
            assert K.isfinite().all()
            for gradient in torch.autograd.grad(K.sum(), (log_a, c)):
                assert gradient.isfinite().all()
    finally:
        torch.use_deterministic_algorithms(False)


def test_gradients_that_are_not_contiguous() -> None:
    log_a, c = (tensor.requires_grad_() for tensor in system(4, 3))
    G = torch.randn(16, 4, dtype=torch.float64).T
    turned = torch.autograd.grad(vandermonde(log_a, c, 16), (log_a, c), G)
    dense = torch.autograd.grad(vandermonde(log_a, c, 16), (log_a, c), G.contiguous())
    for ours, truth in zip(turned, dense, strict=True):
        torch.testing.assert_close(ours, truth)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_no_product_of_two_powers_is_subnormal(dtype: torch.dtype) -> None:
    # Arithmetic with subnormal numbers is a hundred times slower on a CPU. Without a phase, entries are moduli.
    decay = torch.tensor([[1e-5, 0.02, 0.3, 0.7, 1.5, 10.0, 100.0, math.inf]], dtype=torch.float64)
    log_a = torch.complex(-decay, torch.zeros_like(decay)).to(dtype)
    tiny = torch.finfo(log_a.real.dtype).tiny
    for stride in (1, 256):
        moduli = power_table(log_a, 256, stride)[:, :, 0].double()
        least = moduli[moduli > 0].min()
        assert least >= 0.999 * math.sqrt(tiny)
        assert least < 1e3 * math.sqrt(tiny)  # nothing larger is thrown away
        assert (moduli[..., 0] == 1).all()


@pytest.mark.parametrize("length", [1, 2, 3, 5, 7, 64, 65, 1000, 65536, 100_003])
def test_split_covers_the_length_without_an_empty_row(length: int) -> None:
    P, Q = split(length)
    assert (P - 1) * Q < length <= P * Q
    assert Q <= length
    assert P + Q <= 4 * math.sqrt(length)


def test_messages_name_the_fix() -> None:
    log_a, c = system(4, 3)
    with pytest.raises(InputError, match=r"vandermonde: c is torch.complex64|but c is torch.complex64: convert"):
        vandermonde(log_a, c.to(torch.complex64), 5)
    with pytest.raises(InputError, match=r"log_a is torch.float64.*log_a.to\(torch.complex64\)"):
        vandermonde(log_a.real, c, 5)
    with pytest.raises(ShapeError, match=r"c is \(3, 4\) but log_a is \(4, 3\).*transposed"):
        vandermonde(log_a, c.T, 5)
    with pytest.raises(ShapeError, match=r"leading axes of log_a \(4, 3\) and c \(3, 3\) do not broadcast"):
        vandermonde(log_a, c[:3], 5)
    with pytest.raises(ShapeError, match=r"log_a has no axis.*reshape\(1\)"):
        vandermonde(log_a[0, 0], c, 5)
    with pytest.raises(InputError, match=r"length is 0, but a whole number from 1 on"):
        vandermonde(log_a, c, 0)
    with pytest.raises(InputError, match=r"length is 3.0, but a whole number"):
        vandermonde(log_a, c, 3.0)
    with pytest.raises(InputError, match=r"backend is 'chunk'.*auto, chunked, reference. Did you mean 'chunked'\?"):
        vandermonde(log_a, c, 5, backend="chunk")
    with pytest.raises(InputError, match=r"log_a is on cpu but c is on meta"):
        vandermonde(log_a, c.to("meta"), 5)
