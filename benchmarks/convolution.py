"""The convolution view of S4D: kernel and long convolution, beside what plain torch would do.

- *kernel*: ``vandermonde`` against the materialised Vandermonde matrix in complex64. H = 128 channels; the state has
  N = 64 numbers a channel, that is 32 conjugate pairs of which one each is computed.
- *convolution*: ``fftconv`` against ``torch.fft`` over the whole tensor under autograd, B = 8 series.

Both are timed forward, and forward with backward, in turn, under both settings of the allocator; the peak of memory
beyond the arguments is measured for each in a fresh process. A ratio is plain over ours: above 1 ours is better.

    python benchmarks/convolution.py                  # about ten minutes
    python benchmarks/convolution.py --quick          # seconds, at small sizes: shows that it runs
"""

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from measuring import ALLOCATORS, interleaved, machine, markdown, peak_memory, run_again
from torch import Tensor

from statespace.kernels.fftconv import fftconv
from statespace.kernels.vandermonde import vandermonde

PASSES = ("forward", "forward + backward")
SIDES = ("plain", "ours")
NOISE = 0.1  # MB: a peak below this is the allocator's, not the operation's


def materialised(log_a: Tensor, c: Tensor, length: int) -> Tensor:
    """Form every power, then sum over the modes."""
    step = torch.arange(length)
    return torch.einsum("dn,dnl->dl", c, torch.exp(log_a[..., None] * step)).real


def plain_fft(u: Tensor, k: Tensor) -> Tensor:
    """Transform the whole signal, padded to twice its length."""
    length = u.shape[1]
    product = torch.fft.rfft(u.transpose(1, 2), n=2 * length) * torch.fft.rfft(k, n=2 * length)
    return torch.fft.irfft(product, n=2 * length)[..., :length].transpose(1, 2)


def s4d_poles(channels: int, modes: int) -> Tensor:
    """Exponents per step of S4D-Lin, with steps between 1e-3 and 1e-1: ``(channels, modes)``."""
    dt = torch.exp(torch.empty(channels, 1).uniform_(math.log(1e-3), math.log(1e-1)))
    return dt * torch.complex(torch.full((modes,), -0.5), math.pi * torch.arange(modes))


def make(operation: str, side: str, which: str, length: int, options: argparse.Namespace) -> Callable[[], object]:
    """Make the arguments, and return a function without any that does one pass."""
    torch.manual_seed(0)
    function: Callable[..., Tensor]
    if operation == "kernel":
        log_a = s4d_poles(options.channels, options.modes)
        given = [log_a, torch.randn(log_a.shape, dtype=log_a.dtype)]
        function = (
            (lambda a, c: materialised(a, c, length)) if side == "plain" else lambda a, c: vandermonde(a, c, length)
        )
        gradient = torch.randn(options.channels, length)
    else:
        given = [torch.randn(options.batch, length, options.channels), torch.randn(options.channels, length)]
        function = plain_fft if side == "plain" else fftconv
        gradient = torch.randn(options.batch, length, options.channels)
    if which == "forward":
        return lambda: function(*given)
    leaves = [tensor.requires_grad_() for tensor in given]
    return lambda: torch.autograd.grad(function(*leaves), leaves, gradient)


def time_all(options: argparse.Namespace) -> list[dict[str, object]]:
    """Time every case in this process, under the allocator it was started with."""
    rows: list[dict[str, object]] = []
    for operation in options.operations:
        for which in PASSES:
            for length in options.lengths:
                timing = interleaved(
                    [make(operation, side, which, length, options) for side in SIDES], options.rounds, options.seconds
                )
                plain, ours = timing.medians
                rows.append(
                    {
                        "operation": operation,
                        "pass": which,
                        "L": length,
                        "plain, ms": plain * 1e3,
                        "ours, ms": ours * 1e3,
                        "ratio": plain / ours,
                        "ratio of CPU time": timing.cpu[0] / timing.cpu[1],
                        "rounds": timing.rounds,
                        "others' CPU, %": None if timing.others is None else 100 * timing.others,
                    }
                )
                print(f"{operation}, {which}, {length}: {plain / ours:.3g} times", file=sys.stderr)
    return rows


def memory_of_one(case: str, options: argparse.Namespace) -> float | None:
    """Measure one case in this process, after a small one that starts the threads and the libraries."""
    operation, which, side, length = case.split("/")
    make(operation, side, which, 256, options)()
    return peak_memory(make(operation, side, which, int(length), options))


def memory_of_all(options: argparse.Namespace, passed_on: list[str]) -> list[dict[str, object]]:
    """Measure every case in a process of its own."""
    rows: list[dict[str, object]] = []
    for operation in options.operations:
        for which in PASSES[-1:] if options.quick else PASSES:
            for length in options.lengths:
                plain, ours = (
                    json.loads(run_again([*passed_on, "--memory-of", f"{operation}/{which}/{side}/{length}"]))
                    for side in SIDES
                )
                known = plain is not None and ours is not None and ours > NOISE
                rows.append(
                    {
                        "operation": operation,
                        "pass": which,
                        "L": length,
                        "plain, MB": plain,
                        "ours, MB": ours,
                        "ratio": plain / ours if known else None,
                    }
                )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", nargs="+", choices=["kernel", "convolution"], default=["kernel", "convolution"])
    parser.add_argument("--lengths", nargs="+", type=int, default=[1024, 4096, 16384, 65536], metavar="L")
    parser.add_argument("--batch", type=int, default=8, help="series in the convolution")
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--modes", type=int, default=32, help="conjugate pairs: half the state size N")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=15, help="at most, for each case")
    parser.add_argument("--seconds", type=float, default=15.0, help="for each case, after three rounds")
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    parser.add_argument("--time", action="store_true", help=argparse.SUPPRESS)  # for the processes started from here
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.lengths, options.batch, options.channels, options.rounds = [100], 2, 8, 3
    torch.set_num_threads(options.threads)
    if options.memory_of:
        print(json.dumps(memory_of_one(options.memory_of, options)))
        return
    if options.time:
        print(json.dumps(time_all(options)))
        return

    passed_on = [argument for argument in sys.argv[1:] if argument]
    times = {name: json.loads(run_again([*passed_on, "--time"], name)) for name in ALLOCATORS}
    memory = memory_of_all(options, passed_on)
    sizes = f"H = {options.channels}, N = {2 * options.modes} ({options.modes} conjugate pairs), B = {options.batch}"
    print(f"{sizes}, float32; torch {torch.__version__}; {machine(options.threads)}\n")
    for name, rows in times.items():
        print(f"Time, medians, allocator: {name}\n\n{markdown(rows)}\n")
    print(f"Peak memory beyond the arguments, allocator: default\n\n{markdown(memory)}")
    if options.json:
        options.json.write_text(json.dumps({"sizes": sizes, "time": times, "memory": memory}, indent=1) + "\n")


if __name__ == "__main__":
    main()
