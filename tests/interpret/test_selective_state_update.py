"""The Triton kernel of a single step against the reference, from state to state."""

import pytest
import torch

from statespace.kernels.selective_state_update import selective_state_update

METHODS = ("euler-b", "zoh", "exponential-trapezoidal")


def make(batch, channels, states, *, groups=1, is_complex=False, full=True, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape, dtype=torch.float64):
        return torch.randn(*shape, generator=generator, dtype=dtype)

    held = torch.complex128 if is_complex else torch.float64
    A = -torch.rand(channels, states, generator=generator, dtype=torch.float64)
    return {
        "x": normal(batch, channels),
        "dt": normal(batch, channels),
        "A": torch.complex(A, 10 * normal(channels, states)) if is_complex else A,
        "B": normal(batch, groups, states, dtype=held),
        "C": normal(batch, groups, states, dtype=held),
        "D": normal(channels) if full else None,
        "z": normal(batch, channels) if full else None,
        "dt_bias": normal(channels) if full else None,
    }, normal(batch, channels, states, dtype=held)


def agree(arguments, state, options, dtype=torch.float64, tolerance=1e-13, of_y=None):
    def to(value, dtype):
        return value if value is None else value.to(dtype.to_complex() if value.is_complex() else dtype)

    rows = ("x", "dt", "B", "C", "z")
    wide = torch.promote_types(dtype, torch.float32)
    given = {
        k: to(v, dtype if k in rows and not (v is not None and v.is_complex()) else wide) for k, v in arguments.items()
    }
    held = to(state, wide).clone()
    truth = to(held, torch.float64).clone()
    exact = {k: to(v, torch.float64) for k, v in given.items()}
    y = selective_state_update(held, **given, **options, backend="triton")
    expected = selective_state_update(truth, **exact, **options, backend="reference")
    assert y.dtype == dtype
    torch.testing.assert_close(held.to(truth.dtype), truth, rtol=0, atol=tolerance * float(truth.abs().max()))
    torch.testing.assert_close(y.double(), expected, rtol=0, atol=(of_y or tolerance) * float(expected.abs().max()))


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 70, 16), (3, 6, 33)], ids=str)
def test_equals_the_reference(shape, method, is_complex):  # 1e-13: some hundred roundings of 1e-16
    arguments, state = make(*shape, groups=min(shape[1], 2), is_complex=is_complex)
    agree(arguments, state, {"method": method, "dt_softplus": True})


def test_bare():
    agree(*make(2, 5, 4, full=False), {})


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize(("dtype", "of_y"), [(torch.float32, 4e-6), (torch.float16, 2**-10), (torch.bfloat16, 2**-7)])
def test_types(dtype, of_y, is_complex):  # the interpreter cuts bfloat16 off, and rounds angles of 30 rad
    agree(*make(2, 5, 4, is_complex=is_complex), {"method": "zoh", "dt_softplus": True}, dtype, 3e-6, of_y)


def test_any_layout_and_groups_of_one_channel():
    arguments, state = make(2, 6, 4)
    wide, _ = make(2, 12, 8)
    arguments |= {"x": wide["x"][:, ::2], "dt": wide["dt"][:, 3:9], "B": wide["B"][..., :4].expand(2, 6, 4)}
    arguments["C"] = wide["C"][..., ::2].expand(2, 6, 4)
    strided = torch.empty(4, 6, 2, dtype=torch.float64).permute(2, 1, 0).copy_(state)
    agree(arguments, strided, {})
    expected = state.clone()
    selective_state_update(expected, **arguments, backend="reference")
    selective_state_update(strided, **arguments, backend="triton")
    torch.testing.assert_close(strided, expected, rtol=0, atol=1e-13)


def test_guard_bands_of_the_state_are_not_touched():
    arguments, state = make(1, 5, 3)
    room = torch.full((5 * 3 + 128,), torch.nan, dtype=torch.float64)
    held = room[64:79].view(1, 5, 3).copy_(state)
    selective_state_update(held, **arguments, backend="triton")
    assert room[:64].isnan().all()
    assert room[79:].isnan().all()
    assert held.isfinite().all()


def test_opcheck():
    from statespace.kernels.selective_state_update import triton

    arguments, state = make(1, 2, 2)
    torch.library.opcheck(triton.selective_state_update, (state, *arguments.values(), True, "zoh"))


def test_compiles_as_one_graph():
    arguments, state = make(1, 2, 2)
    other = state.clone()
    compiled = torch.compile(selective_state_update, fullgraph=True, backend="aot_eager")
    y = compiled(state, **arguments, backend="triton")
    assert torch.equal(y, selective_state_update(other, **arguments, backend="triton"))
    assert torch.equal(state, other)


def test_nothing_to_launch_goes_elsewhere():
    arguments, state = make(2, 0, 3)
    with pytest.raises(ValueError, match="nothing to launch"):
        selective_state_update(state, **arguments, backend="triton")
