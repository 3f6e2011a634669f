"""The kernels of the Cauchy product, as they are launched, compile for every GPU without spilling registers."""

import pytest
import torch


def run(residues, systems, states, points, dtype=torch.complex64):
    from statespace.kernels.cauchy import triton

    v, z = torch.zeros(residues, systems, states, dtype=dtype), torch.zeros(1, points, dtype=dtype)
    y = triton.forward(v, z, v[0], True)
    triton.backward(y, v, z, v[0], True, [True] * 3)


def test_every_gpu(launches, target, spills):
    run(4, 128, 32, 2049)
    assert [launch.kernel.fn.__name__ for launch in launches] == ["sums", "of_poles", "of_points"]
    for launch in launches:
        assert spills(launch, target) == 0, launch.kernel.fn.__name__


@pytest.mark.parametrize("target", ["sm_90"], indirect=True)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (4, 128, 32, 2049)], ids=str)  # Triton makes constants of ones
def test_float64(launches, target, spills, shape):
    run(*shape, torch.complex128)
    for launch in launches:
        assert spills(launch, target) == 0, launch.kernel.fn.__name__
