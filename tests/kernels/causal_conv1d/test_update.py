"""The single step: against the convolution of the whole, in every precision, and its mistakes."""

import pytest
import torch

from statespace.errors import InputError, ShapeError
from statespace.kernels.causal_conv1d import causal_conv1d, causal_conv1d_update


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("width", [1, 2, 4, 9])
@pytest.mark.parametrize("activation", [None, "silu"])
def test_steps_are_the_convolution(problem, dtype, width, activation):
    case = problem(3, 12, 5, width, initial=True).to(dtype)
    x, weight, bias, state = case.tensors.values()
    y, final = causal_conv1d(x, weight, bias, state, activation, return_final_state=True, backend="reference")
    state = state.clone()
    memory = state.data_ptr()
    got = torch.stack([causal_conv1d_update(x[:, t], state, weight, bias, activation) for t in range(12)], 1)
    # The same products in another order.
    tolerance = {torch.float64: 1e-13, torch.float32: 1e-5, torch.bfloat16: 2**-7}[dtype]
    torch.testing.assert_close(got, y, rtol=tolerance, atol=tolerance)
    assert torch.equal(state, final)
    assert state.data_ptr() == memory


def test_a_step_goes_on_from_a_prefix(problem):
    x, weight, _, _ = problem(2, 20, 5, 4).tensors.values()
    y = causal_conv1d(x, weight)
    _, state = causal_conv1d(x[:, :13], weight, return_final_state=True)
    for t in range(13, 20):
        torch.testing.assert_close(causal_conv1d_update(x[:, t], state, weight), y[:, t], rtol=0, atol=1e-13)


def test_gradients_of_a_step(problem):
    case = problem(2, 1, 3, 4, initial=True)
    x, weight, bias, state = case.tensors.values()

    def step(x, weight, bias):
        return causal_conv1d_update(x, state.clone(), weight, bias, "silu")

    leaves = tuple(value.requires_grad_() for value in (x[:, 0].clone(), weight, bias))
    assert torch.autograd.gradcheck(step, leaves, fast_mode=True)


def test_compiles_as_one_graph(problem):
    x, weight, bias, state = problem(2, 1, 3, 4, initial=True).tensors.values()
    here, there = state.clone(), state.clone()
    expected = causal_conv1d_update(x[:, 0], here, weight, bias, "silu")
    step = torch.compile(causal_conv1d_update, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(step(x[:, 0], there, weight, bias, "silu"), expected, rtol=0, atol=1e-14)
    assert torch.equal(here, there)


@pytest.mark.parametrize(
    ("name", "change", "error", "says"),
    [
        ("x", lambda x: x[:, None], ShapeError, r"x is \(2, 1, 5\).*\(batch, channels\)"),
        ("state", lambda h: h[:, 1:], ShapeError, r"state is \(2, 2, 5\).*last k - 1 inputs"),
        ("state", lambda h: h.float(), InputError, r"state is torch.float32 but x is torch.float64"),
        ("state", lambda h: h.requires_grad_(), InputError, r"state needs a gradient"),
        ("weight", lambda w: w[:3], ShapeError, r"weight is \(3, 4\)"),
        ("activation", lambda _: "gelu", InputError, r"activation is 'gelu'"),
        ("bias", lambda b: b.to("meta"), InputError, r"bias is on meta"),
    ],
)
def test_a_wrong_argument_is_named(problem, name, change, error, says):
    x, weight, bias, state = problem(2, 1, 5, 4, initial=True).tensors.values()
    arguments = {"x": x[:, 0], "weight": weight, "bias": bias, "state": state, "activation": None}
    arguments[name] = change(arguments[name])
    with pytest.raises(error, match=says):
        causal_conv1d_update(**arguments)
