"""Exported graphs against the model itself, in torch and by onnxruntime: steps and sequences, states carried over."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from statespace.errors import InputError
from statespace.models import Backbone, MambaLM, export, export_sequence, export_step, to_onnx

LENGTH, CHANNELS = 11, 6
MODELS = [("mamba", "none"), ("s4d", "glu"), ("s6", "gated"), ("mamba2", "none"), ("ssd", "glu")]
models = pytest.mark.parametrize(("layer", "mixing"), MODELS)


def make(layer: str, mixing: str, dtype: torch.dtype = torch.float32) -> Backbone:
    torch.manual_seed(5)
    return Backbone(CHANNELS, 1, layer, 6, mixing, dropout=0.5).to(dtype)


def whole(model: Backbone, x: Tensor) -> Tensor:
    with torch.no_grad():
        return model.eval()(x)[0]


def zeros(model: Backbone, batch: int, like: Tensor) -> list[Tensor]:
    return [like.new_zeros(batch, *shape) for shape in model.program().states]


@models
def test_graphs_of_torch(layer: str, mixing: str) -> None:
    model, x = make(layer, mixing, torch.float64), torch.randn(2, LENGTH + 4, CHANNELS, dtype=torch.float64)
    expected = whole(model, x)
    sequence, step = export_sequence(model, LENGTH, 2), export_step(model.train(), 2)
    for graph in (sequence, step):
        used = {value.meta["val"].dtype for value in graph.graph.nodes if isinstance(value.meta.get("val"), Tensor)}
        assert not any(dtype.is_complex for dtype in used)
    first, *states = sequence.module()(x[:, :LENGTH], *zeros(model, 2, x))
    ys = [first]
    for sample in x[:, LENGTH:].unbind(1):
        y, *states = step.module()(sample, *states)
        ys.append(y[:, None])
    torch.testing.assert_close(torch.cat(ys, 1), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("layer", "mixing"), [*MODELS[:2], MODELS[3]])
def test_onnx_files(layer: str, mixing: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    pytest.importorskip("onnxscript", reason="the extra 'onnx' is not installed")
    model, x = make(layer, mixing), torch.randn(1, LENGTH + 4, CHANNELS)
    expected = whole(model, x)
    to_onnx(export_sequence(model, LENGTH), tmp_path / "sequence.onnx")
    to_onnx(export_step(model), tmp_path / "step.onnx")

    onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
    for name in ("sequence.onnx", "step.onnx"):  # any runtime can take them
        assert {of.domain for of in onnx.load(tmp_path / name).opset_import} == {""}

    def run(name: str, x: Tensor, states: list) -> list:
        session = onnxruntime.InferenceSession(tmp_path / name, providers=["CPUExecutionProvider"])
        names = [of.name for of in session.get_inputs()]
        assert names == ["x", *(f"state_{i}" for i in range(len(states)))]
        assert session.get_outputs()[0].name == "y"
        return session.run(None, dict(zip(names, [x.numpy(), *states], strict=True)))

    first, *states = run("sequence.onnx", x[:, :LENGTH], [part.numpy() for part in zeros(model, 1, x)])
    ys = [torch.from_numpy(first)]
    for sample in x[:, LENGTH:].unbind(1):
        y, *states = run("step.onnx", sample, states)
        ys.append(torch.from_numpy(y)[:, None])
    torch.testing.assert_close(torch.cat(ys, 1), expected, rtol=0, atol=1e-4)


def test_what_it_refuses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = make("s4d", "glu")
    with pytest.raises(InputError, match="export_step: batch is 0"):
        export_step(model, 0)
    for length in (0, 1.5, True):
        with pytest.raises(InputError, match=f"length is {length!r}, but a whole number of at least 1"):
            export_sequence(model, length)
    with pytest.raises(InputError, match=r"export_sequence: batch is 1\.5, but a whole number of at least 1"):
        export_sequence(model, 4, 1.5)
    for rate in (-1.0, 0.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match=f"export_step: dt_scale is {rate}, but a positive number is expected"):
            export_step(model, dt_scale=rate)
    with pytest.raises(InputError, match=r"export_step: dt_scale is 3\.0, but MambaLM counts tokens and knows no time"):
        export_step(MambaLM(16, 16, 1), dt_scale=3.0)
    with pytest.raises(
        InputError, match=r"no form in common operators: it is in torch.bfloat16.*SSD and Mamba-2 have one"
    ):
        export_step(model.bfloat16())
    monkeypatch.setattr(export, "find_spec", lambda _: None)
    with pytest.raises(
        InputError, match=r"onnx and onnxscript cannot be imported: install the extra, pip install 'stat"
    ):
        to_onnx(export_step(model.float()), tmp_path / "step.onnx")
