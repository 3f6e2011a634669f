"""The long convolution against SciPy, the defining sum, linear algebra, and torch's own checks."""

import numpy as np
import pytest
import torch
from scipy import fft, signal
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.kernels.fftconv import BACKENDS, fftconv, sizes

# series, length, channels, causal lags, lags ahead: odd, shorter, longer, single, empty
CASES = [
    (2, 16, 3, 16, 15),
    (3, 63, 17, 20, 63),
    (2, 64, 20, 100, 0),
    (1, 7, 1, 1, 200),
    (2, 1, 3, 1, 0),
    (2, 1, 3, 4, 3),
    (0, 5, 3, 4, 2),
    (5, 31, 33, 31, 1),
]


def arguments(case: tuple[int, ...], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Random u, k, k_reverse and D."""
    b, length, d, lk, lr = case
    return [torch.randn(shape, dtype=dtype) for shape in ((b, length, d), (d, lk), (d, lr), (d,))]


def direct(u: Tensor, k: Tensor, k_reverse: Tensor, D: Tensor) -> Tensor:
    """Multiply by the matrix of the definition, one channel and one entry after the other."""
    _, length, d = u.shape
    matrix = torch.zeros(d, length, length, dtype=u.dtype)
    for t in range(length):
        for s in range(length):
            if s <= t and t - s < k.shape[1]:
                matrix[:, t, s] = k[:, t - s]
            if s > t and s - t - 1 < k_reverse.shape[1]:
                matrix[:, t, s] = k_reverse[:, s - t - 1]
        matrix[:, t, t] += D
    return torch.einsum("dts,bsd->btd", matrix, u)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one or two series and the fewest channels, in tiles of few steps: short signals take many."""
    monkeypatch.setattr(sizes, "BLOCK_CPU", 1)
    monkeypatch.setattr(sizes, "TRANSFORMS", 16)
    monkeypatch.setattr(sizes, "TILE_CPU", 100)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("small_blocks")
def test_definition(case: tuple[int, ...], backend: str) -> None:
    # A hundred terms of size 1 and a transform of 8 stages, in float64.
    given = arguments(case)
    torch.testing.assert_close(fftconv(*given, backend=backend), direct(*given), rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_convolution_of_scipy(backend: str) -> None:
    u, k, _, _ = arguments((2, 200, 3, 77, 0))
    ours = fftconv(u, k, backend=backend)
    for i in range(2):
        for j in range(3):
            expected = signal.convolve(u[i, :, j], k[j], method="direct")[:200]
            np.testing.assert_allclose(ours[i, :, j], expected, atol=1e-12)


def test_the_next_sample_is_the_first_one_ahead() -> None:
    # An impulse at 3 reaches back to 2 through k_reverse[0], to 1 through k_reverse[1], and forward through k.
    u = torch.zeros(1, 6, 1)
    u[0, 3] = 1
    y = fftconv(u, torch.tensor([[10.0, 20, 30]]), torch.tensor([[1.0, 2]]))
    torch.testing.assert_close(y[0, :, 0], torch.tensor([0.0, 2, 1, 10, 20, 30]))


def test_reversal_in_time_swaps_the_directions() -> None:
    u, k, k_reverse, _ = arguments((2, 50, 3, 20, 20))
    zero = torch.zeros(3, 1, dtype=u.dtype)
    shifted = torch.cat([zero, k_reverse], dim=1)  # lag 0 belongs to k alone
    backwards = fftconv(u.flip(1), shifted).flip(1)
    torch.testing.assert_close(fftconv(u, k, k_reverse), fftconv(u, k) + backwards)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("small_blocks")
def test_gradients_of_the_reference(case: tuple[int, ...], dtype: torch.dtype, tolerance: float) -> None:
    # Relative to the largest entry: some ten roundings of a sum of a few hundred terms.
    results = []
    given = [tensor.requires_grad_() for tensor in arguments(case, dtype)]
    G = torch.randn(case[:3], dtype=dtype)
    for backend in BACKENDS:
        y = fftconv(*given, backend=backend)
        results.append([y, *torch.autograd.grad(y, given, G, allow_unused=True)])
    for ours, truth in zip(*results, strict=True):
        if truth is None or truth.numel() == 0:
            assert ours is None or not ours.any()
        else:
            assert (ours - truth).abs().max() <= tolerance * truth.abs().max()


@pytest.mark.parametrize("case", [(2, 9, 3, 9, 8), (2, 8, 2, 3, 20), (1, 1, 2, 2, 1)])
def test_gradcheck(case: tuple[int, ...]) -> None:
    given = tuple(tensor.requires_grad_() for tensor in arguments(case))
    for backend in BACKENDS:
        torch.autograd.gradcheck(lambda *tensors, name=backend: fftconv(*tensors, backend=name), given)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", [(2, 9, 3, 9, 8), (2, 8, 2, 20, 0), (0, 5, 2, 3, 1)])
def test_opcheck(case: tuple[int, ...], dtype: torch.dtype) -> None:
    u, k, k_reverse, _ = (tensor.requires_grad_() for tensor in arguments(case, dtype))
    torch.library.opcheck(torch.ops.statespace.fftconv_blocked, (u, k, k_reverse))
    for wanted in ([True, True, True], [True, False, False], [False, True, False]):
        plain = [tensor.detach() for tensor in (u, k, k_reverse)]
        backward = torch.ops.statespace.fftconv_blocked_backward
        torch.library.opcheck(backward, (torch.randn_like(plain[0]), *plain, wanted))


def test_compiles_into_one_graph() -> None:
    given = [tensor.requires_grad_() for tensor in arguments((2, 20, 3, 20, 5))]

    def loss(*tensors: Tensor) -> Tensor:
        return fftconv(*tensors).square().sum()

    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    eager = torch.autograd.grad(loss(*given), given)
    for ours, truth in zip(torch.autograd.grad(compiled(*given), given), eager, strict=True):
        torch.testing.assert_close(ours, truth)


def test_autocast_rounds_nothing() -> None:
    u, k, k_reverse, D = arguments((2, 40, 3, 40, 20), torch.float32)
    expected = fftconv(u, k, k_reverse, D)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(fftconv(u, k, k_reverse, D), expected)


def test_second_derivatives() -> None:
    u, k = (tensor.requires_grad_() for tensor in arguments((1, 5, 2, 5, 0))[:2])
    (grad,) = torch.autograd.grad(fftconv(u, k).square().sum(), u, create_graph=True)
    with pytest.raises(InputError, match=r"second derivatives.*backend='reference'"):
        grad.sum().backward()


def test_lazy_signs() -> None:
    u, k, _, _ = arguments((2, 20, 3, 20, 0))
    turned = (torch.complex(torch.zeros_like(u), u).conj().imag, torch.complex(k, -k).conj().imag)
    assert all(tensor.is_neg() for tensor in turned)
    torch.testing.assert_close(fftconv(*turned), fftconv(-u, k))


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (3,), (0, 3)])
def test_only_the_gradients_that_are_asked_for(wanted: tuple[int, ...]) -> None:
    given = arguments((2, 12, 3, 12, 4))
    every = [tensor.clone().requires_grad_() for tensor in given]
    some = [tensor.requires_grad_() if i in wanted else tensor for i, tensor in enumerate(given)]
    truth = torch.autograd.grad(fftconv(*every).square().sum(), [every[i] for i in wanted])
    for ours, expected in zip(
        torch.autograd.grad(fftconv(*some).square().sum(), [some[i] for i in wanted]), truth, strict=True
    ):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kernel_dtype", [torch.float32, None])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype, kernel_dtype: torch.dtype | None) -> None:
    # The one rounding of the result to `dtype` remains: half a unit in the last place, at outputs up to 30.
    u, k, k_reverse, D = (tensor.to(dtype) for tensor in arguments((2, 100, 3, 100, 50), torch.float32))
    k, k_reverse, D = (tensor.to(kernel_dtype or dtype) for tensor in (k, k_reverse, D))
    y = fftconv(u, k, k_reverse)
    truth = fftconv(u.double(), k.double(), k_reverse.double(), backend="reference")
    assert y.dtype == dtype
    torch.testing.assert_close(y.double(), truth, rtol=torch.finfo(dtype).eps, atol=1e-4)
    assert fftconv(u, k, k_reverse, D).dtype == dtype


def test_other_layouts_give_the_same() -> None:
    u, k, k_reverse, D = arguments((3, 40, 5, 40, 39))
    expected = fftconv(u, k, k_reverse, D)
    turned = fftconv(u.permute(2, 0, 1).contiguous().permute(1, 2, 0), k.T.contiguous().T, k_reverse, D)
    torch.testing.assert_close(turned, expected)
    torch.testing.assert_close(fftconv(u[:, ::2], k, k_reverse, D), fftconv(u[:, ::2].contiguous(), k, k_reverse, D))


@pytest.mark.usefixtures("small_blocks")
def test_buffers_hold_no_unwritten_memory() -> None:
    # Deterministic mode fills fresh memory with NaN.
    torch.use_deterministic_algorithms(True)
    try:
        for case in CASES:
            given = [tensor.requires_grad_() for tensor in arguments(case)]
            y = fftconv(*given)
            assert y.isfinite().all()
            for gradient in torch.autograd.grad(y.sum(), given, allow_unused=True):
                assert gradient is None or gradient.isfinite().all()
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_series_or_channel_with_nan_stays_alone() -> None:
    u, k, _, _ = arguments((3, 16, 4, 16, 0))
    u[1, 5, 2] = torch.nan
    finite = fftconv(u, k).isfinite().all(1)  # (b, d)
    assert not finite[1, 2]
    assert finite.sum() == 11


def test_fast_size() -> None:
    for least in [*range(1, 300), 32767, 32769, 100_000, 131_073]:
        size = sizes.fast_size(least)
        assert size % 2 == 0
        assert least <= size <= max(2, 1.25 * least + 2)
        assert fft.next_fast_len(size) == size  # of the factors that SciPy's FFT is fast for
    assert sizes.fast_size(2 * 16384 - 1) == 32768


def test_blocks_fit_the_budget_and_fill_cache_lines() -> None:
    u = torch.empty(1, 1, 1).expand(8, 16384, 128)
    series, channels = sizes.block_sizes(u, 32768, torch.float32)
    assert series * channels * 32768 <= sizes.BLOCK_CPU_LONG
    assert channels % 16 == 0
    assert sizes.block_sizes(u, 1 << 24, torch.float64) == (1, 8)  # longer than the budget: one cache line wide
    assert sizes.block_sizes(u[:, :, :5], 64, torch.float32) == (8, 5)
    assert sizes.block_sizes(u[:0], 64, torch.float32)[0] == 1


def test_messages_name_the_fix() -> None:
    u, k, k_reverse, D = arguments((2, 10, 3, 10, 4))
    with pytest.raises(ShapeError, match=r"fftconv: u is \(10, 3\).*one series is u\[None\]"):
        fftconv(u[0], k)
    with pytest.raises(ShapeError, match=r"fftconv: k is \(10, 3\).*d = 3.*transposed"):
        fftconv(u, k.T)
    with pytest.raises(ShapeError, match=r"fftconv: k_reverse is \(4, 3\).*transposed"):
        fftconv(u, k, k_reverse.T)
    with pytest.raises(ShapeError, match=r"fftconv: D is \(2,\).*D.expand\(d\)"):
        fftconv(u, k, D=D[:2])
    with pytest.raises(ShapeError, match=r"k has length 0 in time"):
        fftconv(u, k[:, :0])
    with pytest.raises(ShapeError, match=r"u has length 0 in time"):
        fftconv(u[:, :0], k)
    with pytest.raises(InputError, match=r"u is torch.int64.*u.float\(\)"):
        fftconv(u.long(), k)
    with pytest.raises(InputError, match=r"k is torch.complex128.*real float"):
        fftconv(u, k + 0j)
    with pytest.raises(InputError, match=r"u is torch.float64 but k is torch.float32.*k.to\(u.dtype\)"):
        fftconv(u, k.float())
    with pytest.raises(InputError, match=r"u is on cpu but D is on meta"):
        fftconv(u, k, D=D.to("meta"))
    with pytest.raises(
        InputError, match=r"backend is 'fft', which is not known: choose one of auto, blocked, reference"
    ):
        fftconv(u, k, backend="fft")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_small_kernel_is_not_lost_beside_the_feedthrough(backend: str, dtype: torch.dtype) -> None:
    small = torch.full((1, 1), 1e-3, dtype=dtype)
    y = fftconv(torch.ones(1, 4, 1), small, D=torch.ones(1, dtype=dtype), backend=backend)
    # Some roundings of 6e-8; the sum in half precision would be 1, or 1.00098.
    torch.testing.assert_close(y, (1 + small.float()).expand(4, 1)[None], rtol=0, atol=1e-6)
