"""Wrong arguments: each message names the argument, what came, what is expected, and what to do."""

import pytest
import torch

from statespace.errors import InputError, ShapeError
from statespace.kernels.ssd import ssd


@pytest.mark.parametrize(
    ("name", "change", "error", "says"),
    [
        ("x", lambda x: x.flatten(2), ShapeError, r"ssd: x is \(2, 6, 12\).*unflatten\(-1, \(heads, -1\)\)"),
        ("x", lambda x: x.long(), InputError, r"x is torch.int64.*x\.float\(\)"),
        ("dt", lambda t: t[:, :, :1], ShapeError, r"dt is \(2, 6, 1\).*h = 4"),
        ("A", lambda A: A[:, None], ShapeError, r"A is \(4, 1\)"),
        ("B", lambda B: B[:, :, 0], ShapeError, r"B is \(2, 6, 5\).*B\[:, :, None\]"),
        ("C", lambda C: C[:, :, :1], ShapeError, r"C is \(2, 6, 1, 5\).*g = 2"),
        ("D", lambda D: D[:2], ShapeError, r"D is \(2,\)"),
        ("z", lambda z: z[:1], ShapeError, r"z is \(1, 6, 4, 3\)"),
        ("z", lambda z: z.float(), InputError, r"x is torch.float64 but z is torch.float32.*z\.to\(x\.dtype\)"),
        ("dt_bias", lambda b: b[:1], ShapeError, r"dt_bias is \(1,\)"),
        ("initial_state", lambda h: h.mT, ShapeError, r"initial_state is \(2, 4, 5, 3\).*each sequence"),
        ("A", lambda A: A.to("meta"), InputError, r"A is on meta but x on cpu"),
        ("lengths", lambda _: torch.tensor([1, 7]), InputError, r"between 1 and 7, but x is 6 steps"),
        ("lengths", lambda _: torch.tensor([1.0, 2.0]), InputError, r"lengths is torch.float32.*int64"),
        ("lengths", lambda _: torch.tensor([1]), ShapeError, r"lengths is \(1,\)"),
        ("cu_seqlens", lambda _: torch.tensor([0, 6]), ShapeError, r"x has 2 rows.*x\.flatten\(0, 1\)\[None\]"),
        ("chunk", lambda _: 2.5, InputError, r"chunk is 2.5, but a whole number"),
        ("chunk", lambda _: 0, InputError, r"chunk is 0, but a whole number from 1 on"),
        ("backend", lambda _: "chunk", InputError, r"backend is 'chunk'.*Did you mean 'chunked'"),
    ],
)
def test_a_wrong_argument_is_named(problem, name, change, error, says):
    arguments = problem(2, 6, 4, 3, 2, 5).arguments
    arguments[name] = change(arguments.get(name))
    with pytest.raises(error, match=says):
        ssd(**arguments)


def test_groups_divide_the_heads(problem):
    arguments = problem(2, 6, 4, 3, 3, 5).arguments
    with pytest.raises(ShapeError, match=r"3 groups but x has 4 heads"):
        ssd(**arguments)


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ([0, 4], r"is \[0, 4\], but.*length of x, 6"),
        ([1, 6], r"is \[1, 6\], but"),
        ([0, 5, 4, 6], r"without a step back"),
    ],
)
def test_bounds_of_packed_sequences(problem, bounds, says):
    arguments = problem(1, 6, 4, 3, 2, 5, full=False).arguments
    with pytest.raises(InputError, match=says):
        ssd(**arguments, cu_seqlens=torch.tensor(bounds))
    with pytest.raises(InputError, match=r"lengths and cu_seqlens are both given"):
        ssd(**arguments, cu_seqlens=torch.tensor([0, 6]), lengths=torch.tensor([6]))
    with pytest.raises(InputError, match=r"cu_seqlens is torch.float32.*int32"):
        ssd(**arguments, cu_seqlens=torch.tensor([0.0, 6.0]))
