"""The Triton kernels of the selective scan against the reference: outputs, final states and every gradient."""

import pytest
import torch

from statespace.kernels import gpu
from statespace.kernels.selective_scan import METHODS, selective_scan


def make(batch, length, channels, states, *, groups=1, full=True, varying=(True, True), softplus=True, cu_seqlens=None):
    """Arguments in float64; `full` brings skip, gate, bias and initial state."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    sequences = batch if cu_seqlens is None else len(cu_seqlens) - 1
    dt = normal(batch, length, channels)
    vectors = [normal(*((batch, length, groups, states) if vary else (channels, states))) for vary in varying]
    return {
        "u": normal(batch, length, channels),
        "dt": dt - 1 if softplus else dt.abs(),
        "A": -4 * torch.rand(channels, states, generator=generator, dtype=torch.float64) - 0.01,
        "B": vectors[0],
        "C": vectors[1],
        "D": normal(channels) if full else None,
        "z": normal(batch, length, channels) if full else None,
        "dt_bias": normal(channels) if full else None,
        "initial_state": normal(sequences, channels, states) if full else None,
        "cu_seqlens": None if cu_seqlens is None else torch.tensor(cu_seqlens),
    }


def scan(method="euler-b", softplus=True):
    def run(backend, **arguments):
        return selective_scan(
            **arguments, dt_softplus=softplus, method=method, return_final_state=True, backend=backend
        )

    return run


@pytest.fixture
def cut(monkeypatch):
    """Short pieces, so that sequences of a few steps are cut."""
    from statespace.kernels.selective_scan.triton import call

    monkeypatch.setattr(call, "SHORTEST", 16)


@pytest.mark.parametrize("length", [1, 2, 37, 64])
@pytest.mark.parametrize("method", METHODS)
def test_equals_the_reference(agree, method, length):
    agree(scan(method), make(1, length, 3, 5))  # 1e-12: some hundred roundings of 1e-16


@pytest.mark.parametrize("method", METHODS)
def test_equals_the_reference_in_pieces(agree, cut, method):
    agree(scan(method), make(1, 37, 3, 4))


def test_bare(agree):
    agree(scan(softplus=False), make(1, 5, 3, 4, full=False, softplus=False))


def test_bare_in_pieces(agree, cut):
    agree(scan(softplus=False), make(1, 18, 3, 4, full=False, softplus=False))


def test_tiles_and_batch(agree):
    agree(scan(), make(2, 5, 35, 2))


@pytest.mark.parametrize("method", METHODS)
def test_groups_and_blocks_of_states(agree, method):
    agree(scan(method), make(1, 5, 6, 17, groups=2))


@pytest.mark.parametrize("varying", [(False, True), (True, False), (False, False)], ids=str)
def test_vectors_that_do_not_vary(agree, varying):
    agree(scan("exponential-trapezoidal"), make(1, 18, 3, 4, varying=varying))


@pytest.mark.parametrize("method", METHODS)
def test_packed_sequences(agree, method):
    agree(scan(method), make(1, 24, 3, 4, cu_seqlens=[0, 1, 1, 19, 24]))


def test_packed_sequences_in_pieces(agree, cut):
    agree(scan(), make(1, 24, 3, 4, cu_seqlens=[0, 1, 1, 19, 24]))


@pytest.mark.parametrize("method", METHODS)
def test_float32(agree, method):
    agree(scan(method), make(1, 37, 3, 16), torch.float32, 2e-6, 1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_sixteen_bits(agree, dtype):
    # The interpreter cuts bfloat16 off where a GPU rounds: 2^-7, with some sums of products on top.
    def run(backend, **arguments):
        wide = {name: arguments[name].float() for name in ("A", "D", "dt_bias", "initial_state")}
        return scan()(backend, **(arguments if backend == "reference" else arguments | wide))

    agree(run, make(1, 37, 3, 4), dtype, 2e-2, 2e-2)


@pytest.mark.parametrize("scale", [1e-6, 50.0])
@pytest.mark.parametrize("method", METHODS)
def test_small_and_large_steps(agree, method, scale):
    arguments = make(1, 6, 3, 4, softplus=False)
    arguments |= {"A": -torch.linspace(1e-3, 1, 12, dtype=torch.float64).view(3, 4), "dt_bias": None}
    arguments["dt"] = torch.full_like(arguments["dt"], scale)
    agree(scan(method, softplus=False), arguments, torch.float32, 2e-6, 1e-5)


def test_rows_are_read_by_their_strides():
    wide = make(2, 5, 6, 4)
    halves = {name: wide[name][..., ::2] if name in ("u", "z") else wide[name][..., :3] for name in ("u", "dt", "z")}
    arguments = make(2, 5, 3, 4) | halves
    y, final = scan()("triton", **arguments)
    expected, end = scan()("reference", **arguments)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(final, end, rtol=0, atol=1e-12)


def test_gradcheck():
    names = [name for name, x in make(1, 3, 1, 2).items() if x is not None]
    leaves = [make(1, 3, 1, 2)[name].requires_grad_() for name in names]

    def run(*values):
        return scan("zoh")("triton", **dict(zip(names, values, strict=True)))

    # Central differences of 1e-6 in float64 are good to some 1e-8.
    assert torch.autograd.gradcheck(run, leaves, eps=1e-6, atol=1e-6, rtol=1e-5, fast_mode=True)


def test_opcheck():
    from statespace.kernels.selective_scan import triton

    arguments = make(1, 3, 2, 2)
    values = [None if x is None else x.requires_grad_() for x in arguments.values()]
    torch.library.opcheck(triton.selective_scan, (*values, True, "euler-b", True))


def test_compiles_as_one_graph():
    arguments = {name: x if x is None else x.requires_grad_() for name, x in make(1, 3, 2, 2).items()}
    compiled = torch.compile(scan(), fullgraph=True, backend="aot_eager")
    for got, expected in zip(compiled("triton", **arguments), scan()("triton", **arguments), strict=True):
        assert torch.equal(got, expected)


def test_results_are_the_same_from_run_to_run():
    arguments = {name: x if x is None else x.float().requires_grad_() for name, x in make(1, 5, 40, 2).items()}
    wanted = [x for x in arguments.values() if x is not None]

    def once():
        y, final = scan()("triton", **arguments)
        return y, final, *torch.autograd.grad((y, final), wanted, (y.detach(), final.detach()))

    for first, second in zip(once(), once(), strict=True):
        assert torch.equal(first, second)


def test_what_it_cannot_compute_goes_elsewhere():
    arguments = make(1, 3, 2, 2)
    arguments["A"] = arguments["A"] + 0j
    y, _ = scan()("auto", **arguments)
    assert torch.isfinite(y).all()
    with pytest.raises(ValueError, match=r"its states are real, and A is torch\.complex128"):
        scan()("triton", **arguments)
    with pytest.raises(ValueError, match="nothing to launch"):
        scan()("triton", **make(0, 3, 2, 2))


def test_the_interpreter_stands_in_for_a_gpu():
    assert gpu.interpreted()
    assert gpu.why_refused("cpu") is None
    assert gpu.why_refused("mps") == "it computes on a GPU, and the tensors are on mps."
