"""
What each sample is
===================

A heart beats, and now and then a beat comes too early. It looks like any other beat: only the time since the one before
tells. A `Labeler` says of each sample whether it belongs to a beat in time, to an early one, or to none, from the past
alone, so that it can be run live. A linear model of a window around each sample, fitted to the same labels, finds the
beats and cannot tell them apart.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from statespace import Labeler

torch.set_num_threads(1)
RATE = 60  # samples in a second
NONE, IN_TIME, EARLY = "none", "in time", "early"
beat = np.exp(-((np.arange(9) - 4) ** 2) / 3) - 0.4 * np.exp(-((np.arange(9) - 6) ** 2) / 2)


def record(seconds: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A recording and what each of its samples is; every fifth beat comes early, at random."""
    length = int(seconds * RATE)
    x, labels = 0.1 * rng.standard_normal(length), np.full(length, NONE, dtype="<U7")
    at, early = 5, False
    while at + 9 < length:
        x[at : at + 9] += beat
        labels[at : at + 9] = EARLY if early else IN_TIME
        early = rng.random() < 0.2
        at += int(RATE * (rng.uniform(0.45, 0.55) if early else rng.uniform(0.75, 0.85)))
    return x, labels


rng = np.random.default_rng(0)
X, y = (np.stack(part) for part in zip(*(record(10, rng) for _ in range(40)), strict=True))
fresh, truth = (np.stack(part) for part in zip(*(record(10, rng) for _ in range(20)), strict=True))

# %%
# Beats fill a tenth of the time, and early ones a fiftieth: each class is given the same weight.

model = Labeler(
    "mamba", causal=True, d_model=16, n_layers=2, d_state=8, max_epochs=60, batch_size=8, learning_rate=2e-2,
    augmentation=0.1, class_weight="balanced", random_seed=0, verbose=False,
).fit(X, y)  # fmt: skip

# %%
# The plain model: logistic regression on the 31 samples around each, which is a beat and what is next to it.


def windows(signals: np.ndarray) -> np.ndarray:
    """The samples around each sample."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(signals, ((0, 0), (15, 15))), 31, 1).reshape(-1, 31)


plain = LogisticRegression(max_iter=500, class_weight="balanced").fit(windows(X), y.ravel())
said = {"Labeler": model.predict(fresh), "window": plain.predict(windows(fresh)).reshape(fresh.shape)}
found = {}
for name, labels in said.items():
    found[name] = {kind: float((labels == kind)[truth == kind].mean()) for kind in (NONE, IN_TIME, EARLY)}
    print(f"{name}: found of " + ", ".join(f"{kind} {share:.3f}" for kind, share in found[name].items()))
assert min(found["Labeler"].values()) > 0.8
assert min(found["window"].values()) < 0.7

# %%
# Live, a sample at a time or in chunks, the same is said.

live = model.stream()
streamed = np.concatenate([live.push(chunk) for chunk in np.split(fresh[0], 20)])
assert np.allclose(streamed, model.predict_proba(fresh[:1])[0], atol=1e-4)

figure, panels = plt.subplots(3, 1, figsize=(9, 5), sharex=True, sharey=True, layout="constrained")
t = np.arange(fresh.shape[1]) / RATE
for axes, (name, labels) in zip(panels, {"truth": truth, **said}.items(), strict=True):
    axes.plot(t, fresh[0], linewidth=0.8, color="#8d99ae")
    for kind, colour in ((IN_TIME, "#33415c"), (EARLY, "#c8553d")):
        axes.plot(t, np.where(labels[0] == kind, fresh[0], np.nan), linewidth=2, color=colour, label=kind)
    axes.set_ylabel(name)
panels[0].legend(loc="upper right", fontsize="small", ncols=2)
panels[-1].set_xlabel("time (s)")
plt.show()
