"""Every backend against the reference in float64: outputs, final states, and the gradient of every argument."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from statespace.kernels import native as core
from statespace.kernels.causal_conv1d import causal_conv1d, native

# (batch, length, channels, width): lengths around the pieces of 64 steps, channels off the width of a vector, filters
# with and without a kernel of their own, and longer than the sequence.
SHAPES = [
    (1, 1, 1, 1),
    (3, 2, 3, 2),
    (2, 37, 17, 3),
    (2, 64, 33, 4),
    (2, 129, 20, 4),
    (2, 65, 16, 5),
    (1, 20, 3, 33),
    (3, 200, 5, 12),
    (2, 70, 530, 4),  # more than one panel
]
KINDS = {
    "from rest": {},
    "no bias, no SiLU": {"bias": False, "activation": None},
    "ragged": {"ragged": True},
    "carried": {"initial": True},
    "final": {"through": "final"},
    "everything": {"ragged": True, "initial": True, "through": "y and final"},
    "packed": {"packed": 4},
    "packed, carried": {"packed": 6, "initial": True, "through": "y and final"},
}
SETS = [] if core.why_missing() else list(core.instruction_sets())


def reference(case):
    return case.run(lambda **arguments: causal_conv1d(**arguments, backend="reference"))


@pytest.fixture(scope="module")
def truth():
    """The reference's results in float64, computed once for all backends and precisions."""
    known = {}

    def look_up(case, *key):
        if key not in known:
            known[key] = reference(case)
        return known[key]

    return look_up


# 1e-13: a few roundings of 1e-16 each. 1e-6 in float32: gradients of the taps are sums over 600 steps, each rounded to
# 6e-8 at random. Half precisions hold the inputs exactly and round each result once, by 2^-9 and 2^-12 of itself.
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-13), (torch.float32, 1e-6), (torch.bfloat16, 2**-8), (torch.float16, 2**-11)],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_reference_in_float64(problem, agree, convolve, truth, shape, kind, dtype, tolerance):
    case = problem(*shape, **KINDS[kind])
    agree(case.to(dtype).run(convolve), truth(case, shape, kind), tolerance)


@pytest.mark.parametrize("dtype", list(core.DTYPES), ids=str)
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("kind", ["from rest", "everything", "packed, carried"])
def test_every_instruction_set_equals_the_reference(problem, agree, compiled, name, dtype, kind):
    case = problem(3, 150, 21, 4, **KINDS[kind])
    expected, low = reference(case), case.to(dtype)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    x, weight, bias, initial = low.tensors.values()
    lengths, bounds = (low.options.get(option) for option in ("lengths", "cu_seqlens"))
    arguments = (x, weight.to(wide), bias.to(wide), initial, lengths, bounds, True)
    y, final = native.forward(*arguments, instruction_set=name)
    grads = native.backward(low.grad_y, low.grad_final, *arguments, instruction_set=name)
    got = {"y": y, "final_state": final, **dict(zip([f"grad {key}" for key in low.tensors], grads, strict=True))}
    tolerance = {torch.float64: 1e-13, torch.float32: 1e-6, torch.bfloat16: 2**-8, torch.float16: 2**-11}[dtype]
    agree({key: got[key] for key in expected}, expected, tolerance)


@pytest.mark.parametrize("cut", [[1, 63, 64, 100, 0, 72], [2, 298]], ids=str)
def test_pieces_with_the_state_carried_over_are_the_whole(problem, convolve, cut):
    case = problem(2, 300, 5, 4, initial=True).to(torch.float32)
    x, weight, bias, state = case.tensors.values()
    whole, final = convolve(x, weight, bias, state, "silu", return_final_state=True)
    outputs = []
    for piece in x.split(cut, 1):
        y, state = convolve(piece, weight, bias, state, "silu", return_final_state=True)
        outputs.append(y)
    assert torch.equal(torch.cat(outputs, 1), whole)  # each sum is the same sum
    assert torch.equal(state, final)


@pytest.mark.parametrize("backend", ["native", "chunked", "reference"])
def test_packed_sequences_do_not_see_each_other(problem, agree, request, backend):
    if backend == "native":
        request.getfixturevalue("compiled")
    case = problem(1, 200, 19, 4, packed=5, initial=True, through="y and final")
    bounds = case.options["cu_seqlens"].tolist()
    x, weight, bias, state = case.tensors.values()
    y, final = causal_conv1d(
        x, weight, bias, state, "silu", cu_seqlens=case.options["cu_seqlens"], return_final_state=True, backend=backend
    )
    for i, (begin, end) in enumerate(pairwise(bounds)):
        alone, last = causal_conv1d(
            x[:, begin:end], weight, bias, state[i : i + 1], "silu", return_final_state=True, backend=backend
        )
        assert torch.equal(y[:, begin:end], alone)
        assert torch.equal(final[i], last[0])


@pytest.mark.parametrize("backend", ["native", "chunked", "reference"])
def test_padding_is_not_looked_at(problem, request, backend):
    if backend == "native":
        request.getfixturevalue("compiled")
    case = problem(4, 150, 20, 4, initial=True, ragged=True, through="y and final")
    padding = (torch.arange(150) >= case.options["lengths"][:, None])[..., None]

    def run():
        return case.run(lambda **arguments: causal_conv1d(**arguments, backend=backend))

    clean = run()
    case.tensors["x"].masked_fill_(padding, math.nan)
    case.grad_y.masked_fill_(padding, math.nan)
    got = run()
    for name in clean:
        assert torch.equal(got[name], clean[name]), name
    assert (got["y"].masked_select(padding) == 0).all()
    assert (got["grad x"].masked_select(padding) == 0).all()


@pytest.mark.parametrize("shape", [(0, 5, 3, 2), (2, 0, 3, 4), (2, 5, 0, 2), (2, 5, 3, 1)], ids=str)
def test_empty_axes(problem, agree, convolve, shape):
    case = problem(*shape, initial=True, through="y and final")
    agree(case.run(convolve), reference(case), 1e-13)


def test_no_packed_sequence_at_all(convolve):
    y, final = convolve(torch.zeros(1, 0, 3), torch.ones(3, 4), cu_seqlens=torch.tensor([0]), return_final_state=True)
    assert y.shape == (1, 0, 3)
    assert final.shape == (0, 3, 3)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_shape_and_any_strides(data):
    batch, length, channels = (data.draw(st.integers(0, most)) for most in (3, 140, 40))
    width, initial, final = data.draw(st.integers(1, 9)), data.draw(st.booleans()), data.draw(st.booleans())
    view = data.draw(st.sampled_from(["contiguous", "transposed", "strided", "expanded"]))
    x = torch.randn(batch, length, channels, dtype=torch.float64)
    if view == "transposed":
        x = x.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    elif view == "strided":
        x = torch.randn(batch, 2 * length, channels + 3, dtype=torch.float64)[:, ::2, 1 : channels + 1]
    elif view == "expanded":
        x = torch.randn(1, length, 1, dtype=torch.float64).expand(batch, length, channels)
    weight = torch.randn(width, channels, dtype=torch.float64).T
    state = torch.randn(batch, width - 1, channels, dtype=torch.float64) if initial else None
    found = []
    for backend in ["reference", "chunked"] + ([] if core.why_missing() else ["native"]):
        leaf = x.detach().requires_grad_()
        y, last = causal_conv1d(leaf, weight, None, state, "silu", return_final_state=True, backend=backend)
        loss = y.sum() + (last.sum() if final else 0)  # a gradient with strides of zero
        found.append((y, last, torch.autograd.grad(loss, leaf)[0]))
    for got in found[1:]:
        for value, expected in zip(got, found[0], strict=True):
            torch.testing.assert_close(value, expected, rtol=0, atol=1e-12)
