"""The kernel of a single step, as it is launched, compiles for every GPU without spilling registers."""

import pytest
import torch


def run(method="euler-b", *, states=16, is_complex=False, dtype=torch.bfloat16, batch=8, channels=2048):
    from statespace.kernels.selective_state_update import triton

    held = torch.complex64 if is_complex else torch.float32
    x, state = torch.zeros(batch, channels, dtype=dtype), torch.zeros(batch, channels, states, dtype=held)
    vector = torch.zeros(batch, 1, states, dtype=held if is_complex else dtype)
    of_channel = torch.zeros(channels)
    triton.launch(state, x, x, state[0], vector, vector, of_channel, x, of_channel, True, method)


@pytest.mark.parametrize("is_complex", [False, True])
def test_every_gpu(launches, target, spills, is_complex):
    run("zoh", is_complex=is_complex)
    assert spills(launches[0], target) == 0


@pytest.mark.parametrize("target", ["sm_90"], indirect=True)
def test_every_variant(launches, target, spills):
    run(states=128, is_complex=True, dtype=torch.float32)
    run("exponential-trapezoidal", states=1, batch=1, channels=1)  # Triton makes constants of ones
    for launch in launches:
        assert spills(launch, target) == 0
