"""The kernels of the short convolution, as they are launched, compile for every GPU without spilling registers."""

import pytest
import torch


def test_every_gpu(launches, target, spills):
    from statespace.kernels.causal_conv1d import triton

    x = torch.zeros(1, 64, 2048, dtype=torch.bfloat16)
    arguments = [x, torch.zeros(2048, 4), torch.zeros(2048), x[:, :3], None, torch.tensor([0, 64]), True]
    y, final = triton.forward(*arguments)
    triton.backward(y, final, *arguments)
    assert [launch.kernel.fn.__name__ for launch in launches] == ["convolve", "slopes", "spread"]
    for launch in launches:
        assert spills(launch, target) == 0, launch.kernel.fn.__name__


@pytest.mark.parametrize("target", ["sm_90"], indirect=True)
def test_one_of_each(launches, target, spills):  # Triton makes constants of ones
    from statespace.kernels.causal_conv1d import triton

    x = torch.zeros(1, 1, 1)
    arguments = [x, torch.zeros(1, 1), None, None, None, None, False]
    y, _ = triton.forward(*arguments)
    triton.backward(y, None, *arguments)
    for launch in launches:
        assert spills(launch, target) == 0, launch.kernel.fn.__name__
