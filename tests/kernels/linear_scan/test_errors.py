"""Wrong arguments: each message names the argument, what came, what is expected, and what to do."""

import pytest
import torch

from statespace.errors import InputError, ShapeError
from statespace.kernels import native
from statespace.kernels.linear_scan import linear_scan


@pytest.fixture
def arguments(problem):
    return problem(2, 6, (3, 4), initial=True).arguments


@pytest.mark.parametrize(
    ("name", "change", "error", "says"),
    [
        ("b", lambda b: b[0, 0, 0], ShapeError, r"b is \(4,\).*\(batch, length, channels\.\.\.\).*b\[None\]"),
        ("a", lambda a: a[:, :5], ShapeError, r"a is \(2, 5, 3, 4\).*broadcast to b, \(2, 6, 3, 4\).*channels alone"),
        ("a", lambda a: a[None], ShapeError, r"a is \(1, 2, 6, 3, 4\)"),
        ("a", lambda a: a.long(), InputError, r"a is torch.int64.*a\.float\(\)"),
        ("a", lambda a: a.to("meta"), InputError, r"a is on meta but b on cpu.*\.to\(b\.device\)"),
        ("initial_state", lambda h: h[:1], ShapeError, r"initial_state is \(1, 3, 4\), but \(2, 3, 4\)"),
        ("lengths", lambda _: torch.tensor([1, 7]), InputError, r"between 1 and 7, but b is 6 steps"),
        ("lengths", lambda _: torch.tensor([1.0, 2.0]), InputError, r"lengths is torch.float32.*int64"),
        ("lengths", lambda _: torch.tensor([1]), ShapeError, r"lengths is \(1,\)"),
        ("cu_seqlens", lambda _: torch.tensor([0, 6]), ShapeError, r"batch of 1, but b has 2 rows"),
        ("backend", lambda _: "natve", InputError, r"backend is 'natve'.*native, chunked, reference.*Did you mean"),
    ],
)
def test_a_wrong_argument_is_named(arguments, name, change, error, says):
    arguments[name] = change(arguments.get(name))
    with pytest.raises(error, match=says):
        linear_scan(**arguments)


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ([0, 5], r"is \[0, 5\], but it must rise from 0 to the length of b, 6.*cumulative sum"),
        ([1, 6], r"rise from 0"),
        ([0, 4, 2, 6], r"rise from 0"),
        ([0], r"cu_seqlens is \(1,\).*\[0, 6\]"),
    ],
)
def test_wrong_bounds_are_named(arguments, bounds, says):
    with pytest.raises(InputError, match=says):
        linear_scan(arguments["a"][:1], arguments["b"][:1], cu_seqlens=torch.tensor(bounds))


def test_padded_and_packed_exclude_each_other(arguments):
    with pytest.raises(InputError, match=r"lengths and cu_seqlens are both given"):
        linear_scan(**arguments, lengths=torch.tensor([1, 2]), cu_seqlens=torch.tensor([0, 6]))


def test_native_says_that_it_needs_the_cpu(arguments):
    on_meta = {name: value.to("meta") for name, value in arguments.items()}
    with pytest.raises(InputError, match=r"'native' cannot compute this: it computes on the CPU.*on meta"):
        linear_scan(**on_meta, backend="native")


def test_a_missing_core_says_why_and_auto_does_without(arguments, monkeypatch):
    monkeypatch.setattr(native, "_open", lambda: "not built: no compiler. Install one")
    with pytest.raises(InputError, match=r"'native' cannot.*not built: no compiler\. Install one.*backend='chunked'"):
        linear_scan(**arguments, backend="native")
    expected = linear_scan(**arguments, backend="reference")
    torch.testing.assert_close(linear_scan(**arguments), expected, rtol=0, atol=1e-12)
