"""
Listen live
===========

Three sounds that have the same pitches and differ in their timbre: a pure tone, a square wave and a saw tooth, half a
second each, at 8 kHz. A causal classifier learns them, and then listens to a stream of all three, a tenth of a second
at a time. It carries the states of its oscillators and a few counts, so that an hour costs what a second costs, for
each sample and in memory; here it is told to begin anew every half second.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
import torch

from statespace import Classifier

torch.set_num_threads(1)
RATE = 8000
rng = np.random.default_rng(0)
SOUNDS = {
    "pure": np.sin,
    "square": lambda phase: np.sign(np.sin(phase)),
    "saw": lambda phase: (phase / np.pi) % 2 - 1,
}


def sound(name: str, seconds: float) -> np.ndarray:
    """A sound of random pitch and loudness, with noise."""
    t = np.arange(int(seconds * RATE)) / RATE
    tone = SOUNDS[name](2 * np.pi * rng.uniform(100, 400) * t + rng.uniform(0, 6))
    return rng.uniform(0.5, 1) * tone + 0.1 * rng.standard_normal(len(t))


names = np.array(list(SOUNDS))
y = np.tile(names, 20)
model = Classifier(systems=200, causal=True, random_seed=0).fit([sound(name, 0.5) for name in y], y)
fresh = np.tile(names, 20)
accuracy = model.score([sound(name, 0.5) for name in fresh], fresh)
print(f"half-second sounds not heard before: {accuracy:.3f} right")
assert accuracy > 0.9

# %%
# Six seconds of stream. After each tenth of a second the probabilities are those of all since it last began anew.

order = ["saw", "pure", "square", "pure", "saw", "square"]
signal = np.concatenate([sound(name, 1.0) for name in order])
live = model.stream()
chunk, said, began = RATE // 10, [], time.perf_counter()
for start in range(0, len(signal), chunk):
    if start % (RATE // 2) == 0:
        live.reset()
    said.append(live.push(signal[start : start + chunk]))
spent = time.perf_counter() - began
print(f"{len(signal) / RATE:.0f} s of sound in {spent:.2f} s: {len(signal) / RATE / spent:.0f} times real time")

# What the stream says at the end of a piece is what is said of the piece as a whole.
last = model.predict_proba([signal[-RATE // 2 :]])[0]
assert np.allclose(said[-1], last, atol=1e-3)

figure, panels = plt.subplots(2, 1, figsize=(9, 4), sharex=True, layout="constrained")
t = np.arange(len(signal)) / RATE
panels[0].plot(t, signal, linewidth=0.3)
for second, name in enumerate(order):
    panels[0].annotate(name, (second + 0.5, 1.15), ha="center")
panels[0].set(ylabel="sound", ylim=(-1.5, 1.5))
for which, name in enumerate(model.classes_):
    panels[1].step(np.arange(len(said)) / 10, [p[which] for p in said], where="post", label=name)
panels[1].set(xlabel="time (s)", ylabel="probability", ylim=(0, 1.02))
panels[1].legend(loc="center right", fontsize="small")
plt.show()

# %%
# No surer than right
# -------------------
# Of a few samples nobody can tell a timbre, and the classifier says so: it starts from the shares of the
# sounds in training, and is as sure after so many samples as pieces of training signals of that length have shown.

heard = [2**n for n in range(13)]
pieces = [sound(name, 0.6) for name in fresh]
sure, right = [], []
for count in heard:
    said_of = model.predict_proba([piece[:count] for piece in pieces])
    sure.append(said_of.max(1).mean())
    right.append((model.classes_[said_of.argmax(1)] == fresh).mean())
assert np.allclose(sure, right, atol=0.2)

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
axes.semilogx(np.array(heard) / RATE, right, "o-", label="right")
axes.semilogx(np.array(heard) / RATE, sure, "s--", label="probability of what it says")
axes.axhline(1 / 3, color="0.7", linewidth=1)
axes.set(xlabel="heard (s)", ylabel="share", ylim=(0, 1.05))
axes.legend()
plt.show()
