"""``statespace classify stream``: probabilities of what comes through a pipe, a line for each moment."""

import argparse
import csv
import sys
from collections.abc import Iterable

import numpy as np

from statespace.errors import InputError

_PART = 0.5  # seconds that are waited for at most before they are worked on


def listen(options: argparse.Namespace) -> int:
    """Read samples from stdin until it ends, and print what the model says of them."""
    from statespace.cli.classify import load
    from statespace.datasets import read_live

    model = load(options.model)
    model.stream()  # what it cannot do is said before anything is waited for
    audio = read_live(sys.stdin.buffer, options.format)
    if audio.rate is not None and options.rate is not None and audio.rate != options.rate:
        raise InputError(
            f"classify stream: the WAV that came is at {audio.rate:g} Hz, but --rate is {options.rate:g}: leave it out."
        )
    rate = audio.rate or options.rate or model.sampling_rate_
    if rate is None:
        raise InputError("classify stream: neither the model nor the input states a sampling rate: pass --rate HZ.")
    channels = audio.channels or model.n_channels_
    if channels != model.n_channels_:
        raise InputError(
            f"classify stream: what came has {channels} channels, but the model was trained on {model.n_channels_}."
        )
    stream = model.stream(1.0 if model.sampling_rate_ is None else model.sampling_rate_ / rate)
    part, every = max(1, round(_PART * rate)), max(1, round(options.every * rate))
    restart = None if options.reset_every is None else max(1, round(options.reset_every * rate))
    seen, said, since = 0, 0, 0
    probabilities = np.full(len(model.classes_), np.nan)

    def say() -> None:
        if said == 0:
            _print(["seconds", "label", *(f"p_{name}" for name in model.classes_)])
        name = model.classes_[probabilities.argmax()] if np.isfinite(probabilities).all() else ""
        _print([f"{seen / rate:.3f}", name, *(f"{value:.6f}" for value in probabilities)])

    while True:
        goal = min(part, every - (seen - said), seen + part if restart is None else restart - since)
        samples = audio.chunks.read(goal, channels)
        if len(samples):
            probabilities = stream.push(samples)
            seen, since = seen + len(samples), since + len(samples)
        ended = len(samples) < goal
        if seen - said == every or (ended and seen > said):
            say()
            said = seen
        if ended:
            break
        if since == restart:
            stream.reset()
            since = 0
    if not seen:
        raise InputError("classify stream: no whole sample came through the pipe: send PCM of 16 bits, or WAV.")
    return 0


def _print(cells: Iterable[object]) -> None:
    """Print a line of a table at once: whoever reads it may be waiting."""
    csv.writer(sys.stdout, lineterminator="\n").writerow(cells)
    sys.stdout.flush()
