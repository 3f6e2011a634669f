"""The kernels of the LTI scan, as they are launched, compile for every GPU, and no thread runs out of registers."""

import pytest
import torch


@pytest.mark.parametrize("ragged", [False, True])
def test_every_gpu(launches, target, spills, ragged):
    from statespace.kernels.lti_scan import triton

    u = torch.zeros(8, 64, 128)
    table = torch.zeros(128, 32, dtype=torch.complex64)
    state = torch.zeros(8, 128, 32, dtype=torch.complex64)
    arguments = [u, table, table, table, u[0, 0] if ragged else None, state if ragged else None]
    lengths = torch.zeros(8, dtype=torch.int64) if ragged else None
    triton.forward(*arguments, lengths)
    triton.backward(u, state, *arguments, lengths)
    assert [launch.kernel.fn.__name__ for launch in launches] == ["scan", "adjoint", "adjoint"]
    for launch in launches:
        assert spills(launch, target) == 0, launch.kernel.fn.__name__
