"""Wrong arguments: each message names the argument, what came, what is expected, and what to do."""

import pytest
import torch

from statespace.errors import InputError, ShapeError
from statespace.kernels import native
from statespace.kernels.lti_scan import lti_scan


@pytest.fixture
def arguments(problem):
    return problem(2, 6, 3, 4, initial=True).arguments


@pytest.mark.parametrize(
    ("name", "change", "error", "says"),
    [
        ("u", lambda u: u[0], ShapeError, r"u is \(6, 3\).*\(b, l, d\).*\(batch, length, channels\)"),
        ("u", lambda u: u.mT, ShapeError, r"log_a is \(3, 4\).*d = 6.*transpose"),
        ("u", lambda u: u.half(), InputError, r"u is torch.float16.*u\.float\(\)"),
        ("b", lambda b: b[:, :2], ShapeError, r"b is \(3, 2\)"),
        ("c", lambda c: c.real, InputError, r"c is torch.float64.*complex"),
        ("log_a", lambda a: a.real, InputError, r"log_a is torch.float64.*complex"),
        ("D", lambda D: D[:2], ShapeError, r"D is \(2,\)"),
        ("D", lambda D: D + 0j, InputError, r"D is torch.complex128.*D\.real"),
        ("initial_state", lambda h: h[:1], ShapeError, r"initial_state is \(1, 3, 4\)"),
        ("b", lambda b: b.to("meta"), InputError, r"b is on meta but u on cpu.*\.to\(u\.device\)"),
        ("lengths", lambda _: torch.tensor([1, 7]), InputError, r"between 1 and 7, but u is 6 steps"),
        ("lengths", lambda _: torch.tensor([-1, 2]), InputError, r"between -1 and 2"),
        ("lengths", lambda _: torch.tensor([1.0, 2.0]), InputError, r"lengths is torch.float32.*int64"),
        ("lengths", lambda _: torch.tensor([1]), ShapeError, r"lengths is \(1,\)"),
        (
            "backend",
            lambda _: "natve",
            InputError,
            r"backend is 'natve'.*native, chunked, reference.*Did you mean 'native'",
        ),
    ],
)
def test_a_wrong_argument_is_named(arguments, name, change, error, says):
    arguments[name] = change(arguments.get(name))
    with pytest.raises(error, match=says):
        lti_scan(**arguments)


def test_native_says_that_it_needs_the_cpu(arguments):
    on_meta = {name: value.to("meta") for name, value in arguments.items()}
    with pytest.raises(InputError, match=r"'native' cannot compute this: it computes on the CPU.*on meta"):
        lti_scan(**on_meta, backend="native")


def test_a_missing_core_says_why_and_auto_does_without(arguments, monkeypatch):
    monkeypatch.setattr(native, "_open", lambda: "not built: no compiler. Install one")
    with pytest.raises(InputError, match=r"'native' cannot.*not built: no compiler\. Install one.*backend='chunked'"):
        lti_scan(**arguments, backend="native")
    y, _ = lti_scan(**arguments)
    torch.testing.assert_close(y, lti_scan(**arguments, backend="reference")[0], rtol=0, atol=1e-12)
