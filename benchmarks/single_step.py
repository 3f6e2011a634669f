"""What a step of the selective scan costs beside its arithmetic: checks, memory for the result, the way to the core.

- *core*: the compiled function alone, called again and again with the same packed arguments;
- *step*: `selective_state_update` with plain tensors, which goes past torch's dispatcher;
- *operator*: the same as the torch operator that a traced graph calls;
- *reference*: the step in torch.

They take turns; a median is over rounds of so many steps. What lies above the core is the overhead.

    python benchmarks/single_step.py            # some seconds
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from measuring import interleaved, machine, markdown

from statespace.kernels import backends
from statespace.kernels import native as core
from statespace.kernels.selective_state_update import native, selective_state_update

Step = Callable[[], object]


def steps(channels: int, states: int) -> dict[str, Step]:
    """Return a step of each way; each has the whole of the arguments: D, gate, bias and softplus."""
    state, A = torch.zeros(1, channels, states), -torch.rand(channels, states)
    x, dt, z = (torch.randn(1, channels) for _ in range(3))
    B, C = (torch.randn(1, states) for _ in range(2))
    D, bias = torch.randn(channels), torch.randn(channels)
    given = (state, x, dt, A, B, C, D, z, bias, True)
    found: dict[str, Step] = {}
    if not core.why_missing():
        grouped = (*given[:4], B[:, None], C[:, None], *given[6:], "euler-b")
        pack = mock.Mock(side_effect=native._pack)
        with mock.patch.multiple(native, _entry=lambda: None, _pack=pack):  # as with an older torch
            y = native.step(*grouped)
        call = native._pack(*pack.call_args.args)
        function = core.library().statespace_selective_state_update
        found["core"] = lambda: (function(call), y)  # y is where it writes: it must stay
        found["step"] = lambda: selective_state_update(*given)
        found["operator"] = lambda: native.selective_state_update(*grouped)
    found["reference"] = lambda: selective_state_update(*given, backend="reference")
    return found


def repeated(step: Step, times: int) -> Step:
    def several() -> None:
        for _ in range(times):
            step()

    return several


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--states", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=200, help="steps in each round")
    parser.add_argument("--rounds", type=int, default=300, help="at most")
    parser.add_argument("--seconds", type=float, default=20.0, help="after three rounds")
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.repeats = 3, 5
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.no_grad():
        ways = steps(options.channels, options.states)
        timing = interleaved([repeated(way, options.repeats) for way in ways.values()], options.rounds, options.seconds)
    taken = {way: t / options.repeats * 1e6 for way, t in zip(ways, timing.medians, strict=True)}
    rows: list[dict[str, object]] = [
        {
            "way": way,
            "us": us,
            "above the core, us": us - taken["core"] if "core" in taken else None,
            "rounds": timing.rounds,
            "others' CPU, %": None if timing.others is None else 100 * timing.others,
        }
        for way, us in taken.items()
    ]
    size = f"1 x {options.channels} channels x {options.states} states, float32"
    print(f"{size}; torch {torch.__version__}; {machine(1)}; native: {backends()['native']}\n\n{markdown(rows)}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
