"""The other operations on a GPU: their times beside portable torch, and what share of its bandwidth they achieve."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from measuring import interleaved
from torch import Tensor

from gpus.correctness import CASES, make
from gpus.floors import Limits, synchronize
from statespace.kernels.selective_state_update import selective_state_update

Row = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """What is timed, at which sizes, in which dtype, beside which other backend."""

    case: str
    sizes: tuple[int, int, int, int]  # batch, length, channels, states
    dtype: torch.dtype
    beside: str = "chunked"


WORK = (
    Work("ssd", (8, 4096, 2048, 128), torch.bfloat16),
    Work("ssd", (8, 4096, 2048, 128), torch.float32),
    Work("selective_scan, complex", (8, 2048, 1024, 16), torch.float32),
    Work("lti_scan", (8, 4096, 1024, 32), torch.float32),
    Work("cauchy", (4, 8193, 1024, 32), torch.float32),
    Work("linear_scan", (8, 4096, 2048, 1), torch.float32),
    Work("causal_conv1d", (8, 4096, 2048, 1), torch.bfloat16),
)
STEPS = ((1, 2048, 16), (128, 2048, 16), (128, 8192, 128))  # batch, channels, states


def _bytes(tensors: list[Tensor]) -> int:
    return sum(x.numel() * x.element_size() for x in tensors)


def times(
    device: str, tiny: bool, limits: Limits, seconds: float, late: Callable[[], bool]
) -> tuple[list[Row], list[str]]:
    """Forward and training of each operation; rows that there is no time or memory for are told."""
    rows, remarks = [], []
    for work in WORK:
        sizes = (1, 5, 4, 2) if tiny else work.sizes
        for train in (False, True):
            label = f"{work.case}, {'x'.join(map(str, sizes))}, {str(work.dtype).removeprefix('torch.')}"
            if late():
                remarks.append(f"No time was left for {label}, {'training' if train else 'forward'}.")
                continue
            operation, leaves = CASES[work.case][0], make(work.case, sizes, work.dtype, device)
            leaves = {name: x.requires_grad_(train) for name, x in leaves.items()}

            def once(backend: str, operation: Any, leaves: dict[str, Tensor], train: bool) -> list[Tensor]:
                found = operation(**leaves, backend=backend)
                results = list(found) if isinstance(found, tuple) else [found]
                if train:
                    torch.autograd.grad(results, list(leaves.values()), [torch.ones_like(x) for x in results])
                synchronize(device)
                return results

            able, results = {}, []
            for backend in ("triton", work.beside):
                run = partial(once, backend, operation, leaves, train)
                try:
                    results = run()
                except torch.OutOfMemoryError:
                    remarks.append(f"{backend} runs out of memory at {label}.")
                    continue
                able[backend] = run
            if "triton" not in able:
                continue
            taken = dict(zip(able, interleaved(list(able.values()), 30, seconds).medians, strict=True))
            # Forward, everything is read or written once; backward, arguments and gradients of results are read,
            # gradients of arguments written.
            given, found = _bytes(list(leaves.values())), _bytes(results)
            moved = given + found + (2 * given + found if train else 0)
            row: Row = {"operation": work.case, "B x L x D x N": "x".join(map(str, sizes))}
            row |= {"dtype": str(work.dtype).removeprefix("torch."), "pass": "training" if train else "forward"}
            other = taken.get(work.beside)
            row |= {"ours, ms": taken["triton"] * 1e3, f"{work.beside} / ours": other and other / taken["triton"]}
            row["share of bandwidth, %"] = 100 * moved / limits.bytes / taken["triton"]
            rows.append(row)
    return rows, remarks


def _theirs() -> Callable[..., Tensor] | str:
    if importlib.util.find_spec("mamba_ssm") is None:
        return "mamba-ssm is not installed"
    try:
        from mamba_ssm.ops.triton.selective_state_update import selective_state_update as update
    except (ImportError, OSError) as error:
        return f"mamba-ssm cannot be loaded: {error}"

    def run(state: Tensor, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
        y: Tensor = update(state, x, dt, A, B, C, dt_softplus=True)
        return y

    return run


def steps(device: str, tiny: bool, limits: Limits, seconds: float) -> list[Row]:
    """One step of the selective scan in place; most of what it moves is the state, there and back."""
    rows = []
    theirs = _theirs()
    for batch, channels, states in ((1, 3, 2),) if tiny else STEPS:
        state, A = torch.zeros(batch, channels, states, device=device), -torch.ones(channels, states, device=device)
        x, dt = torch.ones(2, batch, channels, device=device)
        B, C = torch.ones(2, batch, states, device=device)

        def ours(backend: str, given: tuple[Tensor, ...]) -> None:
            selective_state_update(*given, dt_softplus=True, backend=backend)
            synchronize(device)

        given = (state, x, dt, A, B, C)
        able: dict[str, Callable[[], object]] = {name: partial(ours, name, given) for name in ("triton", "reference")}
        if not isinstance(theirs, str):
            able["mamba-ssm"] = lambda run=theirs, given=given: (run(*given), synchronize(device))
        taken = dict(zip(able, interleaved(list(able.values()), 100, seconds).medians, strict=True))
        moved = 2 * _bytes([state]) + _bytes([A, x, dt, B, C, x])
        row: Row = {"B x D x N": f"{batch}x{channels}x{states}", "ours, us": taken["triton"] * 1e6}
        row |= {"torch / ours": taken["reference"] / taken["triton"]}
        row["mamba-ssm / ours"] = taken["mamba-ssm"] / taken["triton"] if "mamba-ssm" in taken else None
        rows.append(row | {"share of bandwidth, %": 100 * moved / limits.bytes / taken["triton"]})
    return rows
