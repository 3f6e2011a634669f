"""Checkpoints of Mamba and Mamba-2: the same logits as transformers, the same text, and folders it reads back.

The checkpoints are made here, by transformers itself, with random weights; nothing is downloaded.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported
transformers = pytest.importorskip("transformers")

from statespace.errors import InputError, ShapeError  # noqa: E402
from statespace.models import MambaLM  # noqa: E402

VOCABULARY, WIDTH = 61, 32
TOLERANCE = 1e-4  # of the largest logit: float32 in both, sums in other orders
SHARED = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "state_size": 8,
    "initializer_range": 0.4,  # logits that differ enough to tell tokens apart
    "eos_token_id": None,
    "bos_token_id": None,
    "pad_token_id": None,
}
KINDS = {
    "mamba": ("Mamba", {}),
    "mamba-biases": ("Mamba", {"use_bias": True, "use_conv_bias": False, "time_step_rank": 5, "conv_kernel": 3}),
    "mamba-untied": ("Mamba", {"tie_word_embeddings": False, "residual_in_fp32": False, "layer_norm_epsilon": 1e-3}),
    "mamba2": ("Mamba2", {"num_heads": 4, "head_dim": 16, "n_groups": 1, "chunk_size": 8}),
    "mamba2-groups": (
        "Mamba2",
        {"num_heads": 8, "head_dim": 8, "n_groups": 2, "chunk_size": 8, "use_bias": True, "tie_word_embeddings": True},
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def theirs(request: pytest.FixtureRequest) -> "transformers.PreTrainedModel":
    """A model of transformers with random weights, none of which is at its start."""
    family, options = KINDS[request.param]
    torch.manual_seed(7)
    config = getattr(transformers, f"{family}Config")(**SHARED, **options)
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.endswith(("in_proj.weight", "x_proj.weight", "out_proj.weight", "embeddings.weight")):
                parameter += 0.2 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="module")
def saved(theirs: "transformers.PreTrainedModel", tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    theirs.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def ours(saved: Path) -> MambaLM:
    return MambaLM.load_pretrained(saved)


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    """The checkpoint in a folder of its own."""
    return Path(shutil.copytree(saved, tmp_path / "copy"))


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    return torch.randint(VOCABULARY, (3, 37), generator=torch.Generator().manual_seed(3))


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= TOLERANCE * float(expected.abs().max())


@torch.no_grad()
def test_the_same_logits(theirs, ours, tokens) -> None:
    expected = theirs(tokens).logits
    assert expected.std() > 0.1
    assert_close(ours(tokens)[0], expected)
    state, logits = ours.initial_state(len(tokens)), []
    for column in tokens.unbind(1):
        step, state = ours.step(column, state)
        logits.append(step)
    assert_close(torch.stack(logits, 1), expected)
    assert ours.n_parameters == sum(parameter.numel() for parameter in theirs.parameters())


def test_the_same_text(theirs, ours, tokens) -> None:
    prompt = tokens[:, :9]
    expected = theirs.generate(prompt, max_new_tokens=24, do_sample=False)[:, 9:]
    assert torch.equal(torch.stack(ours.generate(prompt, 24)), expected)
    torch.manual_seed(11)
    drawn = theirs.generate(prompt, max_new_tokens=24, do_sample=True, temperature=0.9, top_k=20, top_p=0.8)[:, 9:]
    torch.manual_seed(11)
    found = torch.stack(ours.generate(prompt, 24, temperature=0.9, top_k=20, top_p=0.8))
    assert torch.equal(found, drawn)


def test_transformers_reads_what_is_saved(theirs, ours, tokens, tmp_path) -> None:
    ours.save_pretrained(tmp_path / "ours")
    back, report = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert type(back) is type(theirs)
    assert not any(report.values()), report
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(back.state_dict()[name], tensor), name
    with torch.no_grad():
        assert_close(back(tokens).logits, theirs(tokens).logits)  # in chunks of another size: rounded otherwise
    again = MambaLM.load_pretrained(tmp_path / "ours")
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in ours.state_dict().items())


@pytest.mark.parametrize("width", [16, 40, 64])
def test_transformers_reads_heads_of_the_default_width(width, tokens, tmp_path) -> None:
    """Where a quarter of the inner channels is less than the published 64, and where 64 does not divide them."""
    made = MambaLM(VOCABULARY, width, 1, "mamba2", {"mamba2": {"d_state": 8}}).eval()
    made.save_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(MambaLM.load_pretrained(tmp_path)(tokens)[0], made(tokens)[0])
        assert_close(transformers.AutoModelForCausalLM.from_pretrained(tmp_path)(tokens).logits, made(tokens)[0])


def as_mamba_ssm(folder: Path, theirs: "transformers.PreTrainedModel") -> dict[str, torch.Tensor]:
    """Write the configuration as mamba-ssm publishes it, take the old files away, and return the tensors."""
    given = theirs.config
    ssm = {"d_state": given.state_size, "d_conv": given.conv_kernel, "expand": given.expand}
    ssm |= {"bias": given.use_bias, "conv_bias": given.use_conv_bias}
    if given.model_type == "mamba2":
        ssm |= {"layer": "Mamba2", "headdim": given.head_dim, "ngroups": given.n_groups, "chunk_size": 8}
    else:
        ssm |= {"dt_rank": given.time_step_rank}
    config = {"d_model": WIDTH, "d_intermediate": 0, "n_layer": 2, "vocab_size": VOCABULARY, "ssm_cfg": ssm}
    config |= {"attn_layer_idx": [], "attn_cfg": {}, "rms_norm": True, "residual_in_fp32": True}
    config |= {"fused_add_norm": True, "pad_vocab_size_multiple": 8, "tie_embeddings": given.tie_word_embeddings}
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {name.replace("embeddings", "embedding"): value for name, value in theirs.state_dict().items()}
    padding = torch.full((-VOCABULARY % 8, WIDTH), 50.0)  # rows of no token, which would win every choice
    return {
        name: torch.cat([value, padding]) if name.startswith(("backbone.embedding", "lm_head")) else value
        for name, value in tensors.items()
    }


def test_the_layout_of_mamba_ssm(theirs, copy, tokens, tmp_path) -> None:
    torch.save(as_mamba_ssm(copy, theirs), copy / "pytorch_model.bin")
    if theirs.config.layer_norm_epsilon != 1e-5:
        pytest.skip("mamba-ssm's configuration has no word for the epsilon of its norms")
    model = MambaLM.load_pretrained(copy)
    with torch.no_grad():
        assert_close(model(tokens)[0], theirs(tokens).logits)
    expected = theirs.generate(tokens[:, :5], max_new_tokens=12, do_sample=False)[:, 5:]
    assert torch.equal(torch.stack(model.generate(tokens[:, :5], 12)), expected)
    # the rows of no token are kept, and known as such, when it is saved for transformers
    model.save_pretrained(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["vocab_size"] == 64
    transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert MambaLM.load_pretrained(tmp_path / "saved").vocab_size == VOCABULARY


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_shards(ours, saved, copy, kind) -> None:
    tensors = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    stem, save = {
        "safetensors": ("model", lambda part, path: save_file(part, path)),
        "bin": ("pytorch_model", torch.save),
    }[kind]
    places = {name: f"{stem}-{i % 2 + 1:05}-of-00002.{kind}" for i, name in enumerate(tensors)}
    for file in set(places.values()):
        save({name: tensors[name] for name, place in places.items() if place == file}, copy / file)
    index = copy / f"{stem}.{kind}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    for name, tensor in MambaLM.load_pretrained(copy).state_dict().items():
        assert torch.equal(tensor, ours.state_dict()[name])
    first = next(iter(tensors))
    for change, sentence in [
        ({**places, first: "../model.safetensors"}, "is not a file beside it"),
        ({**places, first: f"{stem}-00009-of-00009.{kind}"}, "which is not there"),
        ({**places, "other": places[first]}, "lacks 'other', which"),
        ([], "has no weight_map"),
    ]:
        index.write_text(json.dumps({"weight_map": change}))
        with pytest.raises(InputError, match=sentence):
            MambaLM.load_pretrained(copy)


def test_types(copy, tokens) -> None:
    exact = MambaLM.load_pretrained(copy)
    half = MambaLM.load_pretrained(copy, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    with torch.no_grad():
        expected, found = exact(tokens)[0], half(tokens)[0]
        double = MambaLM.load_pretrained(copy, dtype=torch.float64)(tokens)[0]
    assert found.dtype == torch.bfloat16
    # rounded to 8 bits in every weight and between all operations of two layers
    assert (found.float() - expected).abs().mean() < 0.05 * expected.abs().max()
    assert_close(expected, double.float())
    half.save_pretrained(copy)
    assert MambaLM.load_pretrained(copy).embedding.weight.dtype == torch.bfloat16
    assert transformers.AutoModelForCausalLM.from_pretrained(copy, dtype="auto").dtype == torch.bfloat16


def test_dynamics_that_are_stored_in_full_precision(copy, tokens) -> None:
    tensors = load_file(copy / "model.safetensors")
    exact = MambaLM.load_pretrained(copy)(tokens)[0]
    mixed = {name: value if name.endswith((".A_log", ".D")) else value.bfloat16() for name, value in tensors.items()}
    save_file(mixed, copy / "model.safetensors")
    model = MambaLM.load_pretrained(copy)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32, torch.bfloat16}
    with torch.no_grad():
        found = model(tokens)[0]
        # rounded to 8 bits in most weights and between most operations of two layers
        assert (found.float() - exact).abs().mean() < 0.05 * exact.abs().max()
        state, logits = model.initial_state(len(tokens)), []
        for column in tokens.unbind(1):
            step, state = model.step(column, state)
            logits.append(step)
    assert (torch.stack(logits, 1) - found).abs().mean() < 0.01 * exact.abs().max()
    assert [len(text) for text in model.generate(tokens, 5)] == [5] * len(tokens)


def test_left_over_missing_and_misshapen_tensors_are_named(saved, copy) -> None:
    path = copy / "model.safetensors"
    tensors = load_file(path)
    renamed = dict(tensors)
    renamed["backbone.layers.0.mixer.A_lag"] = renamed.pop("backbone.layers.0.mixer.A_log")
    save_file(renamed, path)
    sentence = r"lacks 'backbone.layers.0.mixer.A_log' \(near 'backbone.layers.0.mixer.A_lag'\); it has .*A_lag' \(near"
    with pytest.raises(InputError, match=sentence):
        MambaLM.load_pretrained(copy)
    save_file({name: value for name, value in tensors.items() if ".mixer." not in name}, path)
    with pytest.raises(InputError, match=r"it lacks 'backbone.layers.0.mixer[^;]* and \d+ more. Correct"):
        MambaLM.load_pretrained(copy)
    save_file({**tensors, "backbone.norm_f.weight": torch.ones(5)}, path)
    with pytest.raises(ShapeError, match=r"'backbone.norm_f.weight' is \(5,\) in the checkpoint, but \(32,\)"):
        MambaLM.load_pretrained(copy)


def test_a_head_that_is_not_the_embedding(theirs, copy) -> None:
    if not theirs.config.tie_word_embeddings:
        pytest.skip("its head is of its own")
    tensors = load_file(copy / "model.safetensors")
    embedding = tensors["backbone.embeddings.weight"]
    save_file({**tensors, "lm_head.weight": embedding.clone()}, copy / "model.safetensors")
    MambaLM.load_pretrained(copy)
    save_file({**tensors, "lm_head.weight": embedding + 1}, copy / "model.safetensors")
    with pytest.raises(InputError, match="tied to the embedding, but the checkpoint holds two that differ"):
        MambaLM.load_pretrained(copy)


def test_the_library_does_not_load_transformers() -> None:
    assert not any(name == "transformers" for name in vars(sys.modules["statespace.models"]))
