"""The Triton kernels of the selective scan against the reference: outputs, final states and every gradient."""

import math
from importlib import import_module

import pytest
import torch

from statespace.kernels import gpu
from statespace.kernels.selective_scan import METHODS, selective_scan


def make(batch, length, channels, states, *, groups=1, full=True, varying=(True, True), softplus=True, cu_seqlens=None,
    is_complex=False,
):  # fmt: skip
    """Arguments in float64; `full` brings skip, gate, bias and initial state."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape, dtype=torch.float64):
        return torch.randn(*shape, generator=generator, dtype=dtype)

    held = torch.complex128 if is_complex else torch.float64
    A = -4 * torch.rand(channels, states, generator=generator, dtype=torch.float64) - 0.01
    sequences = batch if cu_seqlens is None else len(cu_seqlens) - 1
    dt = normal(batch, length, channels)
    shapes = [(batch, length, groups, states) if vary else (channels, states) for vary in varying]
    vectors = [normal(*shape, dtype=held) for shape in shapes]
    return {
        "u": normal(batch, length, channels),
        "dt": dt - 1 if softplus else dt.abs(),
        "A": torch.complex(A, 10 * normal(channels, states)) if is_complex else A,
        "B": vectors[0],
        "C": vectors[1],
        "D": normal(channels) if full else None,
        "z": normal(batch, length, channels) if full else None,
        "dt_bias": normal(channels) if full else None,
        "initial_state": normal(sequences, channels, states, dtype=held) if full else None,
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


@pytest.mark.parametrize(
    ("method", "length"), [*((METHODS[0], length) for length in (1, 2, 37, 64)), (METHODS[1], 7), (METHODS[2], 7)]
)
def test_equals_the_reference(agree, method, length):
    agree(scan(method), make(1, length, 3, 5))  # 1e-12: some hundred roundings of 1e-16


@pytest.mark.parametrize("method", ["euler-b", "zoh"])
def test_equals_the_reference_in_pieces(agree, cut, method):
    agree(scan(method), make(1, 18, 3, 2))


def test_bare(agree):
    agree(scan(softplus=False), make(1, 5, 3, 4, full=False, softplus=False))


def test_bare_in_pieces(agree, cut):
    agree(scan(softplus=False), make(1, 18, 3, 4, full=False, softplus=False))


def test_tiles_and_batch(agree):
    agree(scan(), make(2, 5, 35, 2))


@pytest.mark.parametrize("method", METHODS)
def test_groups_and_blocks_of_states(agree, method):
    agree(scan(method), make(1, 3, 4, 17, groups=2))


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
    import_module("statespace.kernels.selective_scan.triton")  # registers the operator
    arguments = make(1, 3, 2, 2)
    values = [None if x is None else x.requires_grad_() for x in arguments.values()]
    torch.library.opcheck(torch.ops.statespace.selective_scan_triton, (*values, True, "euler-b", True))


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


COMPLEX = {
    "euler-b": {"length": 37, "channels": 2},
    "zoh": {"states": 9, "groups": 3},  # two blocks of states
    "exponential-trapezoidal": {"cu_seqlens": [0, 1, 1, 19, 24], "length": 24},
    "euler-b, time-invariant": {"varying": (False, False), "full": False},
    "zoh, B is time-invariant": {"varying": (False, True)},
}


@pytest.mark.parametrize("case", COMPLEX)
def test_complex(agree, case):
    options = {"batch": 1, "length": 5, "channels": 3, "states": 3, "is_complex": True} | COMPLEX[case]
    agree(scan(case.split(",")[0]), make(**options))


@pytest.mark.parametrize("length", [1, 2, 64])
def test_complex_lengths(agree, length):
    agree(scan(), make(1, length, 2, 2, is_complex=True))


def test_complex_in_pieces(agree, cut):
    agree(scan(), make(1, 20, 3, 3, is_complex=True))


@pytest.mark.parametrize("method", ["euler-b", "zoh"])
def test_complex_float32(agree, method):
    agree(scan(method), make(1, 9, 3, 4, is_complex=True), torch.float32, 2e-6, 1e-5)


def test_many_turns_keep_their_digits():
    """Angles of 1e5 rad in float32: rounded to float32 themselves, they would be off by 4e-3."""
    from statespace.kernels.selective_scan.triton.call import _poles

    A = torch.complex(torch.tensor(-1.0), torch.tensor(12345.678)).expand(1, 1)
    _, turns, rest = _poles(A).double().flatten()
    assert abs(turns + rest - A.imag.double() / (math.pi / 2)) < 1e-8


def test_nothing_to_launch_goes_elsewhere():
    with pytest.raises(ValueError, match="nothing to launch"):
        scan()("triton", **make(0, 3, 2, 2))


def test_the_interpreter_stands_in_for_a_gpu():
    assert gpu.interpreted()
    assert gpu.why_refused("cpu") is None
    assert gpu.why_refused("mps") == "it computes on a GPU, and the tensors are on mps."
