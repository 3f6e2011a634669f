"""The kernels of the linear scan, as they are launched, compile for every GPU, and no thread runs out of registers."""

import pytest
import torch


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64], ids=str)
def test_every_gpu(launches, target, spills, dtype):
    from statespace.kernels.linear_scan import triton

    b = torch.zeros(1, 4096, 256, dtype=dtype)
    triton.forward(b, b, b[:, 0], None, None)
    triton.backward(b, b, b, b[:, 0], torch.tensor([4000]), None)
    assert [launch.kernel.fn.__name__ for launch in launches] == ["scan", "carry", "scan"] * 2
    for launch in launches:
        assert spills(launch, target) == 0, launch.kernel.fn.__name__


@pytest.mark.parametrize("target", ["sm_90"], indirect=True)
@pytest.mark.parametrize("bounds", [None, [0, 1]], ids=str)
def test_one_of_each(launches, target, spills, bounds):  # Triton makes constants of ones
    from statespace.kernels.linear_scan import triton

    b, cu_seqlens = torch.zeros(1, 1, 1), bounds and torch.tensor(bounds)
    triton.forward(b, b, None, None, cu_seqlens)
    triton.backward(b, b, b, None, None, cu_seqlens)
    for launch in launches:
        assert spills(launch, target) == 0, launch.kernel.fn.__name__
