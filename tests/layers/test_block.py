"""Residual blocks: the formula, gaps, and the recurrence."""

import numpy as np
import pytest
import torch
from scipy.special import expit
from scipy.stats import norm
from torch import Tensor

from statespace.layers import S4D, ResidualBlock
from statespace.layers.mixing import MIXINGS

BATCH, LENGTH, CHANNELS = 2, 40, 6
# Two orders of the same few dozen float64 operations.
TOLERANCE = 1e-12

mixings = pytest.mark.parametrize("mixing", MIXINGS)
views = pytest.mark.parametrize("view", ["convolution", "scan"])


def make(mixing: str, view: str = "auto", **options: float) -> ResidualBlock:
    return ResidualBlock(S4D(CHANNELS, 8, view=view), mixing, **options).double()


def signal() -> Tensor:
    return torch.randn(BATCH, LENGTH, CHANNELS, dtype=torch.float64)


def linear(layer: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    weight, bias = (parameter.detach().numpy() for parameter in layer.parameters())
    return x @ weight.T + bias


@mixings
def test_is_the_formula_in_scipy(mixing: str) -> None:
    block, x = make(mixing), signal()
    out, _ = block(x)
    u = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + block.norm.eps).sqrt()
    y = block.layer(u)[0].detach().numpy()
    u = u.numpy()
    if mixing == "glu":
        left, right = np.split(linear(block.mixing.linear, y * norm.cdf(y)), 2, axis=-1)  # GELU(y) = y Φ(y)
        mixed = left * expit(right)
    elif mixing == "none":
        mixed = y
    else:
        gate = linear(block.mixing.gate, u)
        mixed = linear(block.mixing.linear, y * gate * expit(gate))
    np.testing.assert_allclose(out.detach().numpy(), x.numpy() + mixed, rtol=0, atol=TOLERANCE)


@mixings
@pytest.mark.parametrize("dt_scale", [1.0, 0.5])
def test_step_by_step(mixing: str, dt_scale: float) -> None:
    block, x = make(mixing), signal()
    expected, final = block(x, dt_scale=dt_scale)
    state = block.layer.initial_state(BATCH)
    for t in range(LENGTH):
        y, state = block.step(x[:, t], state, dt_scale=dt_scale)
        torch.testing.assert_close(y, expected[:, t], rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(state, final, rtol=0, atol=TOLERANCE)


@mixings
@views
def test_nothing_enters_in_a_gap(mixing: str, view: str) -> None:
    block, x = make(mixing, view), signal()
    observed = torch.rand(BATCH, LENGTH) < 0.6
    other = torch.where(observed[..., None], x, torch.randn_like(x))
    (y, final), (y_other, final_other) = (block(signal, observed=observed) for signal in (x, other))
    torch.testing.assert_close(final, final_other, rtol=0, atol=0)
    # The residual path adds what stands there, and nothing else is left of it.
    torch.testing.assert_close(y - x, y_other - other, rtol=0, atol=TOLERANCE)
    assert torch.equal(block(x, observed=observed.double())[0], y)


@mixings
@views
def test_even_nan_does_not_enter_in_a_gap(mixing: str, view: str) -> None:
    block, x = make(mixing, view), signal()
    observed = torch.rand(BATCH, LENGTH) < 0.6
    _, final = block(x, observed=observed)
    _, final_other = block(x.masked_fill(~observed[..., None], float("nan")), observed=observed)
    assert torch.equal(final, final_other)


@mixings
@views
def test_the_state_moves_on_in_a_gap(mixing: str, view: str) -> None:
    """After k samples of a gap, zero-order hold has turned the state by exp(k A dt), written out."""
    block, x = make(mixing, view), signal()
    before, gap = 25, LENGTH - 25
    observed = (torch.arange(LENGTH) < before).expand(BATCH, -1)
    _, state = block(x[:, :before])
    y, final = block(x, observed=observed)
    layer = block.layer
    A = (-layer.A_log.exp() + 1j * layer.A_imag) * layer.log_dt.exp()[:, None]
    torch.testing.assert_close(final, torch.exp(gap * A) * state, rtol=0, atol=TOLERANCE)
    # One gap of k samples is one step of a system k times as slow, without input.
    _, once = layer.step(torch.zeros(BATCH, CHANNELS, dtype=torch.float64), state, dt_scale=float(gap))
    torch.testing.assert_close(final, once, rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(y[:, :before], block(x[:, :before])[0], rtol=0, atol=TOLERANCE)


def test_dropout_is_for_training_alone() -> None:
    block, x = make("glu", dropout=0.5), signal()
    y, _ = block(x)
    kept = (y != x).double().mean()
    assert 0.3 < float(kept) < 0.7  # 480 draws of 1/2: nine standard deviations
    block.eval()
    assert torch.equal(block(x)[0], block(x)[0])
    assert ((block(x)[0] - x) != 0).all()
