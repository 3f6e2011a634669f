"""The running rotation against complex numbers in NumPy, and its backends against each other."""

import math

import numpy as np
import pytest
import torch

from statespace.errors import InputError, ShapeError
from statespace.kernels import native as core
from statespace.kernels.rotation import BACKENDS, native, rotation

HERE = [name for name in BACKENDS if name != "native" or not core.why_missing()]
SETS = [] if core.why_missing() else list(core.instruction_sets())
compiled = pytest.mark.skipif(not SETS, reason="there is no compiled core")
NAMES = ("B", "C", "B_norm", "C_norm", "B_bias", "C_bias", "rate", "step", "before")
EPS = 1e-3
# (batch, length, heads, groups, states, angles): lengths around the pieces of the core, all and some coordinates
SHAPES = [
    (2, 1, 2, 1, 2, 1),
    (3, 37, 4, 2, 5, 2),
    (1, 128, 2, 2, 16, 8),
    (2, 129, 4, 1, 19, 9),
    (1, 300, 6, 3, 40, 10),
]


def arguments(batch, length, heads, groups, states, angles, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator).to(dtype)

    rows, weights, biases = (batch, length, groups, states), (states,), (heads, states)
    vectors = [normal(*shape) for shape in (rows, rows, weights, weights, biases, biases)]
    step = torch.rand(batch, length, heads, generator=generator).to(dtype)
    return [*vectors, normal(batch, length, angles), step, 3 * normal(batch, heads, angles).double()]


def with_gradients(function, given):
    """Results and gradients, by name; each result weighs in with numbers of its own."""
    leaves = [value.clone().requires_grad_() for value in given]
    results = function(*leaves)
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(value.shape, generator=generator).to(value.dtype) for value in results]
    grads = torch.autograd.grad(results, leaves, weights)
    found = dict(zip(("turned B", "turned C", "products", "after"), results, strict=True))
    return {k: v.detach() for k, v in found.items()} | {f"grad {k}": v for k, v in zip(NAMES, grads, strict=True)}


def agree(got, truth, tolerance):
    assert got.keys() == truth.keys()
    for name, expected in truth.items():
        error, scale = float((got[name].double() - expected).abs().max()), float(expected.abs().max())
        assert error <= tolerance * scale, f"{name}: off by {error / scale:.1e} of the largest entry"


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_is_a_product_of_complex_numbers(shape, backend):
    _, _, heads, groups, _, angles = shape
    given = arguments(*shape)
    *turned, products, after = rotation(*given, EPS, backend=backend)
    B, C, B_norm, C_norm, B_bias, C_bias, rate, step, before = (value.numpy() for value in given)
    sums = before[:, None] + np.cumsum(rate[:, :, None] * step[..., None], 1)
    phase = np.exp(1j * sums)
    plain = []
    for got, x, weight, bias in zip(turned, (B, C), (B_norm, C_norm), (B_bias, C_bias), strict=True):
        rows = x / np.sqrt((x**2).mean(-1, keepdims=True) + EPS) * weight
        rows = np.repeat(rows, heads // groups, 2) + bias
        plain.append(rows)
        pairs = (rows[..., 0 : 2 * angles : 2] + 1j * rows[..., 1 : 2 * angles : 2]) * phase
        expected = rows.copy()
        expected[..., 0 : 2 * angles : 2], expected[..., 1 : 2 * angles : 2] = pairs.real, pairs.imag
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(products, (plain[0] * plain[1]).sum(-1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.exp(1j * after.numpy()), phase[:, -1], rtol=0, atol=1e-12)
    assert after.abs().max() <= math.pi * (1 + 1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_instruction_set_equals_the_reference(shape, name, dtype):
    class Chosen(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *given):
            ctx.save_for_backward(*given)
            return native.forward(*given, EPS, instruction_set=name)

        @staticmethod
        def backward(ctx, *incoming):
            return native.backward(*incoming, *ctx.saved_tensors, EPS, instruction_set=name)

    low = arguments(*shape, dtype=dtype)
    wide = [value.double() for value in low]
    truth = with_gradients(lambda *given: rotation(*given, EPS, backend="reference"), wide)
    # float32: the angle of a step is rounded, and so are sums of 300 of them, to a phase known to some 1e-6.
    agree(with_gradients(Chosen.apply, low), truth, 1e-12 if dtype == torch.float64 else 5e-6)


@compiled
def test_same_bits_for_any_number_of_threads():
    given = arguments(2, 1000, 4, 1, 64, 16, torch.float32)
    before, found = torch.get_num_threads(), []
    try:
        for count in (1, 3, 2):
            torch.set_num_threads(count)
            found.append(with_gradients(lambda *given: rotation(*given, EPS, backend="native"), given))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        for name, value in found[0].items():
            assert torch.equal(value, other[name]), name


@compiled
def test_every_element_of_the_results_is_written(monkeypatch):
    empty = torch.empty

    def poisoned(*args, **kwargs):
        memory = empty(*args, **kwargs)
        return memory.fill_(math.nan) if memory.is_floating_point() else memory

    given = arguments(2, 150, 4, 2, 19, 5)
    expected = with_gradients(lambda *given: rotation(*given, EPS, backend="native"), given)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "empty", poisoned)
        got = with_gradients(lambda *given: rotation(*given, EPS, backend="native"), given)
    for name, value in expected.items():
        assert torch.equal(got[name], value), name


@pytest.mark.parametrize("backend", HERE)
def test_pieces_with_the_angles_carried_over_are_the_whole(backend):
    *vectors, rate, step, state = arguments(2, 300, 4, 2, 6, 2)
    (B, C), constant = vectors[:2], vectors[2:]
    *whole, final = rotation(B, C, *constant, rate, step, state, EPS, backend=backend)
    parts = []
    for piece in zip(*(value.split([1, 127, 0, 172], 1) for value in (B, C, rate, step)), strict=True):
        *part, state = rotation(*piece[:2], *constant, *piece[2:], state, EPS, backend=backend)
        parts.append(part)
    for got, expected in zip(zip(*parts, strict=True), whole, strict=True):
        torch.testing.assert_close(torch.cat(got, 1), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.cos(state), torch.cos(final), rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", HERE)
def test_results_that_nobody_uses(backend):
    given = arguments(1, 9, 2, 1, 4, 1)
    for i in range(4):
        found = []
        for name in (backend, "reference"):
            leaves = [value.clone().requires_grad_() for value in given]
            result = rotation(*leaves, EPS, backend=name)[i]
            found.append(torch.autograd.grad(result.sum(), leaves, allow_unused=True, materialize_grads=True))
        for got, expected in zip(*found, strict=True):
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"rate": torch.zeros(1, 9, 3)}, ShapeError, "rotation: rate has 3 angles, but B 4 coordinates: .* at most 2"),
        ({"step": torch.zeros(1, 8, 2)}, ShapeError, "rotation: step is"),
        ({"C": torch.zeros(1, 9, 1, 4).double()}, InputError, "rotation: C is torch.float64, but torch.float32, as B"),
        (
            {"B": torch.zeros(1, 9, 3, 4), "C": torch.zeros(1, 9, 3, 4)},
            ShapeError,
            "rotation: B has 3 groups but .* 2 heads",
        ),
    ],
)
def test_what_is_refused(change, error, sentence):
    given = dict(zip(NAMES, arguments(1, 9, 2, 1, 4, 1, torch.float32), strict=True)) | change
    if "rate" in change:
        given["before"] = torch.zeros(1, 2, 3, dtype=torch.float64)
    with pytest.raises(error, match=sentence):
        rotation(**given, eps=EPS)
