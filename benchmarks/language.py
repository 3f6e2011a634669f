"""Reading a prompt and writing tokens beside transformers, without its CUDA kernels, and mambapy.

- *MambaLM*: `statespace.models.MambaLM`;
- *generate*: the same model's tokens as ``generate`` gives them, each chosen: one call of the compiled core for a step;
- *stream*: the same through ``model.stream()``;
- *transformers*: ``MambaForCausalLM`` and ``Mamba2ForCausalLM`` with their cache, and with the weights of MambaLM;
- *mambapy*: ``mambapy.mamba.Mamba`` of the same size; its parallel form hands on no state, only its steps do.

A prompt is read from the zero state up to the logits after its last token; eight tokens are written, and the time of
one is told, which *MambaLM* takes by ``step``, layer by layer. All take turns, batch 1, float32, under both settings of
the allocator; *generate* and the stream write only. A ratio is the peer's time over ours, and that of ``step`` over
theirs: above 1 ours is better.

    python benchmarks/language.py                  # some minutes; peers are compared where they are installed
    python benchmarks/language.py --quick          # seconds, at a small size: shows that it runs
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from measuring import ALLOCATORS, interleaved, machine, markdown, run_again

from statespace.kernels import backends
from statespace.models import MambaLM

os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported: nothing is to be fetched
VOCABULARY, STEPS = 256, 8
TRANSFORMERS = {"mamba": "MambaForCausalLM", "mamba2": "Mamba2ForCausalLM"}
PEERS = ("transformers", "mambapy")
WAYS = ("generate", "stream")  # of writing, beside the step of the layers
NAMES = ("MambaLM", *WAYS, *PEERS)
Pass = Callable[[], object]
Passes = tuple[Pass | None, Pass]  # what reads the prompt, and what writes


def by_us(model: MambaLM, prompt: torch.Tensor) -> tuple[Pass, Pass]:
    state = [model(prompt)[1]]

    def write() -> None:
        for token in prompt[:, :STEPS].unbind(1):
            _, state[0] = model.step(token, state[0])

    return lambda: next(model.sample(prompt)), write


def by_generating(model: MambaLM, prompt: torch.Tensor) -> Passes:
    endless = model.sample(prompt)
    next(endless)
    return None, lambda: [next(endless) for _ in range(STEPS)]


def by_stream(model: MambaLM, prompt: torch.Tensor) -> Passes:
    live = model.stream()
    live.push(prompt)

    def write() -> None:
        for token in prompt[:, :STEPS].unbind(1):
            live.push(token)

    return None, write


def by_transformers(folder: str, kind: str, prompt: torch.Tensor) -> tuple[Pass, Pass]:
    import transformers

    model = getattr(transformers, TRANSFORMERS[kind]).from_pretrained(folder).eval()
    cache = model(prompt, use_cache=True).cache

    def write() -> None:
        for token in prompt[:, :STEPS].split(1, dim=1):
            model(token, cache=cache, use_cache=True)

    return lambda: model(prompt, use_cache=True, logits_to_keep=1), write


def by_mambapy(width: int, layers: int, prompt: torch.Tensor) -> tuple[Pass, Pass]:
    from mambapy.mamba import Mamba, MambaConfig, RMSNorm

    embedding, stack = torch.nn.Embedding(VOCABULARY, width), Mamba(MambaConfig(d_model=width, n_layers=layers)).eval()
    norm, inner = RMSNorm(width), stack.config.d_inner
    caches: list[Any] = [(None, torch.zeros(1, inner, stack.config.d_conv - 1)) for _ in range(layers)]

    def head(x: torch.Tensor) -> torch.Tensor:
        return norm(x) @ embedding.weight.T

    def write() -> None:
        nonlocal caches
        for token in prompt[:, :STEPS].unbind(1):
            x, caches = stack.step(embedding(token), caches)
            head(x)

    return lambda: head(stack(embedding(prompt))[:, -1]), write


def sides(kind: str, width: int, options: argparse.Namespace) -> dict[str, Passes]:
    """Make every model that can be made here; give what reads the prompt and what writes, for each."""
    torch.manual_seed(0)
    prompt = torch.randint(VOCABULARY, (1, options.length))
    given: dict[str, Any] = {"head_dim": 32} if kind == "mamba2" else {}
    model = MambaLM(VOCABULARY, width, options.layers, kind, {kind: given}).eval()
    made: dict[str, Passes] = {"MambaLM": by_us(model, prompt), "generate": by_generating(model, prompt)}
    made["stream"] = by_stream(model, prompt)
    if find_spec("transformers"):
        with TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            made["transformers"] = by_transformers(folder, kind, prompt)
    if find_spec("mambapy") and kind == "mamba":
        made["mambapy"] = by_mambapy(width, options.layers, prompt)
    return made


@torch.no_grad()
def time_all(options: argparse.Namespace) -> list[dict[str, object]]:
    """Time everything in this process, under the allocator it was started with."""
    rows: list[dict[str, object]] = []
    for kind in TRANSFORMERS:
        for width in options.widths:
            made = sides(kind, width, options)
            for i, (what, unit) in enumerate((("prompt, ms", 1e3), ("token, ms", 1e3 / STEPS))):
                timed = {name: one for name, passes in made.items() if (one := passes[i]) is not None}
                timing = interleaved(list(timed.values()), options.rounds, options.seconds)
                times = dict(zip(timed, timing.medians, strict=True))
                row: dict[str, object] = {"layers": kind, "d": width, "of": what}
                row |= {name: times[name] * unit if name in times else None for name in NAMES}
                ours = times["MambaLM"]
                row |= {f"{peer} / MambaLM": times[peer] / ours if peer in times else None for peer in PEERS}
                row |= {f"MambaLM / {way}": ours / times[way] if way in times else None for way in WAYS}
                row["others' CPU, %"] = None if timing.others is None else 100 * timing.others
                rows.append(row)
                print(", ".join(f"{name} {value}" for name, value in row.items()), file=sys.stderr)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", nargs="+", type=int, default=[64, 128, 256], metavar="D")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--length", type=int, default=512, help="tokens of the prompt")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=30, help="at most, for each case")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each case, after three rounds")
    parser.add_argument("--quick", action="store_true", help="a small size and few rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    parser.add_argument("--time", action="store_true", help=argparse.SUPPRESS)  # for the processes started from here
    options = parser.parse_args()
    if options.quick:
        options.widths, options.length, options.layers, options.rounds = [32], 24, 2, 3
    torch.set_num_threads(options.threads)
    if options.time:
        print(json.dumps(time_all(options)))
        return
    times = {name: json.loads(run_again([*sys.argv[1:], "--time"], name)) for name in ALLOCATORS}
    sizes = f"{options.layers} layers, a prompt of {options.length} tokens of {VOCABULARY}"
    print(f"{sizes}, float32; torch {torch.__version__}; {machine(options.threads)}; native: {backends()['native']}\n")
    print("\n\n".join(f"Time, medians, allocator: {name}\n\n{markdown(rows)}" for name, rows in times.items()))
    if options.json:
        options.json.write_text(json.dumps({"sizes": sizes, "time": times}, indent=1) + "\n")


if __name__ == "__main__":
    main()
