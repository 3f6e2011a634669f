"""Times of their own, gaps, and another rate
===========================================

A system in continuous time does not ask for a grid: the time between two rows moves its state. So rows may come when
they come, a gap is one long step, and what was trained on hours forecasts half-hours.
"""

# %%
# Readings of a tide-like level, taken whenever somebody passed: 0.1 to 3 hours apart, and nobody passed for a day.

import numpy as np
import pandas as pd

from statespace import Forecaster

rng = np.random.default_rng(1)


def level(hours: np.ndarray) -> np.ndarray:
    """Return the level at these hours."""
    return np.sin(2 * np.pi * hours / 12.4) + 0.4 * np.sin(2 * np.pi * hours / 25.8)


hours = np.cumsum(rng.uniform(0.1, 2.0, 900))
hours[600:] += 24
readings = pd.DataFrame(
    {
        "unique_id": "pier",
        "ds": pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, unit="h").round("s"),
        "y": level(hours) + 0.05 * rng.normal(size=len(hours)),
    }
)
train, test = readings.iloc[:-24], readings.iloc[-24:]

# %%
# ``freq="irregular"`` says so; without it, a note tells that no grid fits. The stamps to forecast are asked for.

fc = Forecaster(h=24, input_size=96, d_model=32, max_steps=250, random_seed=0, verbose=False)
fc.fit(train, freq="irregular")
pred = fc.predict(futr_df=test[["unique_id", "ds"]], level=[80])
error = np.abs(pred["S4D"].to_numpy() - test["y"].to_numpy()).mean()
print(f"mean absolute error {error:.2f}, of a signal whose standard deviation is {readings['y'].std():.2f}")

# %%
# The same system on an hourly grid, with gaps: missing rows and missing values are the same.

grid = pd.DataFrame({"unique_id": "pier", "ds": pd.date_range("2024-01-01", periods=1500, freq="h")})
grid["y"] = level(np.arange(1500.0)) + 0.05 * rng.normal(size=1500)
hidden = rng.random(1500) < 0.2
hourly = Forecaster(h=24, input_size=72, max_steps=150, random_seed=0, verbose=False)
hourly.fit(grid[~hidden], freq="h")

# %%
# And at half-hours, by ``dt_scale=0.5``, without training again: the forecast has twice as many steps.

fine = pd.DataFrame({"unique_id": "pier", "ds": pd.date_range("2024-01-01", periods=3000, freq="30min")})
fine["y"] = level(np.arange(3000) / 2) + 0.05 * rng.normal(size=3000)
half = hourly.predict(fine, dt_scale=0.5)
ahead = (half["ds"] - fine["ds"].iloc[0]) / pd.Timedelta(hours=1)
error = np.abs(half["S4D"].to_numpy() - level(ahead.to_numpy())).mean()
print(f"{len(half)} half-hours ahead, mean absolute error {error:.2f}")

# %%
# Both, drawn.

import matplotlib.pyplot as plt

picture, (top, bottom) = plt.subplots(2, 1, figsize=(10, 6), layout="constrained")
shown = readings.tail(90)
top.plot(shown["ds"], shown["y"], ".", color="#33415c", label="readings")
top.plot(pred["ds"], pred["S4D"], "x", color="#c8553d", label="forecast at the stamps that were asked for")
top.fill_between(pred["ds"], pred["S4D-lo-80"], pred["S4D-hi-80"], color="#c8553d", alpha=0.15, linewidth=0)
bottom.plot(fine["ds"].tail(96), fine["y"].tail(96), color="#33415c", linewidth=1, label="half-hours")
bottom.plot(half["ds"], half["S4D"], ".-", color="#2a9d8f", label="forecast by a model of hours")
for axes in (top, bottom):
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylabel("level")
