"""The selective scan beside what a user can install today: mambapy's parallel scan, transformers' sequential one.

- *native*: ``selective_scan`` with the compiled backend; *chunked*: the portable one;
- *mambapy*: `mambapy.pscan` under the discretization, product with C and skip of its Mamba block.

All start from the same u, Δ, A, B, C and D. Training is forward and backward, with all six gradients. Implementations
take turns, under both settings of the allocator. A ratio is the peer's time over ours: above 1 ours is better. Beside
them, in the same run: how far *native* is from the time that its exponentials and multiply-adds alone take, with one
thread and with all (`floors/`).

    python benchmarks/scan.py                  # some minutes; mambapy is compared where it is installed
    python benchmarks/scan.py --loop           # one training step of transformers' Mamba block, which loops in Python
    python benchmarks/scan.py --memory         # the peak of each way, each in a process of its own
    python benchmarks/scan.py --lengths        # cost per step from 2^10 to 2^20 on one sequence
    python benchmarks/scan.py --quick          # seconds, at a small size: shows that it runs
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import floors
import torch
from measuring import ALLOCATORS, interleaved, machine, markdown, peak_memory, run_again
from torch import Tensor

from statespace.kernels import backends
from statespace.kernels.selective_scan import selective_scan
from statespace.layers import Mamba

PASSES = ("forward", "training")
SIZES = ["8x1024x128x16", "1x4096x512x16", "2x16384x256x16", "1x65536x64x16"]
LENGTHS = [1 << k for k in range(10, 21, 2)]


def by_mambapy(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The scan as mambapy computes it: the state of every step, in memory, by a parallel prefix sum."""
    from mambapy.pscan import pscan

    states = pscan(torch.exp(dt[..., None] * A), (dt * u)[..., None] * B[:, :, None])
    return (states @ C[..., None])[..., 0] + D * u


WAYS: dict[str, Callable[..., Tensor]] = {
    "native": lambda *arguments: selective_scan(*arguments, backend="native"),
    "chunked": lambda *arguments: selective_scan(*arguments, backend="chunked"),
    "mambapy": by_mambapy,
}


def there() -> list[str]:
    """The ways that can be gone on this machine."""
    missing = {
        "native": not backends()["native"].startswith("available"),
        "mambapy": find_spec("mambapy") is None,
    }
    return [way for way in WAYS if not missing.get(way)]


def make(way: str, which: str, size: str) -> Callable[[], object]:
    """Make the arguments, and return a function without any that does one pass."""
    batch, length, channels, states = map(int, size.split("x"))
    torch.manual_seed(0)
    given = [
        torch.randn(batch, length, channels),
        torch.exp(torch.empty(batch, length, channels).uniform_(math.log(1e-3), math.log(1e-1))),
        -torch.arange(1.0, states + 1).repeat(channels, 1),
        torch.randn(batch, length, states),
        torch.randn(batch, length, states),
        torch.ones(channels),
    ]
    function = WAYS[way]
    if which == "forward":
        return lambda: function(*given)
    gradient = torch.randn(batch, length, channels)
    leaves = [tensor.requires_grad_() for tensor in given]
    return lambda: torch.autograd.grad(function(*leaves), leaves, gradient)


def time_all(options: argparse.Namespace) -> list[dict[str, object]]:
    """Time every case in this process, under the allocator it was started with."""
    rows: list[dict[str, object]] = []
    for size in options.sizes:
        for which in PASSES:
            timing = interleaved([make(way, which, size) for way in there()], options.rounds, options.seconds)
            taken = dict(zip(there(), timing.medians, strict=True))
            row: dict[str, object] = {"B x L x D x N": size, "pass": which}
            row |= {f"{way}, ms": taken[way] * 1e3 if way in taken else None for way in WAYS}
            for ours in ("native", "chunked"):
                both = ours in taken and "mambapy" in taken
                row[f"mambapy / {ours}"] = taken["mambapy"] / taken[ours] if both else None
            row |= {"rounds": timing.rounds, "others' CPU, %": timing.others and 100 * timing.others}
            rows.append(row)
            print(
                f"{size}, {which}: " + ", ".join(f"{way} {s * 1e3:.3g} ms" for way, s in taken.items()), file=sys.stderr
            )
    return rows


def approach_floors(options: argparse.Namespace) -> list[dict[str, object]]:
    """Time the compiled scan and the arithmetic that it cannot do without, in turns, with one thread and with all."""
    probe = floors.Probe()
    rows: list[dict[str, object]] = []
    for size in options.sizes:
        for which in PASSES:
            for threads in sorted({1, options.threads}):
                torch.set_num_threads(threads)
                functions = [make("native", which, size), *probe.parts(which, size, threads)]
                timing = interleaved(functions, options.rounds, options.seconds)
                native, exponentials, multiply_adds = timing.medians
                rows.append(
                    {
                        "B x L x D x N": size,
                        "pass": which,
                        "threads": threads,
                        "native, ms": native * 1e3,
                        "exponentials, ms": exponentials * 1e3,
                        "multiply-adds, ms": multiply_adds * 1e3,
                        "native / floor": native / (exponentials + multiply_adds),
                        "rounds": timing.rounds,
                        "others' CPU, %": timing.others and 100 * timing.others,
                    }
                )
    return rows


def loop_once(options: argparse.Namespace) -> list[dict[str, object]]:
    """Time one training step of a Mamba block by transformers' loop over samples, and of ours with the same sizes."""
    from transformers.models.mamba.modeling_mamba import MambaConfig, MambaMixer

    size = options.sizes[0]
    batch, length, channels, states = map(int, size.split("x"))
    config = MambaConfig(hidden_size=channels // 2, state_size=states, conv_kernel=4, expand=2, num_hidden_layers=1)
    mixer, block = MambaMixer(config, layer_idx=0), Mamba(channels // 2, states)
    x = torch.randn(batch, length, channels // 2, requires_grad=True)
    block(x)[0].sum().backward()  # what is loaded at the first call is no part of it
    by_loop = mixer.slow_forward if hasattr(mixer, "slow_forward") else mixer._slow_forward  # before and from 5.24 on
    begin = time.perf_counter()
    by_loop(x).sum().backward()
    between = time.perf_counter()
    block(x)[0].sum().backward()
    loop, ours = between - begin, time.perf_counter() - between
    return [{"B x L x D x N": size, "transformers, s": loop, "ours, s": ours, "ratio": loop / ours, "runs": 1}]


def weigh_all(options: argparse.Namespace) -> list[dict[str, object]]:
    """Measure the peak of every case, each in a process of its own."""
    rows: list[dict[str, object]] = []
    for size in options.sizes:
        for which in PASSES:
            peaks = {}
            for way in there():
                arguments = ["--peak", way, which, size, "--threads", str(options.threads)]
                peaks[way] = json.loads(run_again(arguments))
            row: dict[str, object] = {"B x L x D x N": size, "pass": which}
            row |= {f"{way}, MB": peaks.get(way) for way in WAYS}
            for ours in ("native", "chunked"):
                both = peaks.get("mambapy") and peaks.get(ours)  # small sizes may fit into memory that is there already
                row[f"mambapy / {ours}"] = peaks["mambapy"] / peaks[ours] if both else None
            rows.append(row)
    return rows


def lengthen(options: argparse.Namespace) -> list[dict[str, object]]:
    """Time training on one sequence of more and more steps, with 64 channels of 16 states."""
    rows: list[dict[str, object]] = []
    for length in options.lengths:
        timing = interleaved([make("native", "training", f"1x{length}x64x16")], options.rounds, options.seconds)
        rows.append(
            {
                "L": length,
                "training, ms": timing.medians[0] * 1e3,
                "per step, us": timing.medians[0] / length * 1e6,
                "rounds": timing.rounds,
                "others' CPU, %": timing.others and 100 * timing.others,
            }
        )
        print(f"L = {length}: {timing.medians[0] * 1e3:.3g} ms", file=sys.stderr)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="BxLxDxN", help="batch, length, channels, states")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5, help="at most, for each case")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each case, after three rounds")
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    parser.add_argument("--loop", action="store_true", help="time transformers' loop, once")
    parser.add_argument("--lengths", action="store_true", help="measure how the cost grows with the length")
    parser.add_argument("--quick", action="store_true", help="a small size and few rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    parser.add_argument("--time", action="store_true", help=argparse.SUPPRESS)  # for the processes started from here
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.lengths = LENGTHS if options.lengths else []
    if options.quick:
        options.sizes, options.rounds, options.lengths = ["2x100x8x4"], 3, [64, 128] if options.lengths else []
    torch.set_num_threads(options.threads)
    if options.peak:
        way, which, size = options.peak
        make(way, which, "1x16x4x4")()  # what is loaded at the first call is no part of it
        print(json.dumps(peak_memory(make(way, which, size))))
        return
    if options.time:
        found = {"": lengthen(options)} if options.lengths else {"": time_all(options)}
        if floors.can_be_probed() and not options.lengths:
            found["distance from the floor, "] = approach_floors(options)
        print(json.dumps(found))
        return
    print(f"float32; torch {torch.__version__}; {machine(options.threads)}; native: {backends()['native']}\n")
    if options.memory:
        tables = {"Peak above the arguments": weigh_all(options)}
    elif options.loop:
        tables = {"A training step of one Mamba block, one run": loop_once(options)}
    else:
        tables = {
            f"Time, medians, {part}allocator: {name}": rows
            for name in ALLOCATORS
            for part, rows in json.loads(run_again([*sys.argv[1:], "--time"], name)).items()
        }
    print("\n\n".join(f"{title}\n\n{markdown(rows)}" for title, rows in tables.items()))
    if options.json:
        options.json.write_text(json.dumps(tables, indent=1) + "\n")


if __name__ == "__main__":
    main()
