"""Four ways through one S4D layer on a CPU: compiled scan, scan by chunks, kernel and FFT, and plain torch.

- *native*: ``lti_scan`` with the compiled backend;
- *chunked*: ``lti_scan`` with the portable one;
- *FFT*: the kernel by ``vandermonde``, the convolution by ``fftconv``: the same output, without a final state;
- *S4*: what the S4 repository computes, written plainly: all powers of all modes in memory, then FFTs of twice the
  length. It gets its input in the layout that it wants, (batch, channels, length).

All start from arguments of the same shapes, and gradients go to u, log_a, b and c. They take turns, under both settings
of the allocator. A ratio is the other way's time over the native one: above 1 the native scan is better.

    python benchmarks/lti_scan.py                  # about two minutes
    python benchmarks/lti_scan.py --quick          # seconds, at a small size: shows that it runs
"""

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from measuring import ALLOCATORS, interleaved, machine, markdown, run_again
from torch import Tensor

from statespace.kernels import backends
from statespace.kernels.fftconv import fftconv
from statespace.kernels.lti_scan import lti_scan
from statespace.kernels.vandermonde import vandermonde

PASSES = ("forward", "forward + backward")
SIZES = ["16x512x64x32", "8x16384x128x32"]


def by_fft(u: Tensor, log_a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The convolutional view of the same layer."""
    return fftconv(u, vandermonde(log_a, b * c, u.shape[1]))


def by_s4(u: Tensor, log_a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The convolutional view as the S4 repository computes it."""
    length = u.shape[1]
    powers = torch.exp(log_a[..., None] * torch.arange(length))
    kernel = torch.einsum("hn,hnl->hl", b * c, powers).real
    spectrum = torch.fft.rfft(u.mT, 2 * length) * torch.fft.rfft(kernel, 2 * length)
    return torch.fft.irfft(spectrum, 2 * length)[..., :length].mT


WAYS: dict[str, Callable[..., Tensor]] = {
    "native": lambda *arguments: lti_scan(*arguments, backend="native")[0],
    "chunked": lambda *arguments: lti_scan(*arguments, backend="chunked")[0],
    "FFT": by_fft,
    "S4": by_s4,
}


def make(way: str, which: str, size: str) -> Callable[[], object]:
    """Make the arguments, and return a function without any that does one pass."""
    batch, length, channels, states = map(int, size.split("x"))
    torch.manual_seed(0)
    dt = torch.exp(torch.empty(channels, 1).uniform_(math.log(1e-3), math.log(1e-1)))
    log_a = dt * torch.complex(torch.full((states,), -0.5), math.pi * torch.arange(states))
    b, c = torch.randn(2, channels, states, dtype=torch.complex64)
    u, gradient = torch.randn(2, batch, length, channels)
    if way == "S4":
        u, gradient = (rows.mT.contiguous().mT for rows in (u, gradient))
    given = [u, log_a, dt * b, c]
    function = WAYS[way]
    if which == "forward":
        return lambda: function(*given)
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
            row: dict[str, object] = {"B x L x d x n": size, "pass": which}
            row |= {f"{way}, ms": taken[way] * 1e3 if way in taken else None for way in WAYS}
            row |= {f"{way} / native": taken[way] / native if native else None for way in ("chunked", "FFT", "S4")}
            row |= {"rounds": timing.rounds, "others' CPU, %": timing.others and 100 * timing.others}
            rows.append(row)
            print(
                f"{size}, {which}: " + ", ".join(f"{way} {s * 1e3:.3g} ms" for way, s in taken.items()), file=sys.stderr
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="BxLxDxN", help="batch, length, channels, states")
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
