"""Wrong arguments: each message names the argument, what came, what is expected, and what to do."""

import pytest
import torch

from statespace.errors import InputError, ShapeError
from statespace.kernels import native
from statespace.kernels.selective_scan import selective_scan


@pytest.fixture
def arguments(problem):
    return problem(2, 6, 3, 4).arguments


@pytest.mark.parametrize(
    ("name", "change", "error", "says"),
    [
        ("u", lambda u: u[0], ShapeError, r"u is \(6, 3\).*\(b, l, d\).*\(batch, length, channels\)"),
        ("u", lambda u: u.mT, ShapeError, r"A is \(3, 4\).*d = 6.*transpose"),
        ("u", lambda u: u.long(), InputError, r"u is torch.int64.*u\.float\(\)"),
        ("dt", lambda dt: dt[:, :, :1], ShapeError, r"dt is \(2, 6, 1\)"),
        ("dt", lambda dt: dt + 0j, InputError, r"dt is torch.complex128.*dt\.real"),
        ("A", lambda A: A[:, :2], ShapeError, r"B is \(2, 6, 4\).*n = 2"),
        ("B", lambda B: B[0, 0], ShapeError, r"B is \(4,\).*\(b, l, n\), \(b, l, g, n\).*\(d, n\)"),
        ("B", lambda B: B + 0j, InputError, r"B is torch.complex128 but A is torch.float64.*A \+ 0j"),
        ("B", lambda B: B[:, :, None].expand(2, 6, 2, 4), ShapeError, r"B has 2 groups.*3 channels"),
        ("C", lambda C: C[:, :, None].expand(2, 6, 3, 4), ShapeError, r"C is \(2, 6, 3, 4\) but B is \(2, 6, 4\)"),
        ("C", lambda C: C[:, :5], ShapeError, r"C is \(2, 5, 4\)"),
        ("D", lambda D: D[:2], ShapeError, r"D is \(2,\)"),
        ("z", lambda z: z[:1], ShapeError, r"z is \(1, 6, 3\)"),
        ("dt_bias", lambda x: x[None], ShapeError, r"dt_bias is \(1, 3\)"),
        ("initial_state", lambda h: h[:1], ShapeError, r"initial_state is \(1, 3, 4\)"),
        ("B", lambda B: B.to("meta"), InputError, r"B is on meta but u on cpu.*\.to\(u\.device\)"),
        ("cu_seqlens", lambda _: torch.tensor([0, 6]), ShapeError, r"batch of 1, but u has 2 rows"),
        ("method", lambda _: "zho", InputError, r"method is 'zho'.*Did you mean 'zoh'"),
        ("backend", lambda _: "natve", InputError, r"backend is 'natve'.*Did you mean 'native'"),
    ],
)
def test_a_wrong_argument_is_named(arguments, name, change, error, says):
    arguments[name] = change(arguments.get(name))
    with pytest.raises(error, match=says):
        selective_scan(**arguments)


@pytest.mark.parametrize(
    ("ends", "error", "says"),
    [
        ([0, 7], InputError, r"is \[0, 7\], but.*from 0 to the length of u, 6"),
        ([1, 6], InputError, r"is \[1, 6\], but"),
        ([0, 4, 3, 6], InputError, "without a step back"),
        ([0.0, 6.0], InputError, r"torch.float32.*int32 or int64.*\.long\(\)"),
        ([[0, 6]], ShapeError, r"\(1, 2\), but \(s\+1\)"),
        ([0], ShapeError, r"\(1,\), but \(s \+ 1,\)"),
    ],
)
def test_wrong_sequences_are_named(problem, ends, error, says):
    with pytest.raises(error, match=says):
        selective_scan(**problem(1, 6, 3, 4, full=False).arguments, cu_seqlens=torch.tensor(ends))


def test_initial_states_go_with_the_sequences(problem):
    arguments = problem(1, 6, 3, 4).arguments
    with pytest.raises(ShapeError, match=r"initial_state is \(1, 3, 4\).*sequences = 2"):
        selective_scan(**arguments, cu_seqlens=torch.tensor([0, 2, 6]))


def test_native_says_that_it_needs_the_cpu(arguments):
    on_meta = {name: value.to("meta") for name, value in arguments.items()}
    with pytest.raises(InputError, match=r"'native' cannot compute this: it computes on the CPU.*on meta"):
        selective_scan(**on_meta, backend="native")


def test_a_missing_core_says_why_and_auto_does_without(arguments, monkeypatch):
    monkeypatch.setattr(native, "_open", lambda: "not built: no compiler. Install one")
    with pytest.raises(InputError, match=r"'native' cannot.*not built: no compiler\. Install one"):
        selective_scan(**arguments, backend="native")
    expected = selective_scan(**arguments, backend="reference")
    torch.testing.assert_close(selective_scan(**arguments), expected, rtol=1e-12, atol=1e-12)
