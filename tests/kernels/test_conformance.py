"""All operations and their backends, one list: what torch asks of an operator, and what bad input is answered with."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad

from statespace.errors import InputError
from statespace.kernels import gpu, native
from statespace.kernels.cauchy import cauchy
from statespace.kernels.causal_conv1d import causal_conv1d, causal_conv1d_update
from statespace.kernels.expm import expm_phi
from statespace.kernels.fftconv import fftconv
from statespace.kernels.linear_scan import linear_scan
from statespace.kernels.lti_scan import lti_scan
from statespace.kernels.resolvent import resolvent
from statespace.kernels.rotation import rotation
from statespace.kernels.selective_scan import selective_scan
from statespace.kernels.selective_state_update import selective_state_update
from statespace.kernels.ssd import ssd
from statespace.kernels.vandermonde import vandermonde


@dataclass(frozen=True)
class Operation:
    """An operation, the shapes of its tensors and which are complex, other arguments, and what is true of it."""

    function: Callable[..., object]
    shapes: dict[str, tuple[int, ...]]
    options: dict[str, object] = field(default_factory=dict)
    complex: tuple[str, ...] = ()
    backends: tuple[str, ...] = ("triton", "native", "chunked", "reference")
    differentiable: bool = True
    leading: bool = False  # whether any leading axes are taken, so that only the last one can be wrong
    untraced: tuple[str, ...] = ()  # backends that look at values, and so are no graph
    twice: tuple[str, ...] = ("reference",)  # backends with second derivatives

    def tensors(self, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
        """Its tensors: systems decay, and points of evaluation are apart from poles."""
        generator = torch.Generator().manual_seed(0)
        found = {}
        for name, shape in self.shapes.items():
            kind = torch.complex128 if name in self.complex else torch.float64
            value = torch.randn(shape, generator=generator, dtype=kind)
            if name in ("A", "a", "log_a", "w"):
                size = -0.1 - 0.3 * value.real.abs()
                value = torch.complex(size, value.imag) if value.is_complex() else size
            if name == "z" and value.is_complex():
                value = torch.complex(1 + value.real.abs(), value.imag)
            found[name] = value.to(dtype.to_complex() if value.is_complex() else dtype)
        return found


SELECTIVE = {
    "u": (2, 2, 4),
    "dt": (2, 2, 4),
    "A": (4, 3),
    "B": (2, 2, 2, 3),
    "C": (2, 2, 2, 3),
    "D": (4,),
    "z": (2, 2, 4),
    "dt_bias": (4,),
    "initial_state": (2, 4, 3),
}
LINEAR = {"a": (2, 2, 3), "b": (2, 2, 3), "initial_state": (2, 3)}
OF_SELECTIVE = {"dt_softplus": True, "return_final_state": True, "method": "exponential-trapezoidal"}
OPERATIONS = {
    "selective_scan": Operation(selective_scan, SELECTIVE, OF_SELECTIVE),
    "selective_scan, complex": Operation(selective_scan, SELECTIVE, OF_SELECTIVE, ("A", "B", "C", "initial_state")),
    "linear_scan": Operation(linear_scan, LINEAR),
    "linear_scan, complex": Operation(linear_scan, LINEAR, complex=tuple(LINEAR)),
    "lti_scan": Operation(
        lti_scan,
        {"u": (2, 2, 3), "log_a": (3, 4), "b": (3, 4), "c": (3, 4), "D": (3,), "initial_state": (2, 3, 4)},
        complex=("log_a", "b", "c", "initial_state"),
    ),
    "ssd": Operation(
        ssd,
        {
            "x": (2, 2, 4, 3),
            "dt": (2, 2, 4),
            "A": (4,),
            "B": (2, 2, 2, 3),
            "C": (2, 2, 2, 3),
            "D": (4,),
            "z": (2, 2, 4, 3),
            "dt_bias": (4,),
            "initial_state": (2, 4, 3, 3),
        },
        {"dt_softplus": True, "return_final_state": True},
    ),
    "rotation": Operation(
        rotation,
        {
            "B": (2, 2, 2, 5),
            "C": (2, 2, 2, 5),
            "B_norm": (5,),
            "C_norm": (5,),
            "B_bias": (4, 5),
            "C_bias": (4, 5),
            "rate": (2, 2, 2),
            "step": (2, 2, 4),
            "before": (2, 4, 2),
        },
        {"eps": 1e-5},
        backends=("native", "reference"),
    ),
    "causal_conv1d": Operation(
        causal_conv1d,
        {"x": (2, 2, 3), "weight": (3, 4), "bias": (3,), "initial_state": (2, 3, 3)},
        {"activation": "silu", "return_final_state": True},
    ),
    "causal_conv1d_update": Operation(
        causal_conv1d_update,
        {"x": (2, 3), "state": (2, 3, 3), "weight": (3, 4), "bias": (3,)},
        backends=(),
        differentiable=False,
    ),
    "selective_state_update": Operation(
        selective_state_update,
        {
            "state": (2, 4, 3),
            "x": (2, 4),
            "dt": (2, 4),
            "A": (4, 3),
            "B": (2, 2, 3),
            "C": (2, 2, 3),
            "D": (4,),
            "z": (2, 4),
            "dt_bias": (4,),
        },
        {"dt_softplus": True},
        backends=("triton", "native", "reference"),
        differentiable=False,
    ),
    "vandermonde": Operation(
        vandermonde,
        {"log_a": (3, 4), "c": (3, 4)},
        {"length": 7},
        ("log_a", "c"),
        ("chunked", "reference"),
        leading=True,
    ),
    "cauchy": Operation(
        cauchy,
        {"v": (2, 3, 4), "z": (5,), "w": (3, 4)},
        {"conjugate": True},
        ("v", "z", "w"),
        ("triton", "native", "chunked", "reference"),
        leading=True,
    ),
    "fftconv": Operation(
        fftconv, {"u": (2, 5, 3), "k": (3, 5), "k_reverse": (3, 4), "D": (3,)}, backends=("blocked", "reference")
    ),
    "expm_phi": Operation(
        expm_phi,
        {"A": (2, 3, 3), "B": (2, 3, 2), "t": (2,)},
        {"order": 2},
        backends=("native", "chunked", "reference"),
        leading=True,
        twice=("native", "chunked", "reference"),
        untraced=("reference",),
    ),
    "resolvent": Operation(
        resolvent,
        {"A": (2, 3, 3), "B": (2, 3, 2), "C": (2, 2, 3), "t": (2,)},
        backends=("native", "chunked", "reference"),
        leading=True,
        twice=("native", "chunked", "reference"),
        untraced=("reference",),
    ),
}
EVERY = [(name, backend) for name, operation in OPERATIONS.items() for backend in operation.backends or ("",)]


def why_not(backend: str) -> str | None:
    """Why a backend is not there in this process."""
    return {"native": native.why_missing, "triton": lambda: gpu.why_refused("cpu")}.get(backend, lambda: None)()


@pytest.fixture(params=EVERY, ids=", ".join)
def case(request: pytest.FixtureRequest) -> tuple[Operation, dict[str, object]]:
    """An operation and its options, one of its backends among them."""
    name, backend = request.param
    if reason := why_not(backend):
        pytest.skip(f"{backend}: {reason}")
    operation = OPERATIONS[name]
    return operation, operation.options | ({"backend": backend} if backend else {})


def flat(results: object) -> list[Tensor]:
    """The results that are tensors."""
    return [results] if isinstance(results, Tensor) else [x for x in results if isinstance(x, Tensor)]


def numbers(results: object) -> list[Tensor]:
    """Those with gradients."""
    return [x for x in flat(results) if x.is_floating_point() or x.is_complex()]


def weighed(results: object) -> Tensor:
    """A loss that every result is a part of."""
    return sum(torch.view_as_real(x).square().sum() if x.is_complex() else x.square().sum() for x in numbers(results))


def test_one_graph_has_the_same_values_and_gradients(case):
    operation, options = case
    if options.get("backend") in operation.untraced:
        return
    torch._dynamo.reset()
    compiled = torch.compile(operation.function, fullgraph=True, backend="aot_eager")
    found = []
    for function in (operation.function, compiled):
        given = {name: x.requires_grad_(operation.differentiable) for name, x in operation.tensors().items()}
        results = function(**given, **options)
        grads = torch.autograd.grad(weighed(results), list(given.values())) if operation.differentiable else ()
        found.append([*flat(results), *grads, *given.values()])  # arguments may be changed in place
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_exports(case):
    operation, options = case
    if options.get("backend") in operation.untraced:
        return

    class Layer(torch.nn.Module):
        def forward(self, given: dict[str, Tensor]) -> list[Tensor]:
            return flat(operation.function(**given, **options))

    program = torch.export.export(Layer(), (operation.tensors(),))
    expected = flat(operation.function(**operation.tensors(), **options))
    for got, value in zip(program.module()(operation.tensors()), expected, strict=True):
        torch.testing.assert_close(got, value, rtol=1e-12, atol=1e-12)


def test_fake_tensors_have_the_shapes_and_types_of_real_ones(case):
    operation, options = case
    if options.get("backend") in operation.untraced:
        return
    real = flat(operation.function(**operation.tensors(torch.float32), **options))
    with FakeTensorMode() as mode:
        given = {name: mode.from_tensor(x) for name, x in operation.tensors(torch.float32).items()}
        fake = flat(operation.function(**given, **options))
    for got, expected in zip(fake, real, strict=True):
        assert (got.shape, got.dtype, got.stride()) == (expected.shape, expected.dtype, expected.stride())


@pytest.mark.parametrize("name", OPERATIONS)
def test_tensors_without_memory_have_the_shapes_and_gradients_of_real_ones(name):
    operation = OPERATIONS[name]
    if "chunked" not in operation.backends and "blocked" not in operation.backends:
        return
    found = []
    for device in ("cpu", "meta"):
        given = [x.to(device).requires_grad_() for x in operation.tensors(torch.float32).values()]
        results = flat(operation.function(**dict(zip(operation.shapes, given, strict=True)), **operation.options))
        found.append([*results, *torch.autograd.grad(weighed(results), given)])
    for expected, got in zip(*found, strict=True):
        assert (got.shape, got.dtype) == (expected.shape, expected.dtype)


def test_autocast_rounds_nothing(case):
    operation, options = case
    expected = flat(operation.function(**operation.tensors(torch.float32), **options))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = flat(operation.function(**operation.tensors(torch.float32), **options))
    for one, other in zip(got, expected, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)  # bfloat16 would be off by 4e-3


def test_second_derivatives_are_there_or_refused_with_a_way_out(case):
    operation, options = case
    if not operation.differentiable:
        return
    given = [x.requires_grad_() for x in operation.tensors().values()]
    results = operation.function(**dict(zip(operation.shapes, given, strict=True)), **options)
    (grad,) = torch.autograd.grad(weighed(results), given[0], create_graph=True)
    if options["backend"] in operation.twice:
        assert weighed(torch.autograd.grad(weighed(grad), given, allow_unused=True, materialize_grads=True)) > 0
    else:
        with pytest.raises(InputError, match=r"second derivatives.*take backend='reference'"):
            weighed(grad).backward()


def by_dual_numbers(loss: Callable[..., Tensor], given: tuple[Tensor, ...], along: tuple[Tensor, ...]) -> Tensor:
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(loss(*map(forward_ad.make_dual, given, along))).tangent


def by_gradients(loss: Callable[..., Tensor], given: tuple[Tensor, ...], along: tuple[Tensor, ...]) -> Tensor:
    grads = torch.func.grad(loss, tuple(range(len(given))))(*given)
    return sum((grad.conj() * step).real.sum() for grad, step in zip(grads, along, strict=True))


def by_rows(loss: Callable[..., Tensor], given: tuple[Tensor, ...], along: tuple[Tensor, ...]) -> Tensor:
    rows = [x[None] for x in given], [x[None] for x in along]
    return torch.func.vmap(lambda x, step: torch.func.jvp(loss, tuple(x), tuple(step))[1])(*rows)[0]


@pytest.mark.parametrize(
    "way", [lambda *given: torch.func.jvp(*given)[1], by_dual_numbers, by_gradients, by_rows], ids=range(4)
)
def test_derivatives_of_other_kinds_are_right_or_refused_with_a_way_out(case, way):
    operation, options = case
    if not operation.differentiable or (way is by_rows and options["backend"] in operation.untraced):
        return

    def loss(*values: Tensor) -> Tensor:
        return weighed(operation.function(**dict(zip(operation.shapes, values, strict=True)), **options))

    given = tuple(operation.tensors().values())
    along = tuple(x.flip(0) for x in given)
    leaves = [x.clone().requires_grad_() for x in given]
    grads = torch.autograd.grad(loss(*leaves), leaves)
    expected = sum((grad.conj() * step).real.sum() for grad, step in zip(grads, along, strict=True))
    if options["backend"] == "reference" or (operation.function, options["backend"]) == (resolvent, "chunked"):
        torch.testing.assert_close(way(loss, given, along), expected, rtol=1e-10, atol=1e-10)
    else:
        with pytest.raises(InputError, match=r"(forward derivative|by torch.func).*backend='reference'"):
            way(loss, given, along)


def test_gradients_are_those_of_finite_differences(case):
    operation, options = case
    if not operation.differentiable:
        return
    given = [x.requires_grad_() for x in operation.tensors().values()]

    def run(*values: Tensor) -> tuple[Tensor, ...]:
        return tuple(numbers(operation.function(**dict(zip(operation.shapes, values, strict=True)), **options)))

    # One random direction in each argument; differences of 1e-6 in float64 are good to some 1e-8.
    assert torch.autograd.gradcheck(run, given, eps=1e-6, atol=1e-6, rtol=1e-5, fast_mode=True)


def test_any_layout_is_taken(case):
    operation, options = case
    dense = operation.tensors()
    turned = {
        name: x.permute(*reversed(range(x.ndim))).contiguous().permute(*reversed(range(x.ndim)))
        for name, x in dense.items()
    }
    spread = {name: torch.stack([x, x], -1)[..., 0] for name, x in dense.items()}
    expected = flat(operation.function(**operation.tensors(), **options))
    for given in (turned, spread):
        for got, value in zip(flat(operation.function(**given, **options)), expected, strict=True):
            torch.testing.assert_close(got, value, rtol=1e-12, atol=1e-12)


def test_expanded_arguments_are_taken(case):
    operation, options = case
    found = []
    for once in (torch.clone, lambda x: x):
        # All but a state that is changed in place.
        given = {name: x if name == "state" else once(x[:1].expand_as(x)) for name, x in operation.tensors().items()}
        found.append(flat(operation.function(**given, **options)))
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_every_run_has_the_same_bits(case):
    operation, options = case
    found = []
    for _ in range(2):
        given = operation.tensors(torch.float32)
        for x in given.values():
            x.requires_grad_(operation.differentiable)
        results = operation.function(**given, **options)
        grads = torch.autograd.grad(weighed(results), list(given.values())) if operation.differentiable else ()
        found.append([*flat(results), *grads, *given.values()])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("backend", ["native", "chunked"])
@pytest.mark.parametrize("name", ["linear_scan", "linear_scan, complex", "lti_scan"])
def test_float32_over_65536_steps(name, backend):
    # Against the same backend in float64, which is held to the reference at lengths that the reference can afford.
    if reason := why_not(backend):
        pytest.skip(f"{backend}: {reason}")
    operation, found = OPERATIONS[name], []
    lengths = {key: (1, 65536, *shape[2:]) for key, shape in operation.shapes.items() if key in ("a", "b", "u")}
    if name == "lti_scan":
        del lengths["b"]
    shapes = operation.shapes | lengths | {"initial_state": (1, *operation.shapes["initial_state"][1:])}
    exact = replace(operation, shapes=shapes).tensors()
    if "a" in exact:  # factors of memories of some steps to some hundred
        exact["a"] = torch.exp(exact["a"] / 4)
    exact = {key: x.to(torch.complex64 if x.is_complex() else torch.float32) for key, x in exact.items()}
    for wide in (False, True):
        given = {key: x.to(torch.promote_types(x.dtype, torch.float64)) if wide else x for key, x in exact.items()}
        leaves = [x.clone().requires_grad_() for x in given.values()]
        results = numbers(operation.function(**dict(zip(given, leaves, strict=True)), backend=backend))
        grads = torch.autograd.grad(results, leaves, [torch.ones_like(x) for x in results])
        found.append([(2e-6, x.detach()) for x in results] + [(1e-5, x) for x in grads])
    for (tolerance, got), (_, truth) in zip(*found, strict=True):
        torch.testing.assert_close(got.to(truth.dtype), truth, rtol=0, atol=tolerance * float(truth.abs().max()))


class InWorkers(torch.utils.data.Dataset):
    """The results of each operation and backend that is here, computed by whoever asks for them."""

    cases = tuple((name, backend) for name, backend in EVERY if not why_not(backend))

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, i: int) -> list[Tensor]:
        name, backend = self.cases[i]
        operation = OPERATIONS[name]
        chosen = {"backend": backend} if backend else {}
        return flat(operation.function(**operation.tensors(), **operation.options, **chosen))


@pytest.mark.skipif("fork" not in torch.multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_forked_workers_of_a_loader_compute_the_same():
    here = list(InWorkers())  # the parent has used all that the workers inherit
    loader = torch.utils.data.DataLoader(
        InWorkers(), batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=60
    )
    for got, expected in zip(loader, here, strict=True):
        for one, other in zip(got, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


ARGUMENTS = [(name, argument) for name, operation in OPERATIONS.items() for argument in operation.shapes]


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS, ids=str)
def test_a_wrong_argument_is_named_with_the_fix(name, argument):
    operation = OPERATIONS[name]
    first = operation.function.__name__

    def refused(change: Callable[[Tensor], Tensor]) -> str:
        given = operation.tensors()
        given[argument] = change(given[argument])
        with pytest.raises(InputError) as caught:
            operation.function(**given, **operation.options)
        return str(caught.value)

    def misshapen(x: Tensor) -> Tensor:
        if not operation.leading:
            return x.expand(*(2,) * 4, *x.shape)
        axis = -2 if argument == "B" else -1  # B may have any number of columns
        return x.narrow(axis, 0, 1).repeat_interleave(7, axis)

    changes = {"misshapen": misshapen, "whole": lambda x: x.long(), "elsewhere": lambda x: x.to("meta")}
    if (name, argument) == ("cauchy", "z"):  # any number of points will do
        del changes["misshapen"]
    if argument == "t":  # times may be whole numbers
        del changes["whole"]
    for change in changes.values():
        says = refused(change)
        assert says.startswith(f"{first}: ")
        assert argument in says
        assert len(says.split()) > 8, says  # what is expected, and what to do


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_refused_backend_says_why(name):
    operation = OPERATIONS[name]
    if not operation.backends:
        return
    with pytest.raises(InputError, match=r"backend is 'nativ'.*known"):
        operation.function(**operation.tensors(), **operation.options, backend="nativ")
    for backend in operation.backends:
        if reason := why_not(backend):
            with pytest.raises(InputError) as caught:
                operation.function(**operation.tensors(), **operation.options, backend=backend)
            assert f"backend {backend!r} cannot compute this: it is {reason.removeprefix('it is ')}" in str(
                caught.value
            )
            assert "Take backend=" in str(caught.value)
    elsewhere = {key: x.to("meta") for key, x in operation.tensors().items()}
    if "native" in operation.backends:
        with pytest.raises(
            InputError, match="'native' cannot compute this: it computes on the CPU, and the tensors are on meta"
        ):
            operation.function(**elsewhere, **operation.options, backend="native")


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS, ids=str)
def test_what_is_no_tensor_is_named(name, argument):
    operation = OPERATIONS[name]
    value = operation.tensors()[argument]
    others = [value.tolist(), tuple(value.tolist()), value.numpy(), value.to_sparse(), "A"]
    if argument != "t":  # a number is a time
        others.append(3.0)
    if inspect.signature(operation.function).parameters[argument].default is inspect.Parameter.empty:
        others.append(None)
    for other in others:
        with pytest.raises(InputError, match=rf"^{operation.function.__name__}: {argument} is .*tensor"):
            operation.function(**operation.tensors() | {argument: other}, **operation.options)


PACKED = ("selective_scan", "selective_scan, complex", "linear_scan", "ssd", "causal_conv1d")


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("backend", ["native", "chunked", "reference"])
def test_packed_sequences_are_one_graph_that_no_bounds_lead_out_of(name, backend):
    if reason := why_not(backend):
        pytest.skip(f"{backend}: {reason}")
    operation = OPERATIONS[name]
    given = operation.tensors()
    given = {key: torch.cat([x, x], 1)[:1] if operation.shapes[key][:2] == (2, 2) else x for key, x in given.items()}
    options = operation.options | {"backend": backend}
    torch._dynamo.reset()
    compiled = torch.compile(operation.function, fullgraph=True, backend="aot_eager")
    right = torch.tensor([0, 1, 4])
    expected = flat(operation.function(**given, cu_seqlens=right, **options))
    for got, value in zip(flat(compiled(**given, cu_seqlens=right, **options)), expected, strict=True):
        torch.testing.assert_close(got, value, rtol=1e-12, atol=1e-12)
    for wrong in ([0, 1, 90], [0, 90, 4], [2, -3, 900], [0, 1, 2]):
        results = flat(compiled(**given, cu_seqlens=torch.tensor(wrong), **options))
        assert [x.shape for x in results] == [x.shape for x in expected]
        with pytest.raises(InputError, match="cu_seqlens"):
            operation.function(**given, cu_seqlens=torch.tensor(wrong), **options)


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("backend", ["native", "chunked", "reference"])
@pytest.mark.parametrize("count", [0, 2])
def test_packed_sequences_without_a_step_end_where_they_begin(name, backend, count):
    if reason := why_not(backend):
        pytest.skip(f"{backend}: {reason}")
    operation = OPERATIONS[name]
    given = operation.tensors()
    start = given["initial_state"][:count]
    given = {key: x[:1, :0] if operation.shapes[key][:2] == (2, 2) else x for key, x in given.items()}
    given |= {"initial_state": start, "cu_seqlens": torch.zeros(count + 1, dtype=torch.int64)}
    y, *final = flat(operation.function(**given, **operation.options, backend=backend))
    assert y.numel() == 0
    if final:
        torch.testing.assert_close(final[0], start, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["lengths", "cu_seqlens"])
@pytest.mark.parametrize(
    "operation", [linear_scan, lti_scan, ssd, causal_conv1d, selective_scan], ids=lambda o: o.__name__
)
def test_lengths_and_bounds_are_told_alike(operation, name):
    known = OPERATIONS[operation.__name__]
    length, packed = 2, name == "cu_seqlens"
    if name not in inspect.signature(operation).parameters:
        return
    given = known.tensors()
    if packed:
        batched = [key for key, shape in known.shapes.items() if shape[0] == 2]
        given |= {key: given[key][:1] for key in batched}
    right = [0, length] if packed else [length, 1]
    for dtype in (torch.int32, torch.int64):
        operation(**given, **known.options, **{name: torch.tensor(right, dtype=dtype)})
    for wrong, says in (
        (right, rf"{name} is a list, but a tensor is expected"),
        (torch.tensor(right).float(), rf"{name} is torch.float32, but int32 or int64 is expected.*{name}\.long\(\)"),
        (torch.tensor([right]), rf"{name} is \(1, 2\)"),
        (torch.tensor([0, 3]), "2"),
        (torch.tensor([-1, 2]), r"-1"),
        (torch.tensor(right, device="meta"), rf"{name} is on meta"),
    ):
        with pytest.raises(InputError, match=rf"{operation.__name__}: .*{says}"):
            operation(**given, **known.options, **{name: wrong})
