"""The kernels on a GPU: how far from float64, how fast, and the selective scan beside mamba-ssm and compiled torch.

In one call: the error of every Triton kernel and its gradients against the reference in float64; the times of the scan,
forward and with backward, beside mamba-ssm's CUDA kernel where that is installed and, at one size, beside a scan in
torch under torch.compile; those of all other operations beside portable torch, and of a single step; and which share of
what the device can do at most, probed in the same run, they achieve. Prints tables, and writes them, with the device's
name, as Markdown and JSON below --out; whatever is done by then is there if the run is broken off.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --sizes 8x4096x2048x16 --dtypes bfloat16 --out docs/benchmarks

Without a GPU it says so and exits with 2. ``--interpret`` goes through all of it on the CPU, at tiny sizes, where the
times mean nothing.
"""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

INTERPRET = "--interpret" in sys.argv
if INTERPRET:
    os.environ["TRITON_INTERPRET"] = "1"  # Triton looks when it is imported

import torch  # noqa: E402  # after the variable
from measuring import interleaved, markdown  # noqa: E402
from torch import Tensor  # noqa: E402

from statespace.kernels import gpu  # noqa: E402

SIZES = ["8x4096x2048x16", "8x2048x1536x16", "1x65536x64x16", "1x16384x2048x64"]
DTYPES = ["bfloat16", "float32"]
COMPILED = ("8x2048x1536x16", "bfloat16")  # beside torch.compile, which takes a minute for each pass
Row = dict[str, Any]


def errors(device: str) -> list[Row]:
    """The largest errors of each operation, relative to the largest entry of each result or gradient."""
    from gpus.correctness import CASES, compare

    dtypes = [torch.float32] if INTERPRET else [torch.float32, torch.bfloat16]
    return [
        {"operation": name, "dtype": str(dtype).removeprefix("torch."), **compare(name, dtype, device, INTERPRET)}
        for name in CASES
        for dtype in dtypes
    ]


def _once(scan: Callable[..., Tensor], leaves: list[Tensor], gradient: Tensor | None, device: str) -> None:
    from gpus.floors import synchronize

    y = scan(*leaves)
    if gradient is not None:
        torch.autograd.grad(y, leaves, gradient)
    synchronize(device)


def times(
    sizes: list[str], dtypes: list[str], device: str, seconds: float, limits: Any, late: Callable[[], bool]
) -> tuple[list[Row], list[str]]:
    """Times of the scan by all ways that fit into the memory, and the shares of the floors that ours achieves."""
    from gpus.scans import make, ways

    (scans, remarks), rows = ways(INTERPRET), []
    for size in sizes:
        shape = tuple(map(int, size.split("x")))
        assert len(shape) == 4
        for name in dtypes:
            dtype = getattr(torch, name)
            for train in (False, True):
                if late():
                    remarks.append(f"No time was left for {size}, {name}, {'training' if train else 'forward'}.")
                    continue
                leaves = [x.requires_grad_(train) for x in make(shape, dtype, device)]
                gradient = torch.ones_like(leaves[0]) if train else None
                able: dict[str, Callable[[], None]] = {}
                for way, scan in scans.items():
                    if way == "torch, compiled" and (size, name) != COMPILED and not INTERPRET:
                        continue
                    try:
                        _once(scan, leaves, gradient, device)
                    except torch.OutOfMemoryError:
                        remarks.append(f"{way} runs out of memory at {size}, {name}{', training' * train}.")
                        continue
                    able[way] = partial(_once, scan, leaves, gradient, device)
                taken = dict(zip(able, interleaved(list(able.values()), 30, seconds).medians, strict=True))
                floors = limits.floors(shape, leaves[0].element_size(), train)
                row: Row = {"B x L x D x N": size, "dtype": name, "pass": "training" if train else "forward"}
                row |= {f"{way}, ms": taken[way] * 1e3 if way in taken else None for way in scans}
                row |= {f"{way} / ours": taken[way] / taken["ours"] if way in taken else None for way in scans}
                row.pop("ours / ours")
                row |= {f"share of {what}, %": 100 * floor / taken["ours"] for what, floor in floors.items()}
                rows.append(row)
                print(f"{size}, {name}, {row['pass']}: {taken['ours'] * 1e3:.3g} ms", file=sys.stderr)
    return rows, remarks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="BxLxDxN", help="batch, length, channels, states")
    parser.add_argument("--dtypes", nargs="+", default=DTYPES, choices=["bfloat16", "float16", "float32"])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each row of a table")
    parser.add_argument("--budget", type=float, default=400.0, help="begin no row after so many seconds")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write gpu-<device>.md and .json there")
    parser.add_argument("--interpret", action="store_true", help="try the script out, on the CPU at tiny sizes")
    options = parser.parse_args()
    if reason := gpu.why_missing():
        print(f"The kernels cannot run on a GPU here: Triton is {reason}", file=sys.stderr)
        raise SystemExit(2)
    if INTERPRET:
        options.sizes, options.dtypes, options.seconds = ["1x5x3x2"], ["float32"], 0.0
    device, start = "cpu" if INTERPRET else "cuda", time.perf_counter()
    import triton
    from gpus import operations
    from gpus.floors import Limits

    name = "interpreter" if INTERPRET else torch.cuda.get_device_name()
    head = f"{name}; torch {torch.__version__}, triton {triton.__version__}"
    stem = "gpu-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    page, content = [f"# {name}", head], {"device": name, "versions": head}

    def tell(title: str, key: str, rows: list[Row], remarks: list[str]) -> None:
        page.extend([f"## {title}", *([markdown(rows)] if rows else []), *remarks])
        content.update({key: rows, f"{key}, remarks": remarks})
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            (options.out / f"{stem}.md").write_text("\n\n".join(page) + "\n")
            (options.out / f"{stem}.json").write_text(json.dumps(content, indent=1) + "\n")
        print(f"{title}: {time.perf_counter() - start:.0f} s", file=sys.stderr)

    def late() -> bool:
        return time.perf_counter() - start > options.budget

    tell("Errors", "errors", errors(device), [])
    limits = Limits.measure(device)
    probed = f"Probed: {limits.exponentials:.3g} exponentials and {limits.bytes:.3g} bytes a second."
    rows, remarks = times(options.sizes, options.dtypes, device, options.seconds, limits, late)
    tell("Selective scan", "times", rows, [*remarks, probed])
    tell("Other operations", "operations", *operations.times(device, INTERPRET, limits, options.seconds, late))
    tell("One step", "steps", operations.steps(device, INTERPRET, limits, options.seconds), [])
    print("\n\n".join(page))


if __name__ == "__main__":
    main()
