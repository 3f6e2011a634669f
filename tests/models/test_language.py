"""The language model: one model in whole texts, chunks, ragged batches and steps; its words; what it refuses."""

import itertools
import json
import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from statespace.errors import InputError, ShapeError
from statespace.kernels import native as core
from statespace.layers import LAYERS
from statespace.models import ByteVocabulary, MambaLM, SymbolVocabulary, checkpoint_files, language
from statespace.models.program import flatten

STEPPING = [name for name, layer in LAYERS.items() if layer.capabilities.steps]


def make(layer="mamba", **options) -> MambaLM:
    torch.manual_seed(1)
    model = MambaLM(**{"vocab_size": 19, "d_model": 16, "n_layers": 2, "layer": layer, **options})
    with torch.no_grad():
        model.embedding.weight *= 50  # logits that differ enough to tell tokens apart
    return model


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    return torch.randint(19, (3, 23), generator=torch.Generator().manual_seed(2))


def raises(*words: str, error: type[Exception] = InputError) -> "pytest.RaisesExc[Exception]":
    return pytest.raises(error, match=".*".join(re.escape(word) for word in words))


@pytest.mark.parametrize("layer", [*([name] for name in STEPPING), ["s4d", "mamba"]], ids="-".join)
@torch.no_grad()
def test_whole_texts_chunks_and_steps_are_one_model(layer, tokens) -> None:
    model = make(layer).double()
    expected, final = model(tokens)
    assert expected.shape == (3, 23, 19)
    state, logits = None, []
    for begin, end in itertools.pairwise([0, 1, 9, 23]):
        part, state = model(tokens[:, begin:end], state)
        logits.append(part)
    torch.testing.assert_close(torch.cat(logits, 1), expected, rtol=0, atol=1e-8)
    state, logits = model.initial_state(3), []
    for column in tokens.unbind(1):
        part, state = model.step(column, state)
        logits.append(part)
    torch.testing.assert_close(torch.stack(logits, 1), expected, rtol=0, atol=1e-8)
    torch.testing.assert_close(state, final, rtol=0, atol=1e-8)


@pytest.mark.parametrize("layer", STEPPING)
def test_ragged_prompts_in_pieces_are_as_if_each_were_alone(layer, tokens) -> None:
    model = make(layer).double()
    prompts = [tokens[0, :7], tokens[1, :1].tolist(), tokens[2]]
    together = model.generate(prompts, 9, chunk=5)
    for prompt, found in zip(prompts, together, strict=True):
        (alone,) = model.generate([prompt], 9)
        assert torch.equal(found, alone)


def test_greedy_generation_is_the_best_token_of_the_whole_text_again_and_again(tokens) -> None:
    model, text = make(), tokens
    with torch.no_grad():
        for _ in range(6):
            text = torch.cat([text, model(text)[0][:, -1:].argmax(-1)], 1)
    assert torch.equal(torch.stack(model.generate(tokens, 6)), text[:, -6:])


@pytest.mark.parametrize("layer", ["s4d", "s6", "mamba", "ssd", "mamba2", ["s4d", "mamba2"]], ids="-".join)
@torch.no_grad()
def test_what_is_compiled_writes_by_the_compiled_core(layer, tokens, monkeypatch) -> None:
    if reason := core.why_missing():
        pytest.skip(f"native: {reason}")
    model = make(layer).double()
    _, state = model(tokens)
    before = [part.clone() for part in flatten(state)]
    step, after = model._stepper(state), state
    for column in tokens.unbind(1):
        logits, after = model.step(column, after)
        torch.testing.assert_close(step(column), logits, rtol=0, atol=1e-8)
    assert all(torch.equal(*pair) for pair in zip(flatten(state), before, strict=True))
    texts = [text.tolist() for text in tokens[:, :5]]
    by_layers = language._MOST_COMPILED
    monkeypatch.setattr(language, "_MOST_COMPILED", 0)
    expected = model.generate(texts, 30)
    monkeypatch.setattr(language, "_MOST_COMPILED", by_layers)
    monkeypatch.setattr(MambaLM, "_step", None)
    assert all(torch.equal(*pair) for pair in zip(model.generate(texts, 30), expected, strict=True))


@pytest.mark.parametrize(
    ("layer", "dtype"),
    [("lstm", torch.float32), *((name, torch.bfloat16) for name in ("mamba", "ssd", "mamba2", "mamba3"))],
    ids=str,
)
def test_what_is_not_compiled_writes_by_its_layers(layer, dtype, tokens, monkeypatch) -> None:
    model = make(layer).to(dtype)
    with torch.no_grad():
        logits, state = model(tokens)
        found = [logits[:, -1].argmax(-1)]
        for _ in range(5):
            logits, state = model.step(found[-1], state)
            found.append(logits.argmax(-1))
    assert torch.equal(torch.stack(model.generate(tokens, 6)), torch.stack(found, 1))
    monkeypatch.setattr(MambaLM, "_step", None)
    with pytest.raises(TypeError):
        model.generate(tokens, 2)


def test_the_padding_is_not_looked_at(tokens) -> None:
    model, lengths = make(), torch.tensor([23, 4, 0])
    spoilt = tokens.masked_fill(torch.arange(23) >= lengths[:, None], -7)
    logits, state = model(spoilt, lengths=lengths)
    alone, last = model(tokens[1:2, :4])
    torch.testing.assert_close(logits[1:2, :4], alone)
    torch.testing.assert_close(state[0][1][1:2], last[0][1])


def test_memory_does_not_grow(tokens) -> None:
    model = make()

    def size(state) -> int:
        return sum(part.numel() for layer in state for part in layer)

    with torch.no_grad():
        assert size(model(tokens)[1]) == size(model(tokens.repeat(1, 9))[1]) == size(model.initial_state(3))
    endless = model.sample(tokens)
    assert len(list(itertools.islice(endless, 50))) == 50


def test_a_text_ends_with_its_last_token(tokens) -> None:
    model = make()
    free = model.generate(tokens, 12)
    eos = int(free[0][3])
    for text, whole in zip(model.generate(tokens, 12, eos=eos), free, strict=True):
        place = whole.tolist().index(eos) + 1 if eos in whole else 12
        assert torch.equal(text, whole[:place])
    ended = make(eos=[eos])
    assert torch.equal(ended.generate(tokens, 12)[0], model.generate(tokens, 12, eos=[eos])[0])
    assert len(ended.generate(tokens, 12, eos=())[0]) == 12
    calls, stepper = [], model._stepper

    def counted(state):
        step = stepper(state)
        return lambda tokens: calls.append(1) or step(tokens)

    model._stepper = counted
    model.generate(tokens[:1], 1000, eos=eos)
    assert len(calls) < 12  # nothing is computed once every text has ended


def test_chance_comes_from_the_generator(tokens) -> None:
    model = make()
    first, again, other = (torch.stack(model.generate(tokens, 20, temperature=2.0, generator=g)) for g in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    given = torch.stack(model.generate(tokens, 20, temperature=2.0, generator=torch.Generator().manual_seed(5)))
    assert torch.equal(first, given)
    greedy = torch.stack(model.generate(tokens, 20))
    assert torch.equal(torch.stack(model.generate(tokens, 20, temperature=3.0, top_k=1)), greedy)
    assert torch.equal(torch.stack(model.generate(tokens, 20, temperature=1e-30, top_p=0.5)), greedy)


def test_a_model_learns_and_completes_text() -> None:
    text = "the quick brown fox jumps over the lazy dog. "
    vocabulary = SymbolVocabulary.of_letters(text)
    model = MambaLM(vocabulary.size, 32, 1, vocabulary=vocabulary)
    tokens = vocabulary.encode(3 * text)[None]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(model(tokens[:, :-1])[0].flatten(0, 1), tokens[0, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    assert model.complete("the quick", len(text)) == (text + text)[len("the quick") :][: len(text)]


@pytest.mark.parametrize(
    ("layer", "options"),
    [(["s4d", "mamba"], {"options": {"mamba": {"d_state": 3}}}), ("mamba", {"norm": "layer"})],
)
def test_what_has_no_published_layout_is_saved_too(layer, options, tokens, tmp_path) -> None:
    model = make(layer, eos=3, pad_vocab_size_multiple=8, tie_embeddings=False, **options)
    model.vocabulary = SymbolVocabulary("abcdefghijklmnopqrs")
    model.save_pretrained(tmp_path / "model")
    back = MambaLM.load_pretrained(tmp_path / "model")
    assert torch.equal(back(tokens)[0], model(tokens)[0])
    assert back.eos == (3,)
    assert back.embedding.num_embeddings == 24
    assert back.complete("abc", 5) == model.complete("abc", 5)


def test_the_vocabulary_goes_with_the_model(tmp_path) -> None:
    model = MambaLM(256, 16, 1, vocabulary=ByteVocabulary())
    model.save_pretrained(tmp_path)
    assert isinstance(MambaLM.load_pretrained(tmp_path).vocabulary, ByteVocabulary)
    (tmp_path / "vocabulary.json").write_text('{"kind": "words"}')
    with raises("load_pretrained", "a vocabulary is", "save the model again"):
        MambaLM.load_pretrained(tmp_path)
    model.vocabulary = None
    model.save_pretrained(tmp_path)
    assert not (tmp_path / "vocabulary.json").exists()


def test_weights_start_as_published() -> None:
    model = MambaLM(997, 64, 4)
    assert model.embedding.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.blocks[0].layer.out.weight.abs().max() <= 128**-0.5 / 2
    assert model.n_parameters == sum(parameter.numel() for parameter in model.state_dict().values())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model: model(torch.tensor([[3, 19]])), ["MambaLM.forward: 19 is not in the vocabulary", "0 to 18"]),
        (lambda model: model(torch.tensor([[-1]])), ["-1 is not in the vocabulary"]),
        (lambda model: model.step(torch.tensor([77]), model.initial_state(1)), ["MambaLM.step: 77 is not in"]),
        (lambda model: model(torch.zeros(1, 3)), ["tokens is torch.float32", "tokens.long()"]),
        (lambda model: model(torch.tensor([3])), ["tokens is (1,)", "tokens[None]"]),
        (lambda model: model.step(torch.zeros(2, 3).long(), model.initial_state(2)), ["(2, 3)", "one token a text"]),
        (lambda model: model(torch.zeros(2, 3).long(), model.initial_state(4)), ["batch of 4", "tokens has 2"]),
        (lambda model: model(torch.zeros(2, 3).long(), model.initial_state(2)[:1]), ["holds 1 states", "2 blocks"]),
        (lambda model: model(torch.zeros(2, 3).long(), lengths=torch.tensor([1, 4])), ["lengths go from 1 to 4"]),
        (lambda model: model.generate([[1], []]), ["prompt 1 is empty", "at least one token"]),
        (lambda model: model.generate([]), ["prompts is empty"]),
        (lambda model: model.generate("text"), ["prompts is text", "complete"]),
        (lambda model: model.generate([[1.5]]), ["prompt 0 is torch.float32"]),
        (lambda model: model.generate([[[1]]]), ["prompt 0 is (1, 1)"]),
        (lambda model: model.generate([[19]]), ["generate: 19 is not in the vocabulary"]),
        (lambda model: model.generate([[1]], 0), ["max_new_tokens is 0"]),
        (lambda model: model.generate([[1]], eos=19), ["eos has 19"]),
        (lambda model: model.generate([[1]], temperature=-1.0), ["temperature is -1.0"]),
        (lambda model: model.generate([[1]], temperature=float("nan")), ["temperature is nan"]),
        (lambda model: model.generate([[1]], temperature=1.0, top_k=0), ["top_k is 0"]),
        (lambda model: model.generate([[1]], temperature=1.0, top_p=1.5), ["top_p is 1.5"]),
        (lambda model: model.generate([[1]], top_k=3), ["temperature is 0", "temperature=1.0"]),
        (lambda model: model.generate([[1]], chunk=0), ["chunk is 0"]),
        (lambda model: model.complete("text"), ["has no vocabulary"]),
        (lambda _: MambaLM(layer="mumba"), ["layer is 'mumba'", "Did you mean 'mamba'"]),
        (lambda _: MambaLM(n_layers=0), ["n_layers is 0"]),
        (lambda _: MambaLM(norm="batch"), ["norm is 'batch'", "layer, rms"]),
        (lambda _: MambaLM(options={"s4d": {}}), ["a layer in options is 's4d'", "mamba"]),
        (lambda _: MambaLM(options={"mamba": {"states": 3}}), ["options do not fit the layer 'mamba'", "states"]),
        (lambda _: MambaLM(9, vocabulary=ByteVocabulary()), ["vocab_size is 9", "256 tokens"]),
        (lambda _: MambaLM(9, eos=9), ["eos has 9"]),
        (lambda _: MambaLM.from_config({"model_type": "llama"}), ["model_type in config.json is 'llama'", "mamba2"]),
        (lambda _: MambaLM.from_config({}), ["neither model_type", "nor d_model"]),
        (lambda _: MambaLM.from_config({"d_model": 8, "n_layer": 1}), ["config.json has no 'vocab_size'"]),
        (lambda _: MambaLM.from_config({"d_model": "8"}), ["d_model = '8'", "int"]),
        (lambda _: MambaLM.from_config({"d_model": 8, "attn_layer_idx": [1]}), ["attn_layer_idx = [1]", "attention"]),
        (lambda _: MambaLM.from_config({"d_model": 8, "ssm_cfg": {"rmsnorm": False}}), ["rmsnorm = False"]),
        (lambda _: MambaLM.from_config({"model_type": "mamba", "hidden_act": "gelu"}), ["hidden_act", "'gelu'"]),
        (
            lambda _: MambaLM.from_config({"model_type": "mamba", "hidden_size": 8, "intermediate_size": 9}),
            ["intermediate_size = 9", "16"],
        ),
        (lambda _: MambaLM.from_config({"model_type": "statespace"}), ["has no arguments"]),
        (
            lambda _: MambaLM.from_config({"model_type": "statespace", "arguments": {"foo": 1}}),
            ["MambaLM.from_config: config.json has the argument 'foo'", "vocab_size, d_model"],
        ),
        (
            lambda _: MambaLM.from_config({"model_type": "statespace", "arguments": {"vocab_size": "a"}}),
            ["vocab_size is 'a'", "a whole number of at least 1"],
        ),
        (
            lambda _: MambaLM.from_config({"d_model": 8, "n_layer": -1}),
            ["n_layer = -1", "a whole number (int) from 0 on"],
        ),
        (lambda _: MambaLM(norm_eps=-1.0), ["norm_eps is -1.0", "at least 0"]),
        (lambda _: MambaLM(norm_eps=float("nan")), ["norm_eps is nan"]),
        (lambda _: MambaLM(n_layers=1.5), ["n_layers is 1.5", "a whole number"]),
        (lambda _: MambaLM(layer=[]), ["layer names no layer"]),
        (lambda _: MambaLM(layer=None), ["layer is None", "choose one of"]),
    ],
)
def test_what_is_refused(call, words) -> None:
    with raises(*words):
        call(make())


def checkpoint(folder: Path) -> Path:
    MambaLM(11, 8, 1).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "config.json").unlink(), ["config.json", "No such file", "folder of a checkpoint"]),
        (lambda folder: (folder / "config.json").write_text("{"), ["config.json' is not JSON"]),
        (lambda folder: (folder / "config.json").write_text("[]"), ["holds no JSON object"]),
        (lambda folder: (folder / "model.safetensors").unlink(), ["holds no weights", "there is config.json"]),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"abc"), ["cannot be read as safetensors"]),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(
                (folder / "model.safetensors").read_bytes()[:-50]
            ),
            ["cannot be read as safetensors", "fetch the file again"],
        ),
        (lambda folder: as_bin(folder, b"\x80abc"), ["cannot be read as weights only"]),
        (lambda folder: as_bin(folder, pickle.dumps(Path)), ["cannot be read as weights only", "code"]),
        (lambda folder: torch.save({"a": [1]}, as_bin(folder, b"")), ["holds more than tensors"]),
    ],
)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_broken_folders(spoil, words, tmp_path) -> None:
    spoil(checkpoint(tmp_path))
    with raises("MambaLM.load_pretrained", *words):
        MambaLM.load_pretrained(tmp_path)


def as_bin(folder: Path, content: bytes) -> Path:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(content)
    return folder / "pytorch_model.bin"


def test_more_blocks_than_tensors_are_told_before_they_are_made(tmp_path, monkeypatch) -> None:
    config = json.loads((checkpoint(tmp_path) / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 20_000}))
    monkeypatch.setattr(MambaLM, "_block", None)
    count = len(load_file(tmp_path / "model.safetensors"))
    with raises(f"config.json tells of 20000 blocks, but the checkpoint has {count} tensors in all"):
        MambaLM.load_pretrained(tmp_path)


def test_weights_that_are_no_numbers_of_a_model(tmp_path) -> None:
    path = checkpoint(tmp_path) / "model.safetensors"
    tensors = load_file(path)
    save_file({**tensors, "backbone.norm_f.weight": torch.ones(8, dtype=torch.int32)}, path)
    with raises("'backbone.norm_f.weight' is torch.int32 in the checkpoint", "real floating"):
        MambaLM.load_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"device": "gpu"}, ["device is 'gpu', which cannot be used here: "]),
        ({"device": "cuda:99"}, ["device is 'cuda:99', which cannot be used here: "]),
        ({"dtype": "float16"}, ["dtype is 'float16'", "torch.float16"]),
        ({"dtype": torch.int8}, ["dtype is torch.int8", "a real floating type"]),
    ],
)
def test_places_that_are_not_there(given, words, tmp_path) -> None:
    checkpoint(tmp_path)
    with raises("MambaLM.load_pretrained: ", *words):
        MambaLM.load_pretrained(tmp_path, **given)


def test_a_folder_that_is_not_there(tmp_path) -> None:
    with raises("cannot be read"):
        MambaLM.load_pretrained(tmp_path / "nothing")


def test_an_interrupted_save_leaves_the_old_model(tmp_path, monkeypatch) -> None:
    before = {path.name: path.read_bytes() for path in checkpoint(tmp_path / "model").iterdir()}

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_files, "save_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make().save_pretrained(tmp_path / "model")
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before


def test_a_folder_that_cannot_be_written_keeps_what_it_held(tmp_path) -> None:
    before = sorted(checkpoint(tmp_path / "model").iterdir())
    (tmp_path / "file").write_text("")
    with raises("MambaLM.save_pretrained", "is a file, but a folder is to be written"):
        make().save_pretrained(tmp_path / "file")
    assert sorted((tmp_path / "model").iterdir()) == before
    assert json.loads((tmp_path / "model" / "config.json").read_text())["model_type"] == "mamba"


def test_transposed_layers_are_a_shape_error(tokens) -> None:
    with raises("tokens is (3, 23, 1)", error=ShapeError):
        make()(tokens[..., None])
