"""Every layer beside an LSTM and a causal Transformer of as many parameters: training, memory and streaming.

A model is two blocks deep, and as wide as makes its number of parameters closest to that of the S4D model:

- every name in ``statespace.layers.LAYERS``, made with its defaults, in pre-norm residual blocks, with GLU mixing where
  the layer does not mix the channels itself;
- *torch LSTM*: ``torch.nn.LSTM``;
- *torch attention*: pre-norm blocks of ``scaled_dot_product_attention`` with a causal mask, and an MLP of width 4 d.

*Training* is forward, mean squared error, backward and AdamW on 16384 samples, cut into sequences of length L; all take
turns. *Peak memory* is how far one such step raises the memory of a process of its own. *Streaming* is one sample at a
time, batch 1, one thread, in eager torch without gradients, from the state after L samples: for attention with its
cache of keys and values, which grows.

    python benchmarks/family.py                                # about ten minutes
    python benchmarks/family.py --layers s4 s5 --lengths 512   # some of it, beside LSTM and attention
    python benchmarks/family.py --quick                        # at a small size: shows that it runs
"""

import argparse
import json
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from measuring import ALLOCATORS, interleaved, machine, markdown, peak_memory, run_again
from torch import Tensor, nn
from torch.nn import functional as F

from statespace.kernels import backends
from statespace.layers import LAYERS, ResidualBlock

DEPTH = 2
PEERS = ("torch LSTM", "torch attention")
STEPS = 20  # of streaming, in a call that is timed


class Stack(nn.Module):
    """Residual blocks around a layer of the library."""

    def __init__(self, name: str, d: int) -> None:
        super().__init__()
        mixing = "none" if LAYERS[name].capabilities.mixes else "glu"
        self.blocks = nn.ModuleList(ResidualBlock(LAYERS[name](d), mixing) for _ in range(DEPTH))
        self.steps = LAYERS[name].capabilities.steps

    def forward(self, x: Tensor) -> tuple[Tensor, list[Any]]:
        """Return the output and the states of the blocks."""
        states = []
        for block in self.blocks:
            x, state = block(x)
            states.append(state)
        return x, states

    def step(self, x: Tensor, states: list[Any]) -> tuple[Tensor, list[Any]]:
        """Take one sample."""
        after = []
        for block, state in zip(self.blocks, states, strict=True):
            x, state = block.step(x, state)
            after.append(state)
        return x, after


class LSTM(nn.Module):
    """``torch.nn.LSTM``, with a step."""

    steps = True

    def __init__(self, d: int) -> None:
        super().__init__()
        self.layers = nn.LSTM(d, d, DEPTH, batch_first=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        """Return the output and the state."""
        y, state = self.layers(x)
        return y, state

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Take one sample."""
        y, state = self.layers(x[:, None], state)
        return y[:, 0], state


class Attention(nn.Module):
    """Pre-norm blocks of causal attention and an MLP; the state is the keys and values seen so far."""

    steps = True

    def __init__(self, d: int) -> None:
        super().__init__()
        self.heads = max(1, d // 16)
        self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in range(2 * DEPTH))
        self.into = nn.ModuleList(nn.Linear(d, 3 * d) for _ in range(DEPTH))
        self.out = nn.ModuleList(nn.Linear(d, d) for _ in range(DEPTH))
        self.mlp = nn.ModuleList(
            nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d)) for _ in range(DEPTH)
        )

    def _run(self, x: Tensor, caches: list[tuple[Tensor, Tensor]] | None) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        after = []
        for i in range(DEPTH):
            heads = self.into[i](self.norms[2 * i](x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            q, k, v = heads
            if caches is not None:
                k, v = torch.cat([caches[i][0], k], 2), torch.cat([caches[i][1], v], 2)
            after.append((k, v))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=caches is None)
            x = x + self.out[i](y.transpose(1, 2).flatten(2))
            x = x + self.mlp[i](self.norms[2 * i + 1](x))
        return x, after

    def forward(self, x: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Return the output and all keys and values."""
        return self._run(x, None)

    def step(self, x: Tensor, caches: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Take one sample."""
        y, caches = self._run(x[:, None], caches)
        return y[:, 0], caches


def build(side: str, d: int) -> Any:
    return {"torch LSTM": LSTM, "torch attention": Attention}[side](d) if side in PEERS else Stack(side, d)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def widths(sides: list[str], channels: int) -> dict[str, int]:
    """The width of each side, a multiple of 16 (4 at small sizes), whose parameters come closest to those of S4D."""
    target, found = count(build("s4d", channels)), {}
    grain = 16 if channels >= 64 else 4
    for side in sides:
        candidates = {d: abs(count(build(side, d)) - target) for d in range(grain, 3 * channels + 1, grain)}
        found[side] = min(candidates, key=candidates.__getitem__)
    return found


def training(side: str, d: int, length: int, samples: int) -> Callable[[], object]:
    """Make a model and a batch, and return a function that takes one training step."""
    torch.manual_seed(0)
    x, target = torch.randn(2, samples // length, length, d)
    model = build(side, d)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        F.mse_loss(model(x)[0], target).backward()
        optimizer.step()

    return step


def memory_of(side: str, d: int, length: int, samples: int, threads: int) -> float | None:
    """Return how far a training step raises the memory of this process, which is new, in MB."""
    torch.set_num_threads(threads)
    return peak_memory(training(side, d, length, samples))


def streaming(side: str, d: int, length: int) -> Callable[[], object] | None:
    """Return a function that takes some steps after `length` samples; None where the layer cannot step."""
    torch.manual_seed(0)
    model, samples = build(side, d).eval(), torch.randn(STEPS, 1, d)
    if not model.steps:
        return None
    with torch.no_grad():
        start = model(torch.randn(1, length, d))[1]

    def steps() -> None:
        state = start
        with torch.no_grad():
            for sample in samples:
                _, state = model.step(sample, state)

    return steps


def time_all(options: argparse.Namespace) -> list[dict[str, object]]:
    """Time everything in this process, under the allocator it was started with."""
    rows = []
    for length in options.lengths:
        torch.set_num_threads(options.threads)
        steps = [training(side, d, length, options.samples) for side, d in options.widths.items()]
        trained = interleaved(steps, options.rounds, options.seconds)
        torch.set_num_threads(1)
        streams = {side: streaming(side, d, length) for side, d in options.widths.items()}
        streamed = interleaved([run for run in streams.values() if run], 3 * options.rounds, options.seconds)
        micros = iter(streamed.medians)
        at = list(options.widths).index("torch LSTM")
        for (side, d), seconds, cpu in zip(options.widths.items(), trained.medians, trained.cpu, strict=True):
            rows.append(
                {
                    "L": length,
                    "layer": side,
                    "width": d,
                    "parameters": count(build(side, d)),
                    "training, ms": 1e3 * seconds,
                    "over LSTM": seconds / trained.medians[at],
                    "CPU time, over LSTM": cpu / trained.cpu[at],
                    "streaming, µs": 1e6 * next(micros) / STEPS if streams[side] else None,
                    "others' CPU, %": None if trained.others is None else 100 * trained.others,
                }
            )
            print(f"L = {length}: {side} {1e3 * seconds:.3g} ms", file=sys.stderr)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", nargs="+", choices=list(LAYERS), default=list(LAYERS), metavar="NAME")
    parser.add_argument("--lengths", nargs="+", type=int, default=[512, 4096, 16384], metavar="L")
    parser.add_argument("--samples", type=int, default=16384, help="in a batch, whatever L")
    parser.add_argument("--channels", type=int, default=64, help="of the S4D model, to whose size the others are cut")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=20, help="at most, for each length")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each length, after three rounds")
    parser.add_argument("--quick", action="store_true", help="a small size and few rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    parser.add_argument("--time", action="store_true", help=argparse.SUPPRESS)  # for the processes started from here
    options = parser.parse_args()
    if options.quick:
        options.lengths, options.samples, options.channels, options.rounds = [32], 64, 8, 1
    sides = [*options.layers, *PEERS]
    if options.time:
        options.widths = widths(sides, options.channels)
        print(json.dumps(time_all(options)))
        return
    times = {name: json.loads(run_again([*sys.argv[1:], "--time"], name)) for name in ALLOCATORS}
    # This process computes nothing, so that it can be forked: each step has one of its own, at no cost.
    jobs = [(row["layer"], row["width"], row["L"], options.samples, options.threads) for row in times["default"]]
    with get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        for row, memory in zip(times["default"], pool.starmap(memory_of, jobs, chunksize=1), strict=True):
            row["peak memory, MB"] = memory
    head = f"{DEPTH} blocks, {options.samples} samples a step, float32; torch {torch.__version__}"
    print(f"{head}; {machine(options.threads)}; native: {backends()['native']}\n")
    print("\n\n".join(f"Allocator: {name}\n\n{markdown(rows)}" for name, rows in times.items()))
    if options.json:
        options.json.write_text(json.dumps({"sizes": head, "time": times}, indent=1) + "\n")


if __name__ == "__main__":
    main()
