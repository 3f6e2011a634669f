"""The kernels of the selective scan, as they are launched, compile for every GPU without spilling registers."""

import pytest
import torch

from statespace.kernels.selective_scan import METHODS

VARIANTS = {
    "bare": {"full": False},
    "time-invariant": {"varying": False},
    "packed": {"packed": True},
    "64 states": {"states": 64},
    "groups": {"groups": 4},
    "float32": {"dtype": torch.float32},
    "float64": {"dtype": torch.float64, "states": 4},
    "complex": {"is_complex": True},
    "complex, time-invariant": {"is_complex": True, "varying": False},
    "complex, zoh": {"is_complex": True, "method": "zoh"},
    "complex, zoh, time-invariant": {"is_complex": True, "method": "zoh", "varying": False},
    "complex, exponential-trapezoidal": {"is_complex": True, "method": "exponential-trapezoidal"},
    "one of each": {"batch": 1, "length": 1, "channels": 1, "states": 1},  # Triton makes constants of ones
}

CLOSE = ("time-invariant", "64 states", *(name for name in VARIANTS if "complex" in name))
EVERY = ("sm_80", "sm_90", "sm_100", "gfx942")


def run(
    method="euler-b", *, full=True, varying=True, packed=False, states=16, groups=1, channels=2048, batch=8,
    length=64, dtype=torch.bfloat16, is_complex=False,
):  # fmt: skip
    """Launch the forward and the backward."""
    from statespace.kernels.selective_scan import triton

    wide = torch.promote_types(dtype, torch.float32)
    of_state = wide.to_complex() if is_complex else wide
    of_vector = of_state if is_complex else dtype
    batch = 1 if packed else batch
    rows, held = torch.zeros(batch, length, channels, dtype=dtype), torch.zeros(channels, dtype=wide)
    table = torch.zeros(channels, states, dtype=of_vector)
    vector = torch.zeros(batch, length, groups, states, dtype=of_vector) if varying else table
    optional = [held, rows, held, torch.zeros(batch, channels, states, dtype=of_state)] if full else [None] * 4
    A = torch.zeros(channels, states, dtype=of_state)
    arguments = [rows, rows, A, vector, vector, *optional]
    cu_seqlens = torch.tensor([0, length]) if packed else None
    y, final, saved = triton.forward(*arguments, cu_seqlens, full, method, True)
    triton.backward(y, final, saved, *arguments, cu_seqlens, full, method, True)


def names(launches):
    return [launch.kernel.fn.__name__ for launch in launches]


@pytest.mark.parametrize(
    ("method", "target"),
    [("euler-b", target) for target in EVERY] + [(method, target) for method in METHODS[1:] for target in EVERY[:2]],
    indirect=["target"],
)
def test_every_method(launches, target, spills, method):
    run(method)
    assert names(launches) == ["scan", "scan_backward"]
    for launch in launches:
        assert spills(launch, target) == 0, launch.kernel.fn.__name__


@pytest.mark.parametrize(
    ("method", "target"), [*(("euler-b", target) for target in EVERY), ("zoh", "sm_80")], indirect=["target"]
)
def test_pieces(launches, target, spills, method):
    run(method, batch=1, channels=64, length=4096)
    assert names(launches) == ["ends", "carry", "scan", "adjoint_ends", "carry", "scan_backward"]
    seen = {"scan", "scan_backward"}  # above
    for launch in launches:
        name = launch.kernel.fn.__name__
        if name not in seen and (method == "euler-b" or name == "ends"):  # the others know no method
            assert spills(launch, target) == 0, name
        seen.add(name)


# What is close to the limit is looked at on both generations, everything else on the later one.
@pytest.mark.parametrize(
    ("variant", "target"),
    [(variant, "sm_90") for variant in VARIANTS]
    + [(variant, "sm_80") for variant in CLOSE]
    + [("complex", target) for target in EVERY[2:]],
    indirect=["target"],
)
def test_every_variant(launches, target, spills, variant):
    run(**VARIANTS[variant])
    for launch in launches:
        assert spills(launch, target) == 0, launch.kernel.fn.__name__
