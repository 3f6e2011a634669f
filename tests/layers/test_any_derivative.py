"""Derivatives of any order and direction through layers, by the reference: against finite differences."""

import pytest
import torch
from torch import Tensor

from statespace.errors import InputError
from statespace.kernels import prefer
from statespace.layers import LAYERS

RECURRENT = [name for name in LAYERS if name not in ("lstm", "gru", "transformer")]


def made(name: str) -> tuple[torch.nn.Module, Tensor]:
    torch.manual_seed(0)
    layer = LAYERS[name](4).double()
    return layer, torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("name", RECURRENT)
def test_second_derivatives_are_those_of_finite_differences(name: str) -> None:
    layer, x = made(name)

    def output(x: Tensor) -> Tensor:
        return layer(x)[0]

    with prefer("reference"):
        assert torch.autograd.gradgradcheck(output, x, fast_mode=True)


@pytest.mark.parametrize("name", RECURRENT)
def test_forward_derivatives_are_those_of_finite_differences(name: str) -> None:
    layer, x = made(name)
    x, direction = x.detach(), torch.randn_like(x)
    with prefer("reference"):
        _, found = torch.func.jvp(lambda x: layer(x)[0], (x,), (direction,))
        step = 1e-6 * direction
        with torch.no_grad():
            want = (layer(x + step)[0] - layer(x - step)[0]) / 2e-6
    torch.testing.assert_close(found, want, rtol=1e-5, atol=1e-7)


def test_the_way_there_is_told() -> None:
    layer, x = made("s4d")
    (gradient,) = torch.autograd.grad(layer(x)[0].sum(), x, create_graph=True)
    with pytest.raises(InputError, match=r"within statespace\.kernels\.prefer\('reference'\)"):
        gradient.square().sum().backward()


def test_a_preference_ends_with_its_context_and_is_for_what_auto_leaves_open() -> None:
    layer, x = made("s4d")

    before = layer(x)[0]
    with pytest.raises(ZeroDivisionError), prefer("reference"):
        raise ZeroDivisionError
    (gradient,) = torch.autograd.grad(layer(x)[0].sum(), x, create_graph=True)
    with pytest.raises(InputError, match="second derivatives"):
        gradient.square().sum().backward()
    torch.testing.assert_close(layer(x)[0], before, rtol=0, atol=0)


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="prefer: backend is 'cuda', which is not known"), prefer("cuda"):
        pass


def test_a_graph_is_made_anew_for_another_preference() -> None:
    layer, x = made("s4d")
    compiled = torch.compile(lambda x: layer(x)[0], fullgraph=True, backend="aot_eager")
    plain = compiled(x)
    with prefer("reference"):
        torch.testing.assert_close(compiled(x), plain, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(compiled(x), plain, rtol=0, atol=0)
