"""The short causal convolution with SiLU in front of a selective scan, on a CPU.

- *native*, *chunked*: the backends of ``causal_conv1d``;
- *conv1d*: ``silu(conv1d(pad(x)))`` of torch, between the layouts (batch, length, channels) that scans take.

All start from the same arguments; gradients go to x, weight and bias. They take turns, under both settings of the
allocator. A ratio is the other way's time over the native one: above 1 the native convolution is better.

    python benchmarks/short_convolution.py                  # about three minutes
    python benchmarks/short_convolution.py --quick          # seconds, at a small size: shows that it runs
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from measuring import ALLOCATORS, interleaved, machine, markdown, run_again
from torch import Tensor

from statespace.kernels import backends
from statespace.kernels.causal_conv1d import causal_conv1d

PASSES = ("forward", "forward + backward")
SIZES = ["8x1024x128x4", "1x4096x512x4", "2x16384x256x4"]


def by_conv1d(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """What one writes in torch: channels first, grouped, back again."""
    padded = F.pad(x.transpose(1, 2), (weight.shape[1] - 1, 0))
    return F.silu(F.conv1d(padded, weight[:, None], bias, groups=len(weight))).transpose(1, 2).contiguous()


WAYS: dict[str, Callable[..., Tensor]] = {
    "native": lambda *arguments: causal_conv1d(*arguments, activation="silu", backend="native"),
    "chunked": lambda *arguments: causal_conv1d(*arguments, activation="silu", backend="chunked"),
    "conv1d": by_conv1d,
}


def make(way: str, which: str, size: str) -> Callable[[], object]:
    """Make the arguments, and return a function without any that does one pass."""
    batch, length, channels, width = map(int, size.split("x"))
    torch.manual_seed(0)
    given = [torch.randn(batch, length, channels), torch.randn(channels, width), torch.randn(channels)]
    function = WAYS[way]
    if which == "forward":
        return lambda: function(*given)
    gradient = torch.randn(batch, length, channels)
    leaves = [tensor.requires_grad_() for tensor in given]
    return lambda: torch.autograd.grad(function(*leaves), leaves, gradient)


def time_all(options: argparse.Namespace) -> list[dict[str, object]]:
    """Time every case in this process, under the allocator it was started with."""
    ways = [way for way in WAYS if way != "native" or backends()["native"].startswith("available")]
    rows: list[dict[str, object]] = []
    for size in options.sizes:
        for which in PASSES:
            timing = interleaved([make(way, which, size) for way in ways], options.rounds, options.seconds)
            taken = dict(zip(ways, timing.medians, strict=True))
            native = taken.get("native")
            row: dict[str, object] = {"B x L x d x k": size, "pass": which}
            row |= {f"{way}, ms": taken[way] * 1e3 if way in taken else None for way in WAYS}
            row |= {f"{way} / native": taken[way] / native if native else None for way in ("chunked", "conv1d")}
            row |= {"rounds": timing.rounds, "others' CPU, %": timing.others and 100 * timing.others}
            rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="BxLxDxK", help="batch, length, channels, width")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=40, help="at most, for each case")
    parser.add_argument("--seconds", type=float, default=15.0, help="for each case, after three rounds")
    parser.add_argument("--quick", action="store_true", help="a small size and few rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    parser.add_argument("--time", action="store_true", help=argparse.SUPPRESS)  # for the processes started from here
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.rounds = ["2x100x8x4"], 3
    torch.set_num_threads(options.threads)
    if options.time:
        print(json.dumps(time_all(options)))
        return
    times = {name: json.loads(run_again([*sys.argv[1:], "--time"], name)) for name in ALLOCATORS}
    print(f"float32; torch {torch.__version__}; {machine(options.threads)}; native: {backends()['native']}\n")
    print("\n\n".join(f"Time, medians, allocator: {name}\n\n{markdown(rows)}" for name, rows in times.items()))
    if options.json:
        options.json.write_text(json.dumps({"time": times}, indent=1) + "\n")


if __name__ == "__main__":
    main()
