"""Wrong arguments: each message names the argument, what came, what is expected, and what to do."""

import pytest
import torch

from statespace.errors import InputError, ShapeError
from statespace.kernels import native
from statespace.kernels.causal_conv1d import causal_conv1d


@pytest.fixture
def arguments(problem):
    return problem(2, 6, 3, 4, initial=True).tensors


@pytest.mark.parametrize(
    ("name", "change", "error", "says"),
    [
        ("x", lambda x: x[0], ShapeError, r"x is \(6, 3\).*\(b, l, d\).*\(batch, length, channels\)"),
        ("x", lambda x: x.mT, ShapeError, r"weight is \(3, 4\).*d = 6.*transpose"),
        ("x", lambda x: x.long(), InputError, r"x is torch.int64.*bfloat16.*x\.float\(\)"),
        ("weight", lambda w: w[:, None], ShapeError, r"weight is \(3, 1, 4\)"),
        ("weight", lambda w: w[:, :0], ShapeError, r"weight is \(3, 0\).*at least one tap"),
        ("weight", lambda w: w + 0j, InputError, r"weight is torch.complex128.*weight\.float\(\)"),
        ("bias", lambda b: b[:2], ShapeError, r"bias is \(2,\)"),
        ("bias", lambda b: b.long(), InputError, r"bias is torch.int64"),
        ("initial_state", lambda h: h[:, 1:], ShapeError, r"initial_state is \(2, 2, 3\).*k-1 = 3.*last k - 1 inputs"),
        ("activation", lambda _: "relu", InputError, r"activation is 'relu'.*silu"),
        ("bias", lambda b: b.to("meta"), InputError, r"bias is on meta but x on cpu.*\.to\(x\.device\)"),
        ("lengths", lambda _: torch.tensor([1, 7]), InputError, r"between 1 and 7, but x is 6 steps"),
        ("lengths", lambda _: torch.tensor([1.0, 2.0]), InputError, r"lengths is torch.float32.*int64"),
        ("lengths", lambda _: torch.tensor([1]), ShapeError, r"lengths is \(1,\)"),
        ("cu_seqlens", lambda _: torch.tensor([0, 6]), ShapeError, r"batch of 1, but x has 2 rows"),
        ("backend", lambda _: "natve", InputError, r"backend is 'natve'.*Did you mean 'native'"),
    ],
)
def test_a_wrong_argument_is_named(arguments, name, change, error, says):
    arguments[name] = change(arguments.get(name))
    with pytest.raises(error, match=says):
        causal_conv1d(**arguments)


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ([0, 4, 5], r"is \[0, 4, 5\], but it must rise from 0 to the length of x, 6"),
        ([1, 6], r"is \[1, 6\], but"),
        ([0, 5, 3, 6], "without a step back"),
        ([0.0, 6.0], "torch.float32"),
    ],
)
def test_wrong_bounds_are_refused(arguments, bounds, says):
    arguments |= {"x": arguments["x"][:1], "initial_state": None}
    with pytest.raises(InputError, match=says):
        causal_conv1d(**arguments, cu_seqlens=torch.tensor(bounds))


def test_padded_and_packed_at_once_is_refused(arguments):
    with pytest.raises(InputError, match="lengths and cu_seqlens are both given"):
        causal_conv1d(**arguments, lengths=torch.tensor([1, 2]), cu_seqlens=torch.tensor([0, 6]))


def test_a_missing_core_says_why_and_auto_does_without(arguments, monkeypatch):
    monkeypatch.setattr(native, "_open", lambda: "not built: no compiler. Install one")
    with pytest.raises(InputError, match=r"'native' cannot.*not built: no compiler\. Install one.*backend='chunked'"):
        causal_conv1d(**arguments, backend="native")
    y = causal_conv1d(**arguments)
    torch.testing.assert_close(y, causal_conv1d(**arguments, backend="reference"), rtol=0, atol=1e-12)
