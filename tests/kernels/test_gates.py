"""Gates and steps at arguments of any size: the logistic function and the softplus in every kernel that has them.

The truth is SciPy's. An argument of -100 is no more than a gate that is shut, or padding that is to take no step.
"""

import numpy as np
import pytest
import torch
from scipy.special import expit, log1p
from torch import Tensor

from statespace.kernels import native as core
from statespace.kernels.causal_conv1d import causal_conv1d, causal_conv1d_update
from statespace.kernels.selective_scan import selective_scan
from statespace.kernels.selective_state_update import selective_state_update
from statespace.kernels.ssd import ssd

SETS = [] if core.why_missing() else list(core.instruction_sets())
TINY = {torch.float32: 2e-38, torch.float64: 4e-308}  # below, numbers lose digits or are zero
HALF = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}  # what a rounding is off by at most, relatively


@pytest.fixture(params=SETS)
def instruction_set(request, monkeypatch) -> None:
    monkeypatch.setattr(core, "instruction_set", lambda name=None: core.instruction_sets()[name or request.param])


def arguments(dtype: torch.dtype) -> Tensor:
    """Numbers of every size, ``(1, l, 1)``, as far as their squares are numbers."""
    far = np.geomspace(1e-30, 1e18, 400)
    return torch.tensor(np.concatenate([np.linspace(-800, 800, 6401), -far, far]), dtype=dtype)[None, :, None]


def assert_equal(found: Tensor, expected: np.ndarray, x: Tensor, size: np.ndarray | None = None) -> None:
    """Compare what was found for `x`, up to roundings of parts of this size.

    e^x is 2^(x log2 e): it is as far off as its exponent is, by half a unit of the last place for the constant and
    another one for the product, and by a few of the result.
    """
    value, wide = found.detach().double().numpy(), x.detach().double().numpy()
    roundings = HALF[x.dtype] * (8 + 2 * np.abs(wide).clip(max=800))
    bound = roundings * (np.abs(expected) if size is None else size) + TINY[x.dtype] * np.abs(wide).clip(1)
    assert np.isfinite(value).all()
    assert (np.abs(value - expected) / bound).max() <= 1


def silu(x: Tensor) -> np.ndarray:
    return x.double().numpy() * expit(x.double().numpy())


def silu_slope(x: Tensor) -> np.ndarray:
    wide = x.double().numpy()
    return expit(wide) * (1 + wide * expit(-wide))


def softplus(x: Tensor) -> np.ndarray:
    wide = x.double().numpy()
    return np.maximum(wide, 0) + log1p(np.exp(-np.abs(wide)))


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("dtype", TINY, ids=str)
def test_the_gate_of_a_convolution(dtype):
    x, one = arguments(dtype).requires_grad_(), torch.ones(1, 1, dtype=dtype)
    y = causal_conv1d(x, one, activation="silu", backend="native")
    y.sum().backward()
    assert_equal(y, silu(x.detach()), x)
    assert_slope(x)
    columns = x.detach().mT  # as many channels as there are numbers
    taps = one.expand(columns.shape[2], 1).contiguous()
    row = columns[:, 0]
    assert_equal(causal_conv1d_update(row, columns[:, :0], taps, None, "silu"), silu(row), row)


def assert_slope(x: Tensor) -> None:
    """Compare the gradient of SiLU, whose parts cancel near -1.28."""
    assert x.grad is not None
    wide = x.detach().double().numpy()
    assert_equal(x.grad, silu_slope(x.detach()), x, expit(wide) * (1 + np.abs(wide) * expit(-wide)))


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("dtype", TINY, ids=str)
def test_the_gate_of_a_scan(dtype):
    """With a step of zero the state stays at zero, and y is D u SiLU(z)."""
    z = arguments(dtype).requires_grad_()
    one, nothing = torch.ones_like(z), torch.zeros_like(z)
    A, D = -torch.ones(1, 1, dtype=dtype), torch.ones(1, dtype=dtype)
    y = selective_scan(one, nothing, A, one, one, D, z, backend="native")
    assert isinstance(y, Tensor)
    y.sum().backward()
    assert_equal(y, silu(z.detach()), z)
    assert_slope(z)
    rows = z.detach()[0]
    state, ones, nothing = torch.zeros_like(rows)[..., None], torch.ones_like(rows), torch.zeros_like(rows)
    assert_equal(selective_state_update(state, ones, nothing, A, ones, ones, D, rows), silu(rows), rows)


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("dtype", TINY, ids=str)
def test_the_step_of_a_scan(dtype):
    """Of sequences of one sample from rest, with C B = 1 and no D, y is softplus(dt), and its slope the logistic."""
    dt = arguments(dtype).transpose(0, 1).contiguous().requires_grad_()  # (b, 1, 1)
    one, A = torch.ones_like(dt), torch.full((1, 1), -1e-30, dtype=dtype)
    y = selective_scan(one, dt, A, one, one, dt_softplus=True, backend="native")
    assert isinstance(y, Tensor)
    y.sum().backward()
    assert_equal(y, softplus(dt.detach()), dt)
    assert dt.grad is not None
    assert_equal(dt.grad, expit(dt.detach().double().numpy()), dt)
    rows = dt.detach()[:, 0]
    ones = torch.ones_like(rows)
    state = torch.zeros_like(rows)[..., None]
    assert_equal(selective_state_update(state, ones, rows, A, ones, ones, dt_softplus=True), softplus(rows), rows)


@pytest.mark.parametrize("dtype", TINY, ids=str)
@pytest.mark.parametrize("backend", ["chunked", "reference"])
def test_the_step_of_a_scan_in_torch(backend, dtype):
    """As above, of the portable backends, and of Mamba-2's scan."""
    dt = arguments(dtype).transpose(0, 1).contiguous().requires_grad_()  # (b, 1, 1)
    one, A = torch.ones_like(dt), torch.full((1, 1), -1e-30, dtype=dtype)
    by_heads = one[..., None]
    for y in (
        selective_scan(one, dt, A, one, one, dt_softplus=True, backend=backend),
        ssd(by_heads, dt, A[0], by_heads, by_heads, dt_softplus=True, backend=backend),
    ):
        assert isinstance(y, Tensor)
        (grad,) = torch.autograd.grad(y.sum(), dt)
        assert_equal(y.view_as(dt), softplus(dt.detach()), dt)
        assert_equal(grad, expit(dt.detach().double().numpy()), dt)
    rows = dt.detach()[:, 0]
    ones = torch.ones_like(rows)
    y = selective_state_update(ones[..., None] * 0, ones, rows, A, ones, ones, dt_softplus=True, backend="reference")
    assert_equal(y, softplus(rows), rows)


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("dtype", TINY, ids=str)
def test_infinite_arguments_are_limits_and_no_number_stays_none(dtype):
    dt = torch.tensor([torch.inf, -torch.inf, torch.nan], dtype=dtype)[:, None]
    ones, A = torch.ones_like(dt), torch.full((1, 1), -1e-30, dtype=dtype)
    y = selective_state_update(torch.zeros(3, 1, 1, dtype=dtype), ones, dt, A, ones, ones, dt_softplus=True)
    shut = selective_state_update(torch.zeros(3, 1, 1, dtype=dtype), ones, 0 * ones, A, ones, ones, A[0] * 0 + 1, dt)
    assert y[1] == 0
    assert y[2].isnan()
    assert shut[0] == torch.inf
    assert shut[2].isnan()
