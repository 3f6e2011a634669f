"""A training step of stacks of S4D layers and of Mamba blocks beside ``torch.nn.LSTM`` of the same depth and width.

- *S4D*: `statespace.models.Backbone`, pre-norm residual blocks with GLU mixing, S4D with N = 64 states a channel;
- *Mamba*: the same with Mamba blocks, which mix the channels themselves, and N = 16 states a channel;
- *LSTM*: ``torch.nn.LSTM``, as many layers of as many channels.

A step is what training does with one batch: forward, mean squared error, backward, AdamW. All have the same batch, the
same optimiser, and take turns, under both settings of the allocator. A ratio is the time of a stack over that of the
LSTM: below 1 the stack is faster.

    python benchmarks/stack.py                  # about three minutes
    python benchmarks/stack.py --profile Mamba  # where the time of one goes, by torch's profiler
    python benchmarks/stack.py --quick          # seconds, at a small size: shows that it runs
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from measuring import ALLOCATORS, interleaved, machine, markdown, run_again
from torch import nn

from statespace.kernels import backends
from statespace.models import Backbone

SIDES: dict[str, Callable[[argparse.Namespace], nn.Module]] = {
    "S4D": lambda options: Backbone(options.channels, options.layers, "s4d", options.states),
    "Mamba": lambda options: Backbone(options.channels, options.layers, "mamba", options.states // 4, mixing="none"),
    "LSTM": lambda options: nn.LSTM(options.channels, options.channels, options.layers, batch_first=True),
}


def make(side: str, batch: int, options: argparse.Namespace) -> Callable[[], float]:
    """Make a model and a batch, and return a function that takes one training step and gives the loss before it."""
    torch.manual_seed(0)
    x, target = torch.randn(2, batch, options.length, options.channels)
    model = SIDES[side](options)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> float:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x)[0], target)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def time_all(options: argparse.Namespace) -> list[dict[str, object]]:
    """Time every batch size in this process, under the allocator it was started with."""
    rows: list[dict[str, object]] = []
    for batch in options.batches:
        timing = interleaved([make(side, batch, options) for side in SIDES], options.rounds, options.seconds)
        taken = dict(zip(SIDES, timing.medians, strict=True))
        row: dict[str, object] = {"B": batch}
        row |= {f"{side}, ms": seconds * 1e3 for side, seconds in taken.items()}
        row |= {f"{side} / LSTM": seconds / taken["LSTM"] for side, seconds in taken.items() if side != "LSTM"}
        row |= {"rounds": timing.rounds, "others' CPU, %": timing.others and 100 * timing.others}
        rows.append(row)
        print(f"B = {batch}: " + ", ".join(f"{side} {s * 1e3:.3g} ms" for side, s in taken.items()), file=sys.stderr)
    return rows


def profile(side: str, options: argparse.Namespace) -> str:
    """Return torch's table of what five steps at the last batch size spend their time in."""
    step = make(side, options.batches[-1], options)
    step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as watched:
        for _ in range(5):
            step()
    return str(watched.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=50))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", nargs="+", type=int, default=[16, 32], metavar="B")
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--states", type=int, default=64, help="N of an S4D system; that of Mamba is a quarter")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=60, help="at most, for each case")
    parser.add_argument("--seconds", type=float, default=30.0, help="for each case, after three rounds")
    parser.add_argument("--profile", choices=SIDES, help="show where the time goes instead")
    parser.add_argument("--quick", action="store_true", help="a small size and few rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    parser.add_argument("--time", action="store_true", help=argparse.SUPPRESS)  # for the processes started from here
    options = parser.parse_args()
    if options.quick:
        options.batches, options.length, options.channels, options.states, options.rounds = [2], 50, 8, 8, 3
    torch.set_num_threads(options.threads)
    if options.time:
        print(json.dumps(time_all(options)))
        return
    if options.profile:
        print(profile(options.profile, options))
        return
    times = {name: json.loads(run_again([*sys.argv[1:], "--time"], name)) for name in ALLOCATORS}
    sizes = f"{options.layers} layers of {options.channels} channels, N = {options.states}, L = {options.length}"
    print(f"{sizes}, float32; torch {torch.__version__}; {machine(options.threads)}; native: {backends()['native']}\n")
    print("\n\n".join(f"Time, medians, allocator: {name}\n\n{markdown(rows)}" for name, rows in times.items()))
    if options.json:
        options.json.write_text(json.dumps({"sizes": sizes, "time": times}, indent=1) + "\n")


if __name__ == "__main__":
    main()
