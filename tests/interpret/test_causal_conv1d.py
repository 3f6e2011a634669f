"""The Triton kernels of the short convolution against the reference: outputs, final states and every gradient."""

from importlib import import_module

import pytest
import torch

from statespace.kernels.causal_conv1d import causal_conv1d


def make(batch, length, channels, width, *, full=True, lengths=None, cu_seqlens=None):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    sequences = batch if cu_seqlens is None else len(cu_seqlens) - 1
    return {
        "x": normal(batch, length, channels),
        "weight": normal(channels, width),
        "bias": normal(channels) if full else None,
        "initial_state": normal(sequences, width - 1, channels) if full else None,
        "lengths": None if lengths is None else torch.tensor(lengths),
        "cu_seqlens": None if cu_seqlens is None else torch.tensor(cu_seqlens),
    }


def conv(activation="silu"):
    def run(backend, **arguments):
        return causal_conv1d(**arguments, activation=activation, return_final_state=True, backend=backend)

    return run


@pytest.mark.parametrize("activation", [None, "silu"])
@pytest.mark.parametrize("length", [1, 2, 37, 64])
def test_equals_the_reference(agree, length, activation):
    agree(conv(activation), make(2, length, 35, 4))  # 1e-12: some ten roundings of 1e-16


@pytest.mark.parametrize(
    "options",
    [
        {"full": False},
        {"width": 2},
        {"width": 7},
        {"lengths": [0, 11, 16]},
        {"batch": 1, "cu_seqlens": [0, 1, 1, 3, 16]},
        {"batch": 1, "cu_seqlens": [0, 9, 16], "full": False},
    ],
    ids=str,
)
def test_every_kind(agree, options):
    agree(conv(), make(**{"batch": 3, "length": 16, "channels": 3, "width": 4} | options))


def test_a_single_tap_has_no_state(agree):
    def run(backend, **arguments):
        return (causal_conv1d(**arguments, activation="silu", backend=backend),)

    agree(run, make(2, 5, 3, 1, full=False))


def test_float32(agree):
    agree(conv(), make(2, 37, 3, 4), torch.float32, 1e-6, 2e-6)  # sums of 5, and over 74 rows, rounded by 6e-8


def test_padding_is_not_looked_at():
    arguments = make(2, 16, 3, 4, lengths=[0, 11])
    clean = conv()("triton", **arguments)
    arguments["x"][0] = torch.nan
    arguments["x"][1, 11:] = torch.nan
    for got, expected in zip(conv()("triton", **arguments), clean, strict=True):
        assert torch.equal(got, expected)


def test_opcheck():
    import_module("statespace.kernels.causal_conv1d.triton")  # registers the operator
    values = [None if x is None else x.requires_grad_() for x in make(1, 5, 2, 3).values()]
    torch.library.opcheck(torch.ops.statespace.causal_conv1d_triton, (*values, True))
