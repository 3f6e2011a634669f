"""The Triton kernels of Mamba-2's scan against the reference: outputs, final states and every gradient."""

from importlib import import_module

import pytest
import torch

from statespace.kernels.ssd import ssd


def make(batch, length, heads, width, states, *, groups=1, full=True, cu_seqlens=None):
    """Arguments in float64; `full` brings skip, gate, bias and initial state."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    sequences = batch if cu_seqlens is None else len(cu_seqlens) - 1
    return {
        "x": normal(batch, length, heads, width),
        "dt": normal(batch, length, heads) - 2,
        "A": -(1 + 15 * torch.rand(heads, generator=generator, dtype=torch.float64)),
        "B": normal(batch, length, groups, states),
        "C": normal(batch, length, groups, states),
        "D": normal(heads) if full else None,
        "z": normal(batch, length, heads, width) if full else None,
        "dt_bias": normal(heads) if full else None,
        "initial_state": normal(sequences, heads, width, states) if full else None,
        "cu_seqlens": None if cu_seqlens is None else torch.tensor(cu_seqlens),
    }


def scan():
    def run(backend, **arguments):
        return ssd(**arguments, dt_softplus=True, return_final_state=True, backend=backend)

    return run


@pytest.mark.parametrize("length", [1, 2, 37, 64])
def test_equals_the_reference(agree, length):
    agree(scan(), make(1, length, 2, 3, 5))  # 1e-12: some hundred roundings of 1e-16


@pytest.mark.parametrize(
    "options",
    [
        {"full": False},
        {"batch": 2, "heads": 4, "groups": 2},
        {"width": 17, "states": 18},  # two tiles of each
        {"cu_seqlens": [0, 1, 1, 19, 24]},
        {"cu_seqlens": [0, 15, 24], "full": False},
    ],
    ids=str,
)
def test_every_kind(agree, options):
    agree(scan(), make(**{"batch": 1, "length": 24, "heads": 2, "width": 3, "states": 5} | options))


def test_float32(agree):
    agree(scan(), make(1, 70, 2, 4, 5), torch.float32, 2e-6, 1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_sixteen_bits(agree, dtype):
    # The interpreter cuts bfloat16 off where a GPU rounds: 2^-7, with some sums of products on top.
    def run(backend, **arguments):
        wide = {name: arguments[name].float() for name in ("A", "dt", "D", "dt_bias", "initial_state")}
        return scan()(backend, **(arguments if backend == "reference" else arguments | wide))

    agree(run, make(1, 37, 2, 3, 5), dtype, 2e-2, 2e-2)


@pytest.mark.parametrize("step", [1e-6, 3.0])
def test_small_and_large_steps(agree, step):
    arguments = make(1, 40, 2, 3, 5, full=False)
    arguments["dt"] = torch.full_like(arguments["dt"], step)

    def run(backend, **arguments):
        return ssd(**arguments, return_final_state=True, backend=backend)

    agree(run, arguments, torch.float32, 2e-6, 1e-5)


def test_a_fast_decay_among_slow_ones_keeps_its_gradient(agree):
    arguments = make(1, 64, 2, 3, 5, full=False)
    arguments["dt"] = torch.full_like(arguments["dt"], 1e-3)
    arguments["dt"][:, ::20] = 4.0

    def run(backend, **arguments):
        return ssd(**arguments, return_final_state=True, backend=backend)

    agree(run, arguments, torch.float32, 2e-6)


def test_packed_sequences_do_not_see_each_other():
    arguments = make(1, 40, 2, 3, 5, cu_seqlens=[0, 9, 33, 40])
    arguments["x"][0, 9:33] = torch.nan
    y, final = scan()("triton", **arguments)
    assert y[0, 9:33].isnan().all()
    assert y[0, :9].isfinite().all()
    assert y[0, 33:].isfinite().all()
    assert final.isfinite().flatten(1).all(1).tolist() == [True, False, True]


def test_padding_is_not_looked_at():
    arguments = make(2, 20, 2, 3, 5)
    lengths = torch.tensor([0, 11])
    clean = scan()("triton", **arguments, lengths=lengths)
    for name in ("x", "dt", "B", "C", "z"):
        arguments[name][0] = torch.nan
        arguments[name][1, 11:] = torch.nan
    for got, expected in zip(scan()("triton", **arguments, lengths=lengths), clean, strict=True):
        assert torch.equal(got, expected)


def test_rows_are_read_by_their_strides():
    wide, arguments = make(2, 20, 2, 6, 5), make(2, 20, 2, 3, 5)
    arguments |= {name: wide[name][..., ::2] for name in ("x", "z")} | {"B": wide["C"][..., :5].flip(1)}
    for got, expected in zip(scan()("triton", **arguments), scan()("reference", **arguments), strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("which", [0, 1])
def test_only_one_result_has_a_gradient(agree, which):
    agree(lambda *values, **named: (scan()(*values, **named)[which],), make(1, 5, 1, 2, 3))


def test_opcheck():
    import_module("statespace.kernels.ssd.triton")  # registers the operator
    arguments = make(1, 3, 1, 2, 2)
    del arguments["dt_bias"]
    values = [None if x is None else x.requires_grad_() for x in arguments.values()]
    torch.library.opcheck(torch.ops.statespace.ssd_triton, (*values, 16))


def test_compiles_as_one_graph():
    arguments = {name: x if x is None else x.requires_grad_() for name, x in make(1, 3, 1, 2, 2).items()}
    compiled = torch.compile(scan(), fullgraph=True, backend="aot_eager")
    for got, expected in zip(compiled("triton", **arguments), scan()("triton", **arguments), strict=True):
        assert torch.equal(got, expected)


def test_nothing_to_launch_goes_elsewhere():
    with pytest.raises(ValueError, match="nothing to launch"):
        scan()("triton", **make(1, 0, 1, 2, 2))
