"""The selective scan beside what a user can install today: mambapy's parallel scan, transformers' sequential one.

- *native*: ``selective_scan`` with the compiled backend; *chunked*: the portable one;
- *mambapy*: `mambapy.pscan` under the discretization, product with C and skip of its Mamba block.

All start from the same u, Δ, A, B, C and D. Training is forward and backward, with all six gradients. Implementations
take turns, under both settings of the allocator. A ratio is the peer's time over ours: above 1 ours is better.

    python benchmarks/scan.py                  # some minutes; mambapy is compared where it is installed
    python benchmarks/scan.py --memory         # the peak of each way, each in a process of its own
    python benchmarks/scan.py --lengths        # cost per step from 2^10 to 2^20 on one sequence
    python benchmarks/scan.py --quick          # seconds, at a small size: shows that it runs
"""

import argparse
import json
import math
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from measuring import ALLOCATORS, interleaved, machine, markdown, peak_memory, run_again
from torch import Tensor

from statespace.kernels import backends
from statespace.kernels.selective_scan import selective_scan

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
        print(json.dumps(lengthen(options) if options.lengths else time_all(options)))
        return
    print(f"float32; torch {torch.__version__}; {machine(options.threads)}; native: {backends()['native']}\n")
    if options.memory:
        tables = {"Peak above the arguments": weigh_all(options)}
    else:
        tables = {
            f"Time, medians, allocator: {name}": json.loads(run_again([*sys.argv[1:], "--time"], name))
            for name in ALLOCATORS
        }
    print("\n\n".join(f"{title}\n\n{markdown(rows)}" for title, rows in tables.items()))
    if options.json:
        options.json.write_text(json.dumps(tables, indent=1) + "\n")


if __name__ == "__main__":
    main()
