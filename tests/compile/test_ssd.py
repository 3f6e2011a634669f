"""The kernels of Mamba-2's scan, as they are launched, compile for every GPU without spilling registers."""

import pytest
import torch

FORWARD = ["ends", "carry", "outputs"]
BACKWARD = ["ends", "carry", "outputs", "ends", "carry", "rows_backward", *["vectors_backward"] * 2, "steps_backward"]
VARIANTS = {
    "bfloat16": {},
    "float32": {"dtype": torch.float32},
    "float64": {"dtype": torch.float64},
    "bare, packed": {"full": False, "packed": True},
    "one of each": {"batch": 1, "length": 1, "heads": 1, "groups": 1, "width": 1, "states": 1},
}


def run(
    *, dtype=torch.bfloat16, full=True, packed=False, batch=8, length=256, heads=24, groups=2, width=64, states=128
):
    """Launch the forward and the backward."""
    from statespace.kernels.ssd import triton

    wide = torch.promote_types(dtype, torch.float32)
    batch = 1 if packed else batch
    x = torch.zeros(batch, length, heads, width, dtype=dtype)
    dt, A = torch.zeros(batch, length, heads, dtype=wide), torch.zeros(heads, dtype=wide)
    B = torch.zeros(batch, length, groups, states, dtype=dtype)
    state = torch.zeros(batch, heads, width, states, dtype=wide)
    optional = [A, x, state] if full else [None] * 3
    arguments = [x, dt, A, B, B, *optional, torch.tensor([0, length]) if packed else None, 64]
    y, final = triton.forward(*arguments)
    triton.backward(y, final, *arguments)


def check(launches, target, spills):
    """Each kernel once, of those that differ in their constants alone."""
    seen = set()
    for launch in launches:
        constants = [launch.arguments.get(name) for name in ("ADJOINT", "OF_C")]
        kind = launch.kernel.fn.__name__, *constants, launch.arguments.get("dy") is None
        if kind not in seen:
            assert spills(launch, target) == 0, kind
        seen.add(kind)


def test_every_gpu(launches, target, spills):
    run()
    assert [launch.kernel.fn.__name__ for launch in launches] == FORWARD + BACKWARD
    check(launches, target, spills)


@pytest.mark.parametrize("target", ["sm_90"], indirect=True)
@pytest.mark.parametrize("variant", list(VARIANTS)[1:])
def test_every_variant(launches, target, spills, variant):
    run(**VARIANTS[variant])
    check(launches, target, spills)
