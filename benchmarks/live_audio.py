"""A classifier that listens to 16 kHz audio on one thread: times real time, and memory over an hour.

The model is what `Classifier("s4d", causal=True)` makes of clips of a second: four layers of 64 channels, the first at
half the rate, the others at a sixteenth of it. Half a second comes at once, as `statespace classify stream` takes it.
What is said after a minute is compared with what is said of that minute as a whole.

    python benchmarks/live_audio.py
    python benchmarks/live_audio.py --seconds 60 --chunk 0.25
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from measuring import machine

from statespace import Classifier

RATE = 16_000
_PAGE = 4096  # bytes


def clip(label: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A tone of one of two pitches, in noise."""
    t = np.arange(int(seconds * RATE)) / RATE
    tone = np.sin(2 * np.pi * (440, 1200)[label] * t + rng.uniform(0, 6))
    return (0.3 * tone + 0.1 * rng.standard_normal(len(t))).astype(np.float32)


def resident() -> float:
    """Return the memory of this process, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=3600, help="of audio (3600)")
    parser.add_argument("--chunk", type=float, default=0.5, help="seconds that come at once (0.5)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    y = np.arange(8) % 2
    model = Classifier("s4d", causal=True, max_epochs=1, random_seed=0, verbose=False)
    model.fit([clip(label, 1.0, rng) for label in y], y)
    model.sharpness_ = 1.0  # of tones that are as easy to tell, all would be 0 or 1
    stack = model.model_.options
    print(f"{stack['n_layers']} layers of {stack['d_model']} channels at strides {stack['stride']}")

    minute = np.concatenate([clip(second % 2, 1.0, rng) for second in range(min(60, options.seconds))])
    live, chunk = model.stream(), round(options.chunk * RATE)
    said = [live.push(part) for part in np.split(minute, range(chunk, len(minute), chunk))]
    print(f"after {len(minute) // RATE} s: {np.abs(said[-1] - model.predict_proba([minute])[0]).max():.1e} off offline")

    live.reset()
    memory = [resident()]
    wall, work = time.perf_counter(), time.process_time()
    for begin in range(0, options.seconds * RATE, chunk):
        live.push(np.take(minute, range(begin, begin + chunk), mode="wrap"))
        if begin // (60 * RATE) > len(memory) - 2:
            memory.append(resident())
    wall, work = time.perf_counter() - wall, time.process_time() - work
    print(f"{options.seconds} s in {wall:.0f} s, {work:.0f} s of them at work: {options.seconds / wall:.1f} times real")
    print(f"time, {options.seconds / work:.1f} times by the time at work")
    print(
        f"memory: {memory[1]:.0f} MB after the first chunk, {memory[-1]:.0f} MB at the end, {max(memory):.0f} at most"
    )
    print(machine(1))


if __name__ == "__main__":
    main()
