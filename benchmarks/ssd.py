"""The scan of Mamba-2 on a CPU, beside the path that transformers takes where there is no CUDA.

- *native*: ``ssd`` by the compiled core; left out where that is not built;
- *chunked*: ``ssd`` in torch, matrix products over chunks in blocks that fit the cache, with a backward of its own;
- *transformers*: the same matrix form over whole tensors, in chunks of 256, under autograd. It needs transformers 5,
  for its function ``mamba2_chunk_scan``; without it the column stays empty.

They take turns, under both settings of the allocator. A ratio is another side's time over the fastest of ours: above 1
ours is better. In the same turns a large matrix product is timed, for the best rate of the machine; the share of it
counts the operations in matrix products of *ours* alone, so that all which is not one of them is time lost.

    python benchmarks/ssd.py                  # about two minutes
    python benchmarks/ssd.py --quick          # seconds, at a small size: shows that it runs
"""

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from measuring import ALLOCATORS, interleaved, machine, markdown, run_again
from torch import Tensor

from statespace.kernels import native
from statespace.kernels.ssd import ssd

PASSES = ("forward", "forward + backward")
SIZES = ["2x1024x24x64x1x128", "1x4096x8x64x1x64", "8x1024x4x32x1x16"]
THEIR_CHUNK = 256  # the default of their configuration


def peer() -> Callable[..., Tensor] | None:
    """Their scan with our arguments, or None where it is not installed."""
    try:
        from transformers.models.mamba2.modeling_mamba2 import mamba2_chunk_scan
    except ImportError:
        return None

    def scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
        y: Tensor = mamba2_chunk_scan(
            x, dt, A, B, C, THEIR_CHUNK, D=D, dt_bias=torch.zeros_like(A), dt_softplus=True, return_final_states=True
        )[0]
        return y.reshape(x.shape)

    return scan


def ours(backend: str, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """Our scan, with the same results."""
    bias = torch.zeros_like(A)
    return ssd(x, dt, A, B, C, D, dt_bias=bias, dt_softplus=True, return_final_state=True, backend=backend)[0]


def operations(which: str, size: str) -> float:
    """Floating point operations in the matrix products of one pass, by kernels/ssd/README.md."""
    batch, length, heads, width, groups, states = map(int, size.split("x"))
    chunk = min(64, length)
    # M u; what chunks add to the state, and what is seen of it; C B^T. Backward these once more, and their transposes.
    in_chunk, through_state, scores = (3, 8, 4) if which == PASSES[1] else (1, 2, 1)
    of_heads = heads * (in_chunk * chunk * width + through_state * width * states)
    return 2.0 * batch * length * (of_heads + groups * scores * chunk * states)


def make(function: Callable[..., Tensor], which: str, size: str) -> Callable[[], object]:
    """Make the arguments, and return a function without any that does one pass."""
    batch, length, heads, width, groups, states = map(int, size.split("x"))
    torch.manual_seed(0)
    B, C = torch.randn(2, batch, length, groups, states)
    A, dt = -1 - 15 * torch.rand(heads), torch.randn(batch, length, heads) - 3
    given = [torch.randn(batch, length, heads, width), dt, A, B, C, torch.randn(heads)]
    if which == "forward":
        return lambda: function(*given)
    gradient = torch.randn(batch, length, heads, width)
    leaves = [tensor.requires_grad_() for tensor in given]
    return lambda: torch.autograd.grad(function(*leaves), leaves, gradient)


def time_all(options: argparse.Namespace) -> list[dict[str, object]]:
    """Time every case in this process, under the allocator it was started with."""
    theirs = peer()
    mine = ["chunked"] if native.why_missing() else ["native", "chunked"]
    functions = {name: partial(ours, name) for name in mine} | ({"transformers": theirs} if theirs else {})
    rows: list[dict[str, object]] = []
    square = torch.randn(2, 1024, 1024)
    product = partial(torch.mm, square[0], square[1])
    for size in options.sizes:
        for which in PASSES:
            every = [*(make(f, which, size) for f in functions.values()), product]
            timing = interleaved(every, options.rounds, options.seconds)
            wall, cpu = timing.medians, timing.cpu
            rate, best = operations(which, size) / cpu[0], 2 * 1024**3 / cpu[-1]
            rows.append(
                {
                    "B x L x heads x p x groups x n": size,
                    "pass": which,
                    **{f"{name}, ms": seconds * 1e3 for name, seconds in zip(functions, wall, strict=False)},
                    **{
                        f"{name} / {mine[0]}, CPU time": seconds / cpu[0]
                        for name, seconds in [*zip(functions, cpu, strict=False)][1:]
                    },
                    "share of the best rate, %": 100 * rate / best,
                    "rounds": timing.rounds,
                    "others' CPU, %": None if timing.others is None else 100 * timing.others,
                }
            )
            print(f"{size}, {which}: " + ", ".join(f"{s * 1e3:.3g} ms" for s in wall), file=sys.stderr)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="BxLxHxPxGxN")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=20, help="at most, for each case")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each case, after three rounds")
    parser.add_argument("--quick", action="store_true", help="a small size and few rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    parser.add_argument("--time", action="store_true", help=argparse.SUPPRESS)  # for the processes started from here
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.rounds = ["2x100x4x8x2x8"], 3
    torch.set_num_threads(options.threads)
    if options.time:
        print(json.dumps(time_all(options)))
        return
    times = {name: json.loads(run_again([*sys.argv[1:], "--time"], name)) for name in ALLOCATORS}
    print(f"float32; torch {torch.__version__}; {machine(options.threads)}\n")
    print("\n\n".join(f"Time, medians, allocator: {name}\n\n{markdown(rows)}" for name, rows in times.items()))
    if options.json:
        options.json.write_text(json.dumps({"time": times}, indent=1) + "\n")


if __name__ == "__main__":
    main()
