"""Operators made of a forward and a backward, and the choice among backends."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from statespace.errors import InputError
from statespace.kernels.dispatch import pick
from statespace.kernels.registration import register


def _forward(x, scale, power):
    y = x**power if scale is None else scale * x**power
    return y, x.sum(), x * power


def _backward(grad_y, grad_sum, kept, x, scale, power):
    grad_y = torch.zeros_like(x) if grad_y is None else grad_y
    factor = 1 if scale is None else scale
    grad_x = grad_y * factor * kept * x ** (power - 2)  # `kept` is x times the power
    if grad_sum is not None:
        grad_x = grad_x + grad_sum
    return grad_x, x.new_empty(0) if scale is None else (grad_y * x**power).sum().reshape(scale.shape)


@pytest.fixture(scope="module")
def powers():
    return register(
        "test_powers",
        _forward,
        _backward,
        lambda x, *_: (x.new_empty(x.shape), x.new_empty(()), x.new_empty(x.shape)),
        arguments="Tensor x, Tensor? scale, int power",
        gradients=("x", "scale"),
        results=2,
        kept=1,
    )


@pytest.mark.parametrize("with_scale", [False, True])
def test_operator_is_what_torch_wants(powers, with_scale):
    x = torch.rand(5, dtype=torch.float64).add_(0.5).requires_grad_()
    scale = torch.rand((), dtype=torch.float64).requires_grad_() if with_scale else None
    torch.library.opcheck(torch.ops.statespace.test_powers, (x, scale, 3))
    given = [value for value in (x, scale) if value is not None]
    assert torch.autograd.gradcheck(lambda *values: powers(values[0], *values[1:] or (None,), 3)[:2], given)


def test_a_result_that_nobody_used_costs_nothing(powers):
    x = torch.rand(5, dtype=torch.float64).requires_grad_()
    torch.testing.assert_close(torch.autograd.grad(powers(x, None, 3)[1], x)[0], torch.ones_like(x))


def test_gradients_through_a_checkpoint(powers):
    x = torch.rand(5, dtype=torch.float64).requires_grad_()
    y, *_ = checkpoint(powers, x, None, 3, use_reentrant=False)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], 3 * x**2)


def test_what_is_kept_has_no_gradient(powers):
    x = torch.rand(5, dtype=torch.float64).requires_grad_()
    assert not powers(x, None, 3)[2].requires_grad


def test_a_result_can_be_saved_in_place_of_an_argument():
    exponential = register(
        "test_exponential",
        lambda x, shift: torch.exp(x) + shift,
        lambda grad, y, shift: grad * (y - shift),
        lambda x, *_: x.new_empty(x.shape),
        arguments="Tensor x, float shift",
        gradients=("x",),
        instead={"x": 0},
    )
    x = torch.rand(5, dtype=torch.float64).requires_grad_()
    torch.library.opcheck(torch.ops.statespace.test_exponential, (x, 2.0))
    assert torch.autograd.gradcheck(lambda x: exponential(x, 2.0), x)
    y = exponential(x, 2.0)
    with torch.no_grad():
        x.zero_()  # is not needed any more
    y.sum().backward()
    torch.testing.assert_close(x.grad, y.detach() - 2)


def test_a_gradient_that_nobody_wants_is_left_out():
    asked = []

    def backward(grad, x, y, wanted):
        asked.append(wanted)
        return tuple(grad * other if want else x.new_empty(0) for other, want in zip((y, x), wanted, strict=True))

    product = register(
        "test_product",
        lambda x, y: x * y,
        backward,
        lambda x, _: x.new_empty(x.shape),
        arguments="Tensor x, Tensor y",
        gradients=("x", "y"),
        selective=True,
    )
    x, y = torch.rand(2, 5, dtype=torch.float64)
    for wanted in ([True, False], [False, True], [True, True]):
        x.requires_grad_(wanted[0])
        y.requires_grad_(wanted[1])
        torch.library.opcheck(torch.ops.statespace.test_product, (x, y))
        del asked[:]
        product(x, y).sum().backward()
        assert asked == [wanted]
    torch.testing.assert_close(x.grad, 2 * y.detach(), rtol=0, atol=0)


def test_autocast_is_off_inside():
    seen = []

    def forward(x):
        seen.append(torch.is_autocast_enabled("cpu"))
        return x @ x

    square = register(
        "test_square",
        forward,
        lambda grad, x: grad @ x.mT + x.mT @ grad,
        lambda x: x.new_empty(x.shape),
        arguments="Tensor x",
        gradients=("x",),
    )
    x = torch.rand(3, 3, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = square(x)
        y.sum().backward()
    assert y.dtype == x.grad.dtype == torch.float32
    assert seen == [False]


def test_second_derivatives_are_refused_by_name(powers):
    x = torch.rand(5, dtype=torch.float64).requires_grad_()
    (grad,) = torch.autograd.grad(powers(x, None, 3)[0].sum(), x, create_graph=True)
    with pytest.raises(InputError, match=r"test_powers: second derivatives.*backend='reference'"):
        grad.sum().backward()


def test_picks_the_first_that_can():
    assert pick("op", "auto", {"native": "there is none.", "chunked": None, "reference": None}) == "chunked"
    assert pick("op", "reference", {"native": None, "reference": None}) == "reference"


def test_refusals_say_why_and_what_else():
    with pytest.raises(InputError, match=r"op: backend 'native' cannot compute this: there is none\. Take .*'chunked'"):
        pick("op", "native", {"native": "there is none.", "chunked": None})
    with pytest.raises(InputError, match="native, chunked"):
        pick("op", "nativ", {"native": None, "chunked": None})
