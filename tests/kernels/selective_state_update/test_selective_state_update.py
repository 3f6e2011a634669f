"""One step of the selective scan: against the scan step by step, across types, layouts, compilers and mistakes."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from statespace.errors import InputError, ShapeError
from statespace.kernels import native as core
from statespace.kernels.selective_scan import selective_scan
from statespace.kernels.selective_state_update import BACKENDS, native, selective_state_update

METHODS = tuple(native.RULES)
HERE = [name for name in BACKENDS if name != "triton"]  # which has suites of its own, interpreted and compiled
SETS = [] if core.why_missing() else list(core.instruction_sets())


@pytest.fixture(params=HERE)
def backend(request):
    if request.param == "native" and (reason := core.why_missing()):
        pytest.skip(f"native: {reason}")
    return request.param


@pytest.fixture
def compiled():
    if reason := core.why_missing():
        pytest.skip(f"native: {reason}")


def make(batch, channels, states, *, steps=None, is_complex=False, groups=None, full=True, dtype=torch.float64):
    """Arguments of one step, or of the scan of `steps`, without the state."""
    rows = (batch, channels) if steps is None else (batch, steps, channels)
    vectors = rows[:-1] + (() if groups is None else (groups,)) + (states,)
    held = torch.float64 if dtype == torch.float64 else torch.float32
    of_state = held.to_complex() if is_complex else held
    of_vector = of_state if is_complex else dtype
    A = -torch.rand(channels, states, dtype=torch.float64)
    if is_complex:
        A = torch.complex(A, 3 * torch.randn(channels, states, dtype=torch.float64))
    found = {
        "dt": torch.randn(rows).to(dtype),
        "A": A.to(of_state),
        "B": torch.randn(vectors, dtype=torch.complex64 if is_complex else None).to(of_vector),
        "C": torch.randn(vectors, dtype=torch.complex64 if is_complex else None).to(of_vector),
        "dt_softplus": True,
    }
    if full:
        found |= {"D": torch.randn(channels).to(held), "z": torch.randn(rows).to(dtype)}
        found["dt_bias"] = torch.randn(channels).to(held)
    return torch.randn(rows).to(dtype), found, torch.zeros(batch, channels, states, dtype=of_state)


def at(arguments, t):
    return {k: v[:, t] if torch.is_tensor(v) and k in ("dt", "B", "C", "z") else v for k, v in arguments.items()}


def close(got, expected, tolerance):
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance * max(1.0, float(expected.abs().max())))


# Steps and scan form the same sums in another order: some roundings of 1e-16.
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("groups", [None, 1, 3])
def test_steps_are_the_scan(backend, method, is_complex, groups):
    x, arguments, state = make(2, 9, 5, steps=7, is_complex=is_complex, groups=groups)
    y, final = selective_scan(x, **arguments, method=method, return_final_state=True, backend="reference")
    got = [selective_state_update(state, x[:, t], **at(arguments, t), method=method, backend=backend) for t in range(7)]
    close(torch.stack(got, 1), y, 1e-13)
    close(state, final, 1e-13)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 17, 16), (2, 40, 33), (0, 3, 2), (2, 0, 2), (2, 3, 0)], ids=str)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", list(core.DTYPES), ids=str)
@pytest.mark.parametrize("is_complex", [False, True])
def test_native_equals_the_reference(compiled, shape, method, dtype, is_complex):
    x, arguments, state = make(*shape, is_complex=is_complex, full=shape[1] != 17, dtype=dtype)
    state = torch.randn_like(state)
    truth = state.to(torch.complex128 if is_complex else torch.float64, copy=True)
    wide = {
        k: v.to(truth.dtype if v.is_complex() else torch.float64) if torch.is_tensor(v) else v
        for k, v in arguments.items()
    }
    expected = selective_state_update(truth, x.double(), **wide, method=method, backend="reference")
    y = selective_state_update(state, x, **arguments, method=method, backend="native")
    assert y.dtype == dtype
    # Sums of 33 products in float32, each rounded to 6e-8; half precisions round the result once more.
    tolerance = {torch.float64: 1e-14, torch.float32: 2e-6, torch.bfloat16: 2**-8, torch.float16: 2**-10}[dtype]
    if state.numel():
        close(state.to(truth.dtype), truth, 1e-14 if dtype == torch.float64 else 2e-6)
        close(y.double(), expected, tolerance)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("is_complex", [False, True])
def test_every_instruction_set(compiled, name, is_complex):
    x, arguments, state = make(3, 21, 19, is_complex=is_complex, groups=3)
    state, other = torch.randn_like(state), None
    other = state.clone()
    order = ("dt", "A", "B", "C", "D", "z", "dt_bias", "dt_softplus")
    given = [arguments[key] for key in order]
    y = native.step(state, x, *given, "zoh", instruction_set=name)
    close(y, selective_state_update(other, x, **arguments, method="zoh", backend="reference"), 1e-14)
    close(state, other, 1e-14)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [1e-9, 1e-4, 1.0, 50.0])
def test_small_and_large_exponents(compiled, method, size):
    x, arguments, state = make(1, 16, 16, full=False, dtype=torch.float32)
    arguments |= {"dt": torch.full((1, 16), size), "A": -torch.ones(16, 16), "dt_softplus": False}
    truth = state.double()
    wide = {k: v.double() if torch.is_tensor(v) else v for k, v in arguments.items()}
    expected = selective_state_update(truth, x.double(), **wide, method=method, backend="reference")
    y = selective_state_update(state, x, **arguments, method=method, backend="native")
    torch.testing.assert_close(state.double(), truth, rtol=5e-7, atol=0)
    torch.testing.assert_close(y.double(), expected, rtol=0, atol=1e-6 * float(expected.abs().max()))


def test_a_pole_of_zero_integrates(backend):
    state = torch.zeros(1, 1, 2)
    one = torch.ones(1, 1)
    for _ in range(3):
        y = selective_state_update(
            state, one, 0.5 * one, torch.zeros(1, 2), torch.ones(1, 2), torch.ones(1, 2), method="zoh", backend=backend
        )
    assert torch.equal(state, torch.full((1, 1, 2), 1.5))
    assert y.item() == 3


def test_any_layout(compiled):
    x, arguments, state = make(4, 6, 5, is_complex=True)
    state = torch.randn_like(state)
    expected_state = state.clone()
    expected = selective_state_update(expected_state, x, **arguments, backend="reference")
    wide = torch.zeros(4, 12, dtype=torch.float64)
    wide[:, 3:9] = x  # rows of a wider projection
    strange = {
        "dt": arguments["dt"].mT.contiguous().mT,
        "A": arguments["A"].mT.contiguous().mT,
        "B": arguments["B"].conj().resolve_conj().conj(),
        "C": torch.cat([arguments["C"], arguments["C"]], 1)[:, :5],
        "D": arguments["D"].repeat_interleave(2)[::2],
        "z": arguments["z"].float().double(),
    }
    turned = state.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    for given in (strange, {}):
        for here in (state.clone(), turned.clone(memory_format=torch.preserve_format)):
            y = selective_state_update(here, wide[:, 3:9], **(arguments | given), backend="native")
            close(y, expected, 1e-14)
            close(here, expected_state, 1e-14)


def test_vectors_that_do_not_change_are_a_group_a_channel(backend):
    x, arguments, state = make(2, 6, 5)
    B, C = torch.randn(2, 6, 5, dtype=torch.float64)
    arguments |= {"B": B.expand(2, 6, 5), "C": C.expand(2, 6, 5)}
    y = selective_state_update(state, x, **arguments, backend=backend)
    rows = {k: arguments[k][:, None] for k in ("dt", "z")}
    expected = selective_scan(x[:, None], **(arguments | rows | {"B": B, "C": C}), backend="reference")
    close(y, expected[:, 0], 1e-14)


def test_the_direct_way_is_taken_and_equals_the_operator(compiled):
    x, arguments, state = make(2, 6, 5, dtype=torch.float32)
    order = ("dt", "A", "B", "C", "D", "z", "dt_bias", "dt_softplus")
    given = [arguments[key] for key in order]
    first, second = state.clone(), state.clone()
    y = native.direct(first, x, *given, "euler-b")
    assert y is not None
    assert torch.equal(y, native.selective_state_update(second, x, *given, "euler-b"))
    assert torch.equal(first, second)
    arguments["A"] = torch.nn.Parameter(arguments["A"])
    with torch.no_grad():
        assert torch.equal(selective_state_update(state, x, **arguments), y)
    for i, wrong in ((0, x), (1, x[:, :5]), (3, arguments["A"].detach().double()), (4, x), (7, x[0])):
        broken = [state, x, *given]
        broken[i] = wrong
        assert native.direct(*broken, "euler-b") is None, i


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("groups", [None, 3])
def test_an_older_torch_gives_the_same_bits(compiled, monkeypatch, groups, dtype, is_complex):
    x, arguments, state = make(2, 6, 5, dtype=dtype, is_complex=is_complex, groups=groups)
    here = state.clone()
    expected = selective_state_update(state, x, **arguments, backend="native")
    monkeypatch.setattr(native, "_entry", lambda: None)
    assert torch.equal(selective_state_update(here, x, **arguments, backend="native"), expected)
    assert torch.equal(here, state)


def test_a_state_that_is_conjugated_by_a_mark_is_refused(backend):
    x, arguments, state = make(2, 6, 5, is_complex=True)
    with pytest.raises(InputError, match="state is conjugated or negated by a mark alone"):
        selective_state_update(state.conj(), x, **arguments, backend=backend)


@pytest.mark.parametrize("name", ["A", "B", "C"])
def test_a_conjugate_that_is_only_marked_is_not_read_past(compiled, name):
    x, arguments, state = make(2, 6, 5, is_complex=True)
    given = arguments | {"state": torch.randn_like(state)}
    expected = selective_state_update(x=x, **(given | {"state": given["state"].clone()}), backend="reference")
    given[name] = given[name].conj().resolve_conj().conj()
    assert given[name].is_conj()
    close(selective_state_update(x=x, **given, backend="native"), expected, 1e-14)


def test_what_autograd_follows_is_left_to_the_checks(compiled):
    x, arguments, state = make(2, 6, 5, dtype=torch.float32)
    for name in ("x", "dt", "A", "B", "C", "D", "z", "dt_bias"):
        given = arguments | {"x": x}
        given[name] = given[name].clone().requires_grad_()
        with pytest.raises(InputError, match=f"{name} needs a gradient"):
            selective_state_update(state, **given)


def test_same_bits_for_any_number_of_threads(compiled):
    x, arguments, state = make(64, 256, 16, dtype=torch.float32)
    before, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            here = state.clone()
            found.append((selective_state_update(here, x, **arguments, backend="native"), here))
    finally:
        torch.set_num_threads(before)
    for y, here in found[1:]:
        assert torch.equal(y, found[0][0])
        assert torch.equal(here, found[0][1])


def test_opcheck_compile_and_export(compiled):
    x, arguments, state = make(2, 6, 5)
    order = ("dt", "A", "B", "C", "D", "z", "dt_bias", "dt_softplus")
    torch.library.opcheck(native.selective_state_update, (state.clone(), x, *(arguments[k] for k in order), "zoh"))

    class Step(torch.nn.Module):
        def forward(self, state, x):
            return selective_state_update(state, x, **arguments, backend="native")

    expected_state = state.clone()
    expected = Step()(expected_state, x)
    compiled_step = torch.compile(Step(), fullgraph=True, backend="aot_eager")
    exported = torch.export.export(Step(), (state.clone(), x)).module()
    for step in (compiled_step, exported):
        here = state.clone()
        close(step(here, x), expected, 1e-15)
        close(here, expected_state, 1e-15)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_graphs_that_are_traced_hold_the_step(compiled):
    x, arguments, state = make(2, 6, 5, dtype=torch.float32)
    expected_state = state.clone()
    expected = selective_state_update(expected_state, x, **arguments, backend="reference")

    def step(state, x):
        return selective_state_update(state, x, **arguments)

    with torch.no_grad():
        for traced in (make_fx(step)(state.clone(), x), torch.jit.trace(step, (state.clone(), x), check_trace=False)):
            here = state.clone()
            close(traced(here, x), expected, 1e-6)
            close(here, expected_state, 1e-6)


def test_modes_of_the_dispatcher_hear_of_the_step(compiled):
    x, arguments, state = make(2, 6, 5, dtype=torch.float32)
    heard = []

    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            heard.append(function)
            return function(*args, **(kwargs or {}))

    with Mode():
        selective_state_update(state, x, **arguments)
    assert native.selective_state_update in heard


def test_tensors_without_numbers_of_their_own_are_not_looked_into(compiled):
    x, arguments, state = make(2, 6, 5, dtype=torch.float32)
    given = [state, *(arguments[key] for key in ("dt", "A", "B", "C"))]
    nothing = torch._efficientzerotensor(2, 6)
    expected = selective_state_update(given[0].clone(), torch.zeros(2, 6), *given[1:], backend="reference")
    assert torch.equal(selective_state_update(given[0], nothing, *given[1:]), expected)
    with pytest.raises(RuntimeError, match="selective_state_update_native"):  # by torch, in place of a crash
        torch.func.functionalize(selective_state_update)(state, x, *given[1:])


@pytest.mark.parametrize("way", ["direct", "operator", "older torch"])
def test_autograd_knows_of_the_change_of_the_state(compiled, monkeypatch, way):
    x, arguments, state = make(2, 6, 5, dtype=torch.float32, groups=1)
    if way == "older torch":
        monkeypatch.setattr(native, "_entry", lambda: None)
    weight = torch.ones_like(state, requires_grad=True)
    product = (state * weight).sum()
    with torch.no_grad():
        if way == "direct":
            order = ("dt", "A", "B", "C", "D", "z", "dt_bias", "dt_softplus")
            assert native.direct(state, x, *(arguments[key] for key in order), "zoh") is not None
        else:
            selective_state_update(state, x, **arguments, backend="native")
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()


def test_a_state_of_inference_mode_goes_on(compiled):
    x, arguments, state = make(2, 6, 5, dtype=torch.float32)
    with torch.inference_mode():
        here = torch.zeros_like(state)
        inside = selective_state_update(here, x, **arguments)
    assert torch.equal(inside, selective_state_update(state, x, **arguments))
    assert torch.equal(here, state)


def test_forward_derivatives_are_refused(backend):
    x, arguments, state = make(2, 6, 5)
    with pytest.raises(InputError, match=r"forward derivative.*selective_scan"):
        torch.func.jvp(lambda x: selective_state_update(state, x, **arguments, backend=backend), (x,), (x,))


@pytest.mark.parametrize(
    ("name", "change", "error", "says"),
    [
        ("x", lambda x: x[0], ShapeError, r"x is \(6,\).*\(batch, channels\)"),
        ("state", lambda h: h[:1], ShapeError, r"state is \(1, 6, 5\)"),
        ("state", lambda h: h[:1].expand(2, 6, 5), InputError, r"state is expanded.*state\.contiguous\(\)"),
        ("state", lambda h: h.to(torch.bfloat16), InputError, r"state is torch.bfloat16.*keep it in float32"),
        ("A", lambda A: A[:, :3], ShapeError, r"state is \(2, 6, 5\).*n = 3"),
        ("A", lambda A: A + 0j, InputError, r"A is torch.complex128, but state is torch.float64"),
        ("B", lambda B: B[:, :3], ShapeError, r"B is \(2, 3\).*B\.expand\(b, d, n\)"),
        ("B", lambda B: B[:, None].expand(2, 4, 5), ShapeError, r"B is \(2, 4, 5\) and C \(2, 5\)"),
        ("dt", lambda dt: dt.long(), InputError, r"dt is torch.int64.*dt\.float\(\)"),
        ("D", lambda D: D[:2], ShapeError, r"D is \(2,\)"),
        ("z", lambda z: z.to("meta"), InputError, r"z is on meta but x on cpu"),
        ("dt_bias", lambda b: b.requires_grad_(), InputError, r"dt_bias needs a gradient.*torch\.no_grad"),
        ("method", lambda _: "euler", InputError, r"method is 'euler'.*Did you mean 'euler-b'"),
        ("backend", lambda _: "chunked", InputError, r"backend is 'chunked'.*native, reference"),
    ],
)
def test_a_wrong_argument_is_named(name, change, error, says):
    x, arguments, state = make(2, 6, 5)
    arguments |= {"x": x, "state": state}
    arguments[name] = change(arguments.get(name))
    with pytest.raises(error, match=says):
        selective_state_update(**arguments)
