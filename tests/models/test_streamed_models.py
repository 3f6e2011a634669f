"""Live streams of whole models: tokens or samples in, logits or the answer so far out, as `forward` has them."""

import io
from typing import Any

import pytest
import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.kernels import native as core
from statespace.models import Backbone, MambaLM, SequenceModel, StreamedModel, export_sequence, export_step
from statespace.models.stream import WAYS

STREAMS, LENGTH, VOCABULARY, CHANNELS = 3, 90, 11, 4
ways = pytest.mark.parametrize(
    "way",
    [
        pytest.param(
            way, marks=pytest.mark.skipif(way == "native" and bool(core.why_missing()), reason="no compiled core")
        )
        for way in WAYS
    ],
)
LANGUAGE: dict[str, dict[str, Any]] = {
    "tied": {"pad_vocab_size_multiple": 8},
    "layer norm": {"norm": "layer", "tie_embeddings": False, "layer": ["s4d", "mamba"]},
}


def tokens(length: int = LENGTH) -> Tensor:
    return torch.randint(VOCABULARY, (STREAMS, length))


def language(**options: Any) -> MambaLM:
    torch.manual_seed(2)
    return MambaLM(VOCABULARY, 8, 2, **options).double().eval()


def sequence(of_tokens: bool, pooling: str, layer: str = "mamba", **options: Any) -> SequenceModel:
    torch.manual_seed(3)
    backbone = Backbone(8, 2, layer, 6, **options)
    return SequenceModel(backbone, VOCABULARY if of_tokens else CHANNELS, 5, of_tokens, pooling).double().eval()


def inputs(of_tokens: bool, length: int = LENGTH) -> Tensor:
    return tokens(length) if of_tokens else torch.randn(STREAMS, length, CHANNELS, dtype=torch.float64)


def whole(model: StreamedModel, x: Tensor) -> Tensor:
    """What `forward` says of the signals up to each sample."""
    with torch.no_grad():
        if getattr(model, "pooling", "none") == "none":
            return model(x)[0]
        return torch.stack([model(x[:, : end + 1])[0] for end in range(x.shape[1])], 1)


def pushed(model: StreamedModel, x: Tensor, backend: str = "auto") -> Tensor:
    """What a stream puts out for single samples, short chunks, none at all, and a long one in the parallel form."""
    live = model.stream(len(x), backend=backend)
    ys = [live.push(x[:, 0])[:, None], live.push(x[:, 1:1]), live.push(x[:, 1:12]), live.push(x[:, 12])[:, None]]
    return torch.cat([*ys, live.push(x[:, 13:])], 1)


@ways
@pytest.mark.parametrize("options", LANGUAGE.values(), ids=LANGUAGE)
def test_a_language_model_says_of_each_token_what_it_says_of_the_whole_text(way: str, options: dict[str, Any]) -> None:
    model, x = language(**options), tokens()
    assert model.stream(backend=way).backend == way
    torch.testing.assert_close(pushed(model, x, way), whole(model, x), rtol=0, atol=1e-10)  # what layers promise


@ways
@pytest.mark.parametrize("of_tokens", [True, False])
@pytest.mark.parametrize("pooling", ["none", "last"])
def test_a_sequence_model_gives_the_answer_so_far(way: str, of_tokens: bool, pooling: str) -> None:
    model, x = sequence(of_tokens, pooling), inputs(of_tokens)
    torch.testing.assert_close(pushed(model, x, way), whole(model, x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("of_tokens", [True, False])
def test_a_stream_with_mean_pooling_gives_the_mean_so_far_by_the_layers(of_tokens: bool) -> None:
    model, x = sequence(of_tokens, "mean"), inputs(of_tokens)
    live = model.stream()
    assert (live.backend, live.why) == ("layers", "there is no compiled form of pooling='mean'.")
    torch.testing.assert_close(pushed(model, x), whole(model, x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("pooling", ["none", "last", "mean"])
def test_at_a_slower_rate_the_newest_window_answers(pooling: str) -> None:
    model, x = sequence(False, pooling, "s4d", stride=4), inputs(False, 18)
    live = model.stream(STREAMS)
    single = torch.stack([live.push(sample) for sample in x.unbind(1)], 1)
    chunks = model.stream(STREAMS)
    ended = torch.cat([chunks.push(part) for part in x.split([3, 6, 9], 1)], 1)
    assert ended.shape[1] == 4
    torch.testing.assert_close(single[:, 3:], ended.repeat_interleave(4, 1)[:, :15], rtol=0, atol=1e-10)
    with torch.no_grad():
        expected = model(x)[0]
    torch.testing.assert_close(ended if pooling == "none" else ended[:, -1], expected, rtol=0, atol=1e-10)


def test_the_mean_goes_on_from_call_to_call_and_in_ragged_batches() -> None:
    model, x = sequence(False, "mean"), inputs(False)
    _, state = model(x[:, :7], lengths=torch.tensor([7, 2, 5]))
    y, _ = model(x[:, 7:], state, torch.tensor([1, 80, 4]))
    for i, (first, then) in enumerate([(7, 1), (2, 80), (5, 4)]):
        alone = torch.cat([x[i, :first], x[i, 7 : 7 + then]])[None]
        torch.testing.assert_close(y[i], model(alone)[0][0], rtol=0, atol=1e-10)


def test_times_between_samples_reach_the_backbone() -> None:
    model, x = sequence(False, "last"), inputs(False, 9)
    dt = torch.rand(STREAMS, 9, dtype=torch.float64) + 0.2
    live, slower = model.stream(STREAMS), model.stream(STREAMS, dt_scale=1.7)
    last = torch.cat([live.push(x[:, :4], dt[:, :4]), live.push(x[:, 4], dt[:, 4])[:, None]], 1)[:, -1]
    torch.testing.assert_close(last, model(x[:, :5], dt=dt[:, :5])[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(slower.push(x)[:, -1], model(x, dt_scale=1.7)[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "model",
    [language(), sequence(True, "last"), sequence(False, "mean"), sequence(True, "none", "transformer")],
    ids=["language", "last", "mean", "transformer"],
)
def test_some_start_again_and_all_move_elsewhere(model: StreamedModel) -> None:
    x = inputs(model.token_embedding() is not None, 12)
    live = model.stream(STREAMS)
    live.push(x[:, :8])
    kept = io.BytesIO()
    torch.save(live.state_dict(), kept)
    kept.seek(0)
    moved = model.stream(STREAMS, backend="layers")
    moved.load_state_dict(torch.load(kept, weights_only=True))
    torch.testing.assert_close(moved.push(x[:, 8:]), whole(model, x)[:, 8:], rtol=0, atol=1e-10)
    live.reset([1])
    y = live.push(x[:, 8:])
    torch.testing.assert_close(y[[0, 2]], whole(model, x)[[0, 2], 8:], rtol=0, atol=1e-10)
    torch.testing.assert_close(y[1], whole(model, x[1:2, 8:])[0], rtol=0, atol=1e-10)
    live.reset()
    torch.testing.assert_close(live.push(x), whole(model, x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("model", [language(**LANGUAGE["tied"]), sequence(True, "last")], ids=["language", "sequence"])
def test_tokens_go_into_exported_graphs(model: StreamedModel) -> None:
    x, program = tokens(6), model.program()
    assert not isinstance(program, str)
    states = [torch.zeros(STREAMS, *shape, dtype=torch.float64) for shape in program.states]
    y, *_ = export_sequence(model, 6, STREAMS).module()(x, *states)
    torch.testing.assert_close(y, whole(model, x), rtol=0, atol=1e-10)
    y, *_ = export_step(model, STREAMS).module()(x[:, 0], *states)
    torch.testing.assert_close(y, whole(model, x)[:, 0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32], ids=str)
@pytest.mark.parametrize("model", [language(), sequence(True, "none")], ids=["language", "sequence"])
def test_tokens_of_any_integers_are_the_same(model: StreamedModel, dtype: torch.dtype) -> None:
    drawn = tokens(6)
    x, expected = drawn.to(dtype), whole(model, drawn)
    assert torch.equal(whole(model, x), expected)
    with torch.no_grad():
        assert torch.equal(
            model.step(x[:, 0], model.initial_state(STREAMS))[0],
            model.step(drawn[:, 0], model.initial_state(STREAMS))[0],
        )
    for way in ("auto", "layers"):
        torch.testing.assert_close(model.stream(STREAMS, backend=way).push(x), expected, rtol=0, atol=1e-10)


def test_a_step_needs_a_state() -> None:
    samples, mean = sequence(False, "none"), sequence(False, "mean")
    for model, x in (
        (language(), tokens(1)[:, 0]),
        (samples, inputs(False)[:, 0]),
        (mean, inputs(False)[:, 0]),
        (Backbone(4, 1, stride=2), torch.zeros(STREAMS, 4)),
    ):
        words = rf"{type(model).__name__}.step: state is None, but a step goes on from a state: pass what initial_state"
        with pytest.raises(InputError, match=words):
            model.step(x, None)


def test_what_it_refuses() -> None:
    model = language()
    with pytest.raises(InputError, match=r"dt_scale is given, but MambaLM counts tokens and knows no time between"):
        model.stream(dt_scale=2.0)
    for way in ("auto", "layers"):
        live = model.stream(STREAMS, backend=way)
        with pytest.raises(InputError, match=r"dt is given, but MambaLM counts tokens .*: leave dt out"):
            live.push(tokens(2), torch.ones(STREAMS, 2))
        with pytest.raises(InputError, match=r"11 is not in the vocabulary: tokens go from 0 to 10"):
            live.push(torch.full((STREAMS,), VOCABULARY))
        with pytest.raises(InputError, match=r"tokens is torch.float32, but integers are expected"):
            live.push(torch.zeros(STREAMS, 2))
        with pytest.raises(ShapeError, match=r"samples is \(2,\), but \(b,\) or \(b, l\) with b = 3 is expected"):
            live.push(torch.zeros(2, dtype=torch.int64))
    mean = sequence(False, "mean")
    with pytest.raises(InputError, match=r"state does not end with the running mean of 3 sequences: pass what initial"):
        mean(inputs(False), mean.backbone.initial_state(STREAMS))


def test_a_state_with_other_parts_is_named() -> None:
    last = SequenceModel(Backbone(6, 1, d_state=4), 5, 3, pooling="last").stream()
    mean = SequenceModel(Backbone(6, 1, d_state=4), 5, 3, pooling="mean").stream()
    for states in (mean.state_dict()["states"], [], None, "states", [1.0] * len(last.state_dict()["states"])):
        with pytest.raises(InputError, match=r"state\['states'\] is no list of \d+ tensors"):
            last.load_state_dict(last.state_dict() | {"states": states})
