"""Every backend against the reference in float64: states, and the gradient of every argument."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from statespace.kernels import native as core
from statespace.kernels.linear_scan import BACKENDS, linear_scan, native

# (batch, length, channels): tiles of 64 rows and less, channels off the width of a vector, and one that is cut in time.
SHAPES = [
    (2, 1, (1,)),
    (3, 2, (5,)),
    (5, 37, (17,)),
    (2, 129, (3, 5)),
    (2, 64, ()),
    (2, 70, (1100,)),
]
KINDS = {
    "plain": {},
    "complex": {"complex_numbers": True},
    "carried": {"initial": True, "complex_numbers": True},
    "time-invariant": {"shared": "bl", "initial": True, "complex_numbers": True},
    "time-invariant, each row its own": {"shared": "l"},
    "one factor for all rows": {"shared": "b", "initial": True},
    "one factor for all channels": {"shared": "d"},
    "ragged": {"kind": "ragged", "initial": True},
    "ragged, time-invariant": {"kind": "ragged", "shared": "bl", "complex_numbers": True},
}
SETS = [] if core.why_missing() else list(core.instruction_sets())


def reference(case):
    return case.run(lambda **arguments: linear_scan(**arguments, backend="reference"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_reference(problem, agree, scan, shape, kind):
    case = problem(*shape, **KINDS[kind])
    truth = reference(case)
    agree(case.run(scan), truth, 1e-12)  # some thousand roundings of 1e-16
    # Factors below 1 forget: a state collects some ten roundings of 3e-8.
    agree(case.to(torch.float32).run(scan), truth, 2e-6)


@pytest.mark.parametrize("shared", ["", "bl", "b"])
@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("shape", [(1, 9, (3,)), (1, 150, (21,))], ids=str)
def test_packed_sequences_do_not_see_each_other(problem, agree, scan, shape, initial, shared):
    case = problem(*shape, kind="packed", initial=initial, shared=shared, complex_numbers=True)
    truth = reference(case)
    agree(case.run(scan), truth, 1e-12)
    ends = case.sequences["cu_seqlens"].tolist()
    for i, (begin, end) in enumerate(pairwise(ends)):
        a, state = case.arguments["a"], case.arguments["initial_state"]
        alone = scan(
            a if a.shape[1] == 1 else a[:, begin:end],
            case.arguments["b"][:, begin:end],
            None if state is None else state[i : i + 1],
        )
        torch.testing.assert_close(truth["h"][:, begin:end], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["carried", "time-invariant", "ragged"])
@pytest.mark.parametrize("channels", [(1,), (7,), (40,)], ids=str)
def test_long_sequences_in_float32(problem, agree, scan, channels, kind):
    # Few channels: the native backend cuts these in pieces, the chunked one in chunks of chunks.
    case = problem(1, 17_011, channels, **KINDS[kind])
    expected = case.run(lambda **arguments: linear_scan(**arguments, backend="chunked"))
    if channels == (1,) and kind == "ragged":
        agree(expected, reference(case), 1e-12)
    agree(case.run(scan), expected, 1e-12)
    agree(case.to(torch.float32).run(scan), expected, 2e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("kind", ["plain", "carried", "ragged", "ragged, time-invariant"])
def test_every_instruction_set_equals_the_reference(problem, agree, name, dtype, kind):
    case = problem(3, 150, (45,), **KINDS[kind])
    expected, low = reference(case), case.to(dtype)
    a, b, initial = low.arguments.values()
    rest = (initial, low.sequences.get("lengths"), None)
    h = native.forward(a, b, *rest, instruction_set=name)
    grads = native.backward(low.grad, a, h, *rest, instruction_set=name)
    got = {"h": h} | {f"grad {argument}": grad for argument, grad in zip(low.arguments, grads, strict=True)}
    agree({key: got[key] for key in expected}, expected, 1e-12 if dtype == torch.float64 else 2e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_pieces_with_the_state_carried_over_are_the_whole(problem, scan, dtype):
    case = problem(2, 300, (5,), initial=True).to(dtype)
    a, b, state = case.arguments.values()
    whole, pieces = scan(a, b, state), []
    for decay, x in zip(a.split([1, 63, 64, 172], 1), b.split([1, 63, 64, 172], 1), strict=True):
        pieces.append(scan(decay, x, state))
        state = pieces[-1][:, -1]
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=0, atol=tolerance * float(whole.abs().max()))


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "triton"])
def test_beyond_its_length_a_state_is_held_and_nothing_is_looked_at(problem, request, backend):
    if backend == "native":
        request.getfixturevalue("compiled")
    case = problem(4, 150, (20,), initial=True, kind="ragged")
    clean = case.run(lambda **arguments: linear_scan(**arguments, backend=backend))
    for i, length in enumerate(case.sequences["lengths"].tolist()):
        last = clean["h"][i, length - 1] if length else case.arguments["initial_state"][i]
        # The chunked backend comes to a state on two ways, which round differently.
        torch.testing.assert_close(clean["h"][i, length:], last.expand(150 - length, 20), rtol=1e-14, atol=1e-14)
        case.arguments["a"][i, length:] = float("nan")
        case.arguments["b"][i, length:] = float("nan")
    got = case.run(lambda **arguments: linear_scan(**arguments, backend=backend))
    assert all(torch.equal(got[name], clean[name]) for name in clean)


@pytest.mark.parametrize("shape", [(0, 5, (3,)), (2, 0, (3,)), (2, 5, (0,)), (2, 5, (3, 0))], ids=str)
@pytest.mark.parametrize("shared", ["", "bl"])
def test_empty_axes(problem, agree, scan, shape, shared):
    case = problem(*shape, initial=True, shared=shared)
    agree(case.run(scan), reference(case), 1e-12)


def test_growing_and_vanishing_factors_stay_what_they_are(scan):
    # No quotient and no logarithm: factors of 0 forget, and products that underflow harm nobody.
    a = torch.tensor([1e-30, 0.0, 1.0, 2.0]).repeat(10_000)[None, :, None]
    h = scan(a, torch.ones(1, 40_000, 1))
    assert torch.equal(h[0, :, 0].view(-1, 4), torch.tensor([1.0, 1.0, 2.0, 5.0]).expand(10_000, 4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64], ids=str)
def test_products_that_overflow_carry_nothing_over_from_a_state_of_zero(scan, dtype):
    a, b = torch.full((1, 40_000, 1), 1.02, dtype=dtype), torch.zeros(1, 40_000, 1, dtype=dtype)
    b[:, -10:] = 1
    h = scan(a, b)
    assert (h[:, :-10] == 0).all()
    torch.testing.assert_close(h[0, -10:, 0], ((1.02 ** torch.arange(1, 11) - 1) / 0.02).to(dtype))
    b.requires_grad_()
    (grad,) = torch.autograd.grad(scan(a, b)[:, :10].abs().sum(), b)  # nothing comes from behind
    assert grad[:, 10:].abs().max() == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["a", "b", "gradient"])
def test_what_is_not_finite_stays_in_its_sequence(problem, scan, where, bad):
    found = []
    for run in (scan, lambda *x, **k: linear_scan(*x, **k, backend="reference")):
        a, b, start = problem(1, 70, (3,), initial=True, kind="packed").arguments.values()
        start, bounds = torch.cat([start, start])[:3], torch.tensor([0, 17, 40, 70])
        grad = torch.ones_like(b)
        {"a": a, "b": b, "gradient": grad}[where][0, 25] = bad
        given = [x.clone().requires_grad_() for x in (a, b, start)]
        h = run(*given, cu_seqlens=bounds)
        found.append([h, *torch.autograd.grad(h, given, grad)])
    for got, expected in zip(*found, strict=True):
        assert torch.equal(got.isfinite(), expected.isfinite())
        torch.testing.assert_close(got[got.isfinite()], expected[got.isfinite()], rtol=1e-12, atol=1e-12)
    assert found[1][0][:, 40:].isfinite().all()


def test_half_precision_is_computed_and_returned_in_float32(problem, scan):
    a, b, _ = problem(2, 30, (3,)).arguments.values()
    got = scan(a.bfloat16(), b.bfloat16())
    assert got.dtype == torch.float32
    assert torch.equal(got, scan(a.bfloat16().float(), b.bfloat16().float()))


def test_real_factors_and_complex_states_meet(problem, scan):
    a, b, _ = problem(2, 30, (3,)).arguments.values()
    torch.testing.assert_close(scan(a, b + 2j * b), (1 + 2j) * scan(a, b), rtol=0, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(0, 3),
    length=st.integers(0, 70),
    channels=st.integers(0, 40),
    axes=st.permutations([0, 1, 2]),
    step=st.sampled_from([1, 2]),
    shared=st.sampled_from(["", "bl", "d", "bld"]),
    backend=st.sampled_from(["auto", "chunked"]),
)
def test_any_shape_and_strides(batch, length, channels, axes, step, shared, backend):
    def strided(*shape):
        # Memory in any order of the axes, with gaps.
        full = torch.randn([step * shape[axis] for axis in axes])
        return full.permute([axes.index(i) for i in range(3)])[::step, ::step, ::step]

    b = strided(batch, length, channels)
    a = strided(*(1 if axis in shared else size for axis, size in zip("bld", b.shape, strict=True))).sigmoid()
    h = linear_scan(a.expand(b.shape), b, backend=backend)
    expected = linear_scan(a.double(), b.double(), backend="reference")
    # 70 roundings of 6e-8 at most, of numbers below 20.
    torch.testing.assert_close(h.double(), expected, rtol=0, atol=2e-5)
