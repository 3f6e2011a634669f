"""The kernels of the selective scan, as they are launched, compile for every GPU without spilling registers."""

import pytest
import torch

from statespace.kernels.selective_scan import METHODS

VARIANTS = {
    "Mamba": {},
    "bare": {"full": False},
    "time-invariant": {"varying": False},
    "packed": {"packed": True},
    "64 states": {"states": 64},
    "groups": {"groups": 4},
    "float32": {"dtype": torch.float32},
    "float64": {"dtype": torch.float64, "states": 4},
    "one of each": {"batch": 1, "length": 1, "channels": 1, "states": 1},  # Triton makes constants of ones
}


def run(
    method="euler-b", *, full=True, varying=True, packed=False, states=16, groups=1, channels=2048, batch=8,
    length=64, dtype=torch.bfloat16,
):  # fmt: skip
    """Launch the forward and the backward."""
    from statespace.kernels.selective_scan import triton

    wide = torch.promote_types(dtype, torch.float32)
    batch = 1 if packed else batch
    rows, held = torch.zeros(batch, length, channels, dtype=dtype), torch.zeros(channels, dtype=wide)
    vector = torch.zeros(batch, length, groups, states, dtype=dtype) if varying else torch.zeros(channels, states)
    optional = [held, rows, held, torch.zeros(batch, channels, states, dtype=wide)] if full else [None] * 4
    A = torch.zeros(channels, states, dtype=wide)
    arguments = [rows, rows, A, vector, vector, *optional]
    cu_seqlens = torch.tensor([0, length]) if packed else None
    y, final, saved = triton.forward(*arguments, cu_seqlens, full, method, True)
    triton.backward(y, final, saved, *arguments, cu_seqlens, full, method, True)


def names(launches):
    return [launch.kernel.fn.__name__ for launch in launches]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_for_every_gpu(launches, target, spills, method):
    run(method)
    assert names(launches) == ["scan", "scan_backward"]
    for launch in launches:
        assert spills(launch, target) == 0, launch.kernel.fn.__name__


@pytest.mark.parametrize("method", ["euler-b", "zoh"])
def test_pieces(launches, target, spills, method):
    run(method, batch=1, channels=64, length=4096)
    assert names(launches) == ["ends", "carry", "scan", "adjoint_ends", "carry", "scan_backward"]
    for launch in launches:
        if launch.kernel.fn.__name__ in ("ends", "carry", "adjoint_ends"):
            assert spills(launch, target) == 0, launch.kernel.fn.__name__


@pytest.mark.parametrize("target", ["sm_80", "sm_90"], indirect=True)
@pytest.mark.parametrize("variant", list(VARIANTS)[1:])
def test_every_variant(launches, target, spills, variant):
    run(**VARIANTS[variant])
    for launch in launches:
        assert spills(launch, target) == 0, launch.kernel.fn.__name__
