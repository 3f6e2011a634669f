"""Bidirectional layers: signals from both ends, in ragged batches and at unequal times, and what they refuse."""

import pytest
import torch

from statespace.errors import InputError
from statespace.layers import LAYERS, S4D, S6, Bidirectional, Mamba
from statespace.layers.bidirectional import reverse, reverse_times
from statespace.training import parameter_groups

BATCH, LENGTH, CHANNELS = 3, 12, 4
LENGTHS = [12, 0, 7]


def make():
    torch.manual_seed(1)
    return Bidirectional(S4D(CHANNELS, 4), S6(CHANNELS, 4)).double()


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def test_each_sequence_is_run_from_both_ends():
    """Against each sequence alone, turned round by hand; NaN in the padding is not looked at, nor in its gradient."""
    layer = make()
    x = torch.randn(BATCH, LENGTH, CHANNELS, dtype=torch.float64)
    dt = torch.rand(BATCH, LENGTH, dtype=torch.float64) + 0.5
    padding = torch.arange(LENGTH) >= torch.tensor(LENGTHS)[:, None]
    given = x.masked_fill(padding[..., None], float("nan")).requires_grad_()
    y, state = layer(given, lengths=torch.tensor(LENGTHS), dt=dt.masked_fill(padding, float("nan")), dt_scale=0.7)
    assert (y[padding] == 0).all()
    for i, length in enumerate(LENGTHS):
        times, signal = dt[i, :length].tolist(), x[i, :length]
        there, ahead = layer.ahead(signal[None], None, None, torch.tensor([times], dtype=x.dtype), 0.7)
        # Between sample t and the next lies the time of the next, from either side.
        times = times[:1] + times[:0:-1]
        back, behind = layer.back(signal.flip(0)[None], None, None, torch.tensor([times], dtype=x.dtype), 0.7)
        torch.testing.assert_close(y[i, :length], there[0] + back[0].flip(0), rtol=0, atol=1e-12)
        for ours, expected in zip(state, [ahead, behind], strict=True):
            torch.testing.assert_close(ours[i], expected[0], rtol=0, atol=1e-12)
    for gradient in torch.autograd.grad(y.square().sum(), [given, *layer.parameters()]):
        assert gradient.isfinite().all()


def test_two_reversals_are_none():
    x, dt, lengths = torch.randn(BATCH, LENGTH, CHANNELS), torch.rand(BATCH, LENGTH), torch.tensor(LENGTHS)
    for counted in (None, lengths):
        assert torch.equal(reverse(reverse(x, counted), counted), x)
        assert torch.equal(reverse_times(reverse_times(dt, counted), counted), dt)


@pytest.mark.parametrize("name", LAYERS)
def test_the_reversed_signal_gives_the_reversed_output(name):
    """With the same layer on both sides, there is no first end."""
    one = LAYERS[name](CHANNELS)
    if not one.capabilities.steps:
        return
    layer = Bidirectional(one, one).double()
    x = torch.randn(BATCH, LENGTH, CHANNELS, dtype=torch.float64)
    lengths = torch.tensor(LENGTHS)
    times = {"dt": torch.rand(BATCH, LENGTH, dtype=torch.float64) + 0.5} if one.capabilities.irregular else {}
    reversed_times = {"dt": reverse_times(times["dt"], lengths)} if times else {}
    y, state = layer(x, None, lengths, **times)
    turned, other = layer(reverse(x, lengths), None, lengths, **reversed_times)
    torch.testing.assert_close(reverse(turned, lengths), y, rtol=0, atol=1e-10)
    count = len(state) // 2
    for ours, expected in zip(other, [*state[count:], *state[:count]], strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)
    if one.capabilities.irregular:
        twos = torch.full((BATCH, LENGTH), 2.0, dtype=torch.float64)
        torch.testing.assert_close(layer(x, dt=twos)[0], layer(x, dt_scale=2.0)[0], rtol=0, atol=1e-10)


def test_it_says_what_it_is():
    layer = Bidirectional(Mamba(CHANNELS), Mamba(CHANNELS))
    assert layer.capabilities.mixes
    assert layer.capabilities.selective
    assert not layer.capabilities.steps
    assert not make().capabilities.mixes
    state = layer.initial_state(2)
    expected = [*parts(layer.ahead.initial_state(2)), *parts(layer.back.initial_state(2))]
    assert [part.shape for part in state] == [part.shape for part in expected]


def test_each_side_is_trained_as_its_family():
    layer = make()
    gently, undecayed, _ = parameter_groups(layer, 1e-2, 0.1)
    assert {id(p) for p in gently["params"]} == {id(p) for p in layer.ahead.ssm_parameters()}
    assert {id(p) for p in layer.back.ssm_parameters()} <= {id(p) for p in undecayed["params"]}


def test_nothing_is_carried_and_nothing_steps():
    layer, x = make().float(), torch.zeros(BATCH, LENGTH, CHANNELS)
    with pytest.raises(InputError, match=r"Bidirectional.step: .* begins at the end .* pass whole signals to forward"):
        layer.step(x[:, 0], layer.initial_state(BATCH))
    with pytest.raises(InputError, match=r"Bidirectional.forward: state is given.*pass whole signals without"):
        layer(x, layer.initial_state(BATCH))
    with pytest.raises(InputError, match="ahead has 4 channels and back 5"):
        Bidirectional(S4D(4), S4D(5))
    with pytest.raises(InputError, match="runs both ways already"):
        Bidirectional(layer, S4D(4))
    with pytest.raises(InputError, match=r"Bidirectional.forward: lengths go from 0 to 13"):
        layer(x, lengths=torch.tensor([0, 1, 13]))
