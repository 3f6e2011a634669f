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


@pytest.mark.parametrize("target", ["sm_90"], indirect=True)
def test_one_of_each(launches, target, spills):  # Triton makes constants of ones
    from statespace.kernels.lti_scan import triton

    u, table = torch.zeros(1, 1, 1), torch.zeros(1, 1, dtype=torch.complex64)
    triton.forward(u, table, table, table, None, None, None)
    triton.backward(u, None, u, table, table, table, None, None, None)
    for launch in launches:
        assert spills(launch, target) == 0, launch.kernel.fn.__name__


def test_spills_are_seen(
    launches, spills, monkeypatch
):  # 128 states of a channel do not fit into the registers of its thread
    from statespace.kernels.lti_scan import triton

    monkeypatch.setattr(triton, "STATES", (128, 8))
    table = torch.zeros(128, 128, dtype=torch.complex64)
    triton.forward(torch.zeros(8, 64, 128), table, table, table, None, None, None)
    assert spills(launches[0], "sm_90") > 0
