"""LSTM, GRU and the Transformer: torch's own modules and the attention of the paper written out; what they refuse."""

import math
import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from statespace.errors import InputError, ShapeError
from statespace.layers import GRU, LSTM, Transformer

LENGTH, CHANNELS = 23, 6


@pytest.mark.parametrize(("kind", "theirs"), [(LSTM, nn.LSTM), (GRU, nn.GRU)])
@pytest.mark.parametrize("units", [None, 4])
def test_is_the_network_of_torch(kind, theirs, units):
    torch.manual_seed(0)
    layer = kind(CHANNELS, units).double()
    other = theirs(CHANNELS, units or CHANNELS, batch_first=True).double()
    other.load_state_dict(layer.cell.state_dict())
    x = torch.randn(2, LENGTH, CHANNELS, dtype=torch.float64)
    expected, last = other(x)
    y, state = layer(x)
    torch.testing.assert_close(y, expected if units is None else layer.out(expected), rtol=0, atol=1e-12)
    for ours, part in zip(state if kind is LSTM else [state], last if kind is LSTM else [last], strict=True):
        torch.testing.assert_close(ours, part[0], rtol=0, atol=1e-12)


def attention(layer, u):
    """The attention of the paper for one sequence ``(l, d)``, sample by sample, with positions as complex phases."""
    heads, width = layer.heads, layer.d_model // layer.heads
    query, key, value = (rows.unflatten(-1, (heads, width)) for rows in layer.into(u).chunk(3, -1))
    rates = [10000 ** (-2 * i / (width - width % 2)) for i in range(width // 2)]

    def turned(row, t):
        parts = []
        for i, rate in enumerate(rates):
            phase = complex(math.cos(t * rate), math.sin(t * rate))
            pair = torch.view_as_complex(row[:, 2 * i : 2 * i + 2].contiguous()) * phase
            parts.append(torch.view_as_real(pair))
        return torch.cat([*parts, row[:, 2 * len(rates) :]], -1)

    outputs = []
    for t in range(len(u)):
        scores = torch.stack([(turned(query[t], t) * turned(key[s], s)).sum(-1) for s in range(t + 1)])
        weights = torch.softmax(scores / width**0.5, 0)
        outputs.append((weights[..., None] * value[: t + 1]).sum(0).flatten())
    a = layer.out(torch.stack(outputs))
    first, _, second = layer.feed_forward
    return a + second(F.gelu(first(F.layer_norm(u + a, [layer.d_model], layer.norm.weight, layer.norm.bias))))


@pytest.mark.parametrize("heads", [1, 2, 3, 6])
def test_is_the_attention_of_the_paper(heads):
    torch.manual_seed(0)
    layer = Transformer(CHANNELS, heads=heads).double()
    x = torch.randn(2, LENGTH, CHANNELS, dtype=torch.float64)
    expected = torch.stack([attention(layer, u) for u in x])
    torch.testing.assert_close(layer(x)[0], expected, rtol=0, atol=1e-12)


def test_the_state_of_a_transformer_grows_with_each_sample():
    layer = Transformer(CHANNELS)
    assert layer.capabilities.grows
    _, state = layer(torch.randn(2, 5, CHANNELS), lengths=torch.tensor([5, 2]))
    assert [part.shape[1] for part in state] == [5, 5, 5]
    _, state = layer.step(torch.randn(2, CHANNELS), state)
    assert [part.shape[1] for part in state] == [6, 6, 6]
    assert state[2].sum(1).tolist() == [6, 3]  # padding takes up room, but is never looked at


def test_late_positions_keep_their_digits():
    """Only differences of positions count: attention far from the start is attention at the start, to 1e-5."""
    torch.manual_seed(0)
    layer = Transformer(CHANNELS, heads=1)
    rows = torch.randn(1, 2, CHANNELS)

    def score(start):
        query, key = (layer._turned(rows, torch.tensor([[start, start + 3]])) for _ in range(2))
        return (query[0, 1] * key[0, 0]).sum()

    assert score(10**7).item() == pytest.approx(score(0).item(), abs=1e-5)


@pytest.mark.parametrize("kind", [LSTM, GRU, Transformer])
def test_time_is_refused(kind):
    layer, x = kind(CHANNELS), torch.zeros(2, 3, CHANNELS)
    sentence = "counts samples and knows no time between them: resample .* or choose a layer"
    with pytest.raises(InputError, match=f"{kind.__name__}.forward: dt is given, but .*{sentence}"):
        layer(x, dt=torch.ones(2, 3))
    with pytest.raises(InputError, match=f"{kind.__name__}.step: dt_scale is 2.0, but .*{sentence}"):
        layer.step(x[:, 0], layer.initial_state(2), dt_scale=2.0)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: LSTM(0), "LSTM: d_model is 0"),
        (lambda: GRU(4, 0), "GRU: d_state is 0"),
        (lambda: Transformer(0), "Transformer: d_model is 0"),
        (lambda: Transformer(6, 0), "Transformer: d_state is 0"),
        (lambda: Transformer(6, heads=4), "Transformer: heads is 4, but a divisor of d_model .6."),
        (lambda: Transformer(6, heads=0), "Transformer: heads is 0"),
        (lambda: Transformer(6, expand=0), "Transformer: expand is 0"),
        (lambda: LSTM(4)(torch.zeros(2, 3, 4), lengths=torch.tensor([1, 4])), "LSTM.forward: lengths go from 1 to 4"),
    ],
)
def test_what_is_refused(make, sentence):
    with pytest.raises(InputError, match=sentence):
        make()


def test_states_of_another_batch_or_layer_are_refused():
    x = torch.zeros(2, 4)
    with pytest.raises(ShapeError, match=re.escape("LSTM.step: state[0] is (3, 4)")):
        LSTM(4).step(x, LSTM(4).initial_state(3))
    with pytest.raises(ShapeError, match=re.escape("GRU.step: state is (2, 5)")):
        GRU(4).step(x, GRU(4, 5).initial_state(2))
    with pytest.raises(ShapeError, match=re.escape("Transformer.step: state[0] is (3, 0, 4)")):
        Transformer(4).step(x, Transformer(4).initial_state(3))
    with pytest.raises(InputError, match="state is a tuple of 2, but a tuple of 3 tensors"):
        Transformer(4).step(x, LSTM(4).initial_state(2))


def test_heads_of_a_transformer_are_as_wide_as_they_may_be():
    assert [Transformer(12, d_state).heads for d_state in (64, 12, 11, 5, 1)] == [1, 1, 2, 3, 12]
    assert [Transformer(d).heads for d in (1, 64, 65, 128, 134)] == [1, 1, 5, 2, 67]
