"""Discretising many systems in one call, and simulating a long signal, beside SciPy.

    python benchmarks/discretization.py

Prints each time as the median of interleaved runs, and the ratio of two that were measured in the same run.
"""

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from scipy import signal

from statespace import StateSpace
from statespace.discretization import discretize

COUNT, N, STEP = 1000, 16, 0.05
SAMPLES = 1_000_000
ROUNDS = 7


def side_by_side(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return the median seconds of both, three calls of each in turn, after one warm-up of ours."""
    ours()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, taken in zip((ours, theirs), times, strict=True):
            for _ in range(3 if rounds > 1 else 1):  # what follows a call of the other one has cold caches
                start = time.perf_counter()
                call()
                taken.append(time.perf_counter() - start)
    return median(times[0]), median(times[1])


def many_systems(method: str) -> None:
    generator = torch.Generator().manual_seed(0)
    A = torch.randn(COUNT, N, N, dtype=torch.float64, generator=generator) / N**0.5 - 1.5 * torch.eye(N)
    B, C = (torch.randn(COUNT, *shape, dtype=torch.float64, generator=generator) for shape in ((N, 1), (1, N)))
    D = torch.zeros(COUNT, 1, 1, dtype=torch.float64)
    arrays = [matrix.numpy() for matrix in (A, B, C, D)]

    def loop() -> None:
        for a, b, c, d in zip(*arrays, strict=True):
            signal.cont2discrete((a, b, c, d), STEP, method)

    ours, theirs = side_by_side(lambda: discretize(A, B, C, D, STEP, method), loop, ROUNDS)
    print(
        f"{method:10} {COUNT} systems of {N} states: ours {ours * 1e3:7.1f} ms, "
        f"a loop over SciPy {theirs * 1e3:7.1f} ms, {theirs / ours:6.1f} x"
    )


def long_signal(states: int, name: str, rounds: int) -> None:
    torch.manual_seed(0)
    A = torch.randn(states, states, dtype=torch.float64) / states**0.5 - 1.5 * torch.eye(states)
    B, C = torch.randn(states, 1, dtype=torch.float64), torch.randn(1, states, dtype=torch.float64)
    discrete = StateSpace(A, B, C).discretize(STEP)
    u = torch.randn(SAMPLES, dtype=torch.float64)
    arrays = [matrix.numpy() for matrix in list(discrete)[:4]]
    num, den = signal.ss2tf(*arrays)

    def scipy() -> np.ndarray:
        if name == "dlsim":
            return signal.dlsim((*arrays, STEP), u.numpy())[1][:, 0]
        return signal.lfilter(num[0], den, u.numpy())

    ours, theirs = side_by_side(lambda: discrete.simulate(u), scipy, rounds)
    error = np.abs(discrete.simulate(u).y.numpy() - scipy()).max()
    print(
        f"simulate       {SAMPLES:,} samples, {states} states: ours {ours * 1e3:6.1f} ms, "
        f"{name} {theirs * 1e3:7.1f} ms, {theirs / ours:6.2f} x; largest difference {error:.0e}"
    )


def main() -> None:
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, float64")
    for method in ("zoh", "foh", "bilinear", "euler", "impulse"):
        many_systems(method)
    # lfilter goes through a polynomial of degree n, which overflows at 16 states: it gets a system of 4.
    long_signal(16, "dlsim", 1)
    long_signal(4, "lfilter", ROUNDS)


if __name__ == "__main__":
    main()
