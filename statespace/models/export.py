"""Models for other runtimes: one step and whole sequences, with the state passed in and out, as graphs and ONNX files.

Both are made of common operators in real arithmetic, however the layers compute here: a complex state is a pair of
numbers on a last axis. A step is what a `Stream` does with one sample; a sequence is computed in parallel over time.

    y, *next_states = step(x, *states)          x (b, d), or tokens (b,)
    y, *next_states = sequence(x, *states)      x (b, l, d), or tokens (b, l)
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from statespace.errors import InputError, at_least
from statespace.kernels.stack_step import Program, scan, step
from statespace.layers.base import check_dt_scale
from statespace.models.stream import StreamedModel

Run: TypeAlias = Callable[[Program, Tensor, Sequence[Tensor]], tuple[Tensor, list[Tensor]]]


class _Graph(nn.Module):
    """A program as a module: its constants are the graph's own."""

    def __init__(self, program: Program, run: Run, embedding: nn.Embedding | None) -> None:
        super().__init__()
        self.program, self.run, self.embedding = program, run, embedding

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        y, after = self.run(self.program, x if self.embedding is None else self.embedding(x), states)
        return (y, *after)


def _graph(
    where: str, model: StreamedModel, batch: int, length: int | None, dt_scale: float
) -> tuple[_Graph, tuple[Tensor, ...]]:
    """Return the module and the arguments that it is traced with."""
    at_least(where, 1, batch=batch, length=1 if length is None else length)
    check_dt_scale(where, dt_scale)
    if dt_scale != 1 and not model.has_time:
        raise InputError(
            f"{where}: dt_scale is {dt_scale}, but {type(model).__name__} counts tokens and knows no time between "
            "them: leave dt_scale out."
        )
    program = model.program(dt_scale)
    if isinstance(program, str):
        raise InputError(
            f"{where}: this model has no form in common operators: {program} The layers S4D, S6, "
            "Mamba, SSD and Mamba-2 have one."
        )
    shape = (batch,) if length is None else (batch, length)
    dtype, device = program.dtype, program.device
    embedding = model.token_embedding()
    if embedding is None:
        x = torch.randn(*shape, program.sample.width, dtype=dtype, device=device)
    else:
        x = torch.zeros(shape, dtype=torch.int64, device=device)
    states = [torch.zeros(batch, *state, dtype=dtype, device=device) for state in program.states]
    return _Graph(program, step if length is None else scan, embedding).eval(), (x, *states)


def export_step(model: StreamedModel, batch: int = 1, dt_scale: float = 1.0) -> torch.export.ExportedProgram:
    """Return one step as a graph of `torch.export`: ``y, *states = graph.module()(x, *states)``.

    Args:
        model: a model whose `program` there is, such as a `Backbone` or a `MambaLM` of S4D, S6,
            Mamba, SSD or Mamba-2.
        batch: number of streams.
        dt_scale: time between two samples in units of the time between two samples in training.
    Returns:
        The exported program. States before any sample are zeros, of the shapes of its inputs.
    Raises:
        InputError: `batch` or `dt_scale` is out of range, the model has no time, or it has no such form; the message
            says why.
    """
    graph, arguments = _graph("export_step", model, batch, None, dt_scale)
    return torch.export.export(graph, arguments)


def export_sequence(
    model: StreamedModel, length: int, batch: int = 1, dt_scale: float = 1.0
) -> torch.export.ExportedProgram:
    """Return the parallel form for sequences of one length as a graph of `torch.export`; as `export_step`.

    Args:
        model: as for `export_step`.
        length: samples of each sequence. Memory grows with it: each sample's states are held.
        batch: number of sequences.
        dt_scale: time between two samples in units of the time between two samples in training.
    Returns:
        The exported program, with the states before the first sample in, and those after the last one out.
    Raises:
        InputError: `length`, `batch` or `dt_scale` is out of range, the model has no time, or it has no such form; the
            message says why.
    """
    graph, arguments = _graph("export_sequence", model, batch, length, dt_scale)
    return torch.export.export(graph, arguments)


def to_onnx(exported: torch.export.ExportedProgram, path: Path | str) -> None:
    """Write a graph of `export_step` or `export_sequence` as an ONNX file.

    Its inputs are named ``x, state_0, state_1 ...``, its outputs ``y, next_state_0, next_state_1 ...``.

    Args:
        exported: the graph.
        path: the file; it holds the weights too.
    Raises:
        InputError: the extra ``onnx`` is not installed.
    """
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"to_onnx: {' and '.join(missing)} cannot be imported: install the extra, pip install 'statespace[onnx]'."
        )
    from onnxscript import opset18

    count = len(exported.graph_signature.user_outputs) - 1
    written = torch.onnx.export(
        exported,
        input_names=["x", *(f"state_{i}" for i in range(count))],
        output_names=["y", *(f"next_state_{i}" for i in range(count))],
        # Theirs has a threshold, which takes three nodes where one does the same.
        custom_translation_table={torch.ops.aten.softplus.default: lambda x, *_: opset18.Softplus(x)},
        verbose=False,
    )
    assert written is not None
    written.save(path)
