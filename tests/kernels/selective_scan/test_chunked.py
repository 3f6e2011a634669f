"""The blocks of the chunked backend: every way through them against the reference, and what blocks must not change."""

from itertools import pairwise

import pytest
import torch

from statespace.kernels.selective_scan import METHODS, blocks, selective_scan
from statespace.kernels.selective_scan.blocks import blocks_of, count

# (batch, length, channels, states, groups): less than a chunk, chunks and a rest, many chunks side by side, wide steps.
SHAPES = [(2, 1, 3, 2, 1), (2, 37, 6, 4, 3), (1, 300, 4, 16, 1), (3, 40, 66, 3, 2)]


def make(batch, length, channels, states, groups=1, *, numbers="real", fixed="", sequences=None, dtype=torch.float64):
    """Arguments with everything optional, and the gradients of both results; `fixed` names what does not change."""
    kind = dtype.to_complex() if numbers == "complex" else dtype

    def normal(*shape, dtype=kind):
        return torch.randn(*shape, dtype=dtype)

    def vector(name):
        if name in fixed:
            return normal(channels, states)
        return normal(batch, length, states) if groups == 1 else normal(batch, length, groups, states)

    A = -3 * torch.rand(channels, states, dtype=dtype)
    arguments = {
        "u": normal(batch, length, channels, dtype=dtype),
        "dt": normal(batch, length, channels, dtype=dtype) - 1,
        "A": torch.complex(A, 2 * normal(channels, states, dtype=dtype)) if numbers == "complex" else A,
        "B": vector("B"),
        "C": vector("C"),
        "D": normal(channels, dtype=dtype),
        "z": normal(batch, length, channels, dtype=dtype),
        "dt_bias": normal(channels, dtype=dtype),
        "initial_state": normal(sequences or batch, channels, states),
    }
    return arguments, normal(batch, length, channels, dtype=dtype), normal(sequences or batch, channels, states)


def run(arguments, grad_y, grad_final, backend="chunked", method="euler-b", cu_seqlens=None, dtype=None):
    """The results and the gradient of each argument, by name."""

    def cast(x):
        return x if dtype is None else x.to(dtype.to_complex() if x.is_complex() else dtype)

    leaves = {name: cast(value).detach().clone().requires_grad_() for name, value in arguments.items()}
    y, final = selective_scan(
        **leaves, dt_softplus=True, cu_seqlens=cu_seqlens, method=method, return_final_state=True, backend=backend
    )
    wanted = list(leaves.values())
    grads = torch.autograd.grad(
        (y, final), wanted, (cast(grad_y), cast(grad_final)), allow_unused=True, materialize_grads=True
    )
    named = {f"grad {name}": grad for name, grad in zip(leaves, grads, strict=True)}
    return {"y": y.detach(), "final_state": final.detach()} | named


def agree(got, truth, tolerance, of_gradients=None):
    for name, expected in truth.items():
        found = got[name].to(expected.dtype)
        assert found.shape == expected.shape, name
        if expected.numel():
            allowed = of_gradients if of_gradients and name.startswith("grad") else tolerance
            error, scale = float((found - expected).abs().max()), float(expected.abs().max())
            assert error <= allowed * scale, f"{name}: off by {error / max(scale, 1e-300):.1e} of the largest entry"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("numbers", ["real", "complex"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_reference(shape, numbers, method):
    case = make(*shape, numbers=numbers)
    truth = run(*case, backend="reference", method=method)
    agree(run(*case, method=method), truth, 1e-12)  # some hundred roundings of 1e-16
    # Largest entries of a gradient are sums of some hundred terms of either sign.
    agree(run(*case, method=method, dtype=torch.float32), truth, 2e-6, of_gradients=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fixed", ["B", "C", "BC"])
@pytest.mark.parametrize(("numbers", "groups"), [("real", 1), ("complex", 2)])
def test_vectors_that_do_not_change(fixed, numbers, groups, method):
    case = make(2, 53, 4, 3, groups, numbers=numbers, fixed=fixed)
    agree(run(*case, method=method), run(*case, backend="reference", method=method), 1e-12)


@pytest.mark.parametrize("bounds", [[0, 0, 30, 30, 31, 77, 90, 90], [0, 16, 32, 90], [0, 90]], ids=str)
@pytest.mark.parametrize(("method", "numbers"), [("euler-b", "real"), ("zoh", "complex")])
def test_packed_sequences_do_not_see_each_other(bounds, method, numbers):
    cu_seqlens = torch.tensor(bounds, dtype=torch.int32)
    case = make(1, 90, 4, 3, numbers=numbers, sequences=len(bounds) - 1)
    got = run(*case, method=method, cu_seqlens=cu_seqlens)
    agree(got, run(*case, backend="reference", method=method, cu_seqlens=cu_seqlens), 1e-12)
    arguments, grad_y, grad_final = case
    for i, (begin, end) in enumerate(pairwise(bounds)):
        own = {k: v[:, begin:end] if k in ("u", "dt", "B", "C", "z") else v for k, v in arguments.items()}
        own["initial_state"] = arguments["initial_state"][i : i + 1]
        alone = run(own, grad_y[:, begin:end], grad_final[i : i + 1], method=method)
        torch.testing.assert_close(got["y"][:, begin:end], alone["y"], rtol=0, atol=1e-12)
        torch.testing.assert_close(got["grad u"][:, begin:end], alone["grad u"], rtol=0, atol=1e-12)
        torch.testing.assert_close(got["final_state"][i : i + 1], alone["final_state"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(0, 5, 3, 2), (2, 0, 3, 2), (2, 5, 0, 2), (2, 5, 3, 0)], ids=str)
def test_empty_axes(shape):
    case = make(*shape)
    agree(run(*case), run(*case, backend="reference"), 1e-12)


@pytest.mark.parametrize("enough", [1, 100, 1 << 20])
def test_the_size_of_blocks_does_not_matter(monkeypatch, enough):
    case = make(2, 210, 3, 2, numbers="complex")
    expected = run(*case, method="zoh")
    monkeypatch.setitem(blocks._ENOUGH, "cpu", enough)
    agree(run(*case, method="zoh"), expected, 1e-13)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 255, 256, 300, 4096, 5000])
@pytest.mark.parametrize("channels", [1, 64, 5000])
def test_blocks_cover_the_length_once(length, channels):
    A = torch.empty(1, 4, channels)
    found = blocks_of(A, length, [0, length // 2, length // 2, length])
    assert len(found) == count(A, length)
    assert [block.begin for block in found] == [0, *(block.begin + block.size for block in found)][: len(found)]
    assert sum(block.size for block in found) == length
    starts = [(block.begin + step, i) for block in found for step, i in block.starts]
    ends = [(block.begin + step, i) for block in found for step, i in block.ends]
    assert starts == [(begin, i) for begin, end, i in ((0, length // 2, 0), (length // 2, length, 2)) if end > begin]
    assert ends == [(end - 1, i) for begin, end, i in ((0, length // 2, 0), (length // 2, length, 2)) if end > begin]


# The gradient of A sums 65536 terms of either sign; those of turning states are good to some 1e-7 of what cancels.
@pytest.mark.parametrize(("numbers", "method", "of_gradients"), [("real", "euler-b", 1e-5), ("complex", "zoh", 2e-5)])
def test_long_sequences_in_float32(numbers, method, of_gradients):
    torch.manual_seed(3)
    arguments, grad_y, grad_final = make(1, 65_536, 2, 4, numbers=numbers)
    for name, value in arguments.items():  # numbers that float32 holds exactly
        arguments[name] = value.to(torch.complex64 if value.is_complex() else torch.float32).to(value.dtype)
    arguments["dt"] -= 3  # steps of some hundredths: memories of up to some hundred steps
    case = (arguments, grad_y.float().double(), grad_final)
    agree(run(*case, method=method, dtype=torch.float32), run(*case, method=method), 2e-6, of_gradients)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("step", [1e-6, 1e-3, 1.0, 50.0, 1e4])
def test_steps_of_any_size_leave_finite_numbers(step, method):
    u, B, C = torch.randn(1, 500, 3), torch.randn(1, 500, 2), torch.randn(1, 500, 2)
    dt, A = torch.full_like(u, step).requires_grad_(), torch.tensor([[-1.0, -1e-3]] * 3).requires_grad_()
    y = selective_scan(u, dt, A, B, C, method=method, backend="chunked")
    assert all(value.isfinite().all() for value in (y, *torch.autograd.grad(y.sum(), (dt, A))))


def test_pieces_with_the_state_carried_over_are_the_whole():
    arguments, *_ = make(2, 100, 3, 2, numbers="complex")
    whole = selective_scan(**arguments, method="exponential-trapezoidal", backend="chunked")
    state, pieces = arguments.pop("initial_state"), []
    for begin, end in pairwise([0, 1, 17, 33, 100]):
        own = {k: v[:, begin:end] if k in ("u", "dt", "B", "C", "z") else v for k, v in arguments.items()}
        y, state = selective_scan(
            **own, initial_state=state, method="exponential-trapezoidal", return_final_state=True, backend="chunked"
        )
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=0, atol=1e-12 * float(whole.abs().max()))


@pytest.mark.parametrize("numbers", ["real", "complex"])
@pytest.mark.parametrize("method", METHODS)
def test_gradcheck(method, numbers):
    arguments, *_ = make(1, 35, 2, 2, numbers=numbers)
    leaves = {name: value.requires_grad_() for name, value in arguments.items()}

    def scan(*values):
        return selective_scan(
            **dict(zip(leaves, values, strict=True)),
            dt_softplus=True,
            method=method,
            return_final_state=True,
            backend="chunked",
        )

    # Central differences of 1e-6 in float64 are good to some 1e-8; gradcheck's own defaults allow 1e-3.
    assert torch.autograd.gradcheck(scan, tuple(leaves.values()), eps=1e-6, atol=1e-6, rtol=1e-5, fast_mode=True)


@pytest.mark.parametrize("full", [False, True])
def test_opcheck(full):
    x, delta = (torch.rand(18, 2, 3, dtype=torch.float64).requires_grad_() for _ in range(2))
    A = -torch.rand(2, 4, 3, dtype=torch.float64)
    B, C = torch.randn(18, 2, 4, 1, dtype=torch.float64), torch.randn(1, 2, 4, 3, dtype=torch.float64)
    start = torch.randn(2, 2, 4, 3, dtype=torch.float64).requires_grad_() if full else None
    bounds = torch.tensor([0, 7, 18]) if full else None
    arguments = (x, delta, A.requires_grad_(), B.requires_grad_(), C.requires_grad_(), start, bounds, full, True)
    torch.library.opcheck(torch.ops.statespace.selective_scan_chunked, arguments)


def test_compiles_and_exports_as_one_graph():
    case = make(2, 40, 3, 2)

    def scan(**arguments):
        return selective_scan(**arguments, dt_softplus=True, method="zoh", return_final_state=True, backend="chunked")

    leaves = {name: value.requires_grad_() for name, value in case[0].items()}
    plain, compiled = scan(**leaves), torch.compile(scan, fullgraph=True, backend="aot_eager")(**leaves)
    for results in zip(plain, compiled, strict=True):
        torch.testing.assert_close(*results, rtol=0, atol=1e-13)
    for grads in zip(
        *(torch.autograd.grad(y.sum(), tuple(leaves.values())) for y, _ in (plain, compiled)), strict=True
    ):
        torch.testing.assert_close(*grads, rtol=0, atol=1e-12)

    class Layer(torch.nn.Module):
        def forward(self, u):
            return scan(**case[0] | {"u": u})

    exported = torch.export.export(Layer(), (case[0]["u"],)).module()
    torch.testing.assert_close(exported(case[0]["u"])[0], plain[0], rtol=0, atol=1e-13)


def test_autocast_and_half_precision_keep_the_state_in_float32():
    arguments, *_ = make(2, 40, 3, 2, dtype=torch.float32)
    expected = selective_scan(**arguments, backend="chunked", return_final_state=True)
    with torch.autocast("cpu", torch.bfloat16):
        got = selective_scan(**arguments, backend="chunked", return_final_state=True)
    assert all(torch.equal(*pair) for pair in zip(expected, got, strict=True))
    half = {k: v.bfloat16() if k in ("u", "dt", "B", "C", "z") else v for k, v in arguments.items()}
    rounded = {k: v.to(arguments[k].dtype) for k, v in half.items()}
    y, final = selective_scan(**half, backend="chunked", return_final_state=True)
    expected = selective_scan(**rounded, backend="chunked", return_final_state=True)
    assert torch.equal(y, expected[0].bfloat16())
    assert torch.equal(final, expected[1])


def test_same_bits_from_run_to_run():
    case = make(2, 300, 16, 4, dtype=torch.float32)
    first, second = run(*case), run(*case)
    assert all(torch.equal(first[name], second[name]) for name in first)
