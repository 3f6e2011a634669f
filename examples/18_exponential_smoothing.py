"""
Exponential smoothing is a state space model
============================================

The oldest forecast that still wins competitions keeps a level, a slope and a season, and moves each by a share of
every error. Written as a system, its state is driven by the series itself, and the forecast of the next step is what
comes out. A `Forecaster` starts from it.
"""

import matplotlib.pyplot as plt
import numpy as np

from statespace.datasets import load
from statespace.forecasting import smoothed
from statespace.systems import StateSpace

air = load("airline")
y = np.log(air["y"].to_numpy(float))
train, test = y[:-24], y[-24:]

# %%
# Four models, averaged
# ---------------------
# With and without a slope, with and without a season: each is fitted by the likelihood of its errors, and they are
# averaged by the weights of Akaike. ``K`` says how much of an error stays in level, slope and season.

scaled = (train - train.mean()) / train.std()
found = smoothed(scaled, np.array([len(scaled)]), season=12, input_size=72, h=24)
for weight, model in found.models:
    season = f", season {model.K[-1]:.3f}" if len(model.C) > 2 else ""
    slope = f", slope {model.K[1]:.3f}, of which {model.A[1, 1]:.3f} goes on" if len(model.C) in (2, 14) else ""
    print(f"weight {weight:.2f}: of each error the level keeps {model.K[0]:.2f}{slope}{season}")

# %%
# The same system, two views
# --------------------------
# Driven by the series, ``x' = (A - K C) x + K y`` with the output ``C x``: a recurrence, or one convolution with a
# kernel that says how much each value counts for the next.

model = found.best
driven = StateSpace(model.A - np.outer(model.K, model.C), model.K[:, None], model.C[None], np.zeros((1, 1)), dt=1.0)
recurrent, convolved = (driven.simulate(scaled[:, None], view=view).y[:, 0] for view in ("recurrent", "convolution"))
print(
    f"poles within {driven.poles().abs().max():.3f}; the two views differ by {(recurrent - convolved).abs().max():.1e}"
)

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), width_ratios=(1, 2), layout="constrained")
left.bar(np.arange(1, 25), driven.kernel(25)[1:, 0, 0], color="#33415c")
left.set(xlabel="months ago", title="how much each month counts for the next")

# %%
# And a forecast with a spread
# ----------------------------
# Errors that stay in the state make the forecast less sure with every step. The matrix takes a window to all steps at
# once: it is what the linear path of a forecaster starts from, and what it stays at where a series says no more.

window = scaled[-72:]
ahead = found.weight @ window * train.std() + train.mean()
spread = found.spread[: len(ahead)] * window.std() * train.std()
seasonal = np.exp(train[-12:])[np.arange(24) % 12]
for name, values in {"seasonal naive": seasonal, "smoothing": np.exp(ahead)}.items():
    print(f"{name:14} {100 * np.abs(values / np.exp(test) - 1).mean():5.2f} % off over two years")

stamps = air["ds"]
low, high = np.exp(ahead - 1.28 * spread), np.exp(ahead + 1.28 * spread)
right.plot(stamps[-72:], np.exp(y[-72:]), color="#33415c", linewidth=1, label="passengers")
right.plot(stamps[-24:], np.exp(ahead), color="#c8553d", label="exponential smoothing, 80 % band")
right.fill_between(stamps[-24:], low, high, color="#c8553d", alpha=0.15, linewidth=0)
right.plot(stamps[-24:], seasonal, color="0.6", linewidth=1, label="the season before")
right.legend(frameon=False)
right.set(ylabel="thousand", title="two years ahead")
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
plt.show()
