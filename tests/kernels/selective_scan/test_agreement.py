"""Every backend against the reference in float64: outputs, final states, and the gradient of every argument."""

import math
from itertools import pairwise

import pytest
import torch

from statespace.kernels import native as core
from statespace.kernels.selective_scan import METHODS, native, selective_scan

# (batch, length, channels, states): lengths around the chunks of 32 steps, channels off the width of a vector, states
# off the number that advances together.
SHAPES = [(2, 1, 1, 1), (3, 2, 3, 5), (2, 37, 18, 2), (1, 64, 40, 4), (2, 97, 34, 7)]
KINDS = {
    "plain": {"full": False},
    "all arguments": {},
    "complex": {"is_complex": True},
    "groups": {"groups": 2},
    "complex groups": {"groups": 2, "is_complex": True},
    "fixed B": {"fixed": "B"},
    "fixed C": {"fixed": "C", "is_complex": True},
    "both fixed": {"fixed": "B C"},
    "through the final state": {"through": "final"},
    "through y": {"through": "y", "is_complex": True},
}
SETS = [] if core.why_missing() else list(core.instruction_sets())


def reference(case):
    return case.run(lambda **arguments: selective_scan(**arguments, backend="reference"))


def fits(shape, kind):
    return shape[2] % (kind.get("groups") or 1) == 0


def low_tolerance(case):
    # A step of float32 is off by 1e-7 of itself, and a state remembers some hundred steps at random. Where eigenvalues
    # turn, by up to 2 in a step here, so are angles. Gradients of parameters add up more of these.
    return (5e-6, 1e-5) if case.arguments["A"].is_complex() else (2e-6, 5e-6)


CASES = [(shape, kind) for shape in SHAPES for kind in KINDS if fits(shape, KINDS[kind])]


@pytest.fixture(scope="module")
def truth():
    """The reference's results in float64, computed once for all backends and precisions."""
    known = {}

    def look_up(case, *key):
        if key not in known:
            known[key] = reference(case)
        return known[key]

    return look_up


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("shape", "kind"), CASES, ids=str)
def test_equals_the_reference(problem, agree, scan, truth, shape, kind, method):
    case = problem(*shape, method=method, **KINDS[kind])
    expected = truth(case, shape, kind, method)
    # 1e-12: some hundred roundings of 1e-16, and the reference's own.
    agree(case.run(scan), expected, 1e-12)
    agree(case.to(torch.float32).run(scan), expected, *low_tolerance(case))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("kind", ["plain", "all arguments", "complex groups", "both fixed"])
@pytest.mark.parametrize("method", METHODS)
def test_every_instruction_set_equals_the_reference(problem, agree, compiled, truth, name, dtype, kind, method):
    shape = (2, 37, 18, 5)
    case = problem(*shape, method=method, **KINDS[kind])
    expected, low = truth(case, shape, kind, method), case.to(dtype)
    arguments = [low.arguments.get(key) for key in ("u", "dt", "A", "B", "C", "D", "z", "dt_bias", "initial_state")]
    arguments[3:5] = [x[:, :, None] if x.ndim == 3 else x for x in arguments[3:5]]
    rest = (None, case.options["dt_softplus"], method, True)
    y, final, kept = native.forward(*arguments, *rest, instruction_set=name)
    grads = native.backward(low.grad_y, low.grad_final, kept, *arguments, *rest, instruction_set=name)
    names = ("u", "dt", "A", "B", "C", "D", "z", "dt_bias", "initial_state")
    got = {"y": y, "final_state": final, **{f"grad {key}": g for key, g in zip(names, grads, strict=True)}}
    got = {key: got[key].reshape(expected[key].shape) for key in expected}
    agree(got, expected, *((1e-12,) if dtype == torch.float64 else low_tolerance(case)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("is_complex", [False, True])
def test_packed_sequences_do_not_see_each_other(problem, agree, scan, method, is_complex):
    ends = [0, 5, 5, 38, 103, 104]
    case = problem(1, 104, 18, 3, method=method, is_complex=is_complex, ends=ends)
    got = case.run(scan)
    agree(got, reference(case), 1e-12)
    for i, (begin, end) in enumerate(pairwise(ends)):
        alone = {k: v[:, begin:end] if v.ndim == 3 and k != "initial_state" else v for k, v in case.arguments.items()}
        alone["initial_state"] = case.arguments["initial_state"][i : i + 1]
        options = {name: value for name, value in case.options.items() if name != "cu_seqlens"}
        y, final = scan(**alone, **options, return_final_state=True)
        # Backends may cut the length elsewhere, which rounds differently.
        agree({"y": got["y"][:, begin:end], "final": got["final_state"][i : i + 1]}, {"y": y, "final": final}, 1e-13)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_pieces_with_the_state_carried_over_are_the_whole(problem, scan, dtype, method):
    case = problem(2, 130, 5, 3, method=method).to(dtype)
    whole, final = scan(**case.arguments, **case.options, return_final_state=True)
    rows = {name: case.arguments[name] for name in ("u", "dt", "B", "C", "z")}
    rest = {name: case.arguments[name] for name in ("A", "D", "dt_bias")}
    state, pieces, begin = case.arguments["initial_state"], [], 0
    for steps in (1, 31, 32, 40, 0, 26):
        now = {name: value[:, begin : begin + steps] for name, value in rows.items()}
        y, state = scan(**now, **rest, **case.options, initial_state=state, return_final_state=True)
        pieces.append(y)
        begin += steps
    # The same operations in the same order: only chunk borders differ, and no sum crosses them but that over states.
    tolerance = 1e-13 if dtype == torch.float64 else 1e-6
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=0, atol=tolerance * float(whole.abs().max()))
    torch.testing.assert_close(state, final, rtol=0, atol=tolerance * float(final.abs().max()))


@pytest.mark.parametrize("shape", [(0, 5, 3, 2), (2, 0, 3, 2), (2, 5, 0, 2), (2, 5, 3, 0)], ids=str)
@pytest.mark.parametrize("is_complex", [False, True])
def test_empty_axes(problem, agree, scan, shape, is_complex):
    case = problem(*shape, is_complex=is_complex)
    agree(case.run(scan), reference(case), 1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 50.0])
def test_steps_of_any_size(problem, agree, scan, method, scale):
    case = problem(1, 70, 17, 3, method=method, full=False)
    case.arguments["dt"] = scale / 8.5 * (1 + case.arguments["dt"])
    expected = reference(case)
    agree(case.run(scan), expected, 1e-11)
    agree(case.to(torch.float32).run(scan), expected, 2e-6, of_gradients=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("is_complex", [False, True])
def test_steps_beyond_all_reason_forget_and_pass_no_nan(problem, agree, scan, method, is_complex):
    case = problem(1, 40, 3, 2, method=method, full=False, is_complex=is_complex).to(torch.float32)
    case.arguments["dt"].fill_(1e5)
    got = case.run(scan)
    assert all(torch.isfinite(torch.view_as_real(x) if x.is_complex() else x).all() for x in got.values())
    if method == "zoh":  # the input's own equilibrium, -B u / A
        a, b, u = case.arguments["A"], case.arguments["B"][0, -1], case.arguments["u"][0, -1]
        torch.testing.assert_close(got["final_state"][0], -b / a * u[:, None], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_step_does_not_add_its_rounding_up(problem, agree, scan, method):
    # Rounded to float32, a decay of 0.999 is off by 3e-8 every time: 3e-5 of the gradients after 1000 steps.
    case = problem(1, 3000, 4, 2, method=method, full=False)
    case.arguments["dt"].fill_(0.00123)
    case.arguments["A"].fill_(-1.0)
    agree(case.to(torch.float32).run(scan), case.run(scan), 2e-6, of_gradients=5e-6)


@pytest.mark.parametrize("where", ["u", "dt", "gradient"])
@pytest.mark.parametrize("kind", [{}, {"fixed": "BC", "method": "zoh"}, {"is_complex": True, "full": False}], ids=str)
def test_what_is_no_number_stays_in_its_sequence(problem, scan, where, kind):
    case = problem(1, 70, 3, 4, ends=[0, 17, 17, 40, 70], **kind)
    (case.grad_y if where == "gradient" else case.arguments[where])[0, 25] = float("nan")
    got, truth = case.run(scan), case.run(lambda **arguments: selective_scan(**arguments, backend="reference"))
    assert truth["y"][:, 40:].isfinite().all()
    for name, expected in truth.items():
        finite = expected.isfinite()
        assert torch.equal(got[name].isfinite(), finite), name
        torch.testing.assert_close(got[name][finite], expected[finite], rtol=1e-11, atol=1e-11)


def test_one_step_that_is_nearly_closed_leaves_the_others(problem, agree, scan):
    case = problem(1, 20, 3, 4, is_complex=True, method="zoh").to(torch.float32)
    case.arguments["dt"][0, 7] = -95  # a softplus of 5e-42
    agree(case.run(scan), case.to(torch.float64).run(lambda **a: selective_scan(**a, backend="reference")), 5e-6)


def test_an_eigenvalue_of_zero_integrates(scan):
    u, one = torch.ones(1, 1000, 1), torch.ones(1, 1)
    for method in METHODS:
        y, final = scan(u, u / 4, 0 * one, one, one, method=method, return_final_state=True)
        late = 0.125 if method == "exponential-trapezoidal" else 0
        torch.testing.assert_close(y[0, :, 0], torch.arange(1.0, 1001.0) / 4 - late, rtol=1e-6, atol=0)
        torch.testing.assert_close(final, 250 * one[None], rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("is_complex", [False, True])
def test_half_precision_rounds_at_the_edge_only(problem, agree, scan, dtype, is_complex):
    case = problem(2, 70, 18, 5, is_complex=is_complex).to(torch.float32)
    if is_complex:
        case.arguments.update({name: case.arguments[name].real for name in ("B", "C")})
    rows = ("u", "dt", "z", "B", "C")
    low = {name: value.to(dtype) if name in rows else value for name, value in case.arguments.items()}
    half = type(case)(low, case.options, case.grad_y.to(dtype), case.grad_final)
    exact = type(case)(
        {k: v.float() if k in rows else v for k, v in low.items()}, case.options, half.grad_y.float(), case.grad_final
    )
    got, expected = half.run(scan), exact.to(torch.float64).run(lambda **a: selective_scan(**a, backend="reference"))
    assert got["y"].dtype == got["grad u"].dtype == got["grad B"].dtype == dtype
    assert got["final_state"].dtype.to_real() == got["grad A"].dtype.to_real() == torch.float32
    last = torch.finfo(dtype).eps / 2  # one rounding, of the largest entry; the rest is float32
    agree(got, expected, last + 5e-6)


def test_float32_over_65536_steps(problem, scan, agree):
    # Against the same backend in float64, which the tests above hold to the reference.
    generator = torch.Generator().manual_seed(0)
    u, z, step = (torch.randn(1, 65536, 2, generator=generator) for _ in range(3))
    B, C = (torch.randn(1, 65536, 4, generator=generator) for _ in range(2))
    dt = torch.exp(math.log(1e-2) + step.clamp(-2, 2))
    arguments = {"u": u, "dt": dt, "A": -torch.arange(1.0, 5.0).repeat(2, 1), "B": B, "C": C, "z": z}

    case = type(problem(1, 1, 1, 1))(arguments, {}, torch.ones_like(u), torch.ones(1, 2, 4))
    agree(case.run(scan), case.to(torch.float64).run(scan), 2e-6, of_gradients=1e-5)
