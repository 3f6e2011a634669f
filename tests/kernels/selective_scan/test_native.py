"""What is particular to compiled code: threads, processes, memory that is not ours, strides, denormals."""

import math
import os
import time

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statespace.kernels.selective_scan import METHODS, native, selective_scan

pytestmark = pytest.mark.usefixtures("compiled")


def run(**arguments):
    return selective_scan(**arguments, backend="native")


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((3, 500, 272, 8), {}), ((70, 90, 20, 6), {"groups": 2}), ((1, 900, 40, 16), {"is_complex": True, "fixed": "C"})],
    ids=str,
)
def test_same_bits_for_any_number_of_threads(problem, threads, shape, kind):
    # Large enough for more than one thread, with more panels than one and more sequences than runs.
    case = problem(*shape, **kind).to(torch.float32)
    threads(1)
    expected = case.run(run)
    for count in (2, 3, 8, 2):
        threads(count)
        for name, value in case.run(run).items():
            assert torch.equal(value, expected[name]), (name, count)


def test_a_forked_child_computes_the_same(problem, threads):
    threads(2)
    case = problem(4, 400, 64, 8).to(torch.float32)
    names = ("u", "dt", "A", "B", "C", "D", "z", "dt_bias", "initial_state")
    given = [case.arguments[name] for name in names]
    given[3:5] = [x[:, :, None] for x in given[3:5]]
    # The parent uses its threads before it forks.
    expected = [x.numpy().tobytes() for x in native.forward(*given, None, True, "zoh", True)]
    child = os.fork()
    if child == 0:
        status = 1
        try:
            # Compared as bytes: torch's own parallel operations hang in a forked child.
            found = [x.numpy().tobytes() for x in native.forward(*given, None, True, "zoh", True)]
            status = 0 if found == expected else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_strides_are_read_as_they_are(problem):
    case = problem(2, 70, 20, 4)
    expected = case.run(run)
    padded = {}
    for name, value in case.arguments.items():
        if value.ndim == 3 and name != "initial_state":
            room = torch.full((2, 140, value.shape[2] + 5), math.nan, dtype=value.dtype)
            room[:, ::2, 2 : 2 + value.shape[2]] = value
            padded[name] = room[:, ::2, 2 : 2 + value.shape[2]]
        else:
            padded[name] = value.mT.contiguous().mT if value.ndim > 1 else value
    transposed = {
        k: v.permute(2, 0, 1).contiguous().permute(1, 2, 0) if v.ndim == 3 else v for k, v in case.arguments.items()
    }
    for view in (padded, transposed):
        y, final = run(**view, **case.options, return_final_state=True)
        assert torch.equal(y, expected["y"])
        assert torch.equal(final, expected["final_state"])


def test_expanded_and_conjugated_arguments(problem, agree):
    case = problem(2, 40, 20, 4, is_complex=True)
    arguments = case.arguments | {
        "u": case.arguments["u"][:1, :, :1].expand(2, 40, 20),
        "dt": case.arguments["dt"][:, :1].expand(2, 40, 20),
        "A": case.arguments["A"].conj(),
        "B": case.arguments["B"].conj()[:, :1].expand(2, 40, 4),
        "D": case.arguments["A"][:, 0].conj().imag,
    }
    plain = {name: value.resolve_conj().resolve_neg().clone() for name, value in arguments.items()}
    got = run(**arguments, **case.options)
    expected = selective_scan(**plain, **case.options, backend="reference")
    agree({"y": got}, {"y": expected}, 1e-12)


def test_a_gradient_that_is_expanded(problem):
    case = problem(2, 40, 20, 4)
    u = case.arguments["u"].requires_grad_()
    (once,) = torch.autograd.grad(run(**case.arguments, **case.options).sum(), u)
    (again,) = torch.autograd.grad(run(**case.arguments, **case.options), u, torch.ones_like(u))
    assert torch.equal(once, again)


def test_wrong_sequences_in_a_graph_touch_nothing_outside(problem):
    # Values are not checked while a graph runs: bent to the row, they still cover it once.
    case = problem(1, 64, 18, 3, full=False)
    given = [case.arguments[name] for name in ("u", "dt", "A", "B", "C")]
    given[3:] = [x[:, :, None] for x in given[3:]]
    for ends in ([0, 900, -5, 64], [-(2**62), 2**62], [7, 7, 7, 7]):
        y, final, kept = native.forward(*given, *[None] * 4, torch.tensor(ends), False, "euler-b", True)
        grads = native.backward(y, final, kept, *given, *[None] * 4, torch.tensor(ends), False, "euler-b", True)
        assert all(torch.isfinite(x).all() for x in (y, final, *grads))


def test_denormal_numbers_do_not_slow_it_down():
    # A state that starts at 1e-30 and decays would pass 1e-38 after some steps and stay below for the rest. So would
    # its gradient on the way back.
    def seconds(start):
        u = torch.zeros(1, 4000, 64)
        arguments = (u, torch.full_like(u, 0.01), -torch.ones(64, 16), torch.ones(1, 4000, 16), torch.ones(1, 4000, 16))
        state = torch.full((1, 64, 16), start).requires_grad_()
        best = math.inf
        for _ in range(5):
            begin = time.process_time()
            y, final = selective_scan(*arguments, initial_state=state, return_final_state=True, backend="native")
            (grad,) = torch.autograd.grad(final, state, torch.full_like(final, start))
            best = min(best, time.process_time() - begin)
        return best, y, grad

    plain, *_ = seconds(1.0)
    tiny, y, grad = seconds(1e-30)
    assert tiny < 3 * plain  # where denormals were computed with, it would be 20 times and more
    assert (y[0, -1] == 0).all()
    assert (grad == 0).all()


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.tuples(st.integers(0, 3), st.integers(0, 70), st.integers(0, 40), st.integers(0, 9)),
    groups=st.sampled_from([None, 1, 2, 4]),
    method=st.sampled_from(METHODS),
    is_complex=st.booleans(),
    fixed=st.sampled_from(["", "B", "C", "B C"]),
    full=st.booleans(),
    axes=st.permutations([0, 1, 2]),
    step=st.sampled_from([1, 2]),
    seed=st.integers(0, 99),
)
def test_any_shape_and_strides(problem, sizes, groups, method, is_complex, fixed, full, axes, step, seed):
    batch, length, channels, states = sizes
    if groups and channels % groups:
        channels += groups - channels % groups
    case = problem(
        batch, length, channels, states,
        groups=groups, method=method, is_complex=is_complex, fixed=fixed, full=full, seed=seed,
    )  # fmt: skip

    def strided(value):
        # Memory in another order of the axes, with gaps.
        if value.ndim != 3:
            return value
        room = value.new_full([step * value.shape[axis] for axis in axes], math.nan)
        return room.permute([axes.index(i) for i in range(3)])[::step, ::step, ::step].copy_(value)

    def laid_out(**arguments):
        return run(**{name: strided(value) if torch.is_tensor(value) else value for name, value in arguments.items()})

    got = case.run(laid_out)
    expected = case.run(lambda **arguments: selective_scan(**arguments, backend="reference"))
    for name, truth in expected.items():
        scale = float(truth.abs().max()) if truth.numel() else 0.0
        torch.testing.assert_close(
            got[name], truth, rtol=0, atol=1e-12 * scale + 1e-300, msg=lambda m, n=name: f"{n}: {m}"
        )
