"""The Triton kernels of the LTI scan against the reference: outputs, final states and every gradient."""

import math
from importlib import import_module

import pytest
import torch

from statespace.kernels.lti_scan import lti_scan


def make(batch, length, channels, states, *, full=True, ragged=False):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape, dtype=torch.complex128):
        return torch.randn(*shape, dtype=dtype, generator=generator)

    step = torch.exp(math.log(1e-3) + math.log(100) * torch.rand(channels, 1, generator=generator).double())
    return {
        "u": normal(batch, length, channels, dtype=torch.float64),
        "log_a": step * torch.complex(torch.tensor(-0.5).double(), math.pi * torch.arange(states).double()),
        "b": normal(channels, states),
        "c": normal(channels, states),
        "D": normal(channels, dtype=torch.float64) if full else None,
        "initial_state": normal(batch, channels, states) if full else None,
        "lengths": torch.randint(0, length + 1, (batch,), generator=generator) if ragged else None,
    }


def run(backend, **arguments):
    return lti_scan(**arguments, backend=backend)


@pytest.mark.parametrize("length", [1, 2, 37, 64])
def test_equals_the_reference(agree, length):
    agree(run, make(2, length, 3, 5))  # 1e-12: some hundred roundings of 1e-16


def test_from_rest(agree):
    agree(run, make(1, 5, 3, 2, full=False))


def test_tiles_and_blocks_of_states(agree):
    agree(run, make(1, 5, 35, 17))


def test_ragged_batch(agree):
    agree(run, make(4, 12, 3, 2, ragged=True))


@pytest.mark.parametrize("which", [0, 1])
def test_only_one_result_has_a_gradient(agree, which):
    agree(lambda *args, **kwargs: (run(*args, **kwargs)[which],), make(2, 5, 3, 2))


def test_float32(agree):
    agree(run, make(1, 64, 3, 4), torch.float32, 3e-6)  # states collect 64 roundings of 6e-8


def test_opcheck():
    import_module("statespace.kernels.lti_scan.triton")  # registers the operator
    values = [None if x is None else x.requires_grad_() for x in make(1, 3, 2, 2).values()]
    torch.library.opcheck(torch.ops.statespace.lti_scan_triton, values)


def test_compiles_as_one_graph():
    arguments = {name: x if x is None else x.requires_grad_() for name, x in make(1, 3, 2, 2).items()}
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    for got, expected in zip(compiled("triton", **arguments), run("triton", **arguments), strict=True):
        assert torch.equal(got, expected)
