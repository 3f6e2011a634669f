"""The model for tasks: its parts by hand, chunks, ragged batches, and what it refuses."""

import pytest
import torch

from statespace.errors import InputError, ShapeError
from statespace.models import Backbone, SequenceModel


def model(tokens: bool, pooling: str = "none") -> SequenceModel:
    return SequenceModel(Backbone(6, 2, d_state=4), 5, 3, tokens, pooling).double()


def inputs(tokens: bool, batch: int = 4, length: int = 9) -> torch.Tensor:
    return torch.randint(5, (batch, length)) if tokens else torch.randn(batch, length, 5, dtype=torch.float64)


@pytest.mark.parametrize("tokens", [True, False])
def test_it_is_embedding_backbone_and_head(tokens: bool) -> None:
    net, x = model(tokens), inputs(tokens)
    h = net.into.weight[x] if tokens else x @ net.into.weight.T + net.into.bias
    expected = net.backbone(h)[0] @ net.head.weight.T + net.head.bias
    torch.testing.assert_close(net(x)[0], expected, rtol=0, atol=1e-12)  # the same products in float64


@pytest.mark.parametrize("tokens", [True, False])
def test_chunks_with_the_state_carried_are_the_whole(tokens: bool) -> None:
    net, x = model(tokens), inputs(tokens)
    whole, final = net(x)
    first, state = net(x[:, :4])
    second, state = net(x[:, 4:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=0, atol=1e-10)  # what layers promise
    for one, other in zip(state, final, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_pooling_of_a_ragged_batch_is_that_of_each_sequence_alone(pooling: str) -> None:
    net, x = model(False, pooling), inputs(False)
    lengths = torch.tensor([9, 1, 4, 7])
    padded = torch.where(torch.arange(9)[:, None] < lengths[:, None, None], x, torch.nan)
    together = net(torch.where(padded.isnan(), 7.0, padded), lengths=lengths)[0]
    for i, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(together[i], net(x[i : i + 1, :length])[0][0], rtol=0, atol=1e-10)


def test_what_it_refuses() -> None:
    backbone = Backbone(6, 1)
    with pytest.raises(InputError, match="SequenceModel: outputs is 0, but a whole number of at least 1 is expected"):
        SequenceModel(backbone, 5, 0)
    with pytest.raises(InputError, match=r"pooling is 'max', which is not known: choose one of none, last, mean"):
        SequenceModel(backbone, 5, 3, pooling="max")
    net = SequenceModel(backbone, 5, 3)
    with pytest.raises(InputError, match="tokens go from 0 to 5, but the vocabulary is 0 to 4: make inputs larger"):
        net(torch.arange(6)[None])
    with pytest.raises(InputError, match="tokens go from -1 to 2, but the vocabulary"):
        net(torch.tensor([[-1, 2]]))
    with pytest.raises(InputError, match=r"x is torch.float32, but tokens are whole numbers: pass x.long\(\)"):
        net(torch.zeros(1, 4))
    with pytest.raises(InputError, match=r"x is torch.bool, but tokens are whole numbers"):
        net(torch.zeros(1, 4, dtype=torch.bool))
    with pytest.raises(ShapeError, match=r"x is \(3,\), but \(b, l\) is expected\. Tokens are \(batch, length\)"):
        net(torch.zeros(3, dtype=torch.long))
    samples = SequenceModel(Backbone(6, 1), 5, 3, tokens=False, pooling="mean")
    with pytest.raises(ShapeError, match=r"Samples are \(batch, length, inputs\)"):
        samples(torch.zeros(1, 5, 9))
    for other in (torch.float64, torch.float16, torch.int64):
        words = rf"x is {other}, but the weights are torch.float32: pass x.to\(torch.float32\)"
        with pytest.raises(InputError, match=words):
            samples(torch.zeros(1, 4, 5, dtype=other))
        with pytest.raises(InputError, match=words):
            samples.step(torch.zeros(1, 5, dtype=other), samples.initial_state(1))
    with torch.autocast("cpu", torch.bfloat16):
        samples(torch.zeros(1, 4, 5, dtype=torch.bfloat16))
    for given in ({"x": torch.zeros(1, 0, 5)}, {"x": torch.zeros(1, 4, 5), "lengths": torch.tensor([0])}):
        with pytest.raises(InputError, match="a sequence without positions has nothing to pool: leave it out"):
            samples(**given)


def test_attention_weighs_positions_and_carries_nothing() -> None:
    torch.manual_seed(0)
    model = SequenceModel(Backbone(6, 1, d_state=4, dropout=0.0), 2, 3, tokens=False, pooling="attention").eval()
    x = torch.randn(3, 9, 2)
    lengths = torch.tensor([9, 5, 1])
    y, _ = model(x, lengths=lengths)
    assert model.attention is not None
    for row, length in enumerate(lengths.tolist()):
        h, _ = model.backbone(model.into(x[row : row + 1, :length]))
        weights = torch.exp(h[0] @ model.attention.weight[0])
        wanted = model.head((weights[:, None] * h[0]).sum(0) / weights.sum())
        torch.testing.assert_close(y[row], wanted)
    with pytest.raises(InputError, match="'attention' weighs all positions"):
        model(x, model.initial_state(3))
    with pytest.raises(InputError, match="'attention' weighs all positions"):
        model.step(x[:, 0], model.initial_state(3))
