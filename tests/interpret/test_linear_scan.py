"""The Triton kernels of the linear scan against the reference: states and every gradient."""

from importlib import import_module

import pytest
import torch

from statespace.kernels.linear_scan import linear_scan


def make(batch, length, channels, *, dtype=torch.float64, a=None, initial=True, lengths=None, cu_seqlens=None):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, dtype=dtype, generator=generator)

    sequences = batch if cu_seqlens is None else len(cu_seqlens) - 1
    decay = normal(*(a or (batch, length, channels)))
    return {
        "a": decay / (1 + decay.abs()),
        "b": normal(batch, length, channels),
        "initial_state": normal(sequences, channels) if initial else None,
        "lengths": None if lengths is None else torch.tensor(lengths),
        "cu_seqlens": None if cu_seqlens is None else torch.tensor(cu_seqlens),
    }


def run(backend, **arguments):
    return (linear_scan(**arguments, backend=backend),)


@pytest.fixture(params=[False, True], ids=["whole", "in pieces"])
def cut(request, monkeypatch):
    """Sequences as they are, or cut into short pieces."""
    from statespace.kernels.linear_scan import triton

    monkeypatch.setattr(triton, "SHORTEST", 7 if request.param else 128)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize("length", [1, 2, 37, 64])
def test_equals_the_reference(agree, cut, length, dtype):
    agree(run, make(1, length, 3, dtype=dtype))  # 1e-12: some hundred roundings of 1e-16


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {"initial": False, "channels": 35, "length": 3},
        {"a": (3,)},
        {"a": (1, 16, 3)},
        {"a": (2, 1, 3)},
        {"lengths": [0, 11]},
        {"batch": 1, "cu_seqlens": [0, 1, 1, 12, 16]},
        {"batch": 1, "cu_seqlens": [0, 9, 16], "initial": False},
    ],
    ids=str,
)
def test_every_kind(agree, cut, options, dtype):
    agree(run, make(**{"batch": 2, "length": 16, "channels": 3, "dtype": dtype} | options))


def test_float32(agree, cut):
    agree(run, make(1, 64, 3), torch.float32, 1e-6)  # a memory of some ten steps collects roundings of 6e-8


def test_opcheck():
    import_module("statespace.kernels.linear_scan.triton")  # registers the operator
    values = [make(1, 3, 2)[name] for name in ("a", "b", "initial_state")]
    torch.library.opcheck(torch.ops.statespace.linear_scan_triton, (*(x.requires_grad_() for x in values), None, None))


def test_products_that_overflow_carry_nothing_over_from_a_state_of_zero(cut):
    a, b = torch.full((1, 64, 3), 1e30), torch.zeros(1, 64, 3)
    b[:, -1] = 1
    assert torch.equal(linear_scan(a, b, backend="triton"), b)
