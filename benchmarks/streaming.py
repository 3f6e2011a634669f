"""One streaming step of a stack of four layers of 64 channels, beside what a user would run instead, on one thread.

- *Mamba*, *Mamba-2*, *S4D*: `statespace.models.Backbone` as a `Stream`, by the compiled core (native), the same program
  in torch over rows that are made once (buffered) and plainly (reference), and the step of each layer in turn (layers);
- *ONNX*: the Mamba stack's step, exported, by onnxruntime with all optimisations and bound memory;
- *LSTMCell*: four cells of torch, as wide;
- *transformers*, *mambapy*: their Mamba models' own step, of the same sizes.

What is not installed is left out. With ``--context``, also the time of a token and the memory of the state against the
length of the context, 2^8 to 2^17: a Transformer with a cache of keys and values, an LSTM, and the Mamba stack.

    python benchmarks/streaming.py --context --json docs/benchmarks/streaming.json     # about four minutes
    python benchmarks/streaming.py --quick                                             # seconds, at a small size
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from measuring import interleaved, machine, markdown
from torch import Tensor, nn

from statespace.kernels import backends, native
from statespace.models import Backbone, StreamedModel
from statespace.models.export import export_step, to_onnx
from statespace.models.stream import WAYS

Step = Callable[[], object]


def ours(layer: str, options: argparse.Namespace) -> StreamedModel:
    """Make our stack."""
    states = {"mamba": options.states, "mamba2": options.vectors, "s4d": options.orders}[layer]
    return Backbone(options.channels, options.layers, layer, states).eval()


def streamed(layer: str, backend: str, x: Tensor, options: argparse.Namespace) -> Step:
    live = ours(layer, options).stream(len(x), backend=backend)
    return lambda: live.push(x)


def exported(x: Tensor, options: argparse.Namespace) -> Step:
    """Run the exported step on bound memory; the states take turns as input and output."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        to_onnx(export_step(ours("mamba", options), len(x)), Path(folder, "step.onnx"))
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = onnxruntime.InferenceSession(str(Path(folder, "step.onnx")), settings, ["CPUExecutionProvider"])
    first, *states = [onnxruntime.OrtValue.ortvalue_from_numpy(x.numpy())] + [
        onnxruntime.OrtValue.ortvalue_from_numpy(torch.zeros(of.shape).numpy()) for of in session.get_inputs()[1:]
    ]
    results = [onnxruntime.OrtValue.ortvalue_from_numpy(torch.zeros(of.shape).numpy()) for of in session.get_outputs()]
    bindings = []
    for before, after in ((states, results[1:]), (results[1:], states)):
        binding = session.io_binding()
        for of, value in zip(session.get_inputs(), [first, *before], strict=True):
            binding.bind_ortvalue_input(of.name, value)
        for of, value in zip(session.get_outputs(), [results[0], *after], strict=True):
            binding.bind_ortvalue_output(of.name, value)
        bindings.append(binding)

    def step() -> None:
        bindings.reverse()
        session.run_with_iobinding(bindings[0])

    return step


def cells(x: Tensor, options: argparse.Namespace) -> Step:
    stack = nn.ModuleList(nn.LSTMCell(options.channels, options.channels) for _ in range(options.layers))
    states: list[tuple[Tensor, Tensor]] = [(torch.zeros_like(x), torch.zeros_like(x)) for _ in stack]

    def step() -> None:
        h = x
        for i, cell in enumerate(stack):
            states[i] = cell(h, states[i])
            h = states[i][0]

    return step


def transformers(x: Tensor, options: argparse.Namespace) -> Step:
    from transformers import MambaConfig, MambaModel

    config = MambaConfig(
        vocab_size=2, hidden_size=options.channels, state_size=options.states, num_hidden_layers=options.layers
    )
    model = MambaModel(config).eval()
    cache = model(inputs_embeds=x[:, None], use_cache=True).cache_params
    return lambda: model(inputs_embeds=x[:, None], cache_params=cache, use_cache=True)


def mambapy(x: Tensor, options: argparse.Namespace) -> Step:
    from mambapy.mamba import Mamba, MambaConfig

    config = MambaConfig(d_model=options.channels, n_layers=options.layers, d_state=options.states)
    model = Mamba(config).eval()
    inner = config.expand_factor * config.d_model
    caches = [(None, torch.zeros(len(x), inner, config.d_conv - 1)) for _ in range(config.n_layers)]

    def step() -> None:
        nonlocal caches
        _, caches = model.step(x, caches)

    return step


def sides(x: Tensor, options: argparse.Namespace) -> dict[str, Step]:
    """Return a step of each side that can run here."""
    found: dict[str, Step] = {}
    for layer, name in (("mamba", "Mamba"), ("mamba2", "Mamba-2"), ("s4d", "S4D")):
        for backend in WAYS:
            if backend != "native" or not native.why_missing():
                found[f"{name}, {backend}"] = streamed(layer, backend, x, options)
    if all(map(find_spec, ("onnx", "onnxscript", "onnxruntime"))):
        found["Mamba, ONNX"] = exported(x, options)
    found["LSTMCell"] = cells(x, options)
    for peer in (transformers, mambapy):
        if find_spec(peer.__name__):
            found[f"Mamba, {peer.__name__}"] = peer(x, options)
    return found


def repeated(step: Step, times: int) -> Callable[[], None]:
    def several() -> None:
        for _ in range(times):
            step()

    return several


def time_steps(options: argparse.Namespace) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for batch in options.batches:
        torch.manual_seed(0)
        steps = sides(torch.randn(batch, options.channels), options)
        timing = interleaved(
            [repeated(step, options.repeats) for step in steps.values()], options.rounds, options.seconds
        )
        medians = [median / options.repeats * 1e6 for median in timing.medians]
        theirs = medians[list(steps).index("LSTMCell")]
        for side, median in zip(steps, medians, strict=True):
            rows.append(
                {
                    "batch": batch,
                    "step": side,
                    "us": median,
                    "over LSTMCell": median / theirs,
                    "rounds": timing.rounds,
                    "others' CPU, %": None if timing.others is None else 100 * timing.others,
                }
            )
    return rows


class Attention(nn.Module):
    """A Transformer of pre-norm blocks that generates: each keeps the keys and values of all tokens before."""

    def __init__(self, channels: int, layers: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        make = nn.ModuleList
        self.norms = make(nn.LayerNorm(channels) for _ in range(2 * layers))
        self.into = make(nn.Linear(channels, 3 * channels) for _ in range(layers))
        self.out = make(nn.Linear(channels, channels) for _ in range(layers))
        self.wide = make(nn.Linear(channels, 4 * channels) for _ in range(layers))
        self.narrow = make(nn.Linear(4 * channels, channels) for _ in range(layers))

    def step(self, x: Tensor, cache: list[tuple[Tensor, Tensor]], length: int) -> Tensor:
        """Take the token `x` ``(b, d)`` after so many in the caches, which have room for one more."""
        for i, (keys, values) in enumerate(cache):
            q, k, v = self.into[i](self.norms[2 * i](x)).view(len(x), 3, self.heads, 1, -1).unbind(1)
            keys[:, :, length], values[:, :, length] = k[:, :, 0], v[:, :, 0]
            x = x + self.out[i](F.scaled_dot_product_attention(q, keys, values).flatten(1))
            x = x + self.narrow[i](F.gelu(self.wide[i](self.norms[2 * i + 1](x))))
        return x


def megabytes(tensors: list[Tensor]) -> float:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6


def after_context(context: int, options: argparse.Namespace) -> dict[str, object]:
    """Time a token after so many. The Transformer's caches hold random numbers, as many as it would have kept."""
    torch.manual_seed(0)
    x = torch.randn(1, options.channels)
    live = ours("mamba", options).stream()
    for chunk in torch.randn(1, context, options.channels).split(4096, 1):
        live.push(chunk)
    transformer = Attention(options.channels, options.layers).eval()
    shape = (1, transformer.heads, context + 1, options.channels // transformer.heads)
    cache = [(torch.randn(shape), torch.randn(shape)) for _ in range(options.layers)]
    memory = {
        "Transformer": megabytes([part for pair in cache for part in pair]),
        "LSTM": megabytes([x] * 2 * options.layers),
        "Mamba": megabytes(live.state_dict()["states"]),
    }
    steps: list[Step] = [lambda: transformer.step(x, cache, context), cells(x, options), lambda: live.push(x)]
    timing = interleaved(steps, 40 * options.rounds, options.seconds / 4)
    return (
        {"context": context}
        | {f"{side}, us": median * 1e6 for side, median in zip(memory, timing.medians, strict=True)}
        | {f"{side}, MB": size for side, size in memory.items()}
        | {"others' CPU, %": None if timing.others is None else 100 * timing.others}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32], metavar="B")
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--states", type=int, default=16, help="of each inner channel of Mamba")
    parser.add_argument("--vectors", type=int, default=128, help="states of each inner channel of Mamba-2")
    parser.add_argument("--orders", type=int, default=64, help="N, the order of each S4D system")
    parser.add_argument("--powers", nargs="+", type=int, default=list(range(8, 18)), help="of two: contexts")
    parser.add_argument("--rounds", type=int, default=60, help="at most, for each batch")
    parser.add_argument("--repeats", type=int, default=50, help="steps in each round")
    parser.add_argument("--seconds", type=float, default=40.0, help="for each batch, after three rounds")
    parser.add_argument("--context", action="store_true", help="also time and memory against the length of the context")
    parser.add_argument("--quick", action="store_true", help="a small size and few rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    options = parser.parse_args()
    if options.quick:
        options.batches, options.channels, options.layers, options.states, options.orders = [2], 8, 1, 4, 4
        options.vectors = 4
        options.rounds, options.repeats, options.powers, options.context = 3, 3, [4, 5], True
    torch.set_num_threads(1)
    sizes = f"{options.layers} layers of {options.channels} channels, {options.states} states (Mamba), "
    sizes += f"{options.vectors} (Mamba-2), N = "
    head = f"{sizes}{options.orders} (S4D), float32; torch {torch.__version__}; {machine(1)}; native: "
    head += backends()["native"]
    with torch.no_grad():
        times = time_steps(options)
        contexts = [after_context(2**power, options) for power in options.powers] if options.context else []
    print(f"{head}\n\nOne step, medians\n\n{markdown(times)}")
    if contexts:
        print(f"\nA token after a context of so many, medians\n\n{markdown(contexts)}")
    if options.json:
        options.json.write_text(json.dumps({"head": head, "steps": times, "contexts": contexts}, indent=1) + "\n")


if __name__ == "__main__":
    main()
