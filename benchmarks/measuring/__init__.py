"""What every benchmark shares: interleaved timing, peak memory, both settings of the allocator, tables.

Whoever allocates less pays fewer page faults, because glibc gives large blocks back to the system when they are freed
and touches fresh ones at the next call. That flatters the leaner side of a comparison. So everything is timed twice,
each time in a process of its own: as the machine comes, and with an allocator that keeps what was freed.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEEP = "glibc.malloc.mmap_threshold=17179869184:glibc.malloc.trim_threshold=17179869184"
ALLOCATORS = {"default": None, "memory kept": KEEP}


def run_again(arguments: Sequence[str], allocator: str = "default") -> str:
    """Run the calling script in a fresh process under one of the `ALLOCATORS`, and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    tunables = ALLOCATORS[allocator]
    if tunables is not None:
        environment["GLIBC_TUNABLES"] = tunables
    command = [sys.executable, sys.argv[0], *arguments]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


@dataclass(frozen=True)
class Timing:
    """Medians of several functions that took turns, in s, and how busy other processes were meanwhile.

    `cpu` is processor time, summed over threads. Other processes stretch it less than they stretch the time that
    passed, but threads that spin while they wait for each other count too.
    """

    medians: list[float]
    cpu: list[float]
    rounds: int
    others: float | None


def interleaved(functions: Sequence[Callable[[], object]], rounds: int, seconds: float) -> Timing:
    """Call the `functions` in turn, and take the median of each.

    Args:
        functions: what is compared; each is called once more before, to warm up.
        rounds: how often at most.
        seconds: stop after the round in which this time is over, but not before the third.
    Returns:
        The medians, the rounds, and the share of the machine's CPU time that other processes had (None where the
        system does not say).
    """
    for function in functions:
        function()
    times: list[list[float]] = [[] for _ in functions]
    cpu: list[list[float]] = [[] for _ in functions]
    start, busy_before = time.perf_counter(), _cpu_seconds()
    while len(times[0]) < rounds and (len(times[0]) < min(3, rounds) or time.perf_counter() - start < seconds):
        for taken, worked, function in zip(times, cpu, functions, strict=True):
            begin, begin_cpu = time.perf_counter(), time.process_time()
            function()
            taken.append(time.perf_counter() - begin)
            worked.append(time.process_time() - begin_cpu)
    wall, busy_after = time.perf_counter() - start, _cpu_seconds()
    others = None
    if busy_before is not None and busy_after is not None:
        others = max(0.0, busy_after - busy_before) / (wall * (os.cpu_count() or 1))
    return Timing([*map(statistics.median, times)], [*map(statistics.median, cpu)], len(times[0]), others)


def _cpu_seconds() -> float | None:
    """CPU time that all other processes have had since the machine started, in s."""
    try:
        user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text().split(maxsplit=8)[1:8])
    except (OSError, ValueError):
        return None
    own = os.times()
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK") - own.user - own.system


def peak_memory(function: Callable[[], object]) -> float | None:
    """Return how far memory rises above its present level while `function` runs, in MB; None where that is unknown.

    Call it once in a process: memory that was freed, but not given back, would hide the peak of a second call.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")  # sets the peak back to the present level
        before = _resident("VmRSS")
        function()
        return (_resident("VmHWM") - before) / 1e3
    except OSError:
        return None


def _resident(field: str) -> float:
    """Read a line of /proc/self/status, in kB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return float(line.split()[1])
    raise OSError(f"/proc/self/status has no {field}")


def machine(threads: int) -> str:
    """Name the processor, for the line above a table."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = "unknown processor"
    return f"{name}, {os.cpu_count()} cores, {threads} threads"


def parameter(text: str) -> tuple[str, Any]:
    """Read ``name=value``, the value as JSON or else as a word."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def markdown(rows: Sequence[dict[str, object]]) -> str:
    """Lay the rows out as a Markdown table; the keys of the first one are the head."""
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([_cell(row[name]) for name in head] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return "–" if value is None else str(value)
