"""Programs step by step: each instruction against torch and what it stands for, compiled against the reference."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.kernels import native as core
from statespace.kernels.selective_scan import selective_scan
from statespace.kernels.ssd import ssd
from statespace.kernels.stack_step import (
    Add,
    Convolution,
    Diagonal,
    Gate,
    Gelu,
    Glu,
    GroupNorm,
    Heads,
    Linear,
    Norm,
    Program,
    Selective,
    StackStep,
    joined,
    native,
    scan,
)

BATCH, LENGTH = 3, 9
IN_TORCH = ["buffered", "reference"]
SETS = [] if core.why_missing() else list(core.instruction_sets())
# Of numbers of size 1 to 10: some tens of roundings.
TOLERANCE = {torch.float32: 5e-6, torch.float64: 1e-13}


@pytest.fixture(params=["native", "buffered", "reference", "parallel"])
def way(request):
    """Each way through a program, as a function from it and samples ``(b, l, d)`` to results and final states."""

    def parallel(program: Program, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        return scan(program, x, [torch.zeros(len(x), *shape, dtype=x.dtype) for shape in program.states])

    def stepwise(program: Program, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        stack = StackStep(program, len(x), request.param)
        return torch.stack([stack(sample) for sample in x.unbind(1)], 1), stack.states

    if request.param == "parallel":
        return parallel
    if request.param == "native" and (reason := core.why_missing()):
        pytest.skip(f"native: {reason}")
    return stepwise


def draw(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype)


def close(got: Tensor, expected: Tensor, tolerance: float = 1e-13) -> None:
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance * max(1.0, float(expected.abs().max())))


@pytest.mark.parametrize("width", [1, 15, 16, 37])
def test_norms(way, width: int) -> None:
    x, weight, bias = 3 + draw(BATCH, LENGTH, width), draw(width), draw(width)
    program = Program(width, torch.float64)
    program.add(Norm(program.sample, weight, bias, 1e-5))
    close(way(program, x)[0], F.layer_norm(x, (width,), weight, bias, 1e-5))
    program = Program(width, torch.float64)
    program.add(Norm(program.sample, weight, bias, 1e-5, centred=False))
    close(way(program, x)[0], F.rms_norm(x, (width,), weight, 1e-5) + bias)


@pytest.mark.parametrize("sizes", [(1,), (5, 16, 17), (100, 3)], ids=str)
def test_products_in_parts_and_what_is_made_of_them(way, sizes: tuple[int, ...]) -> None:
    x, weight, bias = draw(BATCH, LENGTH, 21), draw(sum(sizes), 21), draw(sum(sizes))
    for which, part in enumerate(F.linear(x, weight, bias).split(sizes, -1)):
        program = Program(21, torch.float64)
        y = program.add_parts(Linear(program.sample, weight, bias, sizes))[which]
        program.add(Linear(program.add(Add(y, y)), torch.eye(sizes[which], dtype=torch.float64) / 2, plus=y))
        close(way(program, x)[0], 2 * part, 1e-12)


def test_elementwise(way) -> None:
    x = draw(BATCH, LENGTH, 40) * 4
    x[0, 0, :8] = torch.tensor([0.0, -1e-9, 30.0, -30.0, -6.0, 6.0, -200.0, 200.0])
    for make, expected in [
        (lambda a, _: Gelu(a), F.gelu(x[..., :20])),
        (Glu, F.glu(x, -1)),
        (lambda a, b: Glu(a, b, plus=b), F.glu(x, -1) + x[..., 20:]),
        (Gate, x[..., :20] * F.silu(x[..., 20:])),
        (Add, x[..., :20] + x[..., 20:]),
    ]:
        program = Program(40, torch.float64)
        parts = program.add_parts(Linear(program.sample, torch.eye(40, dtype=torch.float64), sizes=(20, 20)))
        program.add(make(*parts))
        close(way(program, x)[0], expected)


def test_gelu_is_precise_where_it_vanishes() -> None:
    """Relative to the result, down to where exp(-x^2 / 2) itself has lost digits to the rounding of x^2."""
    if reason := core.why_missing():
        pytest.skip(f"native: {reason}")
    x = torch.linspace(-9, 9, 20001, dtype=torch.float64)
    for dtype, tolerance in ((torch.float32, 4e-6), (torch.float64, 2e-14)):
        program = Program(1, dtype)
        program.add(Gelu(program.sample))
        y = StackStep(program, len(x), "native")(x.to(dtype)[:, None])[:, 0]
        exact = x.to(dtype).double() * torch.special.erfc(-x.to(dtype).double() / 2**0.5) / 2
        torch.testing.assert_close(y.double(), exact, rtol=tolerance, atol=1e-300)
        far = torch.tensor([2e19, -2e19, 3e38, -3e38], dtype=dtype)[:, None]
        assert torch.equal(StackStep(program, 4, "native")(far), far.clamp(min=0))


@pytest.mark.parametrize("width", [1, 2, 4])
def test_the_convolution_is_that_of_torch(way, width: int) -> None:
    x, weight, bias = draw(BATCH, LENGTH, 19), draw(19, width), draw(19)
    program = Program(19, torch.float64)
    program.add(Convolution(program.sample, weight, bias, silu=True))
    y, (state,) = way(program, x)
    padded = F.pad(x, (0, 0, width - 1, 0))
    close(y, F.silu(F.conv1d(padded.mT, weight[:, None], bias, groups=19).mT))
    assert torch.equal(state, padded[:, LENGTH:])


@pytest.mark.parametrize("sizes", [(19,), (16, 3), (5, 20, 1)], ids=str)
def test_a_convolution_goes_over_parts_that_stand_beside_each_other(way, sizes: tuple[int, ...]) -> None:
    d = sum(sizes)
    x, into, weight, bias = draw(BATCH, LENGTH, 7), draw(d + 9, 7), draw(d, 4), draw(d)
    padded = F.pad(F.linear(x, into)[..., 4 : d + 4], (0, 0, 3, 0))
    expected = F.conv1d(padded.mT, weight[:, None], bias, groups=d).mT.split(sizes, -1)
    for which, part in enumerate(expected):
        program = Program(7, torch.float64)
        _, *parts, _ = program.add_parts(Linear(program.sample, into, sizes=(4, *sizes, 5)))
        y = program.add_parts(Convolution(joined(*parts), weight, bias, silu=False, sizes=sizes))
        program.add(Linear(y[which], torch.eye(sizes[which], dtype=torch.float64)))
        got, (state,) = way(program, x)
        close(got, part)
        close(state, padded[:, LENGTH:])


@pytest.mark.parametrize("groups", [1, 2, 5])
@pytest.mark.parametrize("width", [10, 40, 160])
def test_each_group_of_channels_has_its_own_mean_square(way, groups: int, width: int) -> None:
    x, weight = draw(BATCH, LENGTH, width) * torch.linspace(0.1, 9, width, dtype=torch.float64), draw(width)
    program = Program(width, torch.float64)
    program.add(GroupNorm(program.sample, weight, 1e-5, groups))
    normed = [F.rms_norm(part, (width // groups,), eps=1e-5) for part in x.chunk(groups, -1)]
    close(way(program, x)[0], torch.cat(normed, -1) * weight)


@pytest.mark.parametrize(("heads", "p", "groups"), [(1, 1, 1), (4, 5, 2), (6, 16, 3), (3, 32, 1), (2, 48, 2)], ids=str)
@pytest.mark.parametrize("bounds", [(0.0, float("inf")), (0.5, 0.9)], ids=str)
def test_heads_are_the_scan_of_mamba_2(way, heads: int, p: int, groups: int, bounds: tuple[float, float]) -> None:
    n, scale = 7, 1.7
    sizes = (heads * p, heads, groups * n, groups * n)
    x = draw(BATCH, LENGTH, sum(sizes))
    A, D = -torch.rand(heads, dtype=torch.float64), draw(heads)
    program = Program(sum(sizes), torch.float64)
    u, dt, B, C = program.add_parts(Linear(program.sample, torch.eye(sum(sizes), dtype=torch.float64), sizes=sizes))
    program.add(Heads(u, dt, B, C, A, D, groups, bounds, scale))
    y, (state,) = way(program, x)
    u, dt, B, C = x.split(sizes, -1)
    expected, final = ssd(
        u.unflatten(-1, (heads, p)), scale * F.softplus(dt).clamp(*bounds), A,
        B.unflatten(-1, (groups, n)), C.unflatten(-1, (groups, n)), D, return_final_state=True, backend="reference",
    )  # fmt: skip
    close(y, expected.flatten(-2))
    close(state, final)


@pytest.mark.parametrize("method", native.RULES)
@pytest.mark.parametrize("gated", [False, True])
def test_the_selective_step_is_the_selective_scan(way, method: str, gated: bool) -> None:
    d, n = 18, 5
    x = draw(BATCH, LENGTH, 3 * d + 2 * n)
    A, D = -torch.rand(d, n, dtype=torch.float64), draw(d)
    A[0, 0] = 0  # integrates
    program = Program(x.shape[-1], torch.float64)
    sizes = (d, d, n, n, d)
    u, dt, B, C, z = program.add_parts(Linear(program.sample, torch.eye(x.shape[-1], dtype=torch.float64), sizes=sizes))
    program.add(Selective(u, dt, B, C, z if gated else None, A, D, method))
    y, (state,) = way(program, x)
    u, dt, B, C, z = x.split(sizes, -1)
    expected, final = selective_scan(
        u, dt, A, B, C, D, z if gated else None, None, True,
        method=method, return_final_state=True, backend="reference",
    )  # fmt: skip
    close(y, expected)
    close(state, final)


def test_the_diagonal_step_is_its_recurrence(way) -> None:
    d, n = 18, 5
    x, D = draw(BATCH, LENGTH, d), draw(d)
    a = 0.9 * torch.exp(1j * torch.rand(d, n, dtype=torch.float64))
    b, c = (torch.complex(draw(d, n), draw(d, n)) for _ in range(2))
    program = Program(d, torch.float64)
    program.add(Diagonal(program.sample, a, b, c, D))
    y, (state,) = way(program, x)
    h = torch.zeros(BATCH, d, n, dtype=torch.complex128)
    for t in range(LENGTH):
        h = a * h + b * x[:, t, :, None]
        close(y[:, t], (c * h).sum(-1).real + D * x[:, t], 1e-12)
    close(torch.view_as_complex(state), h, 1e-12)


def test_a_pole_is_as_exact_as_it_was_given(way) -> None:
    """States that nothing damps, in float32: with rounded poles they would be off by 3 times the tolerance."""
    steps, d = 20_000, 8
    a = torch.exp(3j * torch.rand(d, 4, dtype=torch.float64))
    b = torch.randn(d, 4, dtype=torch.complex64)
    program = Program(d, torch.float32)
    program.add(Diagonal(program.sample, a, b, b, torch.zeros(d)))
    x = torch.randn(1, steps, d)
    _, (state,) = way(program, x)
    powers = a[..., None] ** torch.arange(steps - 1, -1, -1)
    expected = b * (powers * x[0].T[:, None].double()).sum(-1)
    close(torch.view_as_complex(state.double()), expected[None], 6e-5)


def stack(dtype: torch.dtype, silent: bool = False) -> Program:
    """Every instruction once or more, widths that fill no panel, rows that are used again and rows that wait.

    If it is `silent`, nothing enters its selective systems and convolutions but their biases: it is always in a gap.
    """
    generator = torch.Generator().manual_seed(3)

    def weight(*shape: int) -> Tensor:
        return (torch.randn(*shape, dtype=torch.float64, generator=generator) / shape[-1] ** 0.5).to(dtype)

    program = Program(21, dtype)
    x = program.sample
    for _ in range(2):
        entering = [0 * weight(21) if silent else weight(21) for _ in range(2)]
        u = program.add(Norm(x, *entering, 1e-5, enters=True))
        v, z = program.add_parts(Linear(u, weight(50, 21), weight(50), (25, 25)))
        v = program.add(Convolution(v, weight(25, 4), weight(25), silu=True))
        dt, B, C = program.add_parts(Linear(v, weight(31, 25), sizes=(25, 3, 3)))
        v = program.add(Selective(v, dt, B, C, z, -weight(25, 3).abs(), weight(25)))
        x = program.add(Linear(v, weight(21, 25), plus=x))
        u = program.add(Norm(x, weight(21), weight(21), 1e-5))
        a = torch.exp(torch.complex(-weight(21, 2).abs(), weight(21, 2)).to(torch.complex128))
        b = torch.complex(weight(21, 2), weight(21, 2))
        g = program.add(Gelu(program.add(Diagonal(u, a, b, b.conj(), weight(21)))))
        value, gate = program.add_parts(Linear(g, weight(42, 21), weight(42), (21, 21)))
        x = program.add(Glu(value, gate, program.add(Add(x, program.add(Gate(u, x))))))
        sizes = (30, 10, 10, 6)
        v, B, C, dt = program.add_parts(Linear(x, weight(56, 21), sizes=sizes))
        window = Convolution(joined(v, B, C), weight(50, 3), weight(50), silu=True, sizes=sizes[:3])
        v, B, C = program.add_parts(window)
        v = program.add(Heads(v, dt, B, C, -weight(6).abs(), weight(6), groups=2, scale=0.7))
        x = program.add(Linear(program.add(GroupNorm(v, weight(30), 1e-5, 3)), weight(21, 30), plus=x))
    return program


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", SETS)
def test_every_instruction_set(name: str, dtype: torch.dtype) -> None:
    x = draw(11, 30, 21)
    truth = StackStep(stack(torch.float64), 11, "reference")
    expected = truth(x)
    plan = native.Plan(stack(dtype), 11, name)
    close(plan.run(x.to(dtype)).double(), expected, TOLERANCE[dtype])
    for state, true in zip(plan.save(), truth.states, strict=True):
        close(state.double(), true, TOLERANCE[dtype])


def test_a_stream_has_the_same_bits_in_any_batch_chunk_and_layout() -> None:
    if reason := core.why_missing():
        pytest.skip(f"native: {reason}")
    program, x = stack(torch.float32), draw(19, 12, 21, dtype=torch.float32)
    whole = StackStep(program, 19, "native")
    expected = whole(x)
    pieces = StackStep(program, 19, "native")
    assert torch.equal(torch.cat([pieces(x[:, :5]), pieces(x[:, 5:5]), pieces(x[:, 5:])], 1), expected)
    assert all(torch.equal(*pair) for pair in zip(pieces.states, whole.states, strict=True))
    for i in (0, 7, 18):
        alone = StackStep(program, 1, "native")
        assert torch.equal(torch.cat([alone(sample) for sample in x[i : i + 1].unbind(1)]), expected[i])
    strange = StackStep(program, 19, "native")
    assert torch.equal(strange(x.permute(2, 1, 0).contiguous().permute(2, 1, 0)), expected)
    before, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            found.append(StackStep(program, 190, "native")(x.repeat(10, 40, 1)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(y, found[0]) for y in found)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", [*SETS, *IN_TORCH])
def test_nothing_enters_in_a_gap(name: str, dtype: torch.dtype) -> None:
    """Streams with gaps of their own, in one call, do what each of them does by a stack that is silent in its gaps."""
    asked, x, known = draw(11, 30, 21), draw(11, 30, 21), torch.rand(11, 30) < 0.6
    truth, silent = (StackStep(stack(torch.float64, of), 11, "reference") for of in (False, True))
    answers, expected = [], []
    for t in range(30):
        answers.append(truth.ask(asked[:, t]))
        silent.states = truth.states
        y, in_gap = truth(x[:, t]), silent(x[:, t])
        truth.take(silent, ~known[:, t])
        expected.append(torch.where(known[:, t, None], y, in_gap))
    for taken in (known, known.T.contiguous().T):
        some, other = (StackStep(stack(dtype), 11, name if name in IN_TORCH else "native") for _ in range(2))
        if name in SETS:
            some._plan, other._plan = (native.Plan(stack(dtype), 11, name) for _ in range(2))
        followed = some.follow(asked.to(dtype), x.to(dtype), taken)
        moved = [other(x[:, 0].to(dtype), taken[:, 0])[:, None], other(x[:, 1:].to(dtype), taken[:, 1:])]
        close(followed.double(), torch.stack(answers, 1), TOLERANCE[dtype])
        close(torch.cat(moved, 1).double(), torch.stack(expected, 1), TOLERANCE[dtype])
        for state, same, true in zip(some.states, other.states, truth.states, strict=True):
            assert torch.equal(state, same)
            close(state.double(), true, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", [*SETS, *IN_TORCH])
def test_questions_are_answered_and_leave_no_trace(name: str, dtype: torch.dtype) -> None:
    """Each answer is what the sample would have given that came in its place."""
    program, asked, x = stack(torch.float64), draw(11, 30, 21), draw(11, 30, 21)
    truth = StackStep(program, 11, "reference")
    expected, asks = [], StackStep(program, 11, "reference")
    for question, sample in zip(asked.unbind(1), x.unbind(1), strict=True):
        asks.states = truth.states
        expected.append(asks(question))
        truth(sample)
    some = StackStep(stack(dtype), 11, name if name in IN_TORCH else "native")
    if name in SETS:
        some._plan = native.Plan(stack(dtype), 11, name)
    asked, x = asked.to(dtype), x.to(dtype)
    found = [some.follow(asked[:, :7], x[:, :7]), some.ask(asked[:, 7])[:, None]]
    some(x[:, 7])
    found += [some.follow(asked[:, 8:8], x[:, 8:8]), some.follow(asked[:, 8:], x[:, 8:])]
    close(torch.cat(found, 1).double(), torch.stack(expected, 1), TOLERANCE[dtype])
    for state, true in zip(some.states, truth.states, strict=True):
        close(state.double(), true, TOLERANCE[dtype])


@pytest.mark.parametrize("backend", ["native", *IN_TORCH])
def test_states_go_from_backend_to_backend(backend: str) -> None:
    if backend == "native" and (reason := core.why_missing()):
        pytest.skip(f"native: {reason}")
    program, x = stack(torch.float64), draw(5, 14, 21)
    expected = StackStep(program, 5, "reference")(x)
    first, second = StackStep(program, 5, backend), StackStep(program, 5, "reference")
    first(x[:, :8])
    second.states = first.states
    kept = second.states
    close(second(x[:, 8:]), expected[:, 8:])
    first.states = kept
    close(first(x[:, 8:]), expected[:, 8:])


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda live: pickle.loads(pickle.dumps(live))], ids=["copy", "pickle"]
)
@pytest.mark.parametrize("backend", ["native", *IN_TORCH])
def test_a_copy_goes_on_by_itself(backend: str, copied: Callable[[StackStep], StackStep]) -> None:
    if backend == "native" and (reason := core.why_missing()):
        pytest.skip(f"native: {reason}")
    live, x = StackStep(stack(torch.float64), BATCH, backend), draw(BATCH, 9, 21)
    live(x[:, :3])
    twin = copied(live)
    live(draw(BATCH, 4, 21))  # it does not hear of this
    fresh = StackStep(stack(torch.float64), BATCH, backend)
    assert twin.backend == backend
    assert torch.equal(twin(x[:, 3:]), fresh(x)[:, 3:])


def test_what_was_pickled_beside_a_core_goes_on_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := core.why_missing():
        pytest.skip(f"native: {reason}")
    live, x = StackStep(stack(torch.float64), BATCH, "native"), draw(BATCH, 9, 21)
    live(x[:, :3])
    pickled, rest = pickle.dumps(live), live(x[:, 3:])
    monkeypatch.setattr(core, "why_refused", lambda _: "it is not there.")
    twin = pickle.loads(pickled)
    assert twin.backend == "buffered"
    close(twin(x[:, 3:]), rest)


def test_what_it_refuses() -> None:
    program = stack(torch.float32)
    some = StackStep(program, 2)
    for wrong in (torch.zeros(3, 21), torch.zeros(2, 22), torch.zeros(21), torch.zeros(2, 21, 4)):
        with pytest.raises(
            ShapeError, match=r"x is .*, but \(2, 21\) for one sample of each of 2 streams or \(2, length"
        ):
            some(wrong)
    with pytest.raises(
        ShapeError, match=r"x is \(2, 1, 21\), but \(2, 21\) for one sample of each of 2 streams is expected\."
    ):
        some.ask(torch.zeros(2, 1, 21))
    with pytest.raises(ShapeError, match=r"asked is \(2, 21\), but \(2, length, 21\) for several is expected"):
        some.follow(torch.zeros(2, 21), torch.zeros(2, 1, 21))
    with pytest.raises(ShapeError, match="asked has 3 samples and x 2, but one for each is expected"):
        some.follow(torch.zeros(2, 3, 21), torch.zeros(2, 2, 21))
    with pytest.raises(InputError, match=r"x is torch.float64 on cpu, but the stack computes in torch.float32 on cpu"):
        some(torch.zeros(2, 21, dtype=torch.float64))
    with pytest.raises(ShapeError, match=r"known is \(2,\), but \(2, 3\) is expected: a truth value for each sample"):
        some(torch.zeros(2, 3, 21), torch.ones(2, dtype=torch.bool))
    with pytest.raises(InputError, match=r"known is torch.float32 on cpu, but truth values on cpu are expected"):
        some(torch.zeros(2, 21), torch.ones(2))
    with pytest.raises(ShapeError, match="states belong to one stack and one number of streams"):
        some.states = some.states[:-1]
    with pytest.raises(InputError, match="batch is -1"):
        StackStep(program, -1)
    with pytest.raises(InputError, match="backend is 'cuda', which is not known"):
        StackStep(program, 1, "cuda")
    with pytest.raises(InputError, match=r"program is in torch.float16: make it in float32 or float64"):
        StackStep(Program(3, torch.float16), 1)


@pytest.mark.parametrize("which", [None, torch.tensor([2, 0]), torch.tensor([False, True, True])], ids=str)
@pytest.mark.parametrize("backend", ["native", *IN_TORCH])
def test_states_are_taken_from_other_streams(backend: str, which: Tensor | None) -> None:
    if backend == "native" and (reason := core.why_missing()):
        pytest.skip(f"native: {reason}")
    program = stack(torch.float64)
    ours, theirs = StackStep(program, BATCH, backend), StackStep(program, BATCH, backend)
    ours(draw(BATCH, 4, program.sample.width))
    theirs(draw(BATCH, 6, program.sample.width))
    before, given = ours.states, theirs.states
    ours.take(theirs, which)
    taken = torch.zeros(BATCH, dtype=torch.bool)
    taken[slice(None) if which is None else which] = True
    for now, old, new, still in zip(ours.states, before, given, theirs.states, strict=True):
        assert torch.equal(now[taken], new[taken])
        assert torch.equal(now[~taken], old[~taken])
        assert torch.equal(still, new)
    x = draw(BATCH, program.sample.width)
    assert torch.equal(ours(x)[taken], theirs(x)[taken])  # and they go on alike, each by itself
    ours(x)
    for still, other in zip(theirs.states, ours.states, strict=True):
        assert not torch.equal(still, other)


def test_what_is_bound_once_is_used_under_any_mode_of_torch() -> None:
    """A stream that was made for inference goes on outside of it, and what it gives may enter what is trained."""
    program, x = stack(torch.float64), draw(BATCH, 3, 21)
    expected = StackStep(program, BATCH, "reference")(x)
    with torch.inference_mode():
        some = StackStep(program, BATCH, "buffered")
        first = some(x[:, 0].clone())
    some.states = some.states
    second = some(x[:, 1].requires_grad_())
    other = StackStep(program, BATCH, "buffered")
    other.take(some)
    third = other(x[:, 2])
    close(torch.stack([first, second, third], 1).detach(), expected)
    weight = torch.ones(1, dtype=torch.float64, requires_grad=True)
    (weight * second + weight * third).sum().backward()
    close(weight.grad, (second + third).sum()[None].detach())


def test_what_was_given_is_nobodys_buffer() -> None:
    some, x = StackStep(stack(torch.float64), BATCH, "buffered"), draw(BATCH, 2, 21)
    given = [some(x[:, 0]), some.ask(x[:, 1]), *some.states]
    kept = [part.clone() for part in given]
    some(x)
    assert all(torch.equal(*pair) for pair in zip(given, kept, strict=True))


@pytest.mark.parametrize("backend", ["native", "buffered"])
def test_constants_are_copied(backend: str) -> None:
    if backend == "native" and (reason := core.why_missing()):
        pytest.skip(f"native: {reason}")
    program, x = stack(torch.float64), draw(BATCH, 5, 21)
    expected, some = StackStep(program, BATCH, "reference")(x), StackStep(program, BATCH, backend)
    for of in program.instructions:
        for value in vars(of).values():
            if isinstance(value, Tensor):
                value.zero_()
    close(some(x), expected)


def test_the_first_backend_that_can_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    program = stack(torch.float32)
    assert StackStep(program, 1).backend == ("native" if SETS else "buffered")
    monkeypatch.setattr(core, "why_refused", lambda _: "not here")
    assert StackStep(program, 1).backend == "buffered"
    assert StackStep(program, 0)(torch.zeros(0, 21)).shape == (0, 21)


def test_states_are_not_taken_from_what_is_unlike() -> None:
    program = stack(torch.float64)
    reference = StackStep(program, BATCH, "reference")
    with pytest.raises(ShapeError, match=f"StackStep.take: other has {BATCH + 1} streams"):
        reference.take(StackStep(program, BATCH + 1, "reference"))
    if not core.why_missing():
        with pytest.raises(InputError, match=r"StackStep.take: other runs on native, but this stack on reference"):
            reference.take(StackStep(program, BATCH, "native"))
